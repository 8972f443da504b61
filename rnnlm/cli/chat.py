"""rnnlm chat: write together with a model, which shows its predictions after every key."""

import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnlm.cli.colors import color_of, color_option, colored, painted, write_painted
from rnnlm.cli.languages import tr, translated
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import NumberRange, model_option, product_threads_option
from rnnlm.cli.terminal import Terminal, harmless, width_of
from rnnlm.cli.wrapping import wrapped
from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from rnnlm.draft import Reading

PROMPT = "> "
OURS, ASIDE = "36", "2"  # colours of text that the model wrote, and of the figures about a line


@click.command(short_help="Type, and see what the model expects next.")
@model_option
@click.option("-k", type=click.IntRange(1, 50), default=8, show_default=True, help="Number of candidates to show.")
@click.option(
    "--length",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="Maximum number of tokens that Enter generates.",
)
@click.option(
    "--temperature",
    type=NumberRange(0),
    default=0.8,
    show_default=True,
    help="Sampling temperature: below 1 more careful, above 1 bolder; 0 always takes the most probable.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=None, help="Random seed; the same seed and keys give the same text."
)
@color_option
@product_threads_option
def chat(model_path: Path, k: int, length: int, temperature: float, seed: int | None) -> int:
    """Type, and see after every key what the model expects next and how much each token surprises it.

    \b
    Tab         insert the marked candidate: a word, or the rest of one you began
    Up, Down    mark another candidate
    Enter       let the model continue to the end of the line, or write a line
    Ctrl-D      end

    Green tokens were expected; yellow ones (from 7 bits) and red ones (from 12 bits) surprise the model. A model with
    context "stream" remembers earlier lines; one with context "sentence" does not.
    """
    _require_terminal()
    from rnnlm.cli.chat_screen import ask_line
    from rnnlm.draft import Draft

    model = load_model(model_path)
    draft, seeds = Draft(model), iter(range(seed, sys.maxsize)) if seed is not None else None
    note(
        tr(
            "{model}, {size} {tokens}, {context}. Ctrl-D ends.",
            model=translated(model.predictor.describe()),
            size=f"{len(model.vocabulary):,}",
            tokens=tr(f"{model.level}s"),
            context=model.context,
        )
    )
    while True:
        answer = ask_line(draft, k, colored(sys.stdout))
        if answer.ended_by is not None:
            return 128 + signal.SIGTERM if answer.ended_by == signal.SIGTERM else 0
        written = ""
        if not answer.is_whole:
            written = draft.goes_on(answer.line, length, temperature, next(seeds) if seeds else None)
        _show(draft.read(answer.line), written)
        draft.end_line(answer.line + written)


def _require_terminal() -> None:
    """Check that the streams are an interactive terminal and that prompt_toolkit is installed.

    Raises:
        RnnlmError: one of them is missing.
    """
    is_terminal = isinstance(sys.stdout, Terminal) and sys.stdin is not None and sys.stdin.isatty()
    if not is_terminal or os.environ.get("TERM") == "dumb":
        raise RnnlmError(
            "rnnlm chat needs an interactive terminal, which this is not. In a program use: rnnlm predict TEXT, rnnlm "
            "sample or rnnlm serve."
        )
    if importlib.util.find_spec("prompt_toolkit") is None:
        raise RnnlmError("rnnlm chat needs prompt_toolkit, which is not installed: pip install 'rnnlm-cli[chat]'.")


def _show(reading: "Reading", written: str) -> None:
    """Print a finished line: the typed text coloured by surprise, the text that the model wrote, and the figures."""
    typed = [(piece.text, color_of(piece.bits)) for piece in reading.pieces]
    write_painted(sys.stdout, laid_out([(PROMPT, ""), *typed, (written, OURS)]) + "\n")
    if reading.pieces:
        write_painted(sys.stdout, laid_out([(f"  {figures(reading)}", ASIDE)]) + "\n")


def figures(reading: "Reading") -> str:
    """Return the number of tokens of a line and their surprise, in all and per token."""
    tokens = len(reading.pieces)
    return tr(
        "{tokens}, {bits} bits, {mean} a token",
        tokens=tr("{n} token" if tokens == 1 else "{n} tokens", n=tokens),
        bits=f"{reading.bits:.1f}",
        mean=f"{reading.bits / max(1, tokens):.2f}",
    )


def laid_out(parts: list[tuple[str, str]]) -> str:
    """Return (text, colour) parts as one text, painted, with line breaks between words that fit the terminal."""
    shown = [(harmless(text), color if colored(sys.stdout) else "") for text, color in parts]
    width = width_of(sys.stdout) or sys.maxsize
    left = [(character, color) for text, color in shown for character in text]
    found, place = list[str](), 0
    for character in wrapped("".join(text for text, _ in shown), width, hanging=False):
        while character != left[place][0] and left[place][0] == " ":  # `wrapped` drops the spaces at a line break
            place += 1
        if character == "\n":
            found.append(character)
            continue
        found.append(painted(*left[place]))
        place += 1
    return "".join(found)
