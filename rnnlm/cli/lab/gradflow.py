"""rnnlm lab gradflow: follow the error of one step back through time, and measure what clipping cuts off."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.lab.gradflow_tables import as_object, show
from rnnlm.cli.lab.presentation import present
from rnnlm.cli.lab.subjects import (
    NETWORK_OPTIONS,
    activation_option,
    cell_option,
    check_plot,
    given,
    level_option,
    model_option,
    network_config,
    note_unused_activation,
    plot_option,
    refuse_with_model,
    sentences_of,
    shown_ids,
    size_options,
    tokenizer_of,
    trained_network,
)
from rnnlm.cli.languages import TranslatedCommand, counted, tr
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import NumberRange, json_option
from rnnlm.cli.text_file import TextFile
from rnnlm.cli.unknown_tokens import warn_of_unknown
from rnnlm.names import CONTEXTS, INITIALIZERS

if TYPE_CHECKING:
    from rnnlm.lab.gradient_flow import Clipping, Places
    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.network import Network, NetworkConfig
    from rnnlm.nn.numerics import Array
    from rnnlm.text.vocabulary import Vocabulary

MOST_TOKENS = 1 << 20  # of a text; more would not make the sample of places better
# Options that each comparison varies, so they cannot be given with it.
GONE_THROUGH = {
    "cells": ("cell", "activation"),
    "inits": ("init",),
    "radii": ("radius",),
    "all": ("cell", "activation", "init"),
}


@click.command(
    cls=TranslatedCommand,
    short_help="Show how errors travel back through time: why gradients vanish or explode.",
    context_settings={"show_default": True},
)
@click.argument("file", nargs=-1, required=True, type=TextFile())
@model_option("Trained model to examine.", "a fresh network")
@click.option(
    "--compare",
    type=click.Choice(list(GONE_THROUGH)),
    default=None,
    help="Compare fresh networks, and --model if given. cells: all cells, and relu with identity weights; inits: all "
    "initial weights; radii: spectral radii of W from 0.5 to 3; all: all cells with all initial weights.",
)
@cell_option
@activation_option()
@click.option("--init", type=click.Choice(INITIALIZERS), default="uniform", help="Initial weights of a fresh network.")
@click.option(
    "--radius",
    type=NumberRange(0, 1e6, min_open=True),
    default=None,
    show_default="not scaled",
    help="Scale W of a fresh network (of every gate) to this spectral radius.",
)
@size_options(default=64, most=2048, layers=16, state="the state")
@level_option
@click.option(
    "--context",
    type=click.Choice(CONTEXTS),
    default="stream",
    help="Read each line by itself, or the text as one stream, which has longer distances. A model has its own.",
)
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the text, such as gb18030.")
@click.option(
    "--distance",
    type=click.IntRange(1, 1000),
    default=None,
    show_default="50, or what the sentences allow",
    help="Number of steps to go back.",
)
@click.option(
    "--places",
    type=click.IntRange(1, 1000),
    default=20,
    show_default="20; for a sentence, its end",
    help="Number of places in the text to average over.",
)
@click.option(
    "--windows", type=click.IntRange(0, 1000), default=10, help="Windows for the norm of the whole gradient; 0: none."
)
@click.option(
    "--clip", type=NumberRange(0), default=1.0, help="Norm to which the whole gradient is clipped; 0: no limit."
)
@click.option("--bptt", type=click.IntRange(1, 1000), default=32, help="Steps in a window; a model has its own.")
@click.option(
    "--batch-size", type=click.IntRange(1, 1024), default=16, help="Columns in a window; a model has its own."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed of the initial weights.")
@plot_option
@json_option
@click.pass_context
def gradflow(
    ctx: click.Context, /, file: tuple[str, ...], model_path: Path | None, compare: str | None, **options: Any
) -> None:
    """Follow the error of one step back through FILE: text files, folders, .gz, "-" for stdin, or a sentence itself.

    \b
    rnnlm lab gradflow "我 昨天 上学 迟到 了"
    rnnlm lab gradflow text.txt -m rnnlm.npz
    rnnlm lab gradflow text.txt --radius 1.5                 W large: it explodes
    rnnlm lab gradflow text.txt --compare cells --plot cells.png

    The command measures the norm of the gradient of the loss at step t by the state at step k, against t - k. The
    state is h; for lstm and cifg, h and c together, since the error travels back through both. There is no dropout.

    Also printed are, for the basic cell, the bound (|W| max f')^(t-k) and the factor per step that the spectral radius
    of W predicts; the number of steps back up to which a tenth and a hundredth of the gradient one step back survive
    (in JSON null: all of --distance); and what --clip cuts off.
    """
    _check_usage(ctx, model_path, compare)
    check_plot(ctx, *file, model_path)
    from rnnlm.lab.gradient_flow import gradient_flow, places
    from rnnlm.plots.gradient_flow import draw

    model = None if model_path is None else load_model(model_path)
    trained = {"objective": "cross-entropy"} if model is None else _as_trained(ctx, model)
    settings = SimpleNamespace(**options | trained)
    _check_w(compare, settings)
    sentence = _sentence(file)
    if sentence is None:
        ids, vocabulary = _read(file, settings, model)
    else:
        ids, vocabulary = _read_sentence(ctx, sentence, settings, model)
    found = places(ids, settings.context, settings.places, settings.distance)
    config = network_config(ctx, len(vocabulary)) if model is None else model.network.config
    flows = [
        gradient_flow(name, network, found, _clipping(network, ids, settings))
        for name, network in _networks(settings, compare, config, model, found)
    ]
    about = tr(
        "{places} of {file}, {context}, {size} tokens in the vocabulary; {steps} back.",
        places=counted(len(found.targets), "place"),
        file=" ".join(file),
        context=settings.context,
        size=f"{len(vocabulary):,}",
        steps=counted(found.distance, "step"),
    )
    read = [] if sentence is None else shown_ids(vocabulary, found.inputs[::-1, 0][: found.distance + 1])
    objects = (as_object(flow, layer) | ({"read": read} if read else {}) for flow in flows for layer in flow.layers)
    present(objects, partial(show, flows, read), partial(draw, flows), notes=[about])


def _check_usage(ctx: click.Context, model_path: Path | None, compare: str | None) -> None:
    for parameter in GONE_THROUGH.get(compare or "", ()):
        if given(ctx, parameter):
            raise click.UsageError(f"--compare {compare} tries every --{parameter}; leave that option out.")
    if model_path is not None:
        refuse_with_model(ctx, *NETWORK_OPTIONS, "level", "context")
        for parameter in ("init", "radius", "seed"):
            if compare is None and given(ctx, parameter):
                raise click.UsageError(f"--{parameter} is for fresh networks; with --model they need --compare.")
    note_unused_activation(ctx)


def _check_w(compare: str | None, settings: SimpleNamespace) -> None:
    """Raise click.UsageError if W is to be scaled and the cell has none."""
    from rnnlm.nn.cells import CELLS

    scaled = settings.radius is not None and compare in (None, "inits")
    if (scaled or compare == "radii") and not CELLS[settings.cell].recurrent:
        option = "--radius" if scaled else "--compare radii"
        raise click.UsageError(f"{option} scales W, which the cell {settings.cell} does not have. Leave it out.")


def _as_trained(ctx: click.Context, model: LanguageModel) -> dict[str, Any]:
    """Return the settings of the model's own training, without those given on the command line."""
    network, options = trained_network(model, ctx), model.training.get("options")
    recorded: dict[str, Any] = options if isinstance(options, dict) else {}
    squared = recorded.get("loss") == "mse" and network.config.output != "adaptive"
    trained: dict[str, Any] = {"context": model.context, "cell": network.config.cell}
    trained["objective"] = "mse" if squared else "cross-entropy"
    for name, least, most in (("bptt", 1, 1000), ("batch_size", 1, 1024), ("clip", 0, 1e30)):
        value: Any = recorded.get(name)
        if type(value) in (int, type(ctx.params[name])) and least <= value <= most and not given(ctx, name):
            trained[name] = value
    return trained


def _sentence(file: Sequence[str]) -> str | None:
    """Return the only argument if it is a sentence, else None.

    A sentence has a space or a non-ASCII character, and is not the name of a file, existing or by its suffix.
    """
    text = file[0]
    looks_like_text = not text.isascii() or " " in text.strip()
    if len(file) > 1 or not looks_like_text or re.search(r"[\\/]|\.[A-Za-z0-9]{1,5}$", text):
        return None
    try:
        return None if Path(text).exists() else text
    except (OSError, ValueError):  # too long for a name
        return text


def _read_sentence(
    ctx: click.Context, text: str, settings: SimpleNamespace, model: LanguageModel | None
) -> tuple[Array, Vocabulary]:
    """Return ids and vocabulary of a sentence; set the settings to one place, its end, and one column."""
    import numpy as np

    from rnnlm.lab.sentences import flat, vocabulary_of
    from rnnlm.text.vocabulary import EOS

    lines = sentences_of(text, tokenizer_of(settings.level) if model is None else model.tokenizer)
    vocabulary = vocabulary_of(flat(lines)) if model is None else model.vocabulary
    if model is not None:
        warn_of_unknown(model, text)
    for name, value in (("places", 1), ("batch_size", 1), ("context", "sentence")):
        if not given(ctx, name):
            setattr(settings, name, value)
    ends = [EOS] if model is None or model.reads_lines else []
    return np.concatenate([[*vocabulary.encode(line), *ends] for line in lines]).astype(np.int64), vocabulary


def _read(file: Sequence[str], settings: SimpleNamespace, model: LanguageModel | None) -> tuple[Array, Vocabulary]:
    """Return the (first MOST_TOKENS) ids of the text, and the vocabulary of the model or of the text."""
    from rnnlm.cli.texts import reading_bar
    from rnnlm.codec import reads_lines
    from rnnlm.text.corpus import sequence, tokenize_corpus
    from rnnlm.text.vocabulary import FIRST, Vocabulary

    tokenizer = tokenizer_of(settings.level) if model is None else model.tokenizer
    corpus = tokenize_corpus(
        file,
        tokenizer,
        lines=reads_lines(tokenizer.name, settings.context),
        encoding=settings.encoding,
        progress=reading_bar(),
    )
    for message in corpus.notes:
        note(message)
    vocabulary = Vocabulary.build(corpus.tokens, corpus.counts()[FIRST:]) if model is None else model.vocabulary
    if len(corpus.ids) > MOST_TOKENS:
        note(f"The first {MOST_TOKENS:,} of {len(corpus.ids):,} tokens are used.")
    return sequence(corpus, vocabulary)[:MOST_TOKENS], vocabulary


def _networks(
    settings: SimpleNamespace, compare: str | None, config: NetworkConfig, model: LanguageModel | None, found: Places
) -> Iterable[tuple[str, Network]]:
    """Yield (name, float64 network): the trained one, if any, then the fresh ones."""
    from rnnlm.lab.gradient_flow import FAMILIES, RADII, fresh_network
    from rnnlm.lab.unrolled import in_float64

    own, cell = _family(config), (config.cell, config.activation)
    if model is not None:
        _require_memory(config, found)
        yield f"{own} trained", in_float64(model.network)
        if compare is None:
            return

    def fresh(
        name: str, cell: tuple[str, str] = cell, init: str = settings.init, radius: float | None = settings.radius
    ) -> tuple[str, Network]:
        changed = dataclasses.replace(config, cell=cell[0], activation=cell[1])
        _require_memory(changed, found)
        return name, fresh_network(changed, init, settings.seed, radius)

    match compare:
        case None:
            yield fresh(own)
        case "inits":
            yield from (fresh(f"{own} {init}", init=init) for init in INITIALIZERS)
        case "radii":
            yield from (fresh(f"{own} radius {radius:g}", radius=radius) for radius in RADII)
        case "all":
            yield from (fresh(f"{name} {init}", each, init) for init in INITIALIZERS for name, each in FAMILIES.items())
        case _:
            for name, each in FAMILIES.items():
                yield fresh(name, each)
                if name == "relu" and settings.init != "identity":
                    yield fresh("relu identity", each, "identity")


def _require_memory(config: NetworkConfig, found: Places) -> None:
    from rnnlm.free_memory import require_memory
    from rnnlm.lab.gradient_flow import least_memory

    steps, places = counted(found.distance, "step"), counted(len(found.targets), "place")
    remedy = "Use fewer --places, a smaller --distance or a smaller --hidden-size."
    require_memory(least_memory(config, found), f"Going back {steps} from {places} with {config.cell}", remedy)


def _family(config: NetworkConfig) -> str:
    """Return the name of a network: its cell, or for the basic cell its activation."""
    return config.activation if config.cell == "rnn" else config.cell


def _clipping(network: Network, ids: Array, settings: SimpleNamespace) -> Clipping | None:
    """Return the norms of the whole gradient over some windows, in float32 as in training; None without windows."""
    import numpy as np

    from rnnlm.lab.gradient_flow import Clipping, gradient_norms
    from rnnlm.nn.network import Network
    from rnnlm.text.batches import Batches
    from rnnlm.text.id_sequence import IdSequence

    if not settings.windows or len(ids) < 2:
        return None
    columns = min(settings.batch_size, len(ids) // 2)
    batches = Batches(IdSequence(ids), columns, settings.bptt, settings.context, settings.seed)
    single = Network(network.config, {name: array.astype(np.float32) for name, array in network.params.items()})
    return Clipping(gradient_norms(single, batches, settings.windows, settings.objective), settings.clip)
