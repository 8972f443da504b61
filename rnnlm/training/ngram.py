"""Training of an n-gram model: counts of the whole text, smoothed by interpolated modified Kneser-Ney."""

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
    """An n-gram model, notes on its text, and the share of the text's tokens that the vocabulary covers."""

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
        options: Those that say how a text is read count, see `options.FOR_EVERY_MODEL`.
        order: The n of n-gram.
        processes: Most processes to cut words in.
        check: Called with the text and the options that will be recorded, before anything is counted; may refuse.

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
