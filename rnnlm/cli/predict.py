"""rnnlm predict: the next token, ranked."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnlm.cli.common import (
    Text,
    json_option,
    load_model,
    model_option,
    print_json,
    read_text_argument,
    warn_of_unknown,
)
from rnnlm.cli.tables import token_cell

if TYPE_CHECKING:
    from rnnlm.language_model import Prediction


@click.command()
@click.argument("text", type=Text())
@model_option
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of candidates.")
@click.option("--each", is_flag=True, help="After every token of TEXT; one candidate each unless -k says otherwise.")
@json_option
@click.pass_context
def predict(ctx: click.Context, text: str, model_path: Path, k: int, each: bool, as_json: bool) -> None:
    """Show the most probable next tokens after TEXT ("-": stdin), with their probabilities.

    \b
    rnnlm predict "我 昨天 上学"
    rnnlm predict --each "我 昨天 上学"       after every word the most probable next one

    Of a text of several lines, a model that reads each line for itself, as most do, needs the last one alone: a line
    end at the end asks how a line begins.
    """
    text = read_text_argument(text)
    model = load_model(model_path)
    warn_of_unknown(model, text if each else model.unfinished(text))
    if each:
        given = ctx.get_parameter_source("k") != click.core.ParameterSource.DEFAULT
        predictions = model.predict_each(text, k if given else 1)
    else:
        predictions = [model.predict(text, k)]
    for prediction in predictions:
        if as_json:
            print_json({"context": prediction.context, "candidates": [c._asdict() for c in prediction.candidates]})
        else:
            _show(prediction, each)


def _show(prediction: "Prediction", each: bool) -> None:
    shown = [(token_cell(token), probability) for token, probability in prediction.candidates]
    if each:
        ranked = "   ".join(f"{token} {probability:.3f}" for token, probability in shown)
        click.echo(f"{token_cell(prediction.context)} -> {ranked}")
        return
    for token, probability in shown:
        click.echo(f"{probability:8.4f}  {token}")
