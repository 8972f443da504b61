"""rnnlm lab explode: compare a training that ends in NaN with the same training with clipped gradients."""

from __future__ import annotations

import math
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.lab.presentation import present, show_titled
from rnnlm.cli.lab.subjects import (
    activation_option,
    cell_option,
    level_option,
    network_config,
    note_unused_activation,
    sentences_of,
    size_options,
    tokenizer_of,
)
from rnnlm.cli.languages import TranslatedCommand, counted, language, tr
from rnnlm.cli.printing import say
from rnnlm.cli.shared_options import NumberRange, Text, json_option
from rnnlm.cli.text_argument import read_text_argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnlm.lab.explosion import Step

EXAMPLE = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。"


@click.command(
    cls=TranslatedCommand,
    short_help="Show a training that ends in NaN, and the same with clipping.",
    context_settings={"show_default": True},
)
@click.argument("text", required=False, default=EXAMPLE, type=Text())
@cell_option
@activation_option(default="identity")
@size_options(default=8, most=256, layers=4)
@click.option(
    "--radius",
    type=NumberRange(0, 1e3, min_open=True),
    default=1.2,
    help="Spectral radius of the initial W.",
)
@click.option("--lr", type=NumberRange(0, 1e6, min_open=True), default=0.2, help="Learning rate.")
@click.option("--clip", type=NumberRange(0, min_open=True), default=1.0, help="Norm to which the gradient is clipped.")
@click.option("--steps", type=click.IntRange(1, 1000), default=12, help="Steps of gradient descent.")
@level_option
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed of the initial weights.")
@json_option
@click.pass_context
def explode(
    ctx: click.Context,
    /,
    text: str,
    radius: float,
    lr: float,
    clip: float,
    steps: int,
    seed: int,
    **options: Any,
) -> None:
    """Train on TEXT ("-": stdin) until the loss is NaN, step by step; beside it, the same with gradients clipped.

    \b
    w = w - lr g                       as it is: large w, large g, larger w
    w = w - lr g min(1, clip / |g|)    clipped: the same direction, a bounded step

    \b
    rnnlm lab explode
    rnnlm lab explode --activation tanh      f' is small where s is large: no NaN
    rnnlm lab explode --radius 0.9           a smaller W: no NaN

    Plain gradient descent in float64. `rnnlm train` clips, and returns to earlier weights if the loss explodes.
    """
    import numpy as np

    from rnnlm.lab.explosion import descend
    from rnnlm.lab.gradient_flow import fresh_network
    from rnnlm.lab.gradients import text_data
    from rnnlm.lab.sentences import flat, vocabulary_of
    from rnnlm.nn.cells import CELLS

    note_unused_activation(ctx)
    if not CELLS[options["cell"]].recurrent:
        raise click.UsageError(f"--radius scales W, which the cell {options['cell']} does not have.")
    lines = sentences_of(read_text_argument(text), tokenizer_of(options["level"]))
    vocabulary = vocabulary_of(flat(lines))
    network = fresh_network(network_config(ctx, len(vocabulary)), "uniform", seed, radius)
    data = text_data(lines, vocabulary)
    with np.errstate(all="ignore"):
        runs = [list(descend(network, data, lr, limit, steps)) for limit in (0.0, clip)]
    limits = (0.0, clip)
    objects = ({"clip": limit, **_object(step)} for limit, run in zip(limits, runs, strict=True) for step in run)
    present(objects, partial(_show, runs, clip, lr), verdict=_verdict(runs, clip))


def _object(step: Step) -> dict[str, Any]:
    """Return the JSON object of a step; nan and infinity become null when printed."""
    return {
        "step": step.number,
        "nats_per_token": step.loss,
        "gradient_norm": step.gradient_norm,
        "share_of_length_kept": step.kept,
        "largest_weight": step.largest_weight,
    }


def _show(runs: Sequence[Sequence[Step]], clip: float, lr: float) -> None:
    title = (
        "Gradient descent with lr {lr}: E in nats per token, |g| the norm of the gradient, max |w| the largest weight; "
        "left as it is, right with g cut to norm {clip}:"
    )
    say(tr(title, lr=f"{lr:g}", clip=f"{clip:g}"))
    click.echo()
    nothing = ["", "", ""]
    rows = [
        [place, *(_cells(free) if free else nothing), *(_cells(cut) if cut else nothing)]
        for place, (free, cut) in enumerate(zip_longest(*runs), 1)
    ]
    titles = ["E", "|g|", "max |w|"]
    show_titled(rows, ["step", *titles, *(f"{title} {tr('cut')}" for title in titles)], "r" * 7)
    click.echo()


def _cells(step: Step) -> list[str]:
    return [_figure(step.loss), _figure(step.gradient_norm), _figure(step.largest_weight)]


def _figure(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:.4g}"


def _verdict(runs: Sequence[Sequence[Step]], clip: float) -> str:
    free, cut = runs
    ends = [_end(free, tr("As it is")), _end(cut, tr("Cut to norm {clip}", clip=f"{clip:g}"))]
    shortened = sum(step.kept < 1 for step in cut)
    ends.append(tr("Clipping shortened {n} of {steps}.", n=shortened, steps=counted(len(cut), "step")))
    if free[-1].lost and not cut[-1].lost:
        ends.append(tr("It changes the length of g alone, not its direction."))
    return ("" if language() == "zh" else " ").join(ends)


def _end(run: Sequence[Step], name: str) -> str:
    first, last = run[0], run[-1]
    if last.lost:
        return tr("{name}: NaN at step {step}.", name=name, step=last.number)
    values = {"first": _figure(first.loss), "last": _figure(last.loss)}
    return tr("{name}: E per token from {first} to {last}.", name=name, **values)
