"""Training of an n-gram model with interpolated modified Kneser-Ney smoothing on a whole text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnlm.baselines.ngram import NgramModel
from rnnlm.language_model import LanguageModel
from rnnlm.text.corpus import TokenizedCorpus, sequence
from rnnlm.text.vocabulary import UNK
from rnnlm.training.dataset import Reading, Sources
from rnnlm.training.given_tokens import build_vocabulary
from rnnlm.training.options import FILE_OPTIONS, FOR_EVERY_MODEL, Options

DEFAULT_ORDER = 3


@dataclass(frozen=True)
class TrainedNgram:
    """An n-gram model, notes on its text, and the share of the tokens that are in the vocabulary."""

    model: LanguageModel
    notes: list[str]
    coverage: float


def train_ngram(
    sources: Sources,
    options: Options,
    order: int = DEFAULT_ORDER,
    processes: int = 1,
    check: Callable[[TokenizedCorpus, Mapping[str, Any]], None] = lambda corpus, options: None,
) -> TrainedNgram:
    """Train an n-gram model on all of a text.

    Args:
        sources: The text.
        options: Only those in `options.FOR_EVERY_MODEL` are used.
        order: Order n of the model.
        processes: Maximum number of processes that tokenize.
        check: Called before counting with the text and the options to record; may raise an error.

    Raises:
        RnnlmError: the text cannot be read.
    """
    reading = Reading.of(options)
    corpus = sources.tokenize(sources.corpus, reading.tokenizer, reading.context, processes)
    recorded = {name: getattr(options, name) for name in FOR_EVERY_MODEL if name not in FILE_OPTIONS}
    recorded |= {"level": reading.tokenizer.name, "context": reading.context, "column": sources.column, "order": order}
    check(corpus, recorded)
    vocabulary, notes = build_vocabulary(corpus, corpus.counts(), options, reading.tokenizer)
    ids = sequence(corpus, vocabulary)[:]
    predictor = NgramModel.train(ids, len(vocabulary), order, reading.context)
    training = {"options": recorded, "corpus": {**corpus.to_header(), "train_tokens": len(ids)}}
    model = LanguageModel(reading.tokenizer, vocabulary, predictor, reading.context, training)
    model.check_savable()
    return TrainedNgram(model, [*reading.warnings, *corpus.notes, *notes], float((ids != UNK).mean()))
