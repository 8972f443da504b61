"""rnnlm score: the log probability of every line."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from rnnlm.blas import use_threads
from rnnlm.cli.common import (
    Text,
    Unknown,
    cache_options,
    json_option,
    load_model,
    mix_option,
    model_option,
    note,
    threads_option,
)
from rnnlm.cli.lines import file_lines
from rnnlm.cli.streams import Collected
from rnnlm.cli.terminal import width_of

if TYPE_CHECKING:
    from rnnlm.cli.score_layouts import Layout
    from rnnlm.inference.lines import Totals
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import ScoredLine


@click.command()
@click.argument("file", required=False)
@click.option("--text", type=Text(), multiple=True, help="Score this text instead of a file; repeatable.")
@model_option
@click.option("--tokens", is_flag=True, help="Also every token: probability, rank among all, surprise in bits.")
@click.option(
    "--base", type=click.Choice(["e", "10", "2"]), default="e", show_default=True, help="Base of the logarithms."
)
@click.option(
    "--format",
    "layout_name",
    type=click.Choice(["plain", "srilm", "kenlm", "mikolov"]),
    default="plain",
    show_default=True,
    help="Layout: our own, or that of SRILM's ngram -ppl, KenLM's query, Mikolov's rnnlm (one log10 a line).",
)
@click.option(
    "--debug",
    type=click.Choice(["0", "1", "2"]),
    default=None,
    show_default="1",
    help="Of srilm: 0 shows the sums alone, 1 every line, 2 every word.",
)
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the file, such as gb18030.")
@mix_option()
@click.option(
    "--context",
    "read_as",
    type=click.Choice(["line", "document"]),
    default="line",
    show_default=True,
    help="Read every line for itself, or after the lines before it.",
)
@cache_options
@threads_option
@json_option
@click.pass_context
def score(
    ctx: click.Context,
    file: str | None,
    text: tuple[str, ...],
    model_path: Path,
    tokens: bool,
    base: str,
    layout_name: str,
    debug: str | None,
    encoding: str | None,
    mix: list[tuple[str, float]],
    read_as: str,
    cache: tuple[int, float, float] | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Log probability of every line of FILE ("-": stdin): one result for each line, empty ones too, in their order.

    \b
    rnnlm score sentences.txt
    rnnlm score --tokens --text "我 昨天 上学 迟到 了"
    rnnlm score - --format mikolov < hypotheses.txt

    A line from a pipe is answered when no more is there yet, so that another program can ask line by line.

    Each line is a sentence for itself, read after <s>; its end, </s>, counts. A model of
    characters (train --level char) reads a line after the end of another, and ends it with the newline, if its training
    text had one.
    Unknown words have the probability of <unk>, except in the layout of SRILM, which leaves them out; it and kenlm have
    logarithms to base 10. Sums and perplexities are printed to stderr, or where the layout has them. Blank lines are in
    none of these sums, as in eval; SRILM's layout leaves them out altogether.

    With --context document the lines are one text, as in eval: a model of a stream carries its state from line to line,
    and --cache remembers words of the lines before.
    """
    if (file is None) == (not text):
        raise click.UsageError('Give a FILE ("-" for stdin) or --text.')
    if cache and read_as == "line":
        raise click.UsageError("--cache remembers earlier lines. Add --context document, so that they are read.")
    given = ctx.get_parameter_source("base") != ParameterSource.DEFAULT
    _check_layout(layout_name, base if given else "10", tokens, debug, as_json)
    model = load_model(model_path, mix, cache, document=True)
    layout = _layout(model, file or "--text", layout_name, base, tokens, debug, as_json)
    output = Collected(partial(click.echo, nl=False))
    lines = _given_lines(text) if file is None else file_lines(file, encoding, output.flush)
    scores = model.score(lines, tokens, threads=use_threads(threads), document=read_as == "document")
    totals = _write(scores, model, layout, output)
    if layout_name in ("plain", "mikolov"):
        from rnnlm.cli.score_layouts import UNIT_OF_BASE, summary

        note(summary(totals, UNIT_OF_BASE["10" if layout_name == "mikolov" else base], width_of(sys.stderr)))


def _write(scores: "Iterator[ScoredLine]", model: "LanguageModel", layout: "Layout", output: Collected) -> "Totals":
    """Write every line as it is scored, and what stands below; returns the sums."""
    from rnnlm.inference.lines import Totals

    has_ends, totals, unknown = model.line_end is not None, Totals(), Unknown(model, reads_marks=False)
    for scored in scores:
        unknown.add(scored)
        characters = model.counted_characters(scored.text)
        if characters is None:
            totals.blank += 1
        else:
            totals.add(scored.ids, scored.log_probabilities, has_ends, characters)
        if characters is not None or layout.shows_blank:
            output.write(layout.line(scored))
    output.write(layout.below(totals))
    output.flush()
    if hint := unknown.hint():
        note(hint)
    return totals


def _check_layout(layout_name: str, base: str, tokens: bool, debug: str | None, as_json: bool) -> None:
    """Refuse options that a layout has no place for."""
    if layout_name != "plain":
        if as_json:
            raise click.UsageError(f"--json and --format {layout_name} are two layouts; leave one out.")
        if base != "10":
            raise click.UsageError(f"--format {layout_name} has logarithms to base 10; leave out --base {base}.")
        if tokens:
            instead = {"srilm": "; use --debug 2", "kenlm": ", which shows every word anyway", "mikolov": ""}
            raise click.UsageError(f"--tokens is not for --format {layout_name}{instead[layout_name]}.")
    if debug and layout_name != "srilm":
        raise click.UsageError("--debug is for --format srilm.")


def _layout(
    model: "LanguageModel", name: str, layout_name: str, base: str, tokens: bool, debug: str | None, as_json: bool
) -> "Layout":
    from rnnlm.cli import score_layouts as layouts

    unit = layouts.UNIT_OF_BASE[base]
    source = layouts.Source(name, model.line_end is not None, getattr(model.predictor, "order", 0))
    if as_json:
        return layouts.as_json(unit, model.spans if tokens else None)
    if layout_name == "srilm":
        return layouts.srilm(source, int(debug or 1))
    if layout_name == "kenlm":
        return layouts.kenlm(source)
    return layouts.mikolov() if layout_name == "mikolov" else layouts.plain(unit, tokens, width_of(sys.stdout))


def _given_lines(texts: tuple[str, ...]) -> Iterator[str]:
    for text in texts:
        yield from text.removesuffix("\n").split("\n")
