"""rnnlm predict: rank the candidates for the next token."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.character_charts import bar, terminal_width
from rnnlm.cli.languages import TranslatedCommand, language_option, tr
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import note, print_json, say, show_table
from rnnlm.cli.shared_options import Text, cache_options, json_option, model_option, product_threads_option
from rnnlm.cli.tables import shortened, token_cell, visible
from rnnlm.cli.terminal import width_of
from rnnlm.cli.text_argument import joined, read_text_argument
from rnnlm.cli.unknown_tokens import warn_of_unknown
from rnnlm.cli.wrapping import display_width

WITH_FIGURE = r"( *)(\S.*?[0-9.]{5}(?!\S))"  # lines are not broken between a token and its probability
NARROWEST_BAR, WIDEST_BAR = 8, 24
NONE_LEFT = "No token matches --prefix, --allowed or the letters to complete."
FIGURE_WIDTH = 10  # columns of a probability and the spaces around it
LONGEST_TOKEN = 16  # characters of a token in the table of --why, which has up to three tokens in a row

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import Continuation, Explanation, Prediction


@click.command(cls=TranslatedCommand)
@click.argument("text", type=Text(), nargs=-1, required=True)
@model_option
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Number of candidates to show.")
@click.option("--each", is_flag=True, help="Predict after every token of TEXT; one candidate each unless -k is given.")
@click.option(
    "--complete", is_flag=True, help="Complete the last word of TEXT, which may be half typed; a space ends it."
)
@click.option("--ahead", type=click.IntRange(1), metavar="N", help="Rank continuations of N tokens.")
@click.option("--prefix", default="", metavar="LETTERS", help="Rank only tokens that begin with these letters.")
@click.option("--allowed", multiple=True, metavar="TOKEN", help="Rank only this token; repeatable.")
@click.option("--why", is_flag=True, help="Show how much each token of TEXT speaks for the first candidate, in bits.")
@cache_options
@product_threads_option
@json_option
@language_option
@click.pass_context
def predict(
    ctx: click.Context,
    text: tuple[str, ...],
    model_path: Path,
    k: int,
    each: bool,
    complete: bool,
    ahead: int | None,
    prefix: str,
    allowed: tuple[str, ...],
    why: bool,
    cache: tuple[int, float, float] | None,
    as_json: bool,
) -> None:
    """Show the most probable next tokens after TEXT ("-": stdin), with their probabilities.

    Several words are joined by spaces. A blank (____) at the end changes nothing.

    \b
    rnnlm predict 我 昨天 上学
    rnnlm predict --each "我 昨天 上学"    after every word the most probable one
    rnnlm predict --why "我 昨天 上学"     which words the answer depends on
    rnnlm predict --complete "And the LORD sa"     said, saw, sat
    rnnlm predict --ahead 3 "And the LORD"         three tokens at once

    --complete ranks the words that the last letters may become and, if they are a word already, what comes next, by
    probability given these letters. A model of characters completes one word.

    --why replaces each of the last 64 tokens by the 20 tokens that the model finds most probable there. One bit means
    that the first candidate is twice as probable with the token as with its replacements (geometric mean).

    If TEXT has several lines, a model that reads each line by itself, as most do, uses only the last one; after a line
    end it predicts how a line begins.
    """
    only: dict[str, Any] = {"prefix": prefix, "allowed": allowed or None}
    _check_together(each, why, complete, ahead, **only)
    model = load_model(model_path, cache=cache)
    if complete and model.level == "char" and (ahead or 1) > 1:
        raise click.UsageError("A model of characters completes one word; leave out --ahead or --complete.")
    asked = _asked(read_text_argument(joined(text, model)))
    warn_of_unknown(model, _whole_words(model, asked) if complete else asked if each else model.unfinished(asked))
    if complete or ahead is not None:
        found = model.predict_ahead(asked, ahead or 1, k, complete=complete, **only)
        _show_continuations(asked, found, ahead is not None, as_json)
        return
    if each:
        given = ctx.get_parameter_source("k") != click.core.ParameterSource.DEFAULT
        predictions = model.predict_each(asked, k if given else 1)
    else:
        predictions = [model.predict(asked, k, **only)]
    _answer(predictions, model.why(asked) if why else None, each, as_json)


def _answer(predictions: "list[Prediction]", explanation: "Explanation | None", each: bool, as_json: bool) -> None:
    for prediction in predictions:
        if as_json:
            print_json(_json(prediction, explanation))
        else:
            _show(prediction, each)
            if not prediction.candidates:
                note(tr(NONE_LEFT))
    if explanation is not None:
        _explain(explanation, as_json)


def _check_together(
    each: bool, why: bool, complete: bool, ahead: int | None, prefix: str, allowed: tuple[str, ...] | None
) -> None:
    """Raise click.UsageError for options that cannot be combined."""
    if complete and prefix:
        raise click.UsageError("--complete uses the last letters of TEXT as the prefix; leave out --prefix.")
    if each and why:
        raise click.UsageError("--why explains the answer after the whole TEXT, not one after --each token; use one.")
    if (each or why) and (complete or ahead is not None or prefix or allowed):
        raise click.UsageError(
            f"{'--each' if each else '--why'} ranks all tokens; it cannot be combined with --complete, --ahead, "
            "--prefix or --allowed."
        )


def _asked(text: str) -> str:
    """Return the text without a blank at its end; print a note if there is a blank."""
    from rnnlm.blanks import before_blank, has_blank

    if (before := before_blank(text)) is not None:
        note(tr("A blank at the end changes nothing here: the next token is predicted. rnnlm fill compares sentences."))
        return before
    if has_blank(text):
        note(tr("The text has a blank, which is read as it stands. To fill it, use: rnnlm fill TEXT"))
    return text


def _whole_words(model: "LanguageModel", text: str) -> str:
    """Return the part of a text that a prediction depends on, without a half-typed last word."""
    from rnnlm.completion import half_typed

    text = model.unfinished(text)
    return text[: len(text) - len(text.split()[-1])] if half_typed(model, text) else text


def _show_continuations(text: str, found: "Sequence[Continuation]", several: bool, as_json: bool) -> None:
    if as_json:
        candidates = [
            {"token": each.tokens[0], "probability": each.probability, "text": each.text, "typed": each.typed}
            | ({"tokens": each.tokens} if several else {})
            for each in found
        ]
        print_json({"context": text, "candidates": candidates})
        return
    for each in found:
        written = each.typed + each.text if several else each.tokens[0]
        say(f"{each.probability:8.4f}  {token_cell(written.strip(' ') or written)}")
    if not found:
        note(tr(NONE_LEFT))


def _json(prediction: "Prediction", explanation: "Explanation | None") -> dict[str, Any]:
    answer: dict[str, Any] = {"context": prediction.context, "candidates": [c._asdict() for c in prediction.candidates]}
    if explanation is not None:
        answer["why"] = {"token": explanation.token, "words": [word._asdict() for word in explanation.words]}
    return answer


def _show(prediction: "Prediction", each: bool) -> None:
    shown = [(token_cell(token), probability) for token, probability in prediction.candidates]
    if each:
        ranked = "   ".join(f"{token} {probability:.3f}" for token, probability in shown)
        say(f"{token_cell(prediction.context)} -> {ranked}", WITH_FIGURE)
        return
    bars = _bars_beside([token for token, _ in shown], [probability for _, probability in shown])
    for (token, probability), drawn in zip(shown, bars, strict=True):
        say(f"{probability:8.4f}  {token}{drawn}")


def _bars_beside(tokens: Sequence[str], probabilities: Sequence[float]) -> list[str]:
    """Return a bar for each token, scaled to the largest probability; empty ones without a terminal or room in it."""
    width = width_of(sys.stdout)
    widest = max(map(display_width, tokens), default=0)
    room = 0 if width is None else min(width - FIGURE_WIDTH - widest - 3, WIDEST_BAR)
    if room < NARROWEST_BAR or not max(probabilities, default=0):
        return [""] * len(tokens)
    padding = [" " * (widest - display_width(token) + 2) for token in tokens]
    drawn = [bar(each, max(probabilities), room) for each in probabilities]
    return [(space + line).rstrip(" ") for space, line in zip(padding, drawn, strict=True)]


def _explain(explanation: "Explanation", as_json: bool) -> None:
    """Print notes on what --why examined and, unless `as_json`, the table."""
    words = explanation.words
    if explanation.left_out:
        total = f"{explanation.left_out + len(words):,}"
        note(tr("--why examined the last {examined} of {tokens} tokens.", tokens=total, examined=len(words)))
    elif not words:
        note(tr("There is no token before the answer, so --why has nothing to examine."))
    if as_json or not words:
        return
    click.echo()
    averaged = "Bits for {token}, averaged over replacements of each token (░: against it)"
    say(tr(averaged, token=token_cell(explanation.token)))
    rows = [
        (
            _short(word.token),
            f"{round(word.bits, 2) + 0.0:+.2f}",  # + 0.0: no -0.00
            tr(
                "with {substitute}: {answer} {probability}",
                substitute=_short(word.substitute),
                answer=_short(word.answer),
                probability=f"{word.probability:.2f}",
            ),
        )
        for word in words
    ]
    left = max(map(display_width, (token for token, _, _ in rows))), max(len(bits) for _, bits, _ in rows)
    room = terminal_width() - max(5, left[0]) - left[1] - max(map(display_width, (row[2] for row in rows))) - 6
    bars = _bars([word.bits for word in words], min(max(room, NARROWEST_BAR), WIDEST_BAR))
    shown = [(token, bits, drawn, strongest) for (token, bits, strongest), drawn in zip(rows, bars, strict=True)]
    show_table(shown, [tr("token"), tr("bits"), "", tr("strongest change")], "lr")


def _short(token: str) -> str:
    return shortened(visible(token), LONGEST_TOKEN)


def _bars(bits: Sequence[float], width: int) -> list[str]:
    """Return a bar for each number, scaled to the largest magnitude (at least one bit); ░ for negative numbers."""
    highest = max([1.0, *(abs(each) for each in bits if math.isfinite(each))])
    drawn = [bar(min(abs(each), highest), highest, width) for each in bits]
    return ["░" * len(line) if each < 0 else line for each, line in zip(bits, drawn, strict=True)]
