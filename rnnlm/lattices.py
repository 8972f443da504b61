"""Lattices of candidate texts for a decoder, and their formats in files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rnnlm.errors import LatticeError, shown
from rnnlm.inference.lattice import complete
from rnnlm.text.confusions import Confusions, Spellings
from rnnlm.text.lines import damage
from rnnlm.text.pinyin import Readings, spelling

if TYPE_CHECKING:
    from rnnlm.codec import Codec

Position = Iterable["str | tuple[str, float] | Mapping[str, Any]"]
MOST_NODES = 1 << 20
LARGEST_SCORE = 1e15  # above this, adding the nats of the model has no effect in float64
_KEYS = ("positions", "arcs")
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


class Arc(NamedTuple):
    """A candidate text between two nodes, and its score in nats."""

    start: int
    end: int
    text: str
    score: float = 0.0


class Lattice:
    """Candidates as arcs between nodes 0 to `length`; each path from the first to the last node is a text.

    >>> lattice = Lattice.of([["我"], [("昨", -0.1), ("作", -2.4)], ["天", ""]])
    >>> lattice.length, lattice.arcs[1]
    (3, Arc(start=1, end=2, text='昨', score=-0.1))

    Raises:
        LatticeError: an arc does not lead to a later node, a text has a line end or damage, or no path leads from the
            first to the last node.
    """

    def __init__(self, length: int, arcs: Iterable[Arc]) -> None:
        self.length, self.arcs = length, list(arcs)
        for arc in self.arcs:
            if not 0 <= arc.start < arc.end <= length:
                raise LatticeError(
                    f"The candidate {shown(arc.text)} goes from {arc.start} to {arc.end}; expected it to go "
                    f"forward, between 0 and {length}."
                )
            if "\n" in arc.text or (found := damage(arc.text)) is not None:
                wrong = "a line end" if "\n" in arc.text else found
                raise LatticeError(f"The candidate {shown(arc.text)} holds {wrong}; expected text of one line.")
        if length and not any(complete([(arc.start, arc.end) for arc in self.arcs], length)):
            raise LatticeError(f"No path of candidates leads from 0 to {length}; expected candidates at every place.")

    @classmethod
    def of(cls, positions: Iterable[Position]) -> Lattice:
        """Return the lattice of a confusion network: candidates for each position, with or without scores.

        A candidate is a str, a pair of a str and a score, or a mapping with `text` and optionally `score`.

        Raises:
            LatticeError: a candidate is something else, or a position has none.
        """
        arcs: list[Arc] = []
        place = -1
        for place, position in enumerate(positions):
            if isinstance(position, str | Mapping):
                raise LatticeError(f"Position {place} is {shown(position)}; expected a list of candidates.")
            found = [Arc(place, place + 1, *_candidate(each)) for each in position]
            if not found:
                raise LatticeError(f"Position {place} has no candidates; expected at least one, which may be empty.")
            arcs += found
        return cls(place + 1, arcs)


def _candidate(value: Any) -> tuple[str, float]:
    text, score = value, 0.0
    if isinstance(value, Mapping) and value.keys() <= {"text", "score"}:
        text, score = value.get("text"), value.get("score", 0.0)
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        text, score = value
    if not isinstance(text, str):
        raise LatticeError(f'A candidate is {shown(value)}; expected a text, or {{"text": ..., "score": ...}}.')
    if type(score) not in (int, float) or not abs(score) <= LARGEST_SCORE:
        raise LatticeError(f"The candidate {shown(text)} has the score {shown(score)}; expected a number.")
    return text, float(score)


# --- lines of files -----------------------------------------------------------------------------------------------

_POSITION = re.compile(r"(?:\\.|[^\\\s])+")
_WHOLE = re.compile(r"(?:\\.|[^\\])*")
_PIECE = re.compile(r"\\.|\||[^\\|]+")
_ESCAPED = re.compile(r"\\(.)")


def plain_lattice(line: str, scores: bool = False) -> Lattice:
    r"""Return the lattice of a line of positions, separated by spaces, of candidates, separated by bars.

    A candidate may be empty. A bar, space or backslash in a candidate is escaped by a backslash. scores: whether each
    candidate ends with a colon and its score.

    >>> [arc.text for arc in plain_lattice(r"a|b c| \|").arcs]
    ['a', 'b', 'c', '', '|']

    Raises:
        LatticeError: the line ends in a single backslash, or a score is missing.
    """
    if not _WHOLE.fullmatch(line):
        raise LatticeError("It ends with a backslash that escapes nothing; write two for a backslash.")
    positions = map(_bars, _POSITION.findall(line))
    return Lattice.of([_plain_candidate(each, scores) for each in position] for position in positions)


def _bars(position: str) -> list[str]:
    candidates = [""]
    for piece in _PIECE.findall(position):
        if piece == "|":
            candidates.append("")
        else:
            candidates[-1] += piece
    return candidates


def _plain_candidate(written: str, scores: bool) -> tuple[str, float]:
    text, score = written, 0.0
    if scores:
        text, _, number = written.rpartition(":")
        try:
            score = float(number)
        except ValueError:
            score = math.nan
        if not math.isfinite(score) or len(text) + len(number) == len(written):
            raise LatticeError(f"The candidate {shown(written)} has no score; expected a number after its last colon.")
    return _ESCAPED.sub(r"\1", text), score


def json_lattice(line: str) -> tuple[Lattice, dict[str, Any]]:
    """Return the lattice of a JSON object with `positions` or `arcs`, and its other fields, such as `id`.

    positions: a list of lists of candidates, see `Lattice.of`. arcs: a list of objects with `start`, `end`, `text` and
    optionally `score`, between nodes from 0 to the largest end.

    Raises:
        LatticeError: the line is not such an object.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        example = '{"positions": [["a", "b"], ["c"]]}'
        raise LatticeError(f"It is {shown(line)}; expected a JSON object such as {example}.") from None
    keys = [key for key in _KEYS if isinstance(value, dict) and isinstance(value.get(key), list)]
    if len(keys) != 1:
        raise LatticeError(f"It is {shown(value)}; expected an object with a list of positions, or of arcs.")
    rest = {key: each for key, each in value.items() if key not in _KEYS}
    if keys == ["arcs"]:
        arcs = [_arc(each) for each in value["arcs"]]
        return Lattice(max((arc.end for arc in arcs), default=0), arcs), rest
    for place, position in enumerate(value["positions"]):
        if not isinstance(position, list):
            raise LatticeError(f"Position {place} is {shown(position)}; expected a list of candidates.")
    return Lattice.of(value["positions"]), rest


def _arc(value: Any) -> Arc:
    start, end = (value.get(name) if isinstance(value, dict) else None for name in ("start", "end"))
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= MOST_NODES:
        example = '{"start": 0, "end": 2, "text": "a", "score": -0.5}'
        raise LatticeError(f"An arc is {shown(value)}; expected one such as {example}, between whole numbers.")
    return Arc(start, end, *_candidate({key: each for key, each in value.items() if key not in ("start", "end")}))


# --- pinyin and corrections ---------------------------------------------------------------------------------------


def pinyin_lattice(readings: Readings, line: str) -> Lattice:
    """Return the lattice of the words of a vocabulary that a line of pinyin may spell, scored by their readings."""
    spelt = spelling(line)
    words = [Arc(start, end, word.text, word.log_share) for start, end, word in readings.matches(spelt)]
    return Lattice(spelt.length, [*words, *(Arc(*each) for each in spelt.texts)])


def correction_lattice(
    codec: Codec, spellings: Spellings, line: str, confusions: Confusions, penalty: float
) -> Lattice:
    """Return the lattice of a line and its possible corrections, with a penalty in nats per replaced character."""
    arcs, text, edges = list[Arc](), "", {0}
    for token in codec.tokens(line):
        arcs.append(Arc(len(text), len(text) + len(token), token))
        text += token
        edges.add(len(text))
    for start in range(len(text)):
        for word, replaced in spellings.meant(text, start, confusions):
            end = start + len(word)
            # Corrected Chinese words may cross the word boundaries of the line; other words must keep them.
            if _HAN.fullmatch(word) or edges >= {start, end}:
                arcs.append(Arc(start, end, word, -penalty * replaced))
    return Lattice(len(text), arcs)
