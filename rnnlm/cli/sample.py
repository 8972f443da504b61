"""rnnlm sample: generate text, printed token by token."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.languages import tr
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import note, print_json
from rnnlm.cli.shared_options import NumberRange, Text, cache_options, json_option, model_option, product_threads_option
from rnnlm.cli.stop_texts import typed, warn_of_impossible
from rnnlm.cli.text_argument import joined, read_text_argument
from rnnlm.cli.unknown_tokens import warn_of_unknown
from rnnlm.free_memory import require_memory

if TYPE_CHECKING:
    from rnnlm.inference.generation import SamplingOptions
    from rnnlm.language_model import LanguageModel
    from rnnlm.rendering import Writer

LONG = 32  # tokens; up to this length, fewer texts than the beam's width may exist
AT_ONCE = 256  # largest number of texts generated in parallel
PROBABILITIES = 1 << 23  # largest number of probabilities in a step: parallel texts x vocabulary


@click.command()
@click.argument("words", type=Text(), nargs=-1, metavar="[PROMPT]...")
@model_option
@click.option("--prompt", type=Text(), default="", help='The same as PROMPT: text to continue ("-": stdin).')
@click.option("--length", type=click.IntRange(1), default=200, show_default=True, help="Maximum number of new tokens.")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Number of texts.")
@click.option(
    "--temperature",
    type=NumberRange(0),
    default=0.8,
    show_default=True,
    help="Sampling temperature: below 1 more careful, above 1 bolder; 0 always takes the most probable.",
)
@click.option("--top-k", type=click.IntRange(0), default=0, help="Draw only from the k most probable tokens; 0: all.")
@click.option(
    "--top-p",
    type=NumberRange(0, 1, min_open=True),
    default=1.0,
    help="Draw only from the most probable tokens that together reach this probability.",
)
@click.option(
    "--repetition-penalty",
    type=NumberRange(0, min_open=True),
    default=1.0,
    help="Above 1: tokens that occurred already get less probable.",
)
@click.option(
    "--beam",
    type=click.IntRange(1),
    default=None,
    help="Instead of drawing, search for the most probable texts with a beam of this width.",
)
@click.option(
    "--stop",
    type=Text(),
    multiple=True,
    callback=typed,
    help=r"End a text when it contains this; repeatable. \n is a line end, \t a tab, \\ a backslash.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=None,
    show_default="a new one each time",
    help="Random seed; the same seed gives the same texts.",
)
@cache_options
@product_threads_option
@json_option
@click.pass_context
def sample(
    ctx: click.Context,
    words: tuple[str, ...],
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
    cache: tuple[int, float, float] | None,
    as_json: bool,
) -> None:
    """Generate text, printed token by token: continue PROMPT or, without one, begin a new line.

    \b
    rnnlm sample
    rnnlm sample 我 昨天 --count 3

    Several texts (--count) are generated in parallel and printed one after the other, each with its prompt.
    """
    if "" in stop:
        raise click.UsageError("--stop is empty; expected a text to stop at.")
    if beam and count > beam:
        raise click.UsageError(f"--count {count} needs a --beam of at least {count}, not {beam}.")
    if words and ctx.get_parameter_source("prompt") == click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--prompt and PROMPT are the same; give one of them.")
    model = load_model(model_path, cache=cache)
    prompt = read_text_argument(joined(words, model) if words else prompt)
    warn_of_unknown(model, prompt)
    warn_of_impossible(model, stop)
    if beam:
        _search(model, prompt, length, beam, count, stop, as_json)
        return
    from rnnlm.inference.generation import SamplingOptions

    options = SamplingOptions(length, temperature, top_k, top_p, repetition_penalty)
    _draw(model, prompt, options, seed, count, stop, as_json)


def _search(
    model: "LanguageModel", prompt: str, length: int, beam: int, count: int, stop: tuple[str, ...], as_json: bool
) -> None:
    from rnnlm.rendering import Writer

    V = len(model.vocabulary)
    beams = beam if length > LONG else min(beam, V ** (length - 1))
    require_memory(24 * beams * V, f"A beam of {beam:,} over {V:,} tokens", "Use a smaller --beam.")
    found = model.beam(prompt, length, beam, count)
    for ids, nats in found:
        writer = Writer(model, prompt, model.encode(prompt), stop)
        for each in ids:
            writer.add(each)
        _show(writer, as_json, {"logprob_nats": nats})
    if len(found) < count:
        note(tr("Only {n} different texts were found.", n=len(found)))


def _draw(
    model: "LanguageModel",
    prompt: str,
    options: "SamplingOptions",
    seed: int | None,
    count: int,
    stop: tuple[str, ...],
    as_json: bool,
) -> None:
    import numpy as np

    from rnnlm.rendering import Writer

    ids = model.encode(prompt)
    rng = np.random.default_rng(seed)
    at_once = max(1, min(AT_ONCE, PROBABILITIES // len(model.vocabulary)))
    for start in range(0, count, at_once):
        writers = [Writer(model, prompt, ids, stop) for _ in range(min(at_once, count - start))]
        live = [] if as_json else writers[:1]
        for writer in live:
            click.echo(writer.take(), nl=False)
        for drawn in model.sample(prompt, options, rng, len(writers)):
            for writer, token in zip(writers, drawn, strict=True):
                writer.add(token)
            for writer in live:  # click.echo flushes
                click.echo(writer.take(), nl=False)
            if all(writer.ended for writer in writers):
                break
        for writer in writers:
            _show(writer, as_json, {})


def _show(writer: "Writer", as_json: bool, more: dict[str, Any]) -> None:
    writer.finish()
    if as_json:
        print_json({"text": writer.take()} | more)
    else:
        click.echo(writer.take())
