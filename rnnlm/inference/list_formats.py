"""Formats of n-best lists: parse lines, and write them with scores.

`rescored` writes a line with its scores if the format has a place for them: the LM score in SRILM's second field; the
LM score as a feature RNNLM0 in Moses's third field, and the new total in the fourth; the total in the second column of
tsv; both as the keys logprob_nats and total_nats of json. Lines of other formats do not change. `score_line` writes the
LM score for programs that combine scores themselves: "utt-N cost" for Kaldi, one log10 per line for Mikolov's format,
one log probability in nats per line for plain lists, the whole line with the score in its place for SRILM and Moses,
text and log probability for tsv.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from rnnlm.errors import CorpusError
from rnnlm.errors import shown as quoted

NATS, LOG10 = "nats", "log10"
FEATURE = "RNNLM0="
LARGEST_SCORE = 1e30  # limit of scores in JSON, so that sums do not overflow
MARK = "\ufeff"  # byte order mark at the beginning of a file
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[0-9]+")
_KALDI_ID = re.compile(r"(\S+)-[0-9]+")
_MOSES_LINE = re.compile(r"\s*\S*\s*\|\|\|\s")
_SRILM_SCORES = re.compile(r"(\s*\S+\s+)\S+")


class BadLineError(CorpusError):
    """A line is not in the requested format."""


class Candidate(NamedTuple):
    """A candidate of a list.

    line: the line as read. incoming, old_language_model: its score and its LM score, in the unit of the format. words:
    the number of words that the line states, or None.
    """

    line: str
    list_id: str | None
    text: str
    incoming: float = 0.0
    old_language_model: float = 0.0
    words: float | None = None


@dataclass
class NbestList:
    """The candidates of one utterance, page or sentence.

    list_id: None for a list without candidates. entries: candidates and, as strings, lines that are passed through
    unchanged, in the order of the file. source: the JSON object of a list in the format json.
    """

    list_id: str | None
    entries: list[Candidate | str] = field(default_factory=list)
    source: Mapping[str, Any] | None = None

    @property
    def candidates(self) -> list[Candidate]:
        """The candidates, in the order of the file."""
        return [entry for entry in self.entries if isinstance(entry, Candidate)]


class Format(NamedTuple):
    """Functions that parse and write the lines of a format.

    Attributes:
        unit: Unit of all scores: "nats" or "log10".
        blank_between: Whether blank lines separate lists; otherwise ids do.
        has_scores: Whether candidates have scores.
        parse: Parses a line; raises `BadLineError` without a line number.
        rescored, score_line: Write the line of a candidate, given its LM score and its total in the unit.
        best_line: Writes the line of the best candidate; None for `rescored`.
        parse_list, write_list: For formats with a whole list per line, which do not use the functions above.
        reference_ids: Whether references have the ids of their lists.
    """

    unit: str
    blank_between: bool
    has_scores: bool
    parse: Callable[[str], Candidate]
    rescored: Callable[[Candidate, float, float], str]
    score_line: Callable[[Candidate, float, float], str]
    best_line: Callable[[Candidate, float, float], str] | None = None
    parse_list: Callable[[str], NbestList] | None = None
    write_list: Callable[[NbestList, Sequence[int], Sequence[float], Sequence[float]], str] | None = None
    reference_ids: bool = False


# --- formats with one candidate per line --------------------------------------------------------------------------


def _number(text: str, name: str) -> float:
    if not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
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


def _parse_tsv(line: str) -> Candidate:
    text, tab, score = line.rstrip("\r\n").rpartition("\t")
    if not tab or "\t" in text:
        raise BadLineError(f"has {line.count(chr(9))} tabs; a line of tsv is the text, one tab and its score")
    return Candidate(line, None, text.strip(), _number(score.strip(), "the score"))


def _rescored_tsv(candidate: Candidate, score: float, total: float) -> str:
    text, _, old = candidate.line.rpartition("\t")
    return f"{text}\t{shown(total)}{old[len(old.rstrip(chr(13) + chr(10))) :]}"


def _scored_tsv(candidate: Candidate, score: float, total: float) -> str:
    return _rescored_tsv(candidate, score, score)


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
    """Format a score with enough digits to distinguish candidates, and without an exponent, for simple scripts."""
    return f"{score:.6f}"


def _score_only(candidate: Candidate, score: float, total: float) -> str:
    return shown(score) + "\n"


def _kaldi_cost(candidate: Candidate, score: float, total: float) -> str:
    return f"{candidate.line.strip().split(maxsplit=1)[0]} {shown(-score)}\n"


def _chosen_text(candidate: Candidate, score: float, total: float) -> str:
    return f"{candidate.list_id} {candidate.text}".rstrip() + "\n"


# --- JSON, with one list per line ---------------------------------------------------------------------------------

_EXPECTED = 'expected {"id": "utt1", "hypotheses": [{"text": "a b c", "score": -1.5}]}'


def _no_candidate(line: str) -> Candidate:
    raise BadLineError("is a list, not a candidate")


def _parse_json(line: str) -> NbestList:
    try:
        source = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadLineError(f"is no JSON ({error}); {_EXPECTED}") from None
    if not isinstance(source, dict) or not isinstance(source.get("hypotheses"), list) or not source["hypotheses"]:
        raise BadLineError(f"is no object with hypotheses, {quoted(line.strip())}; {_EXPECTED}")
    list_id = source.get("id")
    if type(list_id) not in (str, int, type(None)):
        raise BadLineError(f"has the id {quoted(list_id)}, which is neither text nor a whole number; {_EXPECTED}")
    found = NbestList(None if list_id is None else str(list_id), [], source)
    for place, each in enumerate(source["hypotheses"], 1):
        found.entries.append(_json_candidate(each, found.list_id, place))
    return found


def _json_candidate(hypothesis: Any, list_id: str | None, place: int) -> Candidate:
    text = hypothesis.get("text") if isinstance(hypothesis, dict) else None
    if not isinstance(text, str):
        raise BadLineError(f"has {quoted(hypothesis)} as hypothesis {place}, which has no text; {_EXPECTED}")
    if "\n" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadLineError(f"has {quoted(text)} as the text of hypothesis {place}; expected one line of characters")
    score = hypothesis.get("score", 0.0)
    if type(score) not in (int, float) or not abs(score) < LARGEST_SCORE:
        raise BadLineError(f"has {quoted(score)} as the score of hypothesis {place}; expected a number")
    return Candidate("", list_id, text.strip(), float(score))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _write_json(candidates: NbestList, order: Sequence[int], scores: Sequence[float], totals: Sequence[float]) -> str:
    """Write the object with its hypotheses in a given order, and with logprob_nats and total_nats added to each."""
    assert candidates.source is not None
    came = candidates.source["hypotheses"]
    hypotheses = [came[place] | {"logprob_nats": scores[place], "total_nats": totals[place]} for place in order]
    return json.dumps({**candidates.source, "hypotheses": hypotheses}, ensure_ascii=False) + "\n"


# --- table of formats ---------------------------------------------------------------------------------------------

FORMATS = {
    "plain": Format(NATS, True, False, _parse_plain, _unchanged, _score_only),
    "kaldi": Format(NATS, False, False, _parse_kaldi, _unchanged, _kaldi_cost, reference_ids=True),
    "srilm": Format(LOG10, True, True, _parse_srilm, _rescored_srilm, _rescored_srilm),
    "mikolov": Format(LOG10, False, False, _parse_mikolov, _unchanged, _score_only),
    "moses": Format(NATS, False, True, _parse_moses, _rescored_moses, _rescored_moses),
    "tsv": Format(NATS, True, True, _parse_tsv, _rescored_tsv, _scored_tsv),
    "json": Format(
        NATS, False, True, _no_candidate, _unchanged, _unchanged, parse_list=_parse_json, write_list=_write_json
    ),
    # Read from several files, see `espnet`; written as lists of Kaldi, or as a file `text` of the best candidates.
    "espnet": Format(NATS, False, True, _parse_kaldi, _unchanged, _kaldi_cost, _chosen_text, reference_ids=True),
}
