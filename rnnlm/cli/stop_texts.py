"""Stop texts of `rnnlm sample`: read their escapes, and warn of texts that the model cannot write."""

import re
import shlex
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from rnnlm.cli.languages import tr
from rnnlm.cli.printing import note
from rnnlm.cli.tables import shortened, visible

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel

ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}


def typed(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    r"""Return the texts with the escapes \n, \t and \\ replaced (a shell passes them on unchanged)."""
    del ctx, param
    return tuple(re.sub(r"\\([nt\\])", lambda found: ESCAPES[found[1]], text) for text in texts)


def warn_of_impossible(model: "LanguageModel", stops: tuple[str, ...]) -> None:
    """Warn of stop texts that the model can never write, with a suggestion for each."""
    known = {*"".join(model.vocabulary.tokens), " "}
    for stop in stops:
        if can_write(model, stop):
            continue
        lacking = "".join(dict.fromkeys(each for each in stop if each not in known))
        unknown = "the model knows no token with {characters}" if lacking else "the model's tokens cannot form it"
        instead = next((form for form in _other_forms(stop) if form and can_write(model, form)), None)
        advice = "Type --stop {text}" if instead else "Type it as the training text has it"
        note(
            tr(
                "Warning: no text will stop at {stop}: {why}. {advice}; --length ends a text, too.",
                stop=shortened(visible(stop)),
                why=tr(unknown, characters=visible(lacking)),
                advice=tr(advice, text=shlex.quote(visible(instead or ""))),
            )
        )


def _other_forms(text: str) -> Iterator[str]:
    from rnnlm.hints import NORMALIZATION_FORMS

    yield from (text.strip(), " ".join(text.split()), text.lower(), text.capitalize(), text.upper())
    yield from (unicodedata.normalize(form, text) for form in NORMALIZATION_FORMS)


def can_write(model: "LanguageModel", text: str) -> bool:
    """Return whether a model's output can contain a text: the end of a token, whole tokens, the beginning of a token.

    For a model of sentences, a line end at the end of `text` is ignored, since it ends the output anyway. Since words
    may be written with or without a space before them, some impossible texts are taken for possible.
    """
    if model.context == "sentence":
        text = text.removesuffix("\n")
    tokens = {model.tokenizer.join([token]) for token in model.vocabulary.tokens}
    if "" in tokens:  # tokens of single bytes, which can form any character
        return True
    if model.level != "char":  # tokens may be separated by a space, and in a stream by line ends
        tokens |= {" ", "\n"} if model.context == "stream" else {" "}
    if any(text in token for token in tokens):
        return True

    def parts(place: int) -> bool:
        """Return whether one token may end and the next begin at a position of the text."""
        around = text[place - 1 : place + 1]
        if model.level == "char" or len(around) < 2:
            return True
        return around != "  " and not (around.isalnum() and " " in model.tokenizer.join(around))

    longest = max(map(len, tokens))
    first = range(1, min(longest, len(text)) + 1)
    places = {0, *(end for end in first if parts(end) and any(each.endswith(text[:end]) for each in tokens))}
    for place in range(len(text)):
        if place in places:
            ends = range(place + 1, min(place + longest, len(text)) + 1)
            places |= {end for end in ends if text[place:end] in tokens and parts(end)}
    rests = [text[place:] for place in places if len(text) - place <= longest]
    return any(each.startswith(rest) for rest in rests for each in tokens)
