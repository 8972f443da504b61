"""rnnlm score: print the log probability of every line."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rnnlm.blas import use_threads
from rnnlm.cli.colors import color_option, colored, write_painted
from rnnlm.cli.languages import tr
from rnnlm.cli.lines import file_lines
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import note
from rnnlm.cli.score_tables import DELIMITERS, Asked, table_options
from rnnlm.cli.shared_options import (
    Text,
    cache_options,
    json_option,
    lowercase_option,
    mix_option,
    model_option,
    threads_option,
)
from rnnlm.cli.streams import Collected
from rnnlm.cli.terminal import width_of
from rnnlm.cli.text_file import TextFile
from rnnlm.cli.unknown_tokens import Unknown, warn_of_unknown

if TYPE_CHECKING:
    from rnnlm.cli.score_layouts import Layout
    from rnnlm.cli.score_tables import Passed, Picker
    from rnnlm.inference.lines import Totals
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import ScoredLine
    from rnnlm.scored_lines import Line


@click.command()
@click.argument("file", required=False, type=TextFile())
@click.option("--text", type=Text(), multiple=True, help="Score this text instead of a file; repeatable.")
@model_option
@click.option(
    "--tokens", is_flag=True, help="Show every token, too: probability, rank in the vocabulary, surprise in bits."
)
@click.option(
    "--base", type=click.Choice(["e", "10", "2"]), default="e", show_default=True, help="Base of the logarithms."
)
@click.option(
    "--format",
    "layout_name",
    type=click.Choice(["plain", "srilm", "kenlm", "mikolov", *DELIMITERS]),
    default="plain",
    show_default=True,
    help="Output format. plain: our own; srilm: that of `ngram -ppl`; kenlm: of `query`; mikolov: one log10 per line; "
    "tsv, csv: a table with a row for each token, in bits.",
)
@click.option(
    "--debug",
    type=click.Choice(["0", "1", "2"]),
    default=None,
    show_default="1",
    help="With --format srilm: 0 shows only the sums, 1 every line, 2 every word.",
)
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the file, such as gb18030.")
@mix_option()
@click.option(
    "--context",
    "read_as",
    type=click.Choice(["line", "document"]),
    default="line",
    show_default=True,
    help="Read every line by itself, or after the lines before it.",
)
@table_options
@cache_options
@lowercase_option
@threads_option
@color_option
@json_option
@click.pass_context
def score(
    ctx: click.Context,
    /,
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
    lowercase: bool,
    threads: int | None,
    as_json: bool,
    **table: Any,
) -> None:
    """Print the log probability of every line of FILE ("-": stdin), in order, including blank lines.

    \b
    rnnlm score sentences.txt
    rnnlm score --tokens --text "我 昨天 上学 迟到 了"
    rnnlm score - --format mikolov < hypotheses.txt
    rnnlm score stimuli.csv --format csv --column sentence --words > surprisal.csv
    rnnlm score corpus.txt --max-perplexity 200 > kept.txt

    Lines from a pipe are answered as soon as no further input is waiting, so another program can ask line by line.

    Each line is a sentence of its own, read after <s>; its end, </s>, is scored. A character model (train --level
    char) reads a line after a line end, and scores the newline at its end, if its training text had line ends.
    Unknown words have the probability of <unk>; --format srilm leaves them out. srilm and kenlm use base 10. Sums and
    perplexities are printed to stderr, or where the format has a place for them. They do not include blank lines, as
    in eval; --format srilm leaves blank lines out altogether.

    With --context document the lines are one text, as in eval: a stream model carries its state from line to line,
    and --cache remembers words of earlier lines.
    """
    if (file is None) == (not text):
        raise click.UsageError('Give a FILE ("-" for stdin) or --text.')
    if cache and read_as == "line":
        raise click.UsageError("--cache remembers earlier lines. Add --context document to read them.")
    _check_layout(ctx, layout_name, base, tokens, debug, as_json)
    asked = Asked(**table)
    asked.check("json" if as_json else layout_name, tokens and not as_json, bool(text))
    model = load_model(model_path, mix, cache, document=True, lowercase=lowercase)
    # Only the table of --tokens in our own layout is coloured.
    paints = tokens and not as_json and not asked.picks and colored(sys.stdout)
    output = Collected(partial(write_painted, sys.stdout) if paints else partial(click.echo, nl=False))
    texts = _given_lines(text) if file is None else file_lines(file, encoding, output.flush)
    lines, passed = _asked_lines(model, texts, file or "--text", asked, read_as)
    layout, picker = _layout(model, file or "--text", layout_name, base, tokens, debug, as_json, asked, passed, paints)
    with_distributions = layout_name in DELIMITERS and asked.distributions
    scores = _scores(model, lines, tokens, use_threads(threads), read_as == "document", with_distributions)
    _say_sums(_write(scores, model, layout, output), layout_name, base, picker)


def _asked_lines(
    model: "LanguageModel", texts: Iterator[str | None], source: str, asked: Asked, read_as: str
) -> tuple[Iterator["Line | None"], "Passed"]:
    """Return the lines to score, with the text given before each, and the columns that are passed through."""
    from rnnlm.cli.score_tables import DEFAULT, Passed

    lines: Iterator[Line | None] = texts
    passed = Passed()
    if asked.column:
        from rnnlm.cli.stimuli import Stimuli

        source = "standard input" if source == "-" else source
        stimuli = Stimuli(texts, source, asked.column, asked.given_column)
        lines, passed = iter(stimuli), Passed(stimuli.names, stimuli.next_cells)
        passed.check(asked.columns or DEFAULT, source)
    if asked.given:
        warn_of_unknown(model, asked.given)
        lines = _after(asked.given, lines, once=read_as == "document")
    return lines, passed


def _after(given: str, lines: Iterator["Line | None"], once: bool) -> Iterator["Line | None"]:
    """Yield (given, line) for each line, or only for the first one if `once`."""
    for line in lines:
        yield (given, line) if isinstance(line, str) and given else line
        if once and line is not None:
            given = ""


def _scores(
    model: "LanguageModel",
    lines: Iterator["Line | None"],
    tokens: bool,
    threads: int,
    document: bool,
    with_distributions: bool,
) -> Iterator["ScoredLine"]:
    if not with_distributions:
        return model.score(lines, tokens, threads=threads, document=document)
    from rnnlm.surprisal import scored_with_entropies

    return scored_with_entropies(model, lines, document, True, threads)


def _write(scores: "Iterator[ScoredLine]", model: "LanguageModel", layout: "Layout", output: Collected) -> "Totals":
    """Write every line as it is scored, and the layout's text above and below; return the sums."""
    from rnnlm.inference.lines import Totals

    has_ends, totals, unknown = model.line_end is not None, Totals(), Unknown(model, reads_marks=False)
    output.write(layout.above)
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


def _say_sums(totals: "Totals", layout_name: str, base: str, picker: "Picker | None") -> None:
    """Print the sums if the layout does not have them, and the number of picked lines."""
    from rnnlm.cli.score_layouts import UNIT_OF_BASE, summary

    bases = {"plain": base, "mikolov": "10"} | dict.fromkeys(DELIMITERS, "2")
    if layout_name in bases:
        note(summary(totals, UNIT_OF_BASE[bases[layout_name]], width_of(sys.stderr)))
    if picker:
        lines = f"{totals.lines + totals.blank:,}"
        note(tr("{picked} of {lines} lines printed", picked=f"{picker.picked:,}", lines=lines))


def _check_layout(
    ctx: click.Context, layout_name: str, base: str, tokens: bool, debug: str | None, as_json: bool
) -> None:
    """Raise click.UsageError for options that the layout does not support."""
    given = ctx.get_parameter_source("base") != ParameterSource.DEFAULT
    if layout_name != "plain":
        if as_json:
            raise click.UsageError(f"--json and --format {layout_name} are two layouts; leave one out.")
        own = "2" if layout_name in DELIMITERS else "10"
        if given and base != own:
            raise click.UsageError(f"--format {layout_name} has logarithms to base {own}; leave out --base {base}.")
        if tokens:
            shown = dict.fromkeys(("kenlm", *DELIMITERS), ", which shows every word anyway")
            instead = {"srilm": "; use --debug 2", "mikolov": "", **shown}
            raise click.UsageError(f"--tokens is not for --format {layout_name}{instead[layout_name]}.")
    if debug and layout_name != "srilm":
        raise click.UsageError("--debug is for --format srilm.")


def _layout(
    model: "LanguageModel",
    name: str,
    layout_name: str,
    base: str,
    tokens: bool,
    debug: str | None,
    as_json: bool,
    asked: Asked,
    passed: "Passed",
    paints: bool,
) -> tuple["Layout", "Picker | None"]:
    """Return the layout, and the picker of lines if lines are picked by perplexity."""
    from rnnlm.cli import score_layouts as layouts
    from rnnlm.cli.score_tables import Picker, rows, texts

    unit, width = layouts.UNIT_OF_BASE[base], width_of(sys.stdout)
    source = layouts.Source(name, model.line_end is not None, getattr(model.predictor, "order", 0))
    picker = Picker(model, asked) if asked.picks else None
    if layout_name in DELIMITERS:
        if asked.frequency and not any(model.vocabulary.counts):
            note(tr("The model's file holds no counts of its training text; the column frequency is empty."))
        return rows(model, DELIMITERS[layout_name], asked, passed, picker, terminal=width is not None), picker
    if as_json:
        layout = layouts.as_json(unit, model.spans if tokens else None)
    elif picker:
        layout = texts(terminal=width is not None)
    elif layout_name == "srilm":
        layout = layouts.srilm(source, int(debug or 1))
    elif layout_name == "kenlm":
        layout = layouts.kenlm(source)
    else:
        layout = layouts.mikolov() if layout_name == "mikolov" else layouts.plain(unit, tokens, width, paints)
    return (picker.layout(layout) if picker else layout), picker


def _given_lines(texts: tuple[str, ...]) -> Iterator[str]:
    for text in texts:
        yield from text.removesuffix("\n").split("\n")
