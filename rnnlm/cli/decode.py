"""rnnlm decode: find the best text among candidates or from pinyin, or correct a text."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rnnlm.cli.lines import file_lines
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import json_line
from rnnlm.cli.shared_options import (
    Number,
    NumberRange,
    Text,
    json_option,
    mix_option,
    model_option,
    product_threads_option,
    together,
)
from rnnlm.cli.streams import Collected
from rnnlm.errors import LatticeError

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import DecodedText

Decode = Callable[[str], tuple[dict[str, Any], "list[DecodedText]"]]  # line -> (its fields to repeat, best texts)
CORRECTIONS = ("confusions", "homophones", "replacement_penalty")

input_options = together(
    click.option("--text", type=Text(), multiple=True, help="Decode this line instead of a file; repeatable."),
    click.option(
        "--format",
        "format_name",
        type=click.Choice(["plain", "json"]),
        default="plain",
        show_default=True,
        help="Format of the candidates, see above.",
    ),
    click.option(
        "--scores", is_flag=True, help="Each plain candidate ends with a colon and its score, such as word:-1.5."
    ),
    click.option("--pinyin", is_flag=True, help="Read the lines as pinyin."),
    click.option(
        "--homophones", is_flag=True, help="Correct the lines: a character may be replaced by any that sounds the same."
    ),
    click.option(
        "--confusions",
        type=click.Path(path_type=Path),
        help="Correct the lines: a character may be replaced by those that this file lists for it.",
    ),
    click.option(
        "--replacement-penalty",
        type=NumberRange(0),
        default=6.0,
        show_default=True,
        help="Cost of each replaced character, in nats.",
    ),
    click.option("--encoding", default=None, show_default="detected", help="Encoding of the file, such as gb18030."),
)
search_options = together(
    click.option(
        "-k", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Number of texts for each line."
    ),
    click.option(
        "--beam",
        type=click.IntRange(1, 1_000_000),
        default=16,
        show_default=True,
        help="Hypotheses kept at each position; at least -k.",
    ),
    click.option(
        "--lm-weight",
        type=Number(),
        default=1.0,
        show_default=True,
        help="Weight of the model's log probability relative to the scores.",
    ),
    click.option("--word-penalty", type=Number(), default=0.0, show_default=True, help="Added for every token."),
    click.option(
        "--oov-penalty",
        type=Number(),
        default=None,
        show_default="ln(1 / words seen once); n-gram: 0",
        help="Added for every unknown token.",
    ),
    click.option("--before", type=Text(), default="", help="Text that every line continues."),
    click.option(
        "--unfinished", is_flag=True, help="The lines do not end here: leave out the probability of a line's end."
    ),
)


@click.command()
@click.argument("file", required=False)
@model_option
@input_options
@search_options
@mix_option()
@product_threads_option
@json_option
@click.pass_context
def decode(ctx: click.Context, /, file: str | None, model_path: Path, as_json: bool, **options: Any) -> None:
    """Find the best text for each line of FILE ("-": stdin) among candidates, by beam search.

    \b
    rnnlm decode --pinyin --text wozuotianshangxue
    rnnlm decode --homophones --text 我昨天上学吃到了
    rnnlm decode --text "我|握 昨|作 天|田|"
    rnnlm decode lattices.jsonl --format json -k 5

    In a plain line, spaces separate the positions, and bars the candidates of a position; an empty candidate is
    written as nothing. Write a backslash before a bar, a space or a backslash in a candidate. A candidate may be
    several tokens.

    A JSON line has {"positions": [[{"text": "a", "score": -0.1}, "b"], ...]}, or {"arcs": [{"start": 0, "end": 2,
    "text": "ab", "score": -0.1}, ...]} for candidates from one node to another, and optionally an "id".

    \b
    total = lm-weight * logprob + scores + word-penalty * tokens
            + oov-penalty * unknown tokens                       (all in nats)

    logprob is the model's and includes the end of the line. The text with the greatest total is the best. With -k
    above 1, each text is printed after its total, and a blank line separates the texts of two lines.

    --pinyin reads syllables with or without spaces or apostrophes between them, with tones as digits, as marks or left
    out, and v for ü. All else is copied. The candidates are the characters or words of the model's vocabulary.

    --homophones and --confusions correct lines. Each line of a file of confusions has a character and the characters
    that may replace it, with or without spaces between them. A higher --replacement-penalty corrects less.

    Lines from a pipe are answered as soon as no further input is waiting.
    """
    if (file is None) == (not options["text"]):
        raise click.UsageError('Give a FILE ("-" for stdin) or --text.')
    given = {name for name in options if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE}
    _check(given, options)
    model = load_model(model_path, options["mix"])
    output = Collected(partial(click.echo, nl=False))
    lines = iter(options["text"]) if file is None else file_lines(file, options["encoding"], output.flush)
    try:
        for text in _answers(lines, _decoder(model, options), _name(file), options["k"], as_json):
            output.write(text)
    finally:  # print the answers of the lines before a bad one
        output.flush()


def _answers(lines: Iterator[str | None], decode_line: Decode, name: str, k: int, as_json: bool) -> Iterator[str]:
    """Yield the output for each line."""
    for place, line in enumerate((line for line in lines if line is not None), 1):
        try:
            repeated, found = decode_line(line)
        except LatticeError as error:
            raise LatticeError(f"Line {place} of {name}: {error}") from None
        if as_json:
            best = {"text": found[0].text, "candidates": [each._asdict() for each in found]}
            yield f"{json_line(repeated | best)}\n"
        elif k == 1:
            yield f"{found[0].text}\n"
        else:
            yield "\n" * (place > 1) + "".join(f"{each.total_nats:10.4f}  {each.text}\n" for each in found)


def _check(given: set[str], options: dict[str, Any]) -> None:
    """Raise click.UsageError for options that cannot be combined."""
    corrects = bool(options["homophones"] or options["confusions"])
    if options["pinyin"] and (corrects or "replacement_penalty" in given):
        raise click.UsageError("--pinyin finds a text, --homophones and --confusions correct one; leave one out.")
    if "replacement_penalty" in given and not corrects:
        raise click.UsageError("--replacement-penalty needs --homophones or --confusions.")
    plain = options["pinyin"] or corrects
    if plain and options["format_name"] != "plain":
        raise click.UsageError(
            "--format json is for candidates; with --pinyin and corrections, the lines are plain text."
        )
    if options["scores"] and (plain or options["format_name"] != "plain"):
        raise click.UsageError("--scores is for plain candidates.")


def _decoder(model: "LanguageModel", options: dict[str, Any]) -> Decode:
    """Return the function that decodes a line, for the chosen format."""
    from rnnlm.lattices import json_lattice, plain_lattice
    from rnnlm.text.confusions import read_confusions

    names = ("k", "beam", "lm_weight", "word_penalty", "oov_penalty", "before")
    settings = {name: options[name] for name in names} | {"ended": not options["unfinished"]}
    if options["pinyin"]:
        return lambda line: ({"pinyin": line}, model.from_pinyin(line, **settings))
    if options["homophones"] or options["confusions"]:
        settings |= {name: options[name] for name in CORRECTIONS}
        if options["confusions"]:
            settings["confusions"] = read_confusions(options["confusions"])  # once, before the first line is read
        return lambda line: ({"written": line}, model.correct(line, **settings))
    if options["format_name"] == "plain":
        return lambda line: ({}, model.decode(plain_lattice(line, options["scores"]), **settings))

    def decoded(line: str) -> "tuple[dict[str, Any], list[DecodedText]]":
        lattice, rest = json_lattice(line)
        return {name: rest[name] for name in ("id",) if name in rest}, model.decode(lattice, **settings)

    return decoded


def _name(file: str | None) -> str:
    return {None: "--text", "-": "standard input"}.get(file, str(file))
