"""The errors that a user can cause or meet: one class per room of the house.

Every message says what was found, what was expected and what to do. The command line prints it
as one sentence and leaves with exit code 1; a notebook sees an ordinary exception.
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
    """A checkpoint is missing, foreign, damaged or of another version."""


class SavingError(CheckpointError):
    """A checkpoint cannot be written now: the disk is full, the folder is gone, another run writes it."""


class ExchangeError(RnnlmError):
    """A model cannot be exported, or a file to import is no model."""


class PlotError(RnnlmError):
    """A picture cannot be drawn: a package is missing, the file's format is unknown, there is nothing to draw."""


class FillingError(RnnlmError):
    """A text to fill has no blank, or is more than one line."""


class LatticeError(RnnlmError):
    """Candidates for a decoder are malformed, or no path leads through them."""


class DirectionError(RnnlmError):
    """A bidirectional model is asked for what only a one-directional model can do."""


class TrainingError(RnnlmError):
    """Training cannot start or cannot go on."""


class WorkerLostError(TrainingError):
    """A process that trained together with this one is gone."""


class _Short(reprlib.Repr):
    """Python refuses to write an integer of more than 4,300 digits."""

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < 4096 else f"an integer of {x.bit_length():,} bits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 3


def shown(value: Any) -> str:
    """A value from a file as it stands in a message: like repr, and short however long or nested the value is.

    >>> shown({"hidden_size": [[1, 2], "abc"]}), shown(10**100)
    ("{'hidden_size': [[1, 2], 'abc']}", '100000000000000000...0000000000000000000')
    """
    return _SHORT.repr(value)
