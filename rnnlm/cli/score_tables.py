"""The tables of `rnnlm score --format tsv|csv`, a row for each token, word or line, and what picks lines."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rnnlm.cli.common import Function, NumberRange, Text, together
from rnnlm.cli.score_layouts import Layout, one_line
from rnnlm.errors import CorpusError, shown

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import ScoredLine

DELIMITERS = {"tsv": "\t", "csv": ","}
# Of a token or word; where none of them is asked for, nor words, a row is a line.
OF_WORDS = ("word", "position", "start", "end", "rank", "entropy", "entropy_reduction", "frequency")
OF_LINES = ("perplexity", "bits_per_char", "text")
OF_DISTRIBUTIONS = {"rank", "entropy", "entropy_reduction"}
DEFAULT = (  # of columns
    "line", "word", "position", "start", "end", "surprisal", "rank", "entropy", "entropy_reduction", "frequency", "oov",
)  # fmt: skip
HUGE = 1e9


class Columns(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Names of columns, as perplexity,text."""

    name = "NAME,NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names."""
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
    """What the options of tables ask for; see `table_options`."""

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
        """Whether the column of that name is there."""
        return "frequency" in (self.columns or DEFAULT)

    def check(self, layout: str, tokens: bool, text: bool) -> None:
        """Refuse what does not go together.

        Raises:
            click.UsageError: so it is.
        """
        if layout not in DELIMITERS:
            for name, value in (("columns", self.columns), ("words", self.words), ("column", self.column)):
                if value:
                    raise click.UsageError(f"--{name} is for tables; add --format tsv or csv.")
        if self.given_column and not self.column:
            raise click.UsageError("--given-column goes with --column.")
        if self.given_column and self.given:
            raise click.UsageError("--given and --given-column name two texts that are given; leave one out.")
        if self.column and text:
            raise click.UsageError("--column is that of a FILE; leave out --text.")
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
            show_default="all of words",
            help=f"Of tsv and csv: these columns. Of words: {', '.join(DEFAULT)}. Of lines: tokens, "
            f"{', '.join(OF_LINES)}; a row is a line if only these, line, surprisal and oov are asked for.",
        ),
        click.option("--words", is_flag=True, help="Of tsv and csv: add up the tokens of each word of the text."),
        click.option(
            "--column",
            metavar="NAME",
            default=None,
            help="Of tsv and csv: FILE is such a table, with a header; score this column, pass the others through.",
        ),
        click.option(
            "--given",
            type=Text(),
            default="",
            help="Score each line after this text, which is not scored; with --context document, before the first.",
        ),
        click.option(
            "--given-column", metavar="NAME", default=None, help="The same for each row of a table: the text is there."
        ),
        click.option(
            "--min-perplexity",
            type=NumberRange(0),
            default=None,
            help="Print only lines of at least this perplexity per token: their text, or their rows of a table.",
        ),
        click.option(
            "--max-perplexity",
            type=NumberRange(0),
            default=None,
            help="Print only lines of at most this perplexity per token: their text, or their rows of a table.",
        ),
    )(function)


class Picker:
    """Picks lines by their perplexity, and counts them; blank lines have none."""

    def __init__(self, model: "LanguageModel", asked: Asked) -> None:
        """Pick as asked."""
        self._model = model
        self._least, self._most = asked.min_perplexity or 0, asked.max_perplexity
        self.picked = 0

    def __call__(self, scored: "ScoredLine") -> bool:
        """Whether a line is picked."""
        if self._model.counted_characters(scored.text) is None:
            return False
        picked = self._least <= scored.perplexity and (self._most is None or scored.perplexity <= self._most)
        self.picked += picked
        return picked

    def layout(self, layout: Layout) -> Layout:
        """Return a layout with these lines alone."""
        return layout._replace(line=lambda scored: layout.line(scored) if self(scored) else "")


def texts(terminal: bool) -> Layout:
    """The lines as they are; in a terminal without what would do something to it."""
    return Layout(lambda scored: (one_line(scored.text) if terminal else scored.text) + "\n", lambda totals: "")


class Passed(NamedTuple):
    """Columns of the input that are passed through: their names, and what gives the cells of each line in turn."""

    names: Sequence[str] = ()
    next_cells: Callable[[], Sequence[str]] = tuple

    def check(self, columns: Sequence[str], source: str) -> None:
        """Refuse two columns of one name.

        Raises:
            CorpusError: there are some.
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
    """Return the table as a layout; its header stands above. terminal: whether it is shown in one."""
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
    r"""What a csv.writer writes to. Its own line end, \r\n, is what makes it quote both characters; \n is written."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def write(self, row: str) -> None:
        self._rows.append(row.removesuffix("\r\n") + "\n")

    def taken(self) -> str:
        """What was written since the last time."""
        text = "".join(self._rows)
        self._rows.clear()
        return text


def _shown(row: list[Any]) -> list[Any]:
    """Cells as they are written: six places of a number, seven digits of one that is huge, nothing for None."""
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
