"""Tables of texts to be scored: csv and tsv files with a header, row by row."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence

from rnnlm.cli.score_tables import DELIMITERS
from rnnlm.errors import CorpusError, shown

LONGEST_CELL = 1 << 24  # characters; a quote that is never closed ends here at the latest
SEPARATORS = (*DELIMITERS.values(), ";")  # the last is what spreadsheets write where the comma is a decimal point


class Stimuli:
    """The rows of a table: iterating gives the texts, and the other cells of each wait to be taken.

    names: of the other columns.
    """

    def __init__(self, lines: Iterator[str | None], source: str, column: str, given_column: str | None = None) -> None:
        """Read the header.

        Args:
            lines: Of the file, without their ends; None where more would have to be waited for.
            source: What errors call the file.
            column: Name of the column with the texts.
            given_column: Name of the one with what is given before each.

        Raises:
            CorpusError: the header lacks a column.
        """
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
        self._source, self._waiting = source, deque[Sequence[str]]()
        header = next((line for line in lines if line), "")
        wanted = [column] if given_column is None else [column, given_column]
        delimiter, self._header = _header(header, wanted)
        for name in wanted:
            if self._header.count(name) != 1:
                found = "twice or more" if name in self._header else f"not among {', '.join(map(shown, self._header))}"
                raise CorpusError(
                    f"The column {shown(name)} is {found if header else 'not there'} in the first row of {source}; "
                    "expected a csv or tsv file whose first row has the names of its columns."
                )
        self._place = self._header.index(column)
        self._given = None if given_column is None else self._header.index(given_column)
        self.names = self._others(self._header)
        self._records = _records(lines, delimiter)

    def _others(self, row: Sequence[str]) -> Sequence[str]:
        return [cell for place, cell in enumerate(row) if place != self._place]

    def __iter__(self) -> Iterator[str | tuple[str, str] | None]:
        """Texts, or pairs of what is given and the text; None as in the lines."""
        number = 1
        try:
            for row in self._records:
                if row is None:
                    yield None
                    continue
                if not row:  # a blank line
                    continue
                number += 1
                if len(row) != len(self._header):
                    raise CorpusError(
                        f"Row {number} of {self._source} has {len(row)} cells, its first row {len(self._header)}. "
                        "Quote cells that hold the separator, as spreadsheets do."
                    )
                self._waiting.append(self._others(row))
                text = _one_line(row[self._place])
                yield text if self._given is None else (row[self._given], text)
        except csv.Error as error:
            raise CorpusError(
                f"Row {number + 1} of {self._source} cannot be read: {error}. Write a quote within a quoted cell "
                "twice, and quote cells that begin with one."
            ) from None

    def next_cells(self) -> Sequence[str]:
        """The other cells of the first row that they were not taken of yet."""
        return self._waiting.popleft()


def _header(line: str, wanted: Sequence[str]) -> tuple[str, list[str]]:
    """Separator and names of a header: the separator that gives the wanted names, else the most names."""
    read = [(each, next(csv.reader([line], delimiter=each), [])) for each in SEPARATORS]
    return max(read, key=lambda found: (set(wanted) <= set(found[1]), len(found[1])))


def _one_line(cell: str) -> str:
    """The cell with a space for each line end in it, so that places in it are what they were."""
    return cell.replace("\n", " ").replace("\r", " ")


class _Feed:
    """Gives a csv.reader the line that is at hand, and further ones where a quoted cell goes on in them."""

    def __init__(self, lines: Iterator[str | None]) -> None:
        self._lines, self.line = lines, ""

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line, self.line = self.line or next(each for each in self._lines if each is not None) + "\n", ""
        return line


def _records(lines: Iterator[str | None], delimiter: str) -> Iterator[list[str] | None]:
    """Rows of cells; None as in the lines."""
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    for line in lines:
        if line is None:
            yield None
            continue
        feed.line = line + "\n"
        yield next(reader)
