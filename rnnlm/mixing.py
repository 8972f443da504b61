"""Loading of further models, and mixing them with a model over its vocabulary."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from rnnlm.errors import TokenizerError, VocabularyError, shown
from rnnlm.foreign import is_arpa
from rnnlm.inference.mixture import LineByLine, Translated, best_weights
from rnnlm.inference.model import SequenceModel
from rnnlm.inference.scoring import token_nats
from rnnlm.language_model import LanguageModel
from rnnlm.text.corpus import TokenizedCorpus
from rnnlm.text.vocabulary import FIRST, UNK

SMALLEST_COVERAGE = 0.5  # least share of known training tokens; below it, the second model has other tokens
Path = str | PathLike[str]


def load_beside(path: Path, model: LanguageModel) -> LanguageModel:
    """Return the model of a checkpoint (.npz) or ARPA file; for the latter, the tokenizer of `model` is assumed.

    Raises:
        CheckpointError: the file is neither, or damaged.
        TokenizerError: an ARPA file of characters is given with a model of words or vice versa, or any ARPA file with a
            model of a stream of characters.
    """
    if not is_arpa(path):
        return LanguageModel.load(path)
    if not model.reads_lines:
        raise TokenizerError(
            f"{path} is an ARPA file, which describes sentences, but the model reads its text as one stream. Use a "
            "model that was trained with --context sentence."
        )
    other = LanguageModel.from_arpa(path, model.tokenizer)
    tokens = other.vocabulary.tokens
    if _has_words(tokens) != _has_words(model.vocabulary.tokens):
        found, expected = ("words", "characters") if _has_words(tokens) else ("characters", "words")
        raise TokenizerError(f"{path} is a model of {found}; expected {expected}, as the model reads its text.")
    return other


def _has_words(tokens: Sequence[str]) -> bool:
    """Return whether some tokens are longer than a character, apart from names in brackets such as <space>."""
    return any(len(token) > 1 and not (token[0] == "<" and token[-1] == ">") for token in tokens)


def component(path: Path, model: LanguageModel) -> SequenceModel:
    """Return the model of a file as a component to mix with `model`, over its ids; see `inference.mixture.Translated`.

    If `model` reads a stream of lines, a component of sentences reads the lines one by one.

    Raises:
        RnnlmError: the file cannot be read, or the two models read text in different ways.
    """
    other = load_beside(path, model)
    model.notes += other.notes
    ours, theirs = _way_of_reading(model), _way_of_reading(other)
    line_by_line = model.context == "stream" and model.reads_lines and other.context == "sentence"
    if line_by_line:
        theirs["context"] = ours["context"]
    if ours.pop("lowercase", False) < theirs.pop("lowercase", False):
        raise TokenizerError(
            f"{path} reads its text in lower case, and the model does not. Add --lowercase, or use a model that was "
            "trained with it."
        )
    if ours != theirs:
        if ours == theirs | {"context": "sentence"} and other.reads_lines:
            raise TokenizerError(
                f"{path} reads its text as one stream, the model sentence by sentence. Exchange the two: a model of "
                "sentences can be mixed into one of a stream."
            )
        different = [f"{name} {shown(theirs.get(name))} instead of {shown(ours.get(name))}" for name in ours | theirs
                     if ours.get(name) != theirs.get(name)]  # fmt: skip
        raise TokenizerError(
            f"{path} cuts text in another way than the model ({', '.join(different)}); only models that read the same "
            "tokens can be mixed."
        )
    predictor: SequenceModel = other.require_causal()
    if line_by_line:
        predictor = LineByLine(predictor)
    if other.vocabulary.tokens == model.vocabulary.tokens:
        return predictor
    ids = np.concatenate([np.arange(FIRST), other.vocabulary.encode(model.vocabulary.tokens)])
    counts = (
        np.array(model.vocabulary.counts, dtype=np.float64)
        if any(model.vocabulary.counts)
        else np.ones(len(ids) - FIRST)
    )
    coverage = counts[ids[FIRST:] != UNK].sum() / counts.sum()
    if coverage < SMALLEST_COVERAGE:
        raise VocabularyError(
            f"{path} knows {100 * coverage:.1f} % of the tokens that the model was trained on; at least "
            f"{100 * SMALLEST_COVERAGE:.0f} % are expected of a model of the same language and the same sort of tokens."
        )
    return Translated(predictor, ids)


def _way_of_reading(model: LanguageModel) -> dict[str, Any]:
    return {"level": model.level, "context": model.context, **model.tokenizer.settings()}


def mixed(
    model: LanguageModel, others: Sequence[tuple[Path, float]], cache: tuple[int, float, float] | None = None
) -> LanguageModel:
    """Return the model mixed with others, given by files and weights; its own weight is the rest to 1.

    cache: tokens, weight and theta of a neural cache of the model's network, added to the mixture.

    Raises:
        RnnlmError: a file cannot be read, or cannot be mixed with the model.
    """
    found = model
    if others:
        found = model.mixed_with([component(path, model) for path, _ in others], [weight for _, weight in others])
    return found.with_cache(*cache, network=model.network) if cache else found


def tuned_weights(
    model: LanguageModel, others: Sequence[SequenceModel], corpus: TokenizedCorpus, threads: int = 1
) -> list[float]:
    """Return the weights of the other components that minimize the perplexity of a held-out text."""
    ids = model.sequence(corpus)
    nats = [token_nats(each, ids, model.context, threads) for each in (model.require_causal(), *others)]
    return best_weights(nats)[1:]
