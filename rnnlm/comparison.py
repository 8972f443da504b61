"""Comparisons of `rnnlm eval`: parts of a mixture, neural cache, dynamic evaluation and n-gram baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.blas import one_blas_thread
from rnnlm.errors import CheckpointError, CorpusError
from rnnlm.hints import NORMALIZED_CHARACTERS, form_hint, marks_warning
from rnnlm.inference.cache import NeuralCache
from rnnlm.inference.dynamic import Learning
from rnnlm.inference.mixture import Mixture
from rnnlm.inference.scoring import token_nats
from rnnlm.language_model import LanguageModel
from rnnlm.mixing import component, load_beside, tuned_weights
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.results import Evaluation
from rnnlm.sentences import Sentence
from rnnlm.storage.checkpoint import read_header, section
from rnnlm.stored_model import Predictor
from rnnlm.text.corpus import TokenizedCorpus, sequence, tokenize_corpus
from rnnlm.text.held_out import split, split_version
from rnnlm.text.id_sequence import Stretch
from rnnlm.text.marks import without_marks
from rnnlm.text.ready_made import REMEDY
from rnnlm.text.vocabulary import EOS, FIRST, UNK

IDS_AT_A_TIME = 1 << 20
CACHE = Sentence("with a neural cache")  # name of its row
DYNAMIC = Sentence("dynamic evaluation")
BEFORE_UNKNOWN = 20  # tokens before the first unknown one that a hint examines: an accent follows its letter


@dataclass
class Row:
    """A model and its figures on the text.

    bytes: size of the arrays that prediction needs. knows_text: whether the model was trained on this text; None if
    that is not known.
    """

    name: str
    evaluation: Evaluation
    bytes: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    knows_text: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as an object of `rnnlm eval --json`."""
        known = {"trained_on_this_text": self.knows_text}
        return {"model": self.name, **self.facts, "bytes": self.bytes, **figures(self.evaluation), **known}


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures of an evaluation, by their names in `rnnlm eval --json`."""
    names = (
        "tokens",
        "oov",
        "characters",
        "logprob_nats",
        "nats_per_token",
        "perplexity",
        "perplexity_excluding_oov",
        "bits_per_char",
        "text_bytes",
        "bits_per_byte",
    )
    return {name: getattr(evaluation, name) for name in names}


class Text:
    """Text files, read with the tokenizer of each model that asks for them."""

    def __init__(self, paths: Sequence[str], encoding: str | None, notes: list[str], column: str | None = None) -> None:
        """Store the paths; notes about the files are appended to `notes` when they are read."""
        self.paths, self.encoding, self.notes, self.column = list(paths), encoding, notes, column
        self._read: dict[str, TokenizedCorpus] = {}

    def for_model(self, model: LanguageModel) -> TokenizedCorpus:
        """Return the text as the model reads it; models that read text in the same way share the result.

        Raises:
            CorpusError: the text is standard input, and was already read with another tokenizer.
        """
        key = f"{model.reads_lines} {model.level} {model.tokenizer.settings()}"
        if key not in self._read:
            if self._read and "-" in self.paths:
                raise CorpusError("Standard input cannot be read by two tokenizers; give the text as a file.")
            corpus = tokenize_corpus(
                self.paths, model.tokenizer, lines=model.reads_lines, encoding=self.encoding, column=self.column
            )
            self.notes += [note for note in corpus.notes if note not in self.notes]
            self._read[key] = corpus
        return self._read[key]


class CacheOptions(NamedTuple):
    """Options of a neural cache, see `inference.cache`; a weight of None is to be tuned."""

    tokens: int
    weight: float | None
    theta: float


@dataclass(frozen=True)
class Asked:
    """Comparisons that were asked for; an empty or zero value means none of its kind."""

    mix: Sequence[tuple[str, float | None]] = ()
    tune: Sequence[str] = ()
    order: int = 0
    baseline: str | None = None
    baseline_corpus: Sequence[str] = ()
    dynamic: Learning | None = None
    cache: CacheOptions | None = None


@dataclass
class Comparison:
    """Figures of the model or mixture, and rows in groups: "mixture" or "parts", "cache", "dynamic", "baselines"."""

    measured: Row
    groups: dict[str, list[Row]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """All rows, that of the model first."""
        return [self.measured, *(row for group in self.groups.values() for row in group)]

    def to_json(self) -> dict[str, Any]:
        """Return the object of `rnnlm eval --json`: the figures of the model, and the groups of rows."""
        groups = {name: [row.to_json() for row in rows] for name, rows in self.groups.items()}
        size = {"bytes": self.measured.bytes} if groups else {}
        known = {"trained_on_this_text": self.measured.knows_text}
        return figures(self.measured.evaluation) | known | size | groups


def compare(
    model: LanguageModel,
    name: str,
    files: Sequence[str],
    encoding: str | None,
    asked: Asked,
    threads: int,
    column: str | None = None,
) -> Comparison:
    """Evaluate the model on files, and run the comparisons that were asked for.

    Raises:
        RnnlmError: a file cannot be read, or two models cannot be combined.
    """
    notes: list[str] = []
    told = len(model.notes)
    text = Text(files, encoding, notes, column)
    corpus = text.for_model(model)
    advice = [each for each in notes if REMEDY in each]
    if warning := marks_warning(model, " ".join(corpus.marks)):
        notes += [] if advice else [warning]
    elif corpus.marks:  # the model was trained on such marks
        notes[:] = [each for each in notes if each not in advice]
    if hint := form_hint(model, _unknown_part(corpus, model)):
        notes.append(hint)
    held_out = Text(asked.tune, encoding, notes, column) if asked.tune else None
    if asked.mix:
        mixed = mix(model, asked.mix, held_out, threads)
        found = Comparison(Row(Sentence("mixture"), mixed.evaluate(corpus, threads)), notes=notes)
        names = [name, *(path for path, _ in asked.mix)]
        found.groups["mixture"] = parts_of_mixture(mixed, names, corpus, threads)
    elif isinstance(model.predictor, NetworkWithNgram):
        both, *each = both_and_each(model, model.predictor, corpus, threads)
        found = Comparison(Row(name, both, stored_bytes(model)), notes=notes)
        parts: tuple[Predictor, ...] = (model.network, model.ngram)
        found.groups["parts"] = [
            Row(Sentence("{model} alone", model=part.describe()), figures, _bytes(part))
            for part, figures in zip(parts, each, strict=True)
        ]
    else:
        found = Comparison(Row(name, model.evaluate(corpus, threads), stored_bytes(model)), notes=notes)
    if asked.cache:
        found.groups["cache"] = [
            with_cache(model, mixed if asked.mix else model, asked.cache, held_out, corpus, threads)
        ]
    if asked.dynamic:
        figures = model.evaluate_dynamically(corpus, asked.dynamic)
        found.groups["dynamic"] = [Row(DYNAMIC, figures, facts=asked.dynamic._asdict())]
    if asked.order:
        training_text = Text(asked.baseline_corpus, encoding, notes, column)
        found.groups["baselines"] = baselines(model, asked.order, training_text, text, threads)
    elif asked.baseline:
        found.groups["baselines"] = [baseline_from_file(asked.baseline, model, text, threads)]
    notes += model.notes[told:]  # notes about the other files
    _mark_those_that_know(found, corpus, model, name, asked)
    return found


def _mark_those_that_know(
    found: Comparison, corpus: TokenizedCorpus, model: LanguageModel, name: str, asked: Asked
) -> None:
    """Set `knows_text` of every row."""
    parts = {name: knows_text(model.training, corpus)}
    parts |= {path: knows_text(_training_of(path), corpus) for path, _ in asked.mix}
    found.measured.knows_text = True if True in parts.values() else None if None in parts.values() else False
    known = {**parts, CACHE: found.measured.knows_text, DYNAMIC: parts[name]}
    known |= {row.name: parts[name] for row in found.groups.get("parts", [])}
    if asked.baseline:
        known[asked.baseline] = knows_text(_training_of(asked.baseline), corpus)
    for row in found.rows[1:]:
        row.knows_text = known.get(row.name, row.knows_text)


def knows_text(training: Mapping[str, Any], corpus: TokenizedCorpus) -> bool | None:
    """Return whether a model was trained on a text or one of its files; None if its checkpoint does not record it."""
    recorded = section(training, "corpus")
    digest, files = str(recorded.get("digest")).partition("+")[0], recorded.get("files")
    learnt = {digest, *map(str, files if isinstance(files, list) else [])}
    if learnt & {corpus.digest, *corpus.files}:
        return True
    return False if recorded.get("digest") and files else None


def _training_of(path: str) -> Mapping[str, Any]:
    """Return the training section of a checkpoint; empty for other files, such as ARPA files."""
    try:
        return section(read_header(path), "training")
    except CheckpointError:
        return {}


def _unknown_part(corpus: TokenizedCorpus, model: LanguageModel) -> str:
    """Return an excerpt around the first unknown token, long enough for a hint; "" if all tokens are known."""
    ids = model.sequence(corpus)
    for start in range(0, len(ids), IDS_AT_A_TIME):
        unknown = np.flatnonzero(ids[start : start + IDS_AT_A_TIME] == UNK)
        if len(unknown):
            first = max(0, start + int(unknown[0]) - BEFORE_UNKNOWN)
            break
    else:
        return ""
    lines: list[list[str]] = [[]]
    for each in corpus.ids[first : first + NORMALIZED_CHARACTERS].tolist():
        if each == EOS:
            lines.append([])
        else:
            lines[-1].append(corpus.tokens[each - FIRST])
    return without_marks("\n".join(map(model.tokenizer.join, lines)))


def stored_bytes(model: LanguageModel) -> int:
    """Return the size of the arrays that prediction needs, without the optimizer's state that --resume needs."""
    return _bytes(model.predictor)


def _bytes(predictor: Predictor) -> int:
    _, arrays = predictor.to_file()
    return sum(array.nbytes for array in arrays.values())


@one_blas_thread()
def both_and_each(
    model: LanguageModel, predictor: NetworkWithNgram, corpus: TokenizedCorpus, threads: int
) -> list[Evaluation]:
    """Return the figures of a network mixed with its n-gram model, of the network, and of the n-gram model."""
    ids = model.sequence(corpus)
    alone = token_nats(predictor.network, ids, model.context, threads)
    both, beside = predictor.along(alone, ids, model.context, threads)
    unknown = ids[:] == UNK
    return [Evaluation.of(each, unknown, corpus.characters, corpus.text_bytes) for each in (both, alone, beside)]


# --- mixtures -----------------------------------------------------------------------------------------------------


def mix(
    model: LanguageModel, parts: Sequence[tuple[str, float | None]], held_out: Text | None, threads: int
) -> LanguageModel:
    """Return the model mixed with others, with the given weights, or with the best ones for `held_out`."""
    others = [component(path, model) for path, _ in parts]
    if held_out is None:
        weights = [weight or 0.0 for _, weight in parts]
    else:
        corpus = held_out.for_model(model)
        weights = tuned_weights(model, others, corpus, threads)
        _warn_of_known(held_out, corpus, [model.training, *(_training_of(path) for path, _ in parts)])
    return model.mixed_with(others, weights)


def _warn_of_known(held_out: Text, corpus: TokenizedCorpus, trained: Sequence[Mapping[str, Any]]) -> None:
    """Add a warning to the notes if one of the models, given by their training sections, was trained on this text."""
    if any(knows_text(each, corpus) for each in trained):
        held_out.notes.append(
            Sentence(
                "Warning: {texts} is a text that one of the models was trained on, so its weight is too high; give "
                "--tune a text that none of them has seen.",
                texts=" ".join(held_out.paths),
            )
        )


def parts_of_mixture(mixed: LanguageModel, names: Sequence[str], corpus: TokenizedCorpus, threads: int) -> list[Row]:
    """Evaluate each model of a mixture alone, over the vocabulary of the mixture."""
    assert isinstance(mixed.predictor, Mixture)
    rows = []
    for name, predictor, weight in zip(names, mixed.predictor.models, mixed.predictor.weights, strict=True):
        alone = LanguageModel(mixed.tokenizer, mixed.vocabulary, Mixture([predictor], [1.0]), mixed.context)
        rows.append(Row(name, alone.evaluate(corpus, threads), facts={"weight": weight}))
    return rows


def with_cache(
    model: LanguageModel,
    mixed: LanguageModel,
    cache: CacheOptions,
    held_out: Text | None,
    corpus: TokenizedCorpus,
    threads: int,
) -> Row:
    """Evaluate a model or mixture with a neural cache of the model's network; tune the weight if it is None."""
    weight = cache.weight
    if weight is None:
        assert held_out is not None
        text, component = held_out.for_model(model), NeuralCache(model.network, cache.tokens, cache.theta)
        (weight,) = tuned_weights(mixed, [component], text, threads)
        _warn_of_known(held_out, text, [model.training])
    remembering = mixed.with_cache(cache.tokens, weight, cache.theta, model.network)
    figures = remembering.evaluate(corpus, threads)
    return Row(CACHE, figures, facts={"remembered": cache.tokens, "weight": weight, "theta": cache.theta})


# --- baselines ----------------------------------------------------------------------------------------------------


def baselines(model: LanguageModel, order: int, training_text: Text, text: Text, threads: int) -> list[Row]:
    """Train n-gram models of order 1 to `order` over the vocabulary of the model, and evaluate them.

    If the files are those that the model was trained on, the n-gram models get the same training part, without the
    held-out part, so that both have seen the same text.
    """
    corpus = training_text.for_model(model)
    recorded, learnt = section(model.training, "corpus"), None
    if str(recorded.get("digest")).partition("+")[0] == corpus.digest:
        learnt = _learnt_part(model, corpus, recorded.get("train_tokens"))
    else:
        text.notes.append(
            Sentence(
                "{texts} is not the text that the model was trained on: the baseline was trained on another text than "
                "the model.",
                texts=" ".join(training_text.paths),
            )
        )
    ids = sequence(corpus, model.vocabulary, learnt)[:]
    rows = []
    for n in range(1, order + 1):
        predictor = NgramModel.train(ids, len(model.vocabulary), n, model.context)
        ngram = LanguageModel(model.tokenizer, model.vocabulary, predictor, model.context)
        rows.append(_baseline_row(f"{n}-gram", ngram, text, threads))
        rows[-1].knows_text = knows_text({"corpus": corpus.to_header()}, text.for_model(model))
    return rows


def _learnt_part(model: LanguageModel, corpus: TokenizedCorpus, tokens: Any) -> list[Stretch] | None:
    """Return the stretches of a corpus that the model was trained on, `tokens` in all; None for the whole corpus."""
    fraction = section(model.training, "options").get("valid_fraction")
    if tokens == len(corpus.ids) or type(fraction) is not float or not 0 < fraction < 1:
        return None
    train = split(corpus, fraction, model.context, split_version(model.training)).train
    return train if tokens == len(sequence(corpus, model.vocabulary, train)) else None


def baseline_from_file(path: str, model: LanguageModel, text: Text, threads: int) -> Row:
    """Evaluate the model of another file, with its own tokenizer and vocabulary."""
    other = load_beside(path, model)
    text.notes += other.notes
    if other.vocabulary.tokens != model.vocabulary.tokens or other.level != model.level:
        text.notes.append(
            Sentence(
                "{path} has another vocabulary than the model: compare bits per character, not perplexities, which "
                "depend on what a token is and what is unknown.",
                path=path,
            )
        )
    return _baseline_row(path, other, text, threads)


def _baseline_row(name: str, model: LanguageModel, text: Text, threads: int) -> Row:
    facts: dict[str, Any] = {}
    if model.kind == "ngram":
        facts = {
            "order": model.ngram.order,
            "vocabulary": len(model.vocabulary),
            "ngrams": model.ngram.ngram_counts(),
            "contexts": model.ngram.context_counts(),
        }
    return Row(name, model.evaluate(text.for_model(model), threads), stored_bytes(model), facts)
