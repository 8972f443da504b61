"""rnnlm sample: let the model write, printed as it is made."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.common import (
    json_option,
    load_model,
    model_option,
    note,
    print_json,
    read_text_argument,
    warn_of_unknown,
)

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel


@click.command()
@model_option
@click.option("--prompt", default="", help='Text to continue ("-": stdin).')
@click.option("--length", type=click.IntRange(1), default=200, show_default=True, help="New tokens at most.")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Number of texts.")
@click.option(
    "--temperature",
    type=click.FloatRange(0),
    default=0.8,
    show_default=True,
    help="Below 1 more careful, above 1 bolder; 0 always takes the most probable.",
)
@click.option("--top-k", type=click.IntRange(0), default=0, help="Draw from the k most probable only; 0: all.")
@click.option(
    "--top-p",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="Draw from the most probable that together reach this probability.",
)
@click.option(
    "--repetition-penalty",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    help="Above 1 makes what was there already less likely.",
)
@click.option(
    "--beam",
    type=click.IntRange(1),
    default=None,
    help="Instead of drawing, search the most probable texts with a beam of this width.",
)
@click.option("--stop", multiple=True, help="End a text where it contains this; may be given several times.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=None,
    show_default="a new one each time",
    help="The same seed gives the same texts.",
)
@json_option
def sample(
    model_path: Path,
    prompt: str,
    length: int,
    count: int,
    temperature: float,
    top_k: int,
    top_p: float,
    repetition_penalty: float,
    beam: int | None,
    stop: tuple[str, ...],
    seed: int | None,
    as_json: bool,
) -> None:
    """Write text, printed as it is made. With a prompt, continue it; without, begin anew.

    Several texts (--count) are made at once and printed one after the other; the prompt is part of what is printed.
    """
    prompt = read_text_argument(prompt)
    model = load_model(model_path)
    warn_of_unknown(model, prompt)
    writers = [Writer(model, prompt, stop) for _ in range(count)]
    if beam:
        if count > beam:
            raise click.UsageError(f"--count {count} needs a --beam of at least {count}, not {beam}.")
        found = model.beam(prompt, length, beam, count)
        for writer, (ids, nats) in zip(writers, found, strict=False):
            writer.add_all(ids)
            _show(writer, as_json, {"logprob_nats": nats})
        if len(found) < count:
            note(f"Only {len(found)} different texts were found.")
        return
    _draw(model, prompt, writers, (length, temperature, top_k, top_p, repetition_penalty), seed, as_json)


def _draw(
    model: "LanguageModel", prompt: str, writers: list["Writer"], shape: Any, seed: int | None, as_json: bool
) -> None:
    import numpy as np

    from rnnlm.inference.generation import SamplingOptions

    rng = np.random.default_rng(seed)
    first, live = writers[0], not as_json
    if live:
        click.echo(first.take(), nl=False)
    for drawn in model.sample(prompt, SamplingOptions(*shape), rng, len(writers)):
        for writer, token in zip(writers, drawn, strict=True):
            writer.add(token)
        if live:  # click.echo flushes
            click.echo(first.take(), nl=False)
        if all(writer.ended for writer in writers):
            break
    if live:
        click.echo()
    for writer in writers if as_json else writers[1:]:
        _show(writer, as_json, {})


def _show(writer: "Writer", as_json: bool, more: dict[str, Any]) -> None:
    if as_json:
        print_json({"text": writer.text} | more)
    else:
        click.echo(writer.text)


class Writer:
    """One text in the making: ids in, text out, cut at the first stop string."""

    def __init__(self, model: "LanguageModel", prompt: str, stop: tuple[str, ...]) -> None:
        """Begin with the prompt as it was typed."""
        self._model, self._prompt, self._stop = model, prompt, stop
        self._ids = [int(i) for i in model.encode(prompt)]
        self._rendered_prompt = model.render(self._ids)
        self.text = prompt
        self.ended = False
        self._taken = 0

    def add_all(self, ids: list[int]) -> None:
        """Add ids until the text ends."""
        for each in ids:
            self.add(each)

    def add(self, token: int | None) -> None:
        """Add an id; None or an end does nothing more."""
        if self.ended or token is None or token == self._model.end:
            self.ended = True
            return
        self._ids.append(token)
        if self._model.level == "char":
            new = self.text[len(self._prompt) :] + self._model.render([token])
        else:  # the prompt stays as typed; what follows is spaced as if it had been rendered together with it
            new = self._model.render(self._ids).removeprefix(self._rendered_prompt)
        places = [place for place in (new.find(stop) for stop in self._stop) if place >= 0]
        if places:
            self.ended, new = True, new[: min(places)]
        self.text = self._prompt + new

    def take(self) -> str:
        """What is new since the last call, held back as long as it could be the start of a stop string."""
        end = len(self.text)
        if not self.ended:
            end -= max((n for stop in self._stop for n in range(len(stop)) if self.text.endswith(stop[:n])), default=0)
        new, self._taken = self.text[self._taken : end], max(end, self._taken)
        return new
