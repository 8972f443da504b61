"""rnnlm predict: the next token, ranked."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnlm.cli.common import (
    Text,
    joined,
    json_option,
    load_model,
    model_option,
    note,
    print_json,
    product_threads_option,
    read_text_argument,
    say,
    warn_of_unknown,
)
from rnnlm.cli.tables import token_cell

WITH_FIGURE = r"( *)(\S.*?[0-9.]{5}(?!\S))"  # a token stays beside its probability

if TYPE_CHECKING:
    from rnnlm.results import Prediction


@click.command()
@click.argument("text", type=Text(), nargs=-1, required=True)
@model_option
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of candidates.")
@click.option("--each", is_flag=True, help="After every token of TEXT; one candidate each unless -k says otherwise.")
@product_threads_option
@json_option
@click.pass_context
def predict(ctx: click.Context, text: tuple[str, ...], model_path: Path, k: int, each: bool, as_json: bool) -> None:
    """Show the most probable next tokens after TEXT ("-": stdin), with their probabilities.

    Several words are one text with spaces between. A blank (____) at the end asks the same as without it.

    \b
    rnnlm predict 我 昨天 上学
    rnnlm predict --each "我 昨天 上学"    after every word the most probable one

    Of a text of several lines, a model that reads each line for itself, as most do, needs the last one alone: a line
    end at the end asks how a line begins.
    """
    model = load_model(model_path)
    asked = read_text_argument(joined(text, model))
    if (before := model.before_blank(asked)) is not None:
        note("A blank at the end asks what comes next, which is answered here; rnnlm fill compares whole sentences.")
        asked = before
    elif model.has_blank(asked):
        note("There is a blank within the text, which is read as it stands. To fill it, use: rnnlm fill TEXT")
    warn_of_unknown(model, asked if each else model.unfinished(asked))
    if each:
        given = ctx.get_parameter_source("k") != click.core.ParameterSource.DEFAULT
        predictions = model.predict_each(asked, k if given else 1)
    else:
        predictions = [model.predict(asked, k)]
    for prediction in predictions:
        if as_json:
            print_json({"context": prediction.context, "candidates": [c._asdict() for c in prediction.candidates]})
        else:
            _show(prediction, each)


def _show(prediction: "Prediction", each: bool) -> None:
    shown = [(token_cell(token), probability) for token, probability in prediction.candidates]
    if each:
        ranked = "   ".join(f"{token} {probability:.3f}" for token, probability in shown)
        say(f"{token_cell(prediction.context)} -> {ranked}", WITH_FIGURE)
        return
    for token, probability in shown:
        say(f"{probability:8.4f}  {token}")
