"""Read and write lists of candidate sentences (n-best lists), in the formats of recognisers and translators.

    format   line                                      lists                      unit of its scores
    plain    words                                     separated by blank lines   nats
    kaldi    utt-N words                               lines of one utt           nats; a cost is -ln p
    srilm    ascore lscore nwords words                separated by blank lines   log10
    mikolov  id words                                  lines of one id            log10
    moses    id ||| words ||| features ||| score ...   lines of one id            nats
    tsv      words<TAB>score                           separated by blank lines   nats
    json     {"id": ..., "hypotheses": [...]}          one per line               nats
    espnet   id words, one file per rank               see `espnet`               nats

`list_formats` parses and writes single lines.

A candidate may be empty: its score is that of </s> alone. <s> and </s> at its ends are marks and not words, <unk> is
the unknown word (see `marks`).

The lines of a list must be consecutive: an id that recurs after another one is an error. Lists are read and written one
by one, since a file may be larger than memory.
"""

import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from rnnlm.errors import shown as quoted
from rnnlm.inference.list_formats import FORMATS, MARK, NUMBER, BadLineError, Candidate, Format, NbestList
from rnnlm.text.lines import damage

_CONVERT = (
    'here one candidate a line is expected, or with scores "ascore lscore nwords words" for --format srilm, '
    '"id ||| words ||| features ||| total" for --format moses, "words<TAB>score" for --format tsv or '
    '{"id": ..., "hypotheses": [{"text": ..., "score": ...}]}, a list a line, for --format json'
)


# --- reading ------------------------------------------------------------------------------------------------------


def read_lists(
    lines: Iterable[str | None], format_name: str, name: str, warn: Callable[[str], None] | None = None
) -> Iterator[NbestList | None]:
    r"""Yield the lists of a file, one by one. Lists without an id get their number, from 1, as id.

    A list is yielded when it ends: at the first blank line if blank lines separate lists, else at the next id. Blank
    lines and bad lines are strings in the entries of the list that they are in or before. Those at the end of the file
    form a list without candidates.

    Args:
        lines: Lines with their ends, as from `lines.read_lines`; "\r\n" is accepted. None is passed on.
        format_name: A key of FORMATS.
        name: Name of the file in error messages.
        warn: Called with a message for each bad line, which is then passed through; None to raise an error instead.

    Raises:
        BadLineError: A line is bad; the message says which, what is wrong and what was expected.
    """
    form = FORMATS[format_name]
    if form.parse_list is not None:
        yield from _read_list_lines(lines, form.parse_list, name, warn)
        return
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
            _refuse(f"Line {place} of {name} {error}.", warn)
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


def _read_list_lines(
    lines: Iterable[str | None], parse: Callable[[str], NbestList], name: str, warn: Callable[[str], None] | None
) -> Iterator[NbestList | None]:
    """Yield the lists of a file with one list per line; a blank or bad line is a list without candidates."""
    place = count = 0
    for line in lines:
        if line is None:
            yield None
            continue
        place += 1
        if (found := damage(line)) is None and not line.removeprefix(MARK).strip():
            yield NbestList(None, [line])
            continue
        try:
            if found is not None:
                raise BadLineError(_no_text(found))
            current = parse(line.removeprefix(MARK))
        except BadLineError as error:
            _refuse(f"Line {place} of {name} {error}.", warn)
            yield NbestList(None, [line])
            continue
        count += 1
        current.list_id = current.list_id or str(count)
        yield current


def _refuse(message: str, warn: Callable[[str], None] | None) -> None:
    """Warn of a bad line, or raise an error if there is no `warn`."""
    if warn is None:
        raise BadLineError(f"{message} Correct it, or use --lenient to pass such lines through.") from None
    warn(message)


def _no_text(found: str) -> str:
    return f"is not text: {found}. If it is in another encoding, name that with --encoding"


def _candidate(line: str, form: Format, finished: Container[str | None]) -> Candidate | None:
    """Return the candidate of a line, or None for a blank line between lists."""
    if (found := damage(line)) is not None:
        raise BadLineError(_no_text(found))
    line = line.removeprefix(MARK)
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
    """Parse the candidate of a line; raise a specific error for lines that are JSON or rows of a table."""
    if _is_json(line):
        raise BadLineError(f"is JSON, {quoted(line.strip())}; {_CONVERT}")
    try:
        candidate = form.parse(line)
        looks_like_row = not form.has_scores and _is_table_row(candidate.text)
    except BadLineError:
        looks_like_row = form is not FORMATS["tsv"] and _is_table_row(line)
        if not looks_like_row:
            raise
    if looks_like_row:
        raise BadLineError(
            f"has a tab between a text and a number, {quoted(line.strip())}; {_CONVERT}. If the number is part of the "
            "text, put a space there"
        )
    return candidate


def _is_json(line: str) -> bool:
    """Return whether a line is a JSON object, a member of one, or a JSON list with strings, lists or objects in it."""
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
    """Return whether tabs separate a text from a number at its beginning or end."""
    if "\t" not in text:
        return False
    numbers = [NUMBER.fullmatch(each.strip()) is not None for each in text.split("\t")]
    return (numbers[0] or numbers[-1]) and not all(numbers)


# --- writing ------------------------------------------------------------------------------------------------------

OUTPUTS = ("ranked", "best", "scores")


def output_lines(
    candidates: NbestList,
    form: Format,
    order: list[int],
    scores: Sequence[float],
    totals: Sequence[float],
    output: str,
) -> Iterator[str]:
    """Yield the lines of a list with its LM scores and totals.

    order: indices of the candidates, best first. output: "ranked" for all candidates, best first; "best" for the best
    one; "scores" for the LM scores in the order of the file, for programs that combine scores themselves.
    """
    if form.write_list is not None and candidates.source is not None:
        places = {"ranked": order, "best": order[:1], "scores": sorted(order)}[output]
        yield form.write_list(candidates, places, scores, totals)
        return
    write = {"ranked": form.rescored, "best": form.best_line or form.rescored, "scores": form.score_line}[output]
    arrange = {"ranked": ranked_lines, "best": best_lines, "scores": scored_lines}[output]
    written = [write(*each) for each in zip(candidates.candidates, scores, totals, strict=True)]
    yield from arrange(candidates, order, written)


def ranked_lines(candidates: NbestList, order: list[int], written: list[str]) -> Iterator[str]:
    """Yield the lines of a list, best first; lines that are passed through keep their places.

    order: indices of the candidates, best first. written: the lines of the candidates, in the order of the file.
    """
    best_first = iter(order)
    for entry in candidates.entries:
        yield written[next(best_first)] if isinstance(entry, Candidate) else entry


def best_lines(candidates: NbestList, order: list[int], written: list[str]) -> Iterator[str]:
    """Yield the best line in place of the first candidate, and lines that are passed through, except blank ones."""
    best = iter(order[:1])
    for entry in candidates.entries:
        if not isinstance(entry, Candidate):
            if entry.removeprefix(MARK).strip():
                yield entry
        elif (place := next(best, None)) is not None:
            yield written[place]


def scored_lines(candidates: NbestList, order: list[int], written: list[str]) -> Iterator[str]:
    """Yield the lines in the order of the file."""
    yield from ranked_lines(candidates, sorted(order), written)


def with_ends(lines: Iterable[str]) -> Iterator[str]:
    r"""Yield lines, with a missing "\n" added to any line but the last: reordering may move a file's last line up."""
    before = ""
    for line in lines:
        if before and not before.endswith("\n"):
            yield "\n"
        yield line
        before = line
