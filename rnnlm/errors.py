"""Exceptions for expected failures, one class per part of the package.

Every message says what was found, what was expected and what to do. The command line prints the message
and exits with code 1; in Python it is an ordinary exception.
"""

import reprlib
from typing import Any


class RnnlmError(Exception):
    """Base class of every expected failure."""


class CorpusError(RnnlmError):
    """A text cannot be read, decoded or is too short for what was asked."""


class TokenizerError(RnnlmError):
    """A tokenizer's options, dictionary or version do not fit."""


class VocabularyError(RnnlmError):
    """A vocabulary is empty, malformed or differs from the one expected."""


class CheckpointError(RnnlmError):
    """A checkpoint is missing, damaged, of another version, or a file of another program."""


class SavingError(CheckpointError):
    """A checkpoint cannot be written: the disk is full, the folder is missing, or another run writes to it."""


class ExchangeError(RnnlmError):
    """A model cannot be exported, or a file to import is not a model."""


class PlotError(RnnlmError):
    """A figure cannot be drawn: a package is missing, the file format is unknown, or there is no data."""


class FillingError(RnnlmError):
    """A text to fill has no blank, or has more than one line."""


class LatticeError(RnnlmError):
    """Candidates for a decoder are malformed, or no path leads through them."""


class DirectionError(RnnlmError):
    """A bidirectional model is asked for what only a one-directional model can do."""


class TrainingError(RnnlmError):
    """Training cannot start or cannot go on."""


class WorkerLostError(TrainingError):
    """Another process of a distributed training has ended."""


class _Short(reprlib.Repr):
    """A repr of limited length, also of integers beyond the 4,300 digits that Python converts to text."""

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < 4096 else f"an integer of {x.bit_length():,} bits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 3


def shown(value: Any) -> str:
    """Return a value for an error message: like repr, but of limited length and depth.

    >>> shown({"hidden_size": [[1, 2], "abc"]}), shown(10**100)
    ("{'hidden_size': [[1, 2], 'abc']}", '100000000000000000...0000000000000000000')
    """
    return _SHORT.repr(value)
