"""What the commands of the laboratory share: how a text is given, read and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from rnnlm.cli.common import Function, Text, note
from rnnlm.errors import CorpusError, DirectionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.network import Network
    from rnnlm.text.tokenizers import Tokenizer

text_argument = click.argument("text", type=Text())
level_option = click.option(
    "--level",
    type=click.Choice(["auto", "char", "word"]),
    default="auto",
    show_default=True,
    help="What a token is; auto: word.",
)


def given(ctx: click.Context, parameter: str) -> bool:
    """Whether an option stands on the command line."""
    return ctx.get_parameter_source(parameter) == ParameterSource.COMMANDLINE


def tokenizer_of(level: str) -> Tokenizer:
    """The tokenizer that --level asks for."""
    from rnnlm.text.tokenizers import tokenizer_class

    return tokenizer_class(level)()


def sentences_of(text: str, tokenizer: Tokenizer) -> list[list[str]]:
    """Tokens of every line of TEXT.

    Raises:
        CorpusError: there are none.
    """
    from rnnlm.lab.sentences import sentences

    found = sentences(text, tokenizer)
    if not found:
        raise CorpusError("TEXT has no tokens. Give at least one word.")
    return found


def counted(number: int, name: str) -> str:
    """A number of things, such as "1 token" or "1,200 tokens"."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def model_option(help_text: str, without: str) -> Callable[[Function], Function]:
    """Add -m/--model, which may be left out; `without` says what is used then."""
    return click.option(
        "-m",
        "--model",
        "model_path",
        type=click.Path(dir_okay=False, path_type=Path),
        default=None,
        show_default=f"none: {without}",
        help=help_text,
    )


def plot_option(function: Function) -> Function:
    """Add --plot."""
    return click.option(
        "--plot",
        "picture",
        type=click.Path(dir_okay=False, path_type=Path),
        default=None,
        help="Picture to draw too, .png, .svg or .pdf; needs matplotlib.",
    )(function)


def check_picture(picture: Path | None, read: Iterable[str] = ()) -> None:
    """Find out at the beginning that a picture can not be made, or would replace one of the files that are read."""
    if picture is None:
        return
    from rnnlm.cli.texts import check_not_a_text, check_output
    from rnnlm.plots import check_picture as check_suffix
    from rnnlm.plots import load_matplotlib

    check_suffix(picture)
    check_not_a_text(picture, read, "--plot")
    check_output(picture, "--plot")
    load_matplotlib()


def save_picture(figure: Figure, picture: Path, texts: Iterable[str] = ()) -> None:
    """Write a picture; say where it is, and what its texts lack."""
    from rnnlm.plots import require_font_for, save

    if missing := require_font_for(texts):
        note(f"Warning: {missing}")
    save(figure, picture)
    note(f"Saved {picture}.")


def refuse_with_model(ctx: click.Context, *parameters: str) -> None:
    """Refuse options that a checkpoint decides."""
    for parameter in parameters:
        if given(ctx, parameter):
            raise click.UsageError(
                f"--{parameter.replace('_', '-')} can not be combined with --model: the checkpoint says what it is."
            )


def trained_network(model: LanguageModel, command: str) -> Network:
    """The recurrent network of a model that predicts what comes next.

    Raises:
        RnnlmError: it is an n-gram model, or bidirectional.
    """
    network = model.network
    if network.config.bidirectional:
        raise DirectionError(
            f"This model is bidirectional; rnnlm lab {command} follows a network of one direction. Use a model that "
            "was trained without --bidirectional; rnnlm lab unroll shows both."
        )
    return network


def figures(values: Iterable[float], digits: int = 3) -> str:
    """Numbers of a vector in brackets.

    >>> figures([0.5, -1])
    '[ 0.500 -1.000]'
    """
    return (
        "[" + " ".join(f"{value: .{digits}f}" if abs(value) < 1e4 else f"{value: .{digits}e}" for value in values) + "]"
    )
