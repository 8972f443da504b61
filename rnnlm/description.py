"""Description of a model in sentences: its architecture, training text, quality, and a sample."""

import math
from typing import Any

from rnnlm.errors import CorpusError
from rnnlm.language_model import LanguageModel
from rnnlm.names import OWN_TEXTS
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.sentences import Sentence
from rnnlm.storage.checkpoint import section
from rnnlm.text.own_texts import MARK, own_text
from rnnlm.text.sources import Source, fingerprint

SAMPLE_TOKENS = 60


def description(model: LanguageModel) -> list[str]:
    """Return sentences that describe a model from its file, the last with a sample; deterministic.

    Each is a `Sentence`, which can be translated.
    """
    how = "reads a text as one stream" if model.context == "stream" else "reads every line for itself"
    units = {"char": "characters", "word": "words", "token": "tokens"}[model.level]
    found: list[str] = [
        Sentence(
            "{model} over {size} {units}, which {how}.",
            model=_predictor(model),
            size=f"{len(model.vocabulary):,}",
            units=Sentence(units),
            how=Sentence(how),
        )
    ]
    found += [each for each in (_learnt(model), _quality(model)) if each]
    if not isinstance(model.predictor, BidirectionalNetwork):
        found.append(Sentence("A sample: {sample}", sample=sample(model)))
    return found


def sample(model: LanguageModel, seed: int = 1) -> str:
    """Return a short generated text, on one line."""
    written = "".join(model.generate(length=SAMPLE_TOKENS, temperature=0.8, seed=seed))
    return " / ".join(line for each in written.splitlines() if (line := each.strip()))


def _predictor(model: LanguageModel) -> str:
    described = model.predictor.describe()
    return Sentence("An {model}" if described[0] in "AEFHILMNORSX8" else "A {model}", model=described)


def _learnt(model: LanguageModel) -> str:
    """Return a sentence on the training text and the length of the training; "" if neither is known."""
    training = model.training
    if imported := training.get("imported"):
        return Sentence("It was imported ({imported}), so nothing is known of its training.", imported=imported)
    corpus, progress = section(training, "corpus"), section(training, "state", "progress")
    if not isinstance(tokens := corpus.get("train_tokens"), int):
        return ""
    learnt = Sentence(
        "It has counted {tokens} tokens of {text}"
        if model.kind == "ngram"
        else "It has learnt from {tokens} tokens of {text}",
        tokens=f"{tokens:,}",
        text=_text(corpus),
    )
    if not isinstance(steps := progress.get("step"), int):
        return Sentence("{learnt}.", learnt=learnt)
    passes = progress["epoch"] + progress.get("batch", 0) / max(1, section(training, "state")["batches_per_epoch"])
    return Sentence(
        "{learnt}, in {passes} passes ({steps} steps){rest}.",
        learnt=learnt,
        passes=f"{passes:.3g}",
        steps=f"{steps:,}",
        rest=Sentence("" if progress.get("finished") else "; the training is not finished, --resume goes on with it"),
    )


def _text(corpus: dict[str, Any]) -> str:
    """Return the name of a text that comes with the package, or a phrase with the beginning of its digest."""
    digest = str(corpus.get("digest", "")).partition("+")[0]
    for name in OWN_TEXTS:
        try:
            if fingerprint([Source(own_text(MARK + name), None)])[0] == digest:
                return Sentence("{name}", name=MARK + name)
        except CorpusError:  # not part of this installation
            continue
    return Sentence("a text of yours (SHA-256 {digest}...)" if digest else "a text of yours", digest=digest[:8])


def _quality(model: LanguageModel) -> str:
    """Return a sentence on the perplexity on held-out text, with that of baselines; "" if it is not known."""
    training = model.training
    best, together = training.get("best_nats_per_token"), section(training, "mixture").get("nats_per_token")
    if not isinstance(best, float):
        return ""
    beside = section(training, "baselines")
    shown = Sentence(
        "{where} its {measure} is {perplexity}",
        where=Sentence(
            "On text held out from its training" if beside or together else "On the text it was measured on"
        ),
        measure=Sentence("pseudo-perplexity" if isinstance(model.predictor, BidirectionalNetwork) else "perplexity"),
        perplexity=_perplexity(best if together is None else together),
    )
    others = []
    if together is not None:
        others.append(Sentence("the network alone has {perplexity}", perplexity=_perplexity(best)))
    if isinstance(ngram := beside.get("ngram_nats_per_token"), float):
        same, order = "a {order}-gram of the same text has {perplexity}", beside.get("order")
        others.append(Sentence(same, order=order, perplexity=_perplexity(ngram)))
        frequencies = _perplexity(beside["unigram_nats_per_token"])
        others.append(Sentence("token frequencies alone {perplexity}", perplexity=frequencies))
    if len(others) > 1:
        others[-2:] = [Sentence("{one} and {two}", one=others[-2], two=others[-1])]
    if len(others) > 1:
        others = [Sentence("{one}, {two}", one=others[0], two=others[1])]
    return (
        Sentence("{shown}; {others}.", shown=shown, others=others[0]) if others else Sentence("{shown}.", shown=shown)
    )


def _perplexity(nats: float) -> str:
    return f"{math.exp(min(nats, 700)):.4g}"
