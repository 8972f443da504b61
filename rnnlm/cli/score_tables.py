"""Tables of `rnnlm score --format tsv|csv` with a row per token, word or line; picking lines by perplexity."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rnnlm.cli.score_layouts import Layout, one_line
from rnnlm.cli.shared_options import Function, NumberRange, Text, together
from rnnlm.errors import CorpusError, shown

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import ScoredLine

DELIMITERS = {"tsv": "\t", "csv": ","}
# Columns of a token or word. If none of them nor --words is asked for, a row is a line.
OF_WORDS = ("word", "position", "start", "end", "rank", "entropy", "entropy_reduction", "frequency")
OF_LINES = ("perplexity", "bits_per_char", "text")
OF_DISTRIBUTIONS = {"rank", "entropy", "entropy_reduction"}
DEFAULT = (  # value of --columns
    "line", "word", "position", "start", "end", "surprisal", "rank", "entropy", "entropy_reduction", "frequency", "oov",
)  # fmt: skip
HUGE = 1e9  # larger numbers are written with 7 digits


class Columns(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Names of columns, such as perplexity,text."""

    name = "NAME,NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        known = (*DEFAULT, "tokens", *OF_LINES)
        for name in names:
            if name not in known:
                self.fail(f"there is no column {name!r}; there are {', '.join(known)}.", param, ctx)
            if names.count(name) > 1:
                self.fail(f"{name} is named twice.", param, ctx)
        return names


@dataclass(frozen=True)
class Asked:
    """Values of the options of `table_options`."""

    columns: tuple[str, ...] | None
    column: str | None
    given_column: str | None
    given: str
    words: bool
    min_perplexity: float | None
    max_perplexity: float | None

    @property
    def picks(self) -> bool:
        """Whether lines are picked by their perplexity."""
        return self.min_perplexity is not None or self.max_perplexity is not None

    @property
    def distributions(self) -> bool:
        """Whether a column needs the probabilities of all tokens."""
        return not OF_DISTRIBUTIONS.isdisjoint(self.columns or DEFAULT)

    @property
    def frequency(self) -> bool:
        """Whether the table has a column "frequency"."""
        return "frequency" in (self.columns or DEFAULT)

    def check(self, layout: str, tokens: bool, text: bool) -> None:
        """Check that the options can be combined.

        Raises:
            click.UsageError: they cannot.
        """
        if layout not in DELIMITERS:
            for name, value in (("columns", self.columns), ("words", self.words), ("column", self.column)):
                if value:
                    raise click.UsageError(f"--{name} is for tables; add --format tsv or csv.")
        if self.given_column and not self.column:
            raise click.UsageError("--given-column needs --column.")
        if self.given_column and self.given:
            raise click.UsageError("--given and --given-column both give a text before each line; leave one out.")
        if self.column and text:
            raise click.UsageError("--column is for FILE; leave out --text.")
        if self.picks and (layout not in ("plain", "json", *DELIMITERS) or tokens):
            raise click.UsageError(
                "--min-perplexity and --max-perplexity pick lines, rows of --format tsv or csv, or objects of --json; "
                f"leave out {'--tokens' if tokens else f'--format {layout}'}."
            )
        if self.max_perplexity is not None and (self.min_perplexity or 0) > self.max_perplexity:
            raise click.UsageError("--min-perplexity is above --max-perplexity: no line can be between them.")


def table_options(function: Function) -> Function:
    """Add the options that `Asked` holds."""
    return together(
        click.option(
            "--columns",
            type=Columns(),
            default=None,
            show_default="all for words",
            help=f"Columns of tsv and csv. For words: {', '.join(DEFAULT)}. For lines: tokens, "
            f"{', '.join(OF_LINES)}; a row is a line if only these, line, surprisal and oov are chosen.",
        ),
        click.option("--words", is_flag=True, help="With tsv and csv: sum up the tokens of each word of the text."),
        click.option(
            "--column",
            metavar="NAME",
            default=None,
            help="With tsv and csv: FILE is such a table, with a header; score this column, copy the others.",
        ),
        click.option(
            "--given",
            type=Text(),
            default="",
            help="Text before each line, which is not scored; with --context document, before the first line only.",
        ),
        click.option(
            "--given-column", metavar="NAME", default=None, help="Column of FILE with a text like --given for each row."
        ),
        click.option(
            "--min-perplexity",
            type=NumberRange(0),
            default=None,
            help="Print only lines of at least this perplexity per token: their text, or their table rows.",
        ),
        click.option(
            "--max-perplexity",
            type=NumberRange(0),
            default=None,
            help="Print only lines of at most this perplexity per token: their text, or their table rows.",
        ),
    )(function)


class Picker:
    """Picks lines by their perplexity, and counts them; blank lines are never picked."""

    def __init__(self, model: "LanguageModel", asked: Asked) -> None:
        """Take the bounds from the options."""
        self._model = model
        self._least, self._most = asked.min_perplexity or 0, asked.max_perplexity
        self.picked = 0

    def __call__(self, scored: "ScoredLine") -> bool:
        """Return whether a line is picked, and count it."""
        if self._model.counted_characters(scored.text) is None:
            return False
        picked = self._least <= scored.perplexity and (self._most is None or scored.perplexity <= self._most)
        self.picked += picked
        return picked

    def layout(self, layout: Layout) -> Layout:
        """Return a layout that shows only the picked lines."""
        return layout._replace(line=lambda scored: layout.line(scored) if self(scored) else "")


def texts(terminal: bool) -> Layout:
    """Return a layout that shows only the lines' text, in a terminal with control characters escaped."""
    return Layout(lambda scored: (one_line(scored.text) if terminal else scored.text) + "\n", lambda totals: "")


class Passed(NamedTuple):
    """Input columns that are copied to the output: their names, and a function that returns the next line's cells."""

    names: Sequence[str] = ()
    next_cells: Callable[[], Sequence[str]] = tuple

    def check(self, columns: Sequence[str], source: str) -> None:
        """Check that no copied column has the name of an output column.

        Raises:
            CorpusError: one has.
        """
        for name in self.names:
            if name in columns:
                raise CorpusError(
                    f"The column {shown(name)} of {source} has the name of a column of the scores. Rename it, or "
                    f"choose --columns without {name}."
                )


def rows(
    model: "LanguageModel", delimiter: str, asked: Asked, passed: Passed, picks: Picker | None, terminal: bool
) -> Layout:
    """Return the layout of a table with a header. terminal: whether it is shown in a terminal."""
    from rnnlm.surprisal import rows_of

    columns = asked.columns or DEFAULT
    of_words = asked.words or not set(OF_WORDS).isdisjoint(columns)
    of_line = set(OF_LINES).intersection(columns) if of_words else set(columns)
    number = 0

    def line(scored: "ScoredLine") -> str:
        nonlocal number
        number += 1
        cells = passed.next_cells()
        if picks and not picks(scored):
            return ""
        about_line = {name: _OF_LINE[name](model, scored, number) for name in of_line}
        if not of_words:
            return written(_shown([*cells, *(about_line[name] for name in columns)]))
        return "".join(
            written(_shown([*cells, *((about_line | row._asdict())[name] for name in columns)]))
            for row in rows_of(model, scored, asked.words, number)
        )

    def written(row: list[Any]) -> str:
        if terminal:
            row = [one_line(cell) if isinstance(cell, str) else cell for cell in row]
        writer.writerow(row)
        return out.taken()

    out = _Written()
    writer = csv.writer(out, delimiter=delimiter)
    return Layout(line, lambda totals: "", above=written([*passed.names, *columns]))


class _Written:
    r"""File object for csv.writer. Its line end \r\n makes it quote cells with \r or \n; here it is replaced by \n."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def write(self, row: str) -> None:
        self._rows.append(row.removesuffix("\r\n") + "\n")

    def taken(self) -> str:
        """Return and clear the text written since the last call."""
        text = "".join(self._rows)
        self._rows.clear()
        return text


def _shown(row: list[Any]) -> list[Any]:
    """Format the floats of a row: six decimal places, or seven digits from HUGE on; None stays, an empty cell."""
    return [(f"{cell:.6f}" if abs(cell) < HUGE else f"{cell:.7g}") if isinstance(cell, float) else cell for cell in row]


def _bits(scored: "ScoredLine") -> float:
    return -scored.logprob_nats / math.log(2) + 0.0  # no -0.0


def _bits_per_char(model: "LanguageModel", scored: "ScoredLine", number: int) -> float | None:
    characters = model.counted_characters(scored.text)
    return _bits(scored) / characters if characters else None


def _perplexity(model: "LanguageModel", scored: "ScoredLine", number: int) -> float | None:
    return None if model.counted_characters(scored.text) is None else scored.perplexity


_OF_LINE: dict[str, Callable[["LanguageModel", "ScoredLine", int], Any]] = {
    "line": lambda model, scored, number: number,
    "surprisal": lambda model, scored, number: _bits(scored),
    "oov": lambda model, scored, number: scored.oov,
    "tokens": lambda model, scored, number: len(scored.ids),
    "perplexity": _perplexity,
    "bits_per_char": _bits_per_char,
    "text": lambda model, scored, number: scored.text,
}
