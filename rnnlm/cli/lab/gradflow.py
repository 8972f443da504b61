"""rnnlm lab gradflow: how the error of one step travels back through time, and what clipping cuts."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.common import (
    NumberRange,
    json_option,
    load_model,
    note,
    print_json,
    say,
    show_table,
)
from rnnlm.cli.lab.common import (
    check_picture,
    counted,
    given,
    level_option,
    model_option,
    plot_option,
    refuse_with_model,
    save_picture,
    tokenizer_of,
    trained_network,
)
from rnnlm.names import ACTIVATIONS, CELLS, CONTEXTS, INITIALIZERS

if TYPE_CHECKING:
    from rnnlm.lab.gradient_flow import Clipping, GradientFlow, LayerFlow, Places
    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.network import Network, NetworkConfig
    from rnnlm.nn.numerics import Array
    from rnnlm.text.vocabulary import Vocabulary

MOST_TOKENS = 1 << 20  # of a text: more places would not lie better
MOST_COLUMNS = 8  # networks whose curves stand in a table side by side
SHOWN_DISTANCES = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
MEANINGS = (
    "predicted: spectral radius of W x root mean square of f', for the basic cell",
    "1/10, 1/100: steps back up to which a tenth, a hundredth of the gradient one step back is left",
    "norm: of the whole gradient, median of the windows; cut: share of the windows in which clipping shortens it",
)
# What each comparison goes through, so that it cannot be given as well.
GONE_THROUGH = {
    "cells": ("cell", "activation"),
    "inits": ("init",),
    "radii": ("radius",),
    "all": ("cell", "activation", "init"),
}


@dataclass(frozen=True)
class Settings:
    """The options of fresh networks, of the text and of what is measured."""

    cell: str
    activation: str
    init: str
    radius: float | None
    hidden_size: int
    num_layers: int
    embedding_size: int
    level: str
    context: str
    encoding: str | None
    distance: int | None
    places: int
    windows: int
    clip: float
    bptt: int
    batch_size: int
    seed: int


@click.command(
    short_help="How errors travel back through time: why gradients vanish or explode.",
    context_settings={"show_default": True},
)
@click.argument("file", nargs=-1, required=True)
@model_option("Trained model to look at.", "a fresh network")
@click.option(
    "--compare",
    type=click.Choice(list(GONE_THROUGH)),
    default=None,
    help="Fresh networks side by side, beside the model if there is one: all cells, and relu with identity weights; "
    "initial weights; spectral radii of W from 0.5 to 3; or all cells with all initial weights.",
)
@click.option("--cell", type=click.Choice(CELLS), default="rnn", help="Recurrent cell.")
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    default="tanh",
    help="The function f of the basic cell (rnn).",
)
@click.option("--init", type=click.Choice(INITIALIZERS), default="uniform", help="Initial weights of a fresh network.")
@click.option(
    "--radius",
    type=NumberRange(0, 1e6, min_open=True),
    default=None,
    show_default="as it comes",
    help="Scale W of a fresh network, each gate's, to this spectral radius.",
)
@click.option("--hidden-size", type=click.IntRange(1, 2048), default=64, help="Entries of the state, H.")
@click.option("--num-layers", type=click.IntRange(1, 16), default=1, help="Recurrent layers, L.")
@click.option("--embedding-size", type=click.IntRange(0, 2048), default=0, help="Entries of an embedding; 0: one-hot.")
@level_option
@click.option(
    "--context",
    type=click.Choice(CONTEXTS),
    default="stream",
    help="Every line for itself, or the text in one piece, which has longer distances. A model knows its own.",
)
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the text, such as gb18030.")
@click.option(
    "--distance",
    type=click.IntRange(1, 1000),
    default=None,
    show_default="50, or what the sentences allow",
    help="Steps to go back.",
)
@click.option("--places", type=click.IntRange(1, 1000), default=20, help="Places of the text to average over.")
@click.option("--windows", type=click.IntRange(0, 1000), default=10, help="Windows for the whole gradient; 0: none.")
@click.option("--clip", type=NumberRange(0), default=1.0, help="Norm to which it is cut; 0: no limit.")
@click.option("--bptt", type=click.IntRange(1, 1000), default=32, help="Steps in a window; a model knows its own.")
@click.option("--batch-size", type=click.IntRange(1, 1024), default=16, help="Columns in a window; likewise.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the initial weights.")
@plot_option
@json_option
@click.pass_context
def gradflow(
    ctx: click.Context,
    /,
    file: tuple[str, ...],
    model_path: Path | None,
    compare: str | None,
    picture: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Follow the error of one step back through FILE: text files, folders, .gz, or "-" for stdin.

    \b
    rnnlm lab gradflow text.txt -m rnnlm.npz
    rnnlm lab gradflow text.txt --radius 1.5                 W large: it explodes
    rnnlm lab gradflow text.txt --compare cells --plot cells.png

    What is measured is the length of the gradient of the loss at step t by the state at step k, against t - k. The
    state is h; for lstm and cifg it is h and c together, since the error comes back by both. No dropout.

    Beside it stand, for the basic cell, the bound (|W| max f')^(t-k) and the factor per step that the spectral radius
    of W predicts; how many steps back a tenth and a hundredth of the gradient one step back survive (in JSON null:
    all that --distance goes); and what --clip cuts.
    """
    settings = Settings(**options)
    _check_usage(ctx, model_path, compare, settings)
    check_picture(picture, [*file, *([str(model_path)] if model_path else [])])
    from rnnlm.lab.gradient_flow import gradient_flow, places

    model = None if model_path is None else load_model(model_path)
    settings = settings if model is None else _as_trained(ctx, settings, model)
    _check_w(compare, settings)
    ids, vocabulary = _read(file, settings, model)
    found = places(ids, settings.context, settings.places, settings.distance)
    flows = []
    for name, network in _networks(settings, compare, len(vocabulary), model, found):
        flows.append(gradient_flow(name, network, found, _clipping(network, ids, settings, model)))
    if as_json:
        for flow in flows:
            for layer in flow.layers:
                print_json(_as_object(flow, layer))
    else:
        _show(flows)
    note(
        f"{counted(len(found.targets), 'place')} of {' '.join(file)}, {settings.context}, "
        f"{len(vocabulary):,} tokens in the vocabulary; {counted(found.distance, 'step')} back."
    )
    if picture is not None:
        from rnnlm.lab.gradient_flow_picture import draw

        save_picture(draw(flows), picture)


def _check_usage(ctx: click.Context, model_path: Path | None, compare: str | None, settings: Settings) -> None:
    for parameter in GONE_THROUGH.get(compare or "", ()):
        if given(ctx, parameter):
            raise click.UsageError(f"--compare {compare} goes through every --{parameter}; leave that option out.")
    if model_path is not None:
        refuse_with_model(ctx, "cell", "activation", "hidden_size", "num_layers", "embedding_size", "level", "context")
        if compare is None:
            for parameter in ("init", "radius", "seed"):
                if given(ctx, parameter):
                    raise click.UsageError(f"--{parameter} is for fresh networks; with --model they need --compare.")
    if settings.cell != "rnn" and given(ctx, "activation"):
        note(f"--activation {settings.activation} is not used: the cell {settings.cell} has sigmoid and tanh built in.")


def _check_w(compare: str | None, settings: Settings) -> None:
    """Refuse to scale what the cell does not have."""
    from rnnlm.nn import cells

    scaled = settings.radius is not None and compare in (None, "inits")
    if (scaled or compare == "radii") and not cells.CELLS[settings.cell].recurrent:
        option = "--radius" if scaled else "--compare radii"
        raise click.UsageError(f"{option} scales W, which the cell {settings.cell} does not have. Leave it out.")


def _as_trained(ctx: click.Context, settings: Settings, model: LanguageModel) -> Settings:
    """The settings with those of the model's own training where none were given."""
    network = trained_network(model, "gradflow")
    options = model.training.get("options")
    recorded: dict[str, Any] = options if isinstance(options, dict) else {}
    trained: dict[str, Any] = {"context": model.context, "cell": network.config.cell}
    for name, least, most in (("bptt", 1, 1000), ("batch_size", 1, 1024), ("clip", 0, 1e30)):
        value: Any = recorded.get(name)
        if type(value) in (int, type(getattr(settings, name))) and least <= value <= most and not given(ctx, name):
            trained[name] = value
    return dataclasses.replace(settings, **trained)


def _read(file: Sequence[str], settings: Settings, model: LanguageModel | None) -> tuple[Array, Vocabulary]:
    """Ids of the text, of a very long one the first, and the vocabulary: the model's, or the text's own."""
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
    settings: Settings, compare: str | None, vocabulary_size: int, model: LanguageModel | None, found: Places
) -> Iterable[tuple[str, Network]]:
    """Names and float64 networks, one at a time: the trained one, if any, and the fresh ones."""
    from rnnlm.lab.gradient_flow import FAMILIES, RADII, fresh_network
    from rnnlm.lab.unrolled import in_float64
    from rnnlm.nn.network import NetworkConfig

    if model is None:
        sizes = (settings.hidden_size, settings.num_layers, settings.embedding_size)
        config = NetworkConfig(vocabulary_size, settings.cell, settings.activation, *sizes)
    else:
        config = model.network.config
        _require_memory(config, found)
        yield f"{family(config)} trained", in_float64(model.network)
        if compare is None:
            return

    def fresh(name: str, cell: tuple[str, str], init: str, radius: float | None) -> tuple[str, Network]:
        own = dataclasses.replace(config, cell=cell[0], activation=cell[1])
        _require_memory(own, found)
        return name, fresh_network(own, init, settings.seed, radius)

    own_cell = (config.cell, config.activation)
    if compare in ("cells", "all"):
        for init in (settings.init,) if compare == "cells" else INITIALIZERS:
            for name, cell in FAMILIES.items():
                yield fresh(name if compare == "cells" else f"{name} {init}", cell, init, settings.radius)
                if (name, compare) == ("relu", "cells") and init != "identity":
                    yield fresh("relu identity", cell, "identity", settings.radius)
    elif compare == "inits":
        for init in INITIALIZERS:
            yield fresh(f"{family(config)} {init}", own_cell, init, settings.radius)
    elif compare == "radii":
        for radius in RADII:
            yield fresh(f"{family(config)} radius {radius:g}", own_cell, settings.init, radius)
    else:
        yield fresh(family(config), own_cell, settings.init, settings.radius)


def _require_memory(config: NetworkConfig, found: Places) -> None:
    from rnnlm.free_memory import require_memory
    from rnnlm.lab.gradient_flow import least_memory

    what = (
        f"Going back {counted(found.distance, 'step')} from {counted(len(found.targets), 'place')} with {config.cell}"
    )
    remedy = "Use fewer --places, a smaller --distance or a smaller --hidden-size."
    require_memory(least_memory(config, found), what, remedy)


def family(config: NetworkConfig) -> str:
    """What a network is called: its cell, of the basic one the activation."""
    return config.activation if config.cell == "rnn" else config.cell


def _clipping(network: Network, ids: Array, settings: Settings, model: LanguageModel | None) -> Clipping | None:
    """The whole gradient over some windows, in float32 as in training; None if no windows were asked for."""
    import numpy as np

    from rnnlm.lab.gradient_flow import Clipping, gradient_norms
    from rnnlm.nn.network import Network
    from rnnlm.text.batches import Batches
    from rnnlm.text.corpus import IdSequence

    if not settings.windows or len(ids) < 2:
        return None
    recorded = {} if model is None else model.training.get("options")
    objective = "mse" if isinstance(recorded, dict) and recorded.get("loss") == "mse" else "cross-entropy"
    if network.config.output == "adaptive":
        objective = "cross-entropy"
    columns = min(settings.batch_size, len(ids) // 2)
    batches = Batches(IdSequence(ids), columns, settings.bptt, settings.context, settings.seed)
    single = Network(network.config, {name: array.astype(np.float32) for name, array in network.params.items()})
    return Clipping(gradient_norms(single, batches, settings.windows, objective), settings.clip)


# What is told of it


def _as_object(flow: GradientFlow, layer: LayerFlow) -> dict[str, Any]:
    from rnnlm.lab.gradient_flow import LARGEST_DERIVATIVE

    config, basic = flow.config, flow.config.cell == "rnn"
    gates = {gate or "W": (layer.radii[gate], layer.weight_norms[gate]) for gate in layer.radii}
    found: dict[str, Any] = {
        "network": flow.name,
        "cell": config.cell,
        "activation": config.activation if basic else None,
        "layer": layer.layer,
        "hidden_size": config.hidden_size,
        "places": flow.places,
        "distance_steps": list(range(len(layer.norms))),
        "gradient_norm": layer.norms.tolist(),
        "gradient_norm_lowest": layer.lowest.tolist(),
        "gradient_norm_highest": layer.highest.tolist(),
        "bound": None if layer.bound is None else layer.bound.tolist(),
        "spectral_radius": {gate: radius for gate, (radius, _) in gates.items()},
        "weight_norm": {gate: norm for gate, (_, norm) in gates.items()},
        "largest_derivative": LARGEST_DERIVATIVE[config.activation] if basic else None,
        "rms_derivative": layer.rms_derivative,
        "predicted_factor_per_step": layer.predicted_factor,
        "measured_factor_per_step": layer.measured_factor,
        "tenth_survives_steps": layer.survives(0.1),
        "hundredth_survives_steps": layer.survives(0.01),
    }
    if layer.by_c is not None:
        found |= {"gradient_norm_by_h": layer.by_h.tolist(), "gradient_norm_by_c": layer.by_c.tolist()}
    if flow.clipping is not None:
        found |= {
            "windows": len(flow.clipping.norms),
            "window_gradient_norms": flow.clipping.norms.tolist(),
            "clip": flow.clipping.limit,
            "share_of_windows_cut": flow.clipping.share_cut,
            "share_of_length_kept": flow.clipping.kept,
        }
    return found


def _show(flows: Sequence[GradientFlow]) -> None:
    from rnnlm.lab.gradient_flow import relu_beside_tanh

    if len(flows) == 1:
        (flow,) = flows
        for layer in reversed(flow.layers):
            _show_layer(flow, layer)
        if flow.clipping is not None:
            say(_sentence_on_clipping(flow.clipping))
        return
    if len(flows) <= MOST_COLUMNS:
        say("Share of the gradient one step back (of the top layer) that is left t - k steps back:")
        click.echo()
        shown = _shown_distances(len(flows[0].layers[-1].norms))[1:]
        rows = [[d, *(_figure(flow.layers[-1].shares[d]) for flow in flows)] for d in shown]
        show_table(rows, ["t - k", *(flow.name for flow in flows)], "r" * 20)
        click.echo()
    _show_summary(flows)
    click.echo()
    for meaning in MEANINGS:
        say(meaning)
    if sentence := relu_beside_tanh(flows):
        say(sentence)


def _shown_distances(length: int) -> list[int]:
    shown = [distance for distance in SHOWN_DISTANCES if distance < length]
    return shown if shown[-1] == length - 1 else [*shown, length - 1]


def _show_layer(flow: GradientFlow, layer: LayerFlow) -> None:
    """The curve of a layer as a table, and what W says of it."""
    of = f", layer {layer.layer} of {len(flow.layers)}" if len(flow.layers) > 1 else ""
    say(f"Length of the gradient of the loss at step t by the state at step k ({flow.name}{of}):")
    click.echo()
    columns: dict[str, Array] = {"gradient": layer.norms, "of one step back": layer.shares}
    if layer.by_c is not None:
        columns |= {"by h": layer.by_h, "by c": layer.by_c}
    if layer.bound is not None:
        columns["bound"] = layer.bound
    shown = _shown_distances(len(layer.norms))
    if not layer.norms[0]:  # below the top layer no output reads the state directly
        shown = shown[1:]
    rows = [[d, *(_figure(column[d]) for column in columns.values())] for d in shown]
    show_table(rows, ["t - k", *columns], "r" * 20)
    click.echo()
    for sentence in _sentences_on_weights(flow.config, layer):
        say(sentence)
    click.echo()


def _sentences_on_weights(config: NetworkConfig, layer: LayerFlow) -> list[str]:
    from rnnlm.lab.gradient_flow import LARGEST_DERIVATIVE

    measured = _figure(layer.measured_factor)
    if config.cell == "rnn":
        largest = LARGEST_DERIVATIVE[config.activation]
        lines = [
            f"W has the spectral radius {_figure(layer.radii[''])} and the norm |W| {_figure(layer.weight_norms[''])}; "
            f"f' is at most {largest:g}, its root mean square {_figure(layer.rms_derivative)}.",
            f"Factor per step back: measured {measured}; predicted {_figure(layer.predicted_factor)} (spectral radius "
            "x root mean square of f').",
        ]
        if layer.bound is not None:
            lines.append(f"The bound is (|W| max f')^(t-k), {_figure(layer.weight_norms[''] * largest)} per step.")
        else:
            lines.append("The bound (|W| max f')^(t-k) is the top layer's: lower states reach the loss on many ways.")
    elif not layer.radii:
        lines = [
            f"The cell {config.cell} has no W: every unit's error goes back by itself, times what the step keeps.",
            f"Factor per step back: measured {measured}.",
        ]
    else:
        gates = [f"{gate} {_figure(layer.radii[gate])} ({_figure(layer.weight_norms[gate])})" for gate in layer.radii]
        lines = [
            f"Spectral radius of each gate's W (and its norm): {', '.join(gates)}.",
            f"Factor per step back: measured {measured}.",
            f"There is no bound of the form (|W| max f')^(t-k) for {config.cell}: what its gates let through is not "
            "multiplied by W.",
        ]
    if not layer.norms[1]:
        return [*lines, "Nothing survives: the gradient one step back is 0."]
    tenth, hundredth = (_steps(layer, share).replace(">", "more than ") for share in (0.1, 0.01))
    return [
        *lines,
        f"Steps back that a tenth of the gradient one step back survives: {tenth}; a hundredth: {hundredth}.",
    ]


def _steps(layer: LayerFlow, share: float) -> str:
    steps = layer.survives(share)
    return f">{len(layer.norms) - 1}" if steps is None else str(steps)


def _sentence_on_clipping(clipping: Clipping) -> str:
    n, norms = len(clipping.norms), clipping.norms.tolist()
    start = (
        f"The whole gradient of {counted(n, 'window')} has the norm {_figure(statistics.median(norms))} (median), "
        f"{_figure(max(norms))} (largest); "
    )
    if not clipping.limit:
        return start + "--clip 0 cuts nothing."
    return start + (
        f"--clip {clipping.limit:g} shortens it in {clipping.share_cut:.0%} of them and leaves {clipping.kept:.0%} of "
        "all their lengths."
    )


def _show_summary(flows: Sequence[GradientFlow]) -> None:
    several = any(len(flow.layers) > 1 for flow in flows)
    rows = []
    for flow in flows:
        for layer in reversed(flow.layers):
            row = [
                flow.name,
                _range(layer.radii.values()),
                _range(layer.weight_norms.values()),
                _figure(layer.predicted_factor),
                _figure(layer.measured_factor),
                _steps(layer, 0.1),
                _steps(layer, 0.01),
            ]
            if flow.clipping is not None:
                row += [_figure(statistics.median(flow.clipping.norms.tolist())), f"{flow.clipping.share_cut:.0%}"]
            rows.append([row[0], layer.layer, *row[1:]] if several else row)
    headers = ["network", *(["layer"] if several else []), "radius", "|W|", "predicted", "measured"]
    headers += ["1/10", "1/100", "norm", "cut"]
    show_table(rows, headers[: len(rows[0])], "l" + "r" * 20)


def _range(values: Iterable[float | None]) -> str:
    """The smallest and the largest of the gates' figures."""
    found = sorted(value for value in values if value is not None)
    if not found:
        return "-"
    low, high = _figure(found[0]), _figure(found[-1])
    return low if low == high else f"{low}-{high}"


def _figure(value: Any) -> str:
    """A number with three digits that count."""
    if value is None or math.isnan(value):
        return "-"
    return "overflow" if value == math.inf else f"{value:.3g}"
