"""Lists of candidate sentences (n-best lists), in the formats of recognisers and translators.

    format   line                                      lists                      unit of its scores
    plain    words                                     a blank line between them  nats
    kaldi    utt-N words                               lines of one utt           nats; a cost is -ln p
    srilm    ascore lscore nwords words                a blank line between them  log10
    mikolov  id words                                  lines of one id            log10
    moses    id ||| words ||| features ||| score ...   lines of one id            nats

Where a format has a place for the score of a language model, `rescored` puts it there: SRILM's second field; a feature
RNNLM0 in Moses's third field, whose total in the fourth is brought up to date. The lines of the other formats stay as
they are. `score_line` is what a program that combines scores itself reads: Kaldi's "utt-N cost", Mikolov's one log10 a
line, for plain lists one log probability in nats; for SRILM and Moses the line with the score in its place.

A candidate may be empty: its score is that of </s> alone. <s> and </s> at its ends are marks and no words, <unk> is the
unknown word (see `marks`).

The lines of a list stand together: an id that comes back after another one is an error, since lists are read and
answered one by one and a file may be larger than memory.
"""

import json
import math
import re
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rnnlm.errors import CorpusError
from rnnlm.errors import shown as quoted
from rnnlm.text.lines import damage

NATS, LOG10 = "nats", "log10"
FEATURE = "RNNLM0="
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[0-9]+")
_KALDI_ID = re.compile(r"(\S+)-[0-9]+")
_MOSES_LINE = re.compile(r"\s*\S*\s*\|\|\|\s")
_SRILM_SCORES = re.compile(r"(\s*\S+\s+)\S+")
_MARK = "\ufeff"  # of the byte order, at the beginning of a file


_CONVERT = (
    "lists are plain text: write one candidate a line and a blank line between lists, or where there are scores "
    '"ascore lscore nwords words" for --format srilm or "id ||| words ||| features ||| total" for --format moses'
)


class BadLineError(CorpusError):
    """A line is not of the format that was asked for."""


class Candidate(NamedTuple):
    """A line of a list. incoming and old_language_model are in the format's unit; words is None where none is given."""

    line: str
    list_id: str | None
    text: str
    incoming: float = 0.0
    old_language_model: float = 0.0
    words: float | None = None


@dataclass
class NbestList:
    """The candidates of one utterance, page or sentence.

    list_id: None for one without candidates. entries: all its lines as they came: candidates, and strings, lines that
    are passed through as they are.
    """

    list_id: str | None
    entries: list[Candidate | str] = field(default_factory=list)

    @property
    def candidates(self) -> list[Candidate]:
        """The candidates, in the order in which they came."""
        return [entry for entry in self.entries if isinstance(entry, Candidate)]


class Format(NamedTuple):
    """A format: how a line is read (`BadLineError` without a line number if it cannot be) and written."""

    unit: str
    blank_between: bool
    has_scores: bool
    parse: Callable[[str], Candidate]
    rescored: Callable[[Candidate, float, float], str]  # LM score and total, in the unit
    score_line: Callable[[Candidate, float, float], str]


# --- the formats --------------------------------------------------------------------------------------------------


def _number(text: str, name: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise BadLineError(f"has {text!r} where {name}, a number, is expected")
    return float(text)


def _refuse_moses(line: str) -> None:
    if _MOSES_LINE.match(line):
        raise BadLineError("has the fields of a Moses list, between |||; use --format moses, or do not mix formats")


def _parse_plain(line: str) -> Candidate:
    _refuse_moses(line)
    return Candidate(line, None, line.strip())


def _parse_kaldi(line: str) -> Candidate:
    _refuse_moses(line)
    name, *text = line.strip().split(maxsplit=1)
    matched = _KALDI_ID.fullmatch(name)
    if matched is None:
        raise BadLineError(f"begins with {name!r}; a Kaldi list has an id and the candidate's number there, as utt1-3")
    return Candidate(line, matched[1], "".join(text))


def _parse_mikolov(line: str) -> Candidate:
    _refuse_moses(line)
    name, *text = line.strip().split(maxsplit=1)
    return Candidate(line, name, "".join(text))


def _parse_srilm(line: str) -> Candidate:
    _refuse_moses(line)
    fields = line.strip().split(maxsplit=3)
    numbers = [
        _number(text, name)
        for text, name in zip(fields, ("the acoustic score", "the LM score", "the number of words"), strict=False)
    ]
    if len(fields) < 3:
        raise BadLineError(f"has {len(fields)} fields; an SRILM list has ascore lscore nwords words")
    if not _WHOLE.fullmatch(fields[2]):
        raise BadLineError(f"has {fields[2]!r} where the number of words, a whole number, is expected")
    return Candidate(line, None, "".join(fields[3:]), *numbers)


def _parse_moses(line: str) -> Candidate:
    fields = line.strip().split("|||")
    if len(fields) < 4:
        raise BadLineError(
            f"has {len(fields)} fields between |||; a Moses list has id ||| words ||| features ||| score"
        )
    if not fields[0].strip():
        raise BadLineError("has no id before the first |||")
    return Candidate(line, fields[0].strip(), fields[1].strip(), _number(fields[3].strip(), "the total score"))


def _unchanged(candidate: Candidate, score: float, total: float) -> str:
    return candidate.line


def _rescored_srilm(candidate: Candidate, score: float, total: float) -> str:
    return _SRILM_SCORES.sub(lambda found: found[1] + shown(score), candidate.line, count=1)


def _rescored_moses(candidate: Candidate, score: float, total: float) -> str:
    body = candidate.line.rstrip("\r\n")
    fields = body.split("|||")
    features = re.sub(rf"{re.escape(FEATURE)}\s+\S+\s*", "", fields[2]).strip()
    fields[2] = f" {features} {FEATURE} {shown(score)} " if features else f" {FEATURE} {shown(score)} "
    fields[3] = f" {shown(total)} " if fields[4:] else f" {shown(total)}"
    return "|||".join(fields) + candidate.line[len(body) :]


def shown(score: float) -> str:
    """A score in a file: enough digits to tell candidates apart, never an exponent that a script cannot read."""
    return f"{score:.6f}"


def _score_only(candidate: Candidate, score: float, total: float) -> str:
    return shown(score) + "\n"


def _kaldi_cost(candidate: Candidate, score: float, total: float) -> str:
    return f"{candidate.line.strip().split(maxsplit=1)[0]} {shown(-score)}\n"


FORMATS = {
    "plain": Format(NATS, True, False, _parse_plain, _unchanged, _score_only),
    "kaldi": Format(NATS, False, False, _parse_kaldi, _unchanged, _kaldi_cost),
    "srilm": Format(LOG10, True, True, _parse_srilm, _rescored_srilm, _rescored_srilm),
    "mikolov": Format(LOG10, False, False, _parse_mikolov, _unchanged, _score_only),
    "moses": Format(NATS, False, True, _parse_moses, _rescored_moses, _rescored_moses),
}


# --- reading ------------------------------------------------------------------------------------------------------


def read_lists(
    lines: Iterable[str | None], format_name: str, name: str, warn: Callable[[str], None] | None = None
) -> Iterator[NbestList | None]:
    r"""Lists of a file, one by one. Lists without ids have their number, from 1.

    A list is given out once it has ended: where blank lines separate lists, after the first of them, else where the
    next id comes. Lines that belong to no list, blank ones and bad ones, are strings in the entries of the list that
    they stand in or before; those at the end of the file are in a list without candidates.

    Args:
        lines: As `lines.read_lines` gives them, with their ends; "\r\n" is accepted. None is passed on.
        format_name: One of FORMATS.
        name: What errors call the file.
        warn: Called with what is wrong with a bad line, which is then passed through; None to raise it instead.

    Raises:
        BadLineError: a line is bad: which one, what is wrong and what was expected.
    """
    form = FORMATS[format_name]
    finished: set[str | None] = set()
    current = NbestList(None)
    count = place = 0
    for line in lines:
        if line is None:
            yield None
            continue
        place += 1
        try:
            candidate = _candidate(line, form, finished)
        except BadLineError as error:
            message = f"Line {place} of {name} {error}."
            if warn is None:
                raise BadLineError(f"{message} Correct it, or use --lenient to pass such lines through.") from None
            warn(message)
            current.entries.append(line)
            continue
        if candidate is None:
            current.entries.append(line)
            if current.list_id is not None:
                yield current
                current = NbestList(None)
            continue
        if not form.blank_between and current.list_id not in (None, candidate.list_id):
            yield current
            finished.add(current.list_id)
            current = NbestList(None)
        if current.list_id is None:
            count += 1
            current.list_id = candidate.list_id or str(count)
        current.entries.append(candidate)
    if current.entries:
        yield current


def _candidate(line: str, form: Format, finished: Container[str | None]) -> Candidate | None:
    """What a line holds; None for a blank line between lists."""
    if (found := damage(line)) is not None:
        raise BadLineError(f"is no text: {found}; if it is in another encoding, name that with --encoding")
    line = line.removeprefix(_MARK)
    if not line.strip():
        if form.blank_between:
            return None
        raise BadLineError("is blank; every line of this format has an id and words")
    candidate = _parsed(line, form)
    if candidate.list_id in finished:
        raise BadLineError(
            f"has the id {candidate.list_id!r}, whose list ended before; the lines of a list stand together, so sort "
            "the file by id"
        )
    return candidate


def _parsed(line: str, form: Format) -> Candidate:
    """The candidate of a line; the lines of lists in forms that are not read here are named as such."""
    if _is_json(line):
        raise BadLineError(f"is JSON, {quoted(line.strip())}; {_CONVERT}")
    try:
        candidate = form.parse(line)
        looks_like_row = not form.has_scores and _is_table_row(candidate.text)
    except BadLineError:
        looks_like_row = _is_table_row(line)
        if not looks_like_row:
            raise
    if looks_like_row:
        raise BadLineError(
            f"has a tab between a text and a number, {quoted(line.strip())}; {_CONVERT}. If the number is part of the "
            "text, put a space there"
        )
    return candidate


def _is_json(line: str) -> bool:
    """Whether a line is an object or a list of JSON with texts in it, or a member of an object."""
    text = line.strip().rstrip(",")
    if not text.startswith(("{", "[", '"')) or '"' not in text:
        return False
    for json_text in (text, f"{{{text}}}"):
        try:
            value = json.loads(json_text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) or (
            isinstance(value, list) and any(type(each) in (str, list, dict) for each in value)
        ):
            return True
    return False


def _is_table_row(text: str) -> bool:
    """Whether tabs part a number at the beginning or the end from a text."""
    if "\t" not in text:
        return False
    numbers = [_NUMBER.fullmatch(each.strip()) is not None for each in text.split("\t")]
    return (numbers[0] or numbers[-1]) and not all(numbers)


# --- writing ------------------------------------------------------------------------------------------------------


def ranked_lines(candidates: NbestList, order: list[int], written: list[str]) -> Iterator[str]:
    """The lines of a list, best first; what is passed through keeps its place.

    order: places of the candidates from the best to the worst. written: the line of each, in the order they came.
    """
    best_first = iter(order)
    for entry in candidates.entries:
        yield written[next(best_first)] if isinstance(entry, Candidate) else entry


def best_lines(candidates: NbestList, order: list[int], written: list[str]) -> Iterator[str]:
    """The best line in the place of the first one, and what is passed through but for blank lines between lists."""
    best = iter(order[:1])
    for entry in candidates.entries:
        if not isinstance(entry, Candidate):
            if entry.removeprefix(_MARK).strip():
                yield entry
        elif (place := next(best, None)) is not None:
            yield written[place]


def scored_lines(candidates: NbestList, order: list[int], written: list[str]) -> Iterator[str]:
    """The lines in the order in which they came."""
    yield from ranked_lines(candidates, sorted(order), written)


def with_ends(lines: Iterable[str]) -> Iterator[str]:
    r"""Lines of which the one that came last and lacks its "\n" may no longer be the last."""
    before = ""
    for line in lines:
        if before and not before.endswith("\n"):
            yield "\n"
        yield line
        before = line
