"""Read texts to be scored from csv and tsv files with a header, row by row."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence

from rnnlm.cli.score_tables import DELIMITERS
from rnnlm.errors import CorpusError, shown

LONGEST_CELL = 1 << 24  # characters; limits what an unclosed quote can take
SEPARATORS = (*DELIMITERS.values(), ";")  # spreadsheets write ";" in locales with a decimal comma


class Stimuli:
    """The rows of a table: iterating yields the texts; `next_cells` returns the other cells, row by row.

    names: names of the other columns.
    """

    def __init__(self, lines: Iterator[str | None], source: str, column: str, given_column: str | None = None) -> None:
        """Read the header.

        Args:
            lines: Lines of the file without their ends; None where a pipe has no more yet.
            source: Name of the file in error messages.
            column: Name of the column with the texts.
            given_column: Name of the column with a text before each, which is not scored.

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
        """Yield texts, or (given, text) with a given_column; None where a pipe has no more lines yet.

        Raises:
            CorpusError: a row has the wrong number of cells or is not valid csv.
        """
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
        """Return the other cells of the next row."""
        return self._waiting.popleft()


def _header(line: str, wanted: Sequence[str]) -> tuple[str, list[str]]:
    """Return separator and column names of a header; choose the separator with the wanted names, else most names."""
    read = [(each, next(csv.reader([line], delimiter=each), [])) for each in SEPARATORS]
    return max(read, key=lambda found: (set(wanted) <= set(found[1]), len(found[1])))


def _one_line(cell: str) -> str:
    """Return a cell with each line-end character replaced by a space, so that positions stay the same."""
    return cell.replace("\n", " ").replace("\r", " ")


class _Feed:
    """Iterator that feeds csv.reader the current line, and further lines if a quoted cell continues."""

    def __init__(self, lines: Iterator[str | None]) -> None:
        self._lines, self.line = lines, ""

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line, self.line = self.line or next(each for each in self._lines if each is not None) + "\n", ""
        return line


def _records(lines: Iterator[str | None], delimiter: str) -> Iterator[list[str] | None]:
    """Yield rows of cells; None where a pipe has no more lines yet."""
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    for line in lines:
        if line is None:
            yield None
            continue
        feed.line = line + "\n"
        yield next(reader)
