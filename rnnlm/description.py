"""Description of a model in sentences: its architecture, training text, quality, and a sample."""

import math
from typing import Any

from rnnlm.errors import CorpusError
from rnnlm.language_model import LanguageModel
from rnnlm.names import OWN_TEXTS
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.storage.checkpoint import section
from rnnlm.text.own_texts import MARK, own_text
from rnnlm.text.sources import Source, fingerprint

SAMPLE_TOKENS = 60


def description(model: LanguageModel) -> list[str]:
    """Return sentences that describe a model from its file, the last with a sample; deterministic."""
    how = "reads a text as one stream" if model.context == "stream" else "reads every line for itself"
    units = {"char": "characters", "word": "words", "token": "tokens"}[model.level]
    found = [f"{_predictor(model)} over {len(model.vocabulary):,} {units}, which {how}."]
    found += [each for each in (_learnt(model), _quality(model)) if each]
    if not isinstance(model.predictor, BidirectionalNetwork):
        found.append(f"A sample: {sample(model)}")
    return found


def sample(model: LanguageModel, seed: int = 1) -> str:
    """Return a short generated text, on one line."""
    written = "".join(model.generate(length=SAMPLE_TOKENS, temperature=0.8, seed=seed))
    return " / ".join(line for each in written.splitlines() if (line := each.strip()))


def _predictor(model: LanguageModel) -> str:
    described = model.predictor.describe()
    return f"{'An' if described[0] in 'AEFHILMNORSX8' else 'A'} {described}"


def _learnt(model: LanguageModel) -> str:
    """Return a sentence on the training text and the length of the training; "" if neither is known."""
    training = model.training
    if imported := training.get("imported"):
        return f"It was imported ({imported}), so nothing is known of its training."
    corpus, progress = section(training, "corpus"), section(training, "state", "progress")
    if not isinstance(tokens := corpus.get("train_tokens"), int):
        return ""
    text = f"It has {'counted' if model.kind == 'ngram' else 'learnt from'} {tokens:,} tokens of {_text(corpus)}"
    if not isinstance(steps := progress.get("step"), int):
        return f"{text}."
    passes = progress["epoch"] + progress.get("batch", 0) / max(1, section(training, "state")["batches_per_epoch"])
    done = "" if progress.get("finished") else "; the training is not finished, --resume goes on with it"
    return f"{text}, in {passes:.3g} passes ({steps:,} steps){done}."


def _text(corpus: dict[str, Any]) -> str:
    """Return the name of a text that comes with the package, or a phrase with the beginning of its digest."""
    digest = str(corpus.get("digest", "")).partition("+")[0]
    for name in OWN_TEXTS:
        try:
            if fingerprint([Source(own_text(MARK + name), None)])[0] == digest:
                return MARK + name
        except CorpusError:  # not part of this installation
            continue
    return f"a text of yours (SHA-256 {digest[:8]}...)" if digest else "a text of yours"


def _quality(model: LanguageModel) -> str:
    """Return a sentence on the perplexity on held-out text, with that of baselines; "" if it is not known."""
    training = model.training
    best, together = training.get("best_nats_per_token"), section(training, "mixture").get("nats_per_token")
    if not isinstance(best, float):
        return ""
    beside = section(training, "baselines")
    measure = "pseudo-perplexity" if isinstance(model.predictor, BidirectionalNetwork) else "perplexity"
    where = "On text held out from its training" if beside or together else "On the text it was measured on"
    shown = f"{where} its {measure} is {_perplexity(best if together is None else together)}"
    others = [f"the network alone has {_perplexity(best)}"] if together is not None else []
    if isinstance(ngram := beside.get("ngram_nats_per_token"), float):
        others.append(f"a {beside.get('order')}-gram of the same text has {_perplexity(ngram)}")
        others.append(f"token frequencies alone {_perplexity(beside['unigram_nats_per_token'])}")
    if len(others) > 1:
        others[-2:] = [f"{others[-2]} and {others[-1]}"]
    return f"{shown}; {', '.join(others)}." if others else f"{shown}."


def _perplexity(nats: float) -> str:
    return f"{math.exp(min(nats, 700)):.4g}"
