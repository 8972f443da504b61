"""Code shared by several commands: options, loading models, JSON lines, messages, tables, text arguments."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from rnnlm.blas import limit_blas
from rnnlm.cli.colors import colored, write_message
from rnnlm.cli.languages import tr, translated
from rnnlm.cli.tables import table, token_cell
from rnnlm.cli.terminal import json_escaped, width_of
from rnnlm.cli.wrapping import WORD, wrapped
from rnnlm.errors import RnnlmError
from rnnlm.json_values import json_value

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import ScoredLine

DEFAULT_MODEL = "rnnlm.npz"
Function = TypeVar("Function", bound=Callable[..., Any])


def model_option(function: Function) -> Function:
    """Add -m/--model."""
    return click.option(
        "-m",
        "--model",
        "model_path",
        type=click.Path(path_type=Path),
        envvar="RNNLM_MODEL",
        default=DEFAULT_MODEL,
        show_default="$RNNLM_MODEL, else rnnlm.npz",
        help="Model to use: a checkpoint (.npz) or an ARPA file.",
    )(function)


def json_option(function: Function) -> Function:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object per result.")(function)


def threads_option(function: Function) -> Function:
    """Add --threads."""
    return click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=None,
        show_default="all cores",
        help="Number of threads.",
    )(function)


def product_threads_option(function: Function) -> Function:
    """Add --threads to a command that reads a text step by step and can only parallelise matrix products."""

    def use(ctx: click.Context, param: click.Parameter, value: int | None) -> None:
        if value is not None:
            limit_blas(value, replace=True)

    return click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=None,
        show_default="1",
        expose_value=False,
        callback=use,
        help="Number of threads for matrix products.",
    )(function)


def lowercase_option(function: Function) -> Function:
    """Add --lowercase to a command that uses a model."""
    return click.option(
        "--lowercase",
        is_flag=True,
        help="Read all text in lower case, for a model of lower-case text; one of `train --lowercase` always does.",
    )(function)


def force_option(function: Function) -> Function:
    """Add --force."""
    return click.option("--force", is_flag=True, help="Replace existing files.")(function)


LARGEST_NUMBER = 1e30  # sums of larger numbers may overflow


class Number(click.types.FloatParamType):
    """A number for click; nan, infinity and magnitudes above LARGEST_NUMBER are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        return _finite_number(self, super().convert(value, param, ctx), param, ctx)


class NumberRange(click.FloatRange):
    """A number within bounds; nan, which click accepts, infinity and magnitudes above LARGEST_NUMBER are refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        return _finite_number(self, super().convert(value, param, ctx), param, ctx)


def _finite_number(
    kind: "click.ParamType[float]", number: float, param: click.Parameter | None, ctx: click.Context | None
) -> float:
    if not abs(number) <= LARGEST_NUMBER:
        kind.fail(f"{number} is out of range; expected a number of at most {LARGEST_NUMBER:g}.", param, ctx)
    return number


class Text(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """A text argument; undecodable bytes, which Python passes on as lone surrogates, are refused."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        text = str(value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.fail("is not valid in the terminal's encoding; expected UTF-8. Put the text into a file.", param, ctx)
        return text


class MixPart(click.ParamType):  # type: ignore[type-arg]
    """A second model and its weight, such as other.npz:0.3; the weight is None if it is left out."""

    name = "FILE:WEIGHT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float | None]:
        """Return file and weight."""
        path, _, number = str(value).rpartition(":")
        try:
            weight = float(number)
        except ValueError:
            return str(value), None
        if not path or not 0 < weight < 1:
            self.fail(
                f"{value!r} has the weight {number}; write FILE:WEIGHT with a weight between 0 and 1.", param, ctx
            )
        return path, weight


def mix_option(needs_weights: bool = True) -> Callable[[Function], Function]:
    """Add --mix; the command's `mix` is a list of (file, weight) for `rnnlm.mixing.mixed`."""

    def check(
        ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, float | None], ...]
    ) -> list[tuple[str, float | None]]:
        weights = [weight for _, weight in value]
        if needs_weights and None in weights:
            raise click.BadParameter(f"{value[weights.index(None)][0]} has no weight; write FILE:0.3.", ctx, param)
        if sum(weight or 0 for weight in weights) >= 1:
            raise click.BadParameter("the weights sum to 1 or more; nothing is left for the model.", ctx, param)
        return list(value)

    return click.option(
        "--mix",
        type=MixPart(),
        multiple=True,
        callback=check,
        help="Mix in the probabilities of another model (.npz or ARPA file) with this weight; repeatable. The main "
        "model gets the remaining weight.",
    )


def with_details(*names: str) -> Callable[[click.Context, click.Parameter, Any], tuple[Any, ...] | None]:
    """Return a callback for an option that turns a feature on: it returns (value, *details), or None if it is off.

    names: the options with the details; they must be eager and are refused while the feature is off.
    """

    def joined_options(ctx: click.Context, param: click.Parameter, value: Any) -> tuple[Any, ...] | None:
        details = [ctx.params.pop(name) for name in names]
        for name in names:
            if not value and ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} needs --{param.name}.")
        return (value, *details) if value else None

    return joined_options


def together(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Add several options, which --help lists in this order."""

    def add(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def cache_options(function: Function) -> Function:
    """Add --cache, --cache-weight and --cache-theta; the command's `cache` is a tuple of the three, or None."""
    return together(
        click.option(
            "--cache",
            type=click.IntRange(0, 10_000),
            default=0,
            show_default="0: none",
            callback=with_details("cache_weight", "cache_theta"),
            help="Neural cache of this many tokens, such as 500: makes those after similar contexts more probable.",
        ),
        click.option(
            "--cache-weight",
            type=NumberRange(0, 1, min_open=True, max_open=True),
            default=0.2,
            show_default=True,
            is_eager=True,
            help="Weight of the cache in the mixture with the model.",
        ),
        click.option(
            "--cache-theta",
            type=NumberRange(0, 1000),
            default=15.0,
            show_default=True,
            is_eager=True,
            help="How strongly the cache prefers contexts similar to the present one; 0: all count the same.",
        ),
    )(function)


def check_cache(model: "LanguageModel", path: Path) -> None:
    """Raise RnnlmError if --cache is used with an n-gram model, which has no states to compare."""
    if model.kind == "ngram":
        raise RnnlmError(f"--cache compares the states of a recurrent network, and {path} is an n-gram model.")


def load_model(
    path: Path,
    mix: Sequence[tuple[str, float]] = (),
    cache: tuple[int, float, float] | None = None,
    document: bool = False,
    lowercase: bool = False,
) -> "LanguageModel":
    """Load a model, mix it with the models of --mix and a --cache, and print the notes on the files.

    document: whether each line is read after the lines before it, even by a model of sentences. lowercase: make the
    model read text in lower case.
    """
    from rnnlm.language_model import LanguageModel
    from rnnlm.training.allocator import keep_freed_memory

    keep_freed_memory()  # a loaded model is used for computing, which allocates again and again
    model = LanguageModel.load(path)
    if lowercase:
        model.read_in_lower_case()
    if cache:
        check_cache(model, path)
        if model.context == "sentence" and not document:
            note(tr("This model reads each line for itself, so --cache remembers tokens of the same line only."))
    if mix or cache:
        from rnnlm.mixing import mixed

        model = mixed(model, mix, cache)
    for message in model.notes:
        note(message)
    return model


def print_json(value: Any) -> None:
    """Print a value as one line of JSON in UTF-8; nan and infinity become null."""
    click.echo(json_line(value))


def json_line(value: Any) -> str:
    """Return a value as one line of JSON, with terminal control characters written as JSON escapes."""
    return json_escaped(json.dumps(json_value(value), ensure_ascii=False))


def joined(words: Sequence[str], model: "LanguageModel") -> str:
    """Join the words of a command line by spaces, or without if a character model has no space in its vocabulary."""
    return ("" if model.level == "char" and " " not in model.vocabulary.tokens else " ").join(words)


def read_text_argument(text: str) -> str:
    r"""Return the argument, or for "-" all of stdin without its last line end; \r\n and \r become \n."""
    if text == "-":
        text = _standard_input().removesuffix("\n")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _standard_input() -> str:
    from rnnlm.text.sources import standard_input

    try:
        return standard_input().read().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise RnnlmError(
            f"Standard input is not UTF-8: byte 0x{error.object[error.start]:02x} at offset "
            f"{error.start}. Convert it first, for instance with iconv."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: it was closed
        raise RnnlmError(f"Standard input cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def note(message: str) -> None:
    """Write a message to stderr; a `Sentence` of the library is translated."""
    message = translated(message)
    if colored(sys.stderr):
        write_message(sys.stderr, f"{message}\n")
    else:
        click.echo(message, err=True)


def say(paragraph: str, word: str = WORD, err: bool = False) -> None:
    """Print a paragraph, translated if it is a `Sentence`; in a terminal, wrap it to the terminal's width."""
    paragraph = translated(paragraph)
    width = width_of(sys.stderr if err else sys.stdout)
    click.echo(paragraph if width is None else wrapped(paragraph.replace("\n", " "), width, word), err=err)


def show_table(
    rows: Iterable[Sequence[object]],
    headers: Sequence[str] = (),
    align: str = "",
    keys: int = 1,
    err: bool = False,
) -> None:
    """Print a table, fitted to the terminal if there is one; see `tables.table`."""
    click.echo(table(rows, headers, align, width_of(sys.stderr if err else sys.stdout), keys), err=err)


def warn_of_unknown(model: "LanguageModel", text: str) -> None:
    """Warn of unknown tokens in a text, and of marks such as <s> that the model does not read as marks."""
    from rnnlm.hints import form_hint, marks_warning
    from rnnlm.text.marks import without_marks

    if warning := marks_warning(model, text):
        note(warning)
        text = without_marks(text)
    unknown = model.unknown_tokens(text)
    if unknown:
        shown = " ".join(token_cell(token) for token in unknown[:10]) + (" ..." if len(unknown) > 10 else "")
        note(tr("Warning: not in the vocabulary, read as <unk>: {tokens}", tokens=shown))
        if hint := form_hint(model, text):
            note(hint)


class Unknown:
    """Counts unknown tokens in scored lines, and keeps the first such lines for a hint."""

    def __init__(self, model: "LanguageModel", reads_marks: bool) -> None:
        """Start counting. reads_marks: whether <s>, </s> and <unk> in these lines are marks for every model."""
        from rnnlm.hints import NORMALIZED_CHARACTERS, marks_warning
        from rnnlm.text.vocabulary import UNKNOWN

        self._model, self._warn_of_marks = model, not reads_marks
        self._marks_warning, self._unknown_names = marks_warning, UNKNOWN
        self._sample: list[str] = []
        self._room = NORMALIZED_CHARACTERS
        self.words = self.unknown = 0  # without <unk> that is written in the text itself

    def add(self, scored: "ScoredLine") -> None:
        """Count the tokens of a line; warn once of marks that the model does not read as marks."""
        self.words += len(scored.tokens) - (self._model.line_end is not None)
        if oov := scored.oov:
            self.unknown += oov - (
                sum(token in self._unknown_names for token in scored.tokens) if "<" in scored.text else 0
            )
            if self._room > 0:
                self._sample.append(scored.text)
                self._room -= len(scored.text)
        if self._warn_of_marks and "<" in scored.text and (warning := self._marks_warning(self._model, scored.text)):
            self._warn_of_marks = False
            note(warning)

    def hint(self) -> str | None:
        """Return the hint of `form_hint` on the kept lines, if there is one."""
        from rnnlm.hints import form_hint
        from rnnlm.text.marks import without_marks

        return form_hint(self._model, without_marks("\n".join(self._sample))) if self._sample else None
