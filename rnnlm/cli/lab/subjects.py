"""Texts and networks for the commands of the laboratory, and the options that choose them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from rnnlm.cli.languages import tr
from rnnlm.cli.loading import load_model
from rnnlm.cli.pictures import check_picture
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import Function, Text, json_option, together
from rnnlm.cli.tables import token_cell
from rnnlm.cli.text_argument import read_text_argument
from rnnlm.errors import CorpusError, DirectionError
from rnnlm.names import ACTIVATIONS, CELLS, LEVELS, LOSSES

if TYPE_CHECKING:
    import numpy as np

    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.network import LayerStack, Network, NetworkConfig
    from rnnlm.nn.numerics import Array
    from rnnlm.text.tokenizers import Tokenizer
    from rnnlm.text.vocabulary import Vocabulary

MOST_STEPS = 200  # tokens of a sentence that is shown step by step
NETWORK_OPTIONS = ("cell", "activation", "hidden_size", "num_layers", "embedding_size")


# --- options


text_argument = click.argument("text", type=Text())
level_option = click.option(
    "--level",
    type=click.Choice(("auto", *LEVELS)),
    default="auto",
    show_default=True,
    help="What a token is; auto: word.",
)
plot_option = click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Also draw a picture (.png, .svg or .pdf); needs matplotlib.",
)


def model_option(help_text: str, without: str, several: bool = False) -> Callable[[Function], Function]:
    """Add an optional -m/--model; `without` describes the default. With `several` the parameter is `model_paths`."""
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


loss_option = click.option("--loss", type=click.Choice(LOSSES), default=LOSSES[0], help="Loss function E.")
cell_option = click.option("--cell", type=click.Choice(CELLS), default="rnn", help="Recurrent cell.")


def activation_option(more: str = "", default: str = "tanh") -> Callable[[Function], Function]:
    """Add --activation. more: appended to its help."""
    help_text = f"Activation function f of the basic cell (rnn){more}."
    return click.option("--activation", type=click.Choice(ACTIVATIONS), default=default, help=help_text)


def size_options(
    default: int, most: int, layers: int, least: int = 1, state: str = "the state s"
) -> Callable[[Function], Function]:
    """Add options for the sizes of a network. default, least, most: of --hidden-size; layers: most --num-layers."""
    return together(
        click.option("--hidden-size", type=click.IntRange(least, most), default=default, help=f"Size of {state}, H."),
        click.option("--num-layers", type=click.IntRange(1, layers), default=1, help="Number of recurrent layers, L."),
        click.option(
            "--embedding-size", type=click.IntRange(0, most), default=0, help="Size of the embedding; 0: one-hot input."
        ),
    )


weights_options = together(
    click.option(
        "--weights",
        type=click.Path(dir_okay=False, path_type=Path),
        default=None,
        show_default="random",
        help='JSON file with your own U, W, V, such as {"W": [[0.5, 0], [0, 0.5]]}. Missing matrices are random, '
        "missing biases (b, b_V) 0.",
    ),
    click.option("--no-bias", is_flag=True, help="Leave out the biases, as in the article's formulas."),
)


def sentence_options(*own: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Add all options that `sentence_and_network` reads, and a command's own ones among them."""
    return together(
        text_argument,
        model_option("Trained model to examine.", "a small network with random weights"),
        *(cell_option, activation_option(), size_options(default=3, most=64, layers=8)),
        weights_options,
        *own,
        level_option,
        click.option("--seed", type=click.IntRange(0), default=0, help="Random seed of the weights."),
        plot_option,
        json_option,
    )


# --- checks of options


def given(ctx: click.Context, parameter: str) -> bool:
    """Return whether an option was given on the command line."""
    return ctx.get_parameter_source(parameter) == ParameterSource.COMMANDLINE


def refuse_with_model(ctx: click.Context, *parameters: str) -> None:
    """Raise click.UsageError for given options that the checkpoint determines."""
    for parameter in parameters:
        if given(ctx, parameter):
            raise click.UsageError(
                f"--{parameter.replace('_', '-')} cannot be combined with --model: the checkpoint says what it is."
            )


def note_unused_activation(ctx: click.Context) -> None:
    """Print a note if --activation was given for a cell that does not use it."""
    cell, activation = ctx.params["cell"], ctx.params["activation"]
    if cell != "rnn" and given(ctx, "activation"):
        unused = "--activation {activation} is not used: the cell {cell} has sigmoid and tanh built in."
        note(tr(unused, activation=activation, cell=cell))


def check_plot(ctx: click.Context, *read: object) -> None:
    """Check, before the work, that the picture of --plot can be made and does not replace a file that is read."""
    if ctx.params["picture"] is not None:
        check_picture(ctx.params["picture"], [str(path) for path in read if path is not None], "--plot")


def network_config(ctx: click.Context, vocabulary_size: int) -> NetworkConfig:
    """Return the configuration that NETWORK_OPTIONS and --bidirectional ask for."""
    from rnnlm.nn.network import NetworkConfig

    sizes = {name: ctx.params[name] for name in NETWORK_OPTIONS}
    return NetworkConfig(vocabulary_size, **sizes, bidirectional=ctx.params.get("bidirectional", False))


def network_of_options(
    ctx: click.Context, vocabulary_size: int, rng: np.random.Generator, tokens: Iterable[str] = ()
) -> LayerStack:
    """Return the float64 network that the options ask for, with random weights or those of --weights.

    tokens: of the text's vocabulary, in the order of their ids.

    Raises:
        RnnlmError: the file of --weights is not valid or does not fit.
    """
    from rnnlm.lab.gradients import random_network
    from rnnlm.lab.weights import read_weights, state_size, weighted
    from rnnlm.model_header import network_of
    from rnnlm.nn.cells import CELLS as DESCRIPTIONS

    path: Path | None = ctx.params["weights"]
    weights = {} if path is None else read_weights(path)
    config = network_config(ctx, vocabulary_size)
    size = state_size(weights, DESCRIPTIONS[config.cell].gates)
    if size is not None and not given(ctx, "hidden_size"):
        config = dataclasses.replace(config, hidden_size=size)
    random = random_network(config, rng).params
    shown = " ".join(map(token_cell, tokens))
    return network_of(config, weighted(config, random, weights, not ctx.params["no_bias"], shown))


# --- texts


def tokenizer_of(level: str) -> Tokenizer:
    """Return the tokenizer for a --level."""
    from rnnlm.text.tokenizers import tokenizer_class

    return tokenizer_class(level)()


def sentences_of(text: str, tokenizer: Tokenizer) -> list[list[str]]:
    """Return the tokens of every line of TEXT.

    Raises:
        CorpusError: there are no tokens.
    """
    from rnnlm.lab.sentences import sentences

    found = sentences(text, tokenizer)
    if not found:
        raise CorpusError("TEXT has no tokens. Give at least one word.")
    return found


def shown_ids(vocabulary: Vocabulary, ids: Iterable[int]) -> list[str]:
    """Return the tokens of ids, for display."""
    return [token_cell(vocabulary.token(int(i))) for i in ids]


# --- networks


class Reading(NamedTuple):
    """A float64 network, the ids (n + 2,) of the sentence that it reads, and a random generator."""

    network: LayerStack
    ids: Array
    vocabulary: Vocabulary
    rng: np.random.Generator


def sentence_and_network(ctx: click.Context, one_way: bool) -> Reading:
    """Return the sentence TEXT, and the network of --model or one with random weights.

    one_way: whether to refuse a bidirectional network.

    Raises:
        RnnlmError: the model or the sentence cannot be used.
    """
    import numpy as np

    from rnnlm.lab.unrolled import in_float64

    path: Path | None = ctx.params["model_path"]
    model = None if path is None else load_model(path)
    network: LayerStack | None = (
        None if model is None else in_float64(trained_network(model, ctx) if one_way else model.network)
    )
    ids, vocabulary = _one_sentence(ctx.params["text"], ctx.params["level"], model)
    rng = np.random.default_rng(ctx.params["seed"])
    if network is None:
        note_unused_activation(ctx)
        network = network_of_options(ctx, len(vocabulary), rng, map(vocabulary.token, range(len(vocabulary))))
    return Reading(network, ids, vocabulary, rng)


def trained_network(model: LanguageModel, ctx: click.Context) -> Network:
    """Return the network of a model that predicts the next token.

    Raises:
        RnnlmError: the model is an n-gram model or bidirectional.
    """
    network = model.network
    if network.config.bidirectional:
        raise DirectionError(
            f"This model is bidirectional; rnnlm lab {ctx.info_name} needs a network of one direction. Use a model "
            "that was trained without --bidirectional; rnnlm lab unroll shows both."
        )
    return network


def _one_sentence(text: str, level: str, model: LanguageModel | None) -> tuple[Array, Vocabulary]:
    """Return the ids of the only line of TEXT, from <s> to </s>, and the vocabulary of the model or of TEXT.

    A model that does not read lines gets no </s>; the first id is the model's own start of a line.

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
