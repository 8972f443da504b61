"""Recognise subtitles, web pages and tables by their content, and extract their text.

The markup of subtitles and HTML is removed. Of a table, the chosen column is read. If none is chosen, the table is read
as it is, and the user is told so.
"""

import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from html import unescape
from typing import Any

from rnnlm.errors import CorpusError
from rnnlm.sentences import Sentence
from rnnlm.text.html_page import Page

SAMPLE = 1 << 16  # characters at the beginning of a file by which it is recognised
LONGEST_PART = 1 << 26  # characters of a line, a cell or a tag: a bound on memory
_PIECE = 1 << 18
_ROWS = 200  # of the sample that are inspected
PLAIN, SUBTITLES, HTML, TAGS, CSV, TSV, JSONL = "plain", "subtitles", "html", "tags", "csv", "tsv", "jsonl"
TABLES = {CSV: "CSV", TSV: "TSV", JSONL: "JSONL"}
_NAMED = re.compile(r"\.(srt|vtt|html?|xhtml|csv|tsv|jsonl|ndjson)(?:\.gz)?$", re.IGNORECASE)


@dataclass
class Form:
    """The form in which a file holds its text.

    columns: The cells of a table's first row, or the keys of JSONL. delimiter: The separator of a table's cells.
    quoted: Whether cells may be in quotation marks. certain: False if the file may also be text with commas. column:
    The column that is read; None if the file is read as it is. missing: Number of rows without text in that column.
    uneven: Number of rows with another number of cells than the first. Both are counted while the file is read.
    """

    kind: str = PLAIN
    columns: list[str] = field(default_factory=list)
    delimiter: str = ","
    quoted: bool = True
    certain: bool = True
    column: str | None = None
    missing: int = 0
    uneven: int = 0

    @property
    def is_read_as_it_is(self) -> bool:
        """Whether the text of the file is read without removing or choosing anything."""
        return self.kind not in (SUBTITLES, HTML) and self.column is None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form for the cache."""
        return asdict(self)


def is_form(value: Any) -> bool:
    """Return whether a value, which comes from a file, is the JSON form of a form."""
    try:
        form = Form(**value)
    except TypeError:
        return False
    texts = [form.kind, form.delimiter, *([] if form.column is None else [form.column])]
    return (
        type(form.columns) is list
        and all(type(text) is str for text in texts + form.columns)
        and type(form.missing) is type(form.uneven) is int
    )


_SAID = {
    SUBTITLES: "{name} holds subtitles: their numbers, times and tags are left out.",
    HTML: "{name} is HTML: its text is read, and tags, scripts and styles are left out.",
    TAGS: "{name} holds tags of HTML among its text; they are read as text. Save the text alone to leave them out.",
}


def note_on(form: Form, name: str, column: str | None) -> str | None:
    """Return a note for the user on how a file was read, or None; column: the requested column."""
    if form.kind in _SAID:
        return Sentence(_SAID[form.kind], name=name)
    if form.column is not None:
        said = Sentence(
            "{name} is {kind}: its column {column} is read", name=name, kind=TABLES[form.kind], column=form.column
        )
        counts = {"no text there": form.missing, "more or fewer cells than the first": form.uneven}
        for what, number in counts.items():
            rows = Sentence("{n} rows have" if number > 1 else "{n} row has", n=f"{number:,}")
            if number:
                said = Sentence("{one}; {two}", one=said, two=Sentence("{rows} {what}", rows=rows, what=Sentence(what)))
        return Sentence("{said}.", said=said)
    named = _NAMED.search(name)
    if form.kind in TABLES and (form.certain or named):
        return Sentence(
            "{name} is {kind} and is read as it is, with all its columns: {columns}. Choose one with --column{how}.",
            name=name,
            kind=TABLES[form.kind],
            columns=_listed(form.columns),
            how=Sentence("" if form.kind == JSONL else ", by name or, from 1 on, number"),
        )
    if column is not None:
        none = "{name} is no table, so it has no column {column}; it is read as it is."
        return Sentence(none, name=name, column=column)
    if named is None:
        return None
    why = {
        "csv": "its rows have one column, or not all as many; --column NAME reads one",
        "html": "it is not a page as a whole. Tags in it, if there are any, are read as text",
    }
    kind = {"tsv": "csv", "htm": "html", "xhtml": "html"}.get(named[1].lower(), named[1].lower())
    reason = Sentence(why.get(kind, "it is not what its name says"))
    return Sentence("{name} is read as plain text: {reason}.", name=name, reason=reason)


def _listed(columns: Sequence[str]) -> str:
    shown = [f"{column[:30]}..." if len(column) > 30 else column for column in columns[:10]]
    return ", ".join([*shown, *["..."] * (len(columns) > 10)])


# --- recognition ------------------------------------------------------------------------------------------------


def recognised(sample: str, whole: bool, column: str | None = None) -> Form:
    """Recognise the form of a file from its beginning.

    whole: Whether the sample is the whole file. column: The column to read, if one is requested.
    """
    lines = sample.split("\n")
    if not whole:
        lines.pop()  # the last line may be incomplete
    filled = [line for line in lines if line.strip()]
    if _are_subtitles(sample, filled):
        return Form(SUBTITLES)
    if _is_html(sample, filled):
        return Form(HTML)
    table = _json_lines(sample, filled, column) or _table(filled, column)
    if table is not None:
        return table
    tags = len(_TAG.findall(sample))
    return Form(TAGS if tags >= max(8, len(filled) / 20) else PLAIN)


_CLOCK = r"(?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3}"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?$")


def _are_subtitles(sample: str, lines: Sequence[str]) -> bool:
    """Return whether the first time line stands where .srt and .vtt have it, or many lines are time lines."""
    if re.match(r"\s*WEBVTT(?:\s|$)", sample):
        return any(map(_TIMES.match, lines))
    times = [place for place, line in enumerate(lines) if _TIMES.match(line)]
    if not times:
        return False
    begins = times[0] == 0 or (times[0] == 1 and lines[0].strip().isdecimal())
    return begins or (len(times) >= 3 and len(times) >= len(lines) / 10)


_NAMES = "div|br|span|li|ul|ol|table|tr|td|th|h[1-6]|em|strong|img|font|center|blockquote|script|style|html|body|head"
_ATTRIBUTES = r"""(?:\s+[\w:-]+(?:\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))?)*+\s*/?"""
# <a> or <b> may be a variable between less-than and greater-than signs, so names of one letter count only as end tags,
# with attributes, or as <p>.
_TAG = re.compile(rf"</?(?:{_NAMES}){_ATTRIBUTES}>|</[abipu]>|<p>|<[ap](?=\s+[\w-]+=){_ATTRIBUTES}>", re.IGNORECASE)
_BEGIN = re.compile(
    r"(?:\s|<\?xml[^<>]*>|(?><!--.*?-->))*+(?:<!doctype\s+html\b|<(?:html|head|body|meta|title)(?=[\s>]))",
    re.IGNORECASE | re.DOTALL,
)


_COMMENTS = re.compile(r"(?:\s|(?><!--.*?-->))*+", re.DOTALL)


def _is_html(sample: str, lines: Sequence[str]) -> bool:
    """Return whether the sample is a page, or a part of one: it starts with a tag, and half of its lines have tags."""
    if _BEGIN.match(sample):
        return True
    if not _TAG.match(_COMMENTS.sub("", sample, count=1)):
        return False
    return sum(_TAG.search(line) is not None for line in lines) >= max(1, len(lines) / 2) and "</" in sample


def _json_lines(sample: str, lines: Sequence[str], column: str | None) -> Form | None:
    if not lines:  # the first line is longer than the sample
        keys = re.findall(r'"([^"\\]+)"\s*:', sample) if re.match(r'\s*\{\s*"[^"\\]+"\s*:', sample) else []
        return Form(JSONL, list(dict.fromkeys(keys))[:10]) if keys else None
    columns: dict[str, None] = {}
    for line in lines[:_ROWS]:
        row = _object(line)
        if row is None:
            return Form(JSONL, list(columns)) if column in columns else None
        columns |= dict.fromkeys(row)
    return Form(JSONL, list(columns)) if columns else None


def _object(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line, or None."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


_NAME = re.compile(r"[A-Za-z_#][\w.:/()#-]*(?: [\w.:/()#-]+){0,2}")
_NUMBER = re.compile(r"[-+]?\d[\d.,:/ -]*%?")
_DELIMITERS = {"\t": TSV, ",": CSV, ";": CSV}


def _table(lines: Sequence[str], column: str | None) -> Form | None:
    """Recognise a table: all rows have as many cells as the first one, or it has the requested column."""
    possible: Form | None = None
    for delimiter, kind in _DELIMITERS.items():
        quoted = delimiter != "\t" or _is_quoted(lines)
        rows = _rows(lines, delimiter, quoted)
        if not rows or len(rows[0]) < 2:
            continue
        found = Form(kind, [cell.strip() for cell in rows[0]], delimiter, quoted)
        if column is not None and (column in found.columns or _reaches(rows, column)):
            return found
        if len(rows) > 1 and all(len(row) == len(rows[0]) for row in rows):
            # Paragraphs may begin with a tab.
            in_columns = delimiter == "\t" and any(row[0].strip() for row in rows)
            if in_columns or _is_plainly_a_table(rows, lines, delimiter):
                return found
            found.certain = False
            possible = possible or found
    alone = lines[0].strip().strip('"') if lines else ""
    if possible is None and column is not None and column == alone:  # a table of one column
        return Form(CSV, [alone])
    return possible


def _reaches(rows: Sequence[Sequence[str]], column: str) -> bool:
    """Return whether a column is given by number and at least 90 % of the rows, and the first, have that many cells."""
    number = int(column) if column.isdecimal() and len(column) < 10 else 0
    return number > 0 and sum(len(row) >= number for row in rows) >= 0.9 * len(rows) and len(rows[0]) >= number


def _rows(lines: Sequence[str], delimiter: str, quoted: bool) -> list[list[str]]:
    try:
        rows = list(itertools.islice(_reader(lines, delimiter, quoted), _ROWS))
    except csv.Error:
        return []
    # A quoted cell may continue beyond the sample.
    return rows[:-1] if quoted and 2 < len(rows) < _ROWS and len(rows[-1]) < len(rows[0]) else rows


def _reader(lines: Iterable[str], delimiter: str, quoted: bool) -> Any:
    csv.field_size_limit(LONGEST_PART)
    ended = (f"{line}\n" for line in lines)
    if quoted:
        return csv.reader(ended, delimiter=delimiter)
    return csv.reader(ended, delimiter=delimiter, quoting=csv.QUOTE_NONE)


def _is_quoted(lines: Iterable[str]) -> bool:
    """Return whether there are cells between tabs that begin with a quotation mark, and all of them end with one."""
    cells = [cell for line in lines for cell in line.split("\t") if cell.startswith('"')]
    return bool(cells) and all(len(cell) > 1 and cell.endswith('"') for cell in cells)


def _is_plainly_a_table(rows: Sequence[Sequence[str]], lines: Sequence[str], delimiter: str) -> bool:
    """Return whether rows are a table and not text with equally many commas in every line.

    Prose and verse have spaces after commas, and no column names, numbers or quoted cells.
    """
    if len(rows) < 3:
        return False
    header, others = rows[0], rows[1:]
    has_names = all(_NAME.fullmatch(cell.strip()) for cell in header) and len(set(header)) == len(header)
    numbers = any(all(_NUMBER.fullmatch(row[place].strip()) for row in others) for place in range(len(header)))
    if has_names and numbers:
        return True
    if any(cell[:1].isspace() for row in rows for cell in row):
        return False
    mark = re.escape(delimiter)
    quotes = re.compile(rf'(?:^|{mark})"(?:[^"]|"")*"(?={mark}|$)')
    return has_names or numbers or any(map(quotes.search, lines))


# --- extraction -------------------------------------------------------------------------------------------------


def text_of(form: Form, texts: Iterable[str], name: str, column: str | None) -> Iterator[str]:
    """Extract the text of a file, from pieces to pieces that are not empty; set `form.column` if a column is read.

    Raises:
        CorpusError: A table lacks the column or has other values than text there, or a part of the file is too long.
    """
    if form.kind == SUBTITLES:
        return _joined(_subtitles(_lines(texts, name)))
    if form.kind == HTML:
        return _page(texts, name)
    if column is not None and form.kind in TABLES:
        cells = _json_cells if form.kind == JSONL else _cells
        return _joined(_texts_of(cells(form, _lines(texts, name), name, column), form, name, column))
    return iter(texts)


def _lines(texts: Iterable[str], name: str) -> Iterator[str]:
    """Yield the lines of a text without their newlines."""
    rest = ""
    for text in texts:
        *whole, rest = (rest + text).split("\n")
        yield from whole
        if len(rest) > LONGEST_PART:
            raise _too_long(name, "line")
    if rest:
        yield rest


def _too_long(name: str, what: str) -> CorpusError:
    return CorpusError(f"{name} has a {what} of more than {LONGEST_PART:,} characters. Save its text as plain text.")


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Join the lines that are not blank, each with a newline, into larger pieces."""
    waiting, size = list[str](), 0
    for line in lines:
        if line.strip():
            waiting.append(f"{line}\n")
            size += len(line)
        if size > _PIECE:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)


_MARKUP = re.compile(
    r"</?(?:[ibuscv]|font|lang|ruby|rt|span|br|em|strong)(?=[\s.>/])[^<>]*>|<[\d:.]+>|\{\\[^{}]*\}", re.IGNORECASE
)
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|\w+);")


_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")


def _subtitles(lines: Iterable[str]) -> Iterator[str]:
    """Yield the spoken text, without WebVTT headers, notes and styles, numbers and names of cues, times and tags."""
    held, held_begins = (
        "",
        False,
    )  # the previous line, which may be the number or name of a cue; is it after a blank one
    begins, skipping = True, False  # whether the previous line is blank; whether a header or note is skipped
    for place, line in enumerate(lines):
        bare = line.strip()
        if skipping or (place == 0 and bare.startswith("WEBVTT")) or (begins and _BLOCK.match(bare)):
            skipping = bool(bare)
        elif _TIMES.match(line):
            if not (held_begins or held.isdecimal()):
                yield _said(held)
            held, begins = "", False
        else:
            yield _said(held)
            held, held_begins, begins = bare, begins, not bare
    yield _said(held)


def _said(line: str) -> str:
    return _ENTITY.sub(lambda found: unescape(found[0]), _MARKUP.sub("", line)).strip()


def _page(texts: Iterable[str], name: str) -> Iterator[str]:
    page = Page()
    for text in texts:
        page.feed(text)
        if len(page.rawdata) > LONGEST_PART:
            raise _too_long(name, "tag, comment or script")
        yield from _joined(map(_clean, page.lines()))
    page.close()
    yield from _joined(map(_clean, page.lines(end=True)))


def _cells(form: Form, lines: Iterable[str], name: str, column: str) -> Iterator[Any]:
    """Yield the cells of a table's column, which is given by its name in the first row or its number from 1 on."""
    rows = _reader(lines, form.delimiter, form.quoted)
    place = form.columns.index(column) if column in form.columns else None
    numbered = place is None and column.isdecimal() and 1 <= int(column[:9]) <= len(form.columns)
    if place is None and not numbered:
        raise _no_column(form, name, column)
    place = int(column) - 1 if place is None else place
    try:
        filled = (row for row in rows if row)
        for row in itertools.islice(filled, 0 if numbered else 1, None):
            form.uneven += len(row) != len(form.columns)
            yield row[place] if place < len(row) else None
    except csv.Error as error:
        raise CorpusError(f"Line {rows.line_num} of {name} cannot be read as {TABLES[form.kind]}: {error}.") from None


def _json_cells(form: Form, lines: Iterable[str], name: str, column: str) -> Iterator[Any]:
    """Yield the value of the key `column` of each JSON object; None if it is missing."""
    found = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _object(line)
        if row is None:
            raise CorpusError(f"Line {number} of {name} is no JSON object; expected one in every line.")
        found = found or column in row
        yield row.get(column)
    if not found:
        raise _no_column(form, name, column)


def _no_column(form: Form, name: str, column: str) -> CorpusError:
    number = "" if form.kind == JSONL else ", or a number from 1 on where the first row holds no names"
    return CorpusError(f"{name} has no column {column}; expected one of {_listed(form.columns)}{number}.")


def _texts_of(cells: Iterable[Any], form: Form, name: str, column: str) -> Iterator[str]:
    form.column = column
    for cell in cells:
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            form.missing += 1
        elif isinstance(cell, str):
            yield _clean(cell)
        else:
            raise CorpusError(f"Column {column} of {name} holds {type(cell).__name__} values; expected text.")


def _clean(text: str) -> str:
    """Convert line ends to \\n, and replace NULs and surrogates, which escapes can spell, by U+FFFD."""
    return re.sub("[\0\ud800-\udfff]", "\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
