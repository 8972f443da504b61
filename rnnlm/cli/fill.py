"""rnnlm fill: rank what fits into the blanks of a sentence."""

from pathlib import Path

import click

from rnnlm.cli.languages import tr
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import note, print_json, say
from rnnlm.cli.shared_options import Text, json_option, model_option, product_threads_option
from rnnlm.cli.text_argument import joined, read_text_argument
from rnnlm.cli.unknown_tokens import warn_of_unknown


@click.command()
@click.argument("text", type=Text(), nargs=-1, required=True)
@model_option
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of candidates to show.")
@click.option(
    "--blank-tokens",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    help="Maximum number of tokens in each blank; all numbers up to this are tried.",
)
@click.option(
    "--beam", type=click.IntRange(1), default=256, show_default=True, help="Candidates kept during the search."
)
@product_threads_option
@json_option
def fill(text: tuple[str, ...], model_path: Path, k: int, blank_tokens: int, beam: int, as_json: bool) -> None:
    """Rank what fits into the blanks of TEXT ("-": stdin), written ____.

    Several words are one text with spaces between.

    \b
    rnnlm fill "我 的 手机 坏 了 ， 我 打算 ____ 一部 新 手机"

    A blank is four or more underscores, two or three that touch no letter or digit, or full-width ones. A
    bidirectional model (rnnlm train --bidirectional) is made for this; any other compares whole sentences.
    """
    from rnnlm.blanks import without_blanks

    model = load_model(model_path)
    asked = read_text_argument(joined(text, model))
    warn_of_unknown(model, without_blanks(asked))
    candidates = model.fill(asked, k, blank_tokens, beam)
    if as_json:
        print_json({"text": asked, "candidates": [candidate._asdict() for candidate in candidates]})
        return
    for candidate in candidates:
        say(f"{candidate.probability:8.4f}  {'  '.join(candidate.tokens)}    {candidate.text}")
    if not candidates:
        note(tr("Nothing was found."))
