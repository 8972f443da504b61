"""What the commands of the laboratory share: how a text is given, read and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from rnnlm.cli.common import Function, Text, note, read_text_argument
from rnnlm.cli.tables import token_cell
from rnnlm.errors import CorpusError, DirectionError
from rnnlm.names import ACTIVATIONS, CELLS, LEVELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.network import Network
    from rnnlm.nn.numerics import Array
    from rnnlm.text.tokenizers import Tokenizer
    from rnnlm.text.vocabulary import Vocabulary

MOST_STEPS = 200  # of a sentence that is shown step by step
SHOWN = 4  # entries of a vector in a table; a longer one is cut
NETWORK_OPTIONS = ("cell", "activation", "hidden_size", "num_layers", "embedding_size")

text_argument = click.argument("text", type=Text())
level_option = click.option(
    "--level",
    type=click.Choice(("auto", *LEVELS)),
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


def model_option(help_text: str, without: str, several: bool = False) -> Callable[[Function], Function]:
    """Add -m/--model, which may be left out; `without` says what happens then. Several paths are `model_paths`."""
    return click.option(
        "-m",
        "--model",
        "model_paths" if several else "model_path",
        type=click.Path(dir_okay=False, path_type=Path),
        default=None,
        multiple=several,
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
    """Find out at the beginning that a picture cannot be made, or would replace one of the files that are read."""
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
                f"--{parameter.replace('_', '-')} cannot be combined with --model: the checkpoint says what it is."
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


def one_sentence(text: str, level: str, model: LanguageModel | None) -> tuple[Array, Vocabulary]:
    """Ids of the one line of TEXT, from <s> to </s>, and the vocabulary: the model's, or that of TEXT itself.

    A model that does not end lines with </s> gets none, and one of a stream the id it reads before a line for <s>.

    Raises:
        CorpusError: there are no tokens, several lines, or too many tokens.
    """
    import numpy as np

    from rnnlm.lab.sentences import flat, vocabulary_of
    from rnnlm.text.vocabulary import BOS, EOS

    lines = sentences_of(read_text_argument(text), tokenizer_of(level) if model is None else model.tokenizer)
    if len(lines) > 1:
        raise CorpusError(f"TEXT has {len(lines):,} lines; expected one sentence, which is shown step by step.")
    if len(lines[0]) > MOST_STEPS:
        raise CorpusError(f"TEXT has {len(lines[0]):,} tokens; at most {MOST_STEPS} are shown. Give a shorter one.")
    vocabulary = vocabulary_of(flat(lines)) if model is None else model.vocabulary
    ends = [EOS] if model is None or model.reads_lines else []
    start = BOS if model is None else model.start
    return np.concatenate([[start], vocabulary.encode(lines[0]), ends]).astype(np.int64), vocabulary


def shown_ids(vocabulary: Vocabulary, ids: Iterable[int]) -> list[str]:
    """The tokens of ids as they are shown."""
    return [token_cell(vocabulary.token(int(i))) for i in ids]


def network_options(function: Function) -> Function:
    """Add the options of a small network with random weights."""
    options = [
        click.option("--cell", type=click.Choice(CELLS), default="rnn", help="Recurrent cell."),
        click.option(
            "--activation",
            type=click.Choice(ACTIVATIONS),
            default="tanh",
            help="The function f of the basic cell (rnn).",
        ),
        click.option("--hidden-size", type=click.IntRange(1, 64), default=3, help="Entries of the state s, H."),
        click.option("--num-layers", type=click.IntRange(1, 8), default=1, help="Recurrent layers, L."),
        click.option(
            "--embedding-size", type=click.IntRange(0, 64), default=0, help="Entries of an embedding; 0: one-hot."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def vector(values: Array) -> str:
    """The first entries of a vector in brackets.

    >>> vector([0.5, -1, 0, 0, 0])
    '[ 0.500 -1.000  0.000  0.000 …]'
    """
    shown = " ".join(number(float(value)) for value in values[:SHOWN])
    return f"[{shown}{' …' if len(values) > SHOWN else ''}]"


def number(value: float) -> str:
    """A number with three digits after the point, or as a power of ten where these would say little.

    >>> number(0.25), number(-0.00012), number(0.0)
    (' 0.250', '-1.2e-04', ' 0.000')
    """
    return f"{value: .3f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value: .1e}"
