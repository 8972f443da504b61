"""rnnlm plot: draw learning curves, surprise along a text, or the embedding in two dimensions."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
from click.core import ParameterSource

from rnnlm.cli.character_charts import Series, bar, line_chart, marks, scatter_chart, terminal_width
from rnnlm.cli.languages import tr, translated
from rnnlm.cli.loading import load_model
from rnnlm.cli.pictures import check_picture, save_picture
from rnnlm.cli.printing import note, print_json, say
from rnnlm.cli.shared_options import Text, json_option, model_option, product_threads_option
from rnnlm.cli.tables import shortened, table, token_cell, visible
from rnnlm.cli.wrapping import display_width
from rnnlm.errors import PlotError

if TYPE_CHECKING:
    from rnnlm.lab.embedding import EmbeddingMap
    from rnnlm.lab.learning_curves import Curves
    from rnnlm.lab.surprise import Surprise
    from rnnlm.language_model import LanguageModel

LOSS_ROWS, OTHER_ROWS = 14, 5
TOKENS_AS_BARS = 60  # in a terminal; for a longer text, a curve is drawn


@click.command()
@click.argument("history", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--surprise", "text", type=Text(), default=None, metavar="TEXT|FILE", help="Plot how surprising each token is."
)
@click.option("--embedding", is_flag=True, help="Plot tokens in the plane in which their vectors differ most.")
@model_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Picture to write, .png, .svg or .pdf; needs matplotlib. Without it a chart of characters is printed.",
)
@click.option(
    "--x",
    type=click.Choice(["step", "epoch", "seconds"]),
    default="step",
    show_default=True,
    help="Horizontal axis of learning curves; only a training with --time records seconds.",
)
@click.option("--perplexity", is_flag=True, help="Plot losses as perplexity, on a logarithmic axis.")
@click.option(
    "--tokens",
    type=click.IntRange(3, 2000),
    default=100,
    show_default=True,
    help="Number of tokens for --embedding, the most frequent ones.",
)
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the text, such as gb18030.")
@product_threads_option
@json_option
@click.pass_context
def plot(
    ctx: click.Context,
    history: tuple[Path, ...],
    text: str | None,
    embedding: bool,
    model_path: Path,
    output: Path | None,
    x: str,
    perplexity: bool,
    tokens: int,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Draw learning curves from histories (train --history), or a model's surprise along a text, or its embedding.

    \b
    rnnlm plot run1.jsonl run2.jsonl -o curves.png
    rnnlm plot --surprise "我 昨天 上学 迟到 了" -o surprise.svg
    rnnlm plot --embedding -m rnnlm.npz

    HISTORY and TEXT may be "-" for stdin; a TEXT that is the name of a file is read from it. Surprise is -log2 of the
    probability that the model gave to a token, in bits.
    """
    _check_usage(ctx, history, text, embedding)
    if output is not None:
        read = [*map(str, history), *([text] if text else []), *([] if history else [str(model_path)])]
        instead = ". Without --output, a chart of characters needs nothing."
        check_picture(output, filter(_is_file, read), "--output", instead)
    if text is not None:
        _plot_surprise(load_model(model_path), text, encoding, output, as_json)
    elif embedding:
        _plot_embedding(load_model(model_path), tokens, output, as_json)
    else:
        _plot_histories(history, x, perplexity, output, as_json)


def _check_usage(ctx: click.Context, history: Sequence[Path], text: str | None, embedding: bool) -> None:
    if sum((bool(history), text is not None, embedding)) != 1:
        raise click.UsageError("Give either HISTORY..., or --surprise TEXT, or --embedding.")
    kind = "histories" if history else "--embedding" if embedding else "--surprise"
    parts = {"x": "histories", "perplexity": "histories", "tokens": "--embedding", "encoding": "--surprise"}
    for option, of in parts.items():
        if of != kind and ctx.get_parameter_source(option) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{option} is for {of}, not for {kind}.")


def _is_file(name: str) -> bool:
    try:
        return os.path.exists(name)
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return False


# Learning curves


def _plot_histories(paths: Sequence[Path], x: str, perplexity: bool, output: Path | None, as_json: bool) -> None:
    from rnnlm.lab.learning_curves import check_x, read
    from rnnlm.plots.learning_curves import draw

    histories = []
    for path in paths:
        with _opened(path) as (name, file):
            histories.append(read(name, file))
    check_x(histories, x)
    for history in histories:
        for message in history.notes:
            note(message)
    if as_json:
        for history in histories:
            columns = history.columns | (history.perplexities() if perplexity else {})
            print_json({"history": history.name, **{key: values.tolist() for key, values in columns.items()}})
    if output is not None:
        save_picture(draw(histories, x, perplexity), output, [history.name for history in histories])
    elif not as_json:
        click.echo(_curves_of_characters(histories, x, perplexity, terminal_width()))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Open a history; yield its name and a binary file.

    Raises:
        PlotError: it cannot be read.
    """
    from rnnlm.text.sources import standard_input

    try:
        if str(path) == "-":
            yield "stdin", standard_input()
        else:
            with path.open("rb") as file:
                yield str(path), file
    except (OSError, ValueError) as error:  # ValueError: a closed stdin, a name with a NUL
        reason = getattr(error, "strerror", None) or error
        raise PlotError(f"{path} cannot be read: {reason}. A history is made by: rnnlm train --history FILE") from None


def _curves_of_characters(histories: Sequence["Curves"], x: str, perplexity: bool, width: int) -> str:
    """Return the charts of all panels with their legends, and a table of the best loss of each history."""
    from rnnlm.lab.learning_curves import LOSSES, PANELS, short_name

    parts = []
    for title, keys in PANELS:
        series = []
        for history in histories:
            for key in keys:
                across, up = history.points(x, key, perplexity)
                kind = f"{tr(LOSSES[key])} " if key in LOSSES else ""
                if len(up):
                    name = kind + visible(short_name(history.name)) if len(histories) > 1 else kind
                    series.append(Series(name.strip(), across.tolist(), up.tolist()))
        if not series:
            continue
        is_loss = title == "loss"
        name = tr(("perplexity" if perplexity else "loss (nats per token)") if is_loss else title)
        rows = LOSS_ROWS if is_loss else OTHER_ROWS
        chart = line_chart(series, width, rows, tr(x), perplexity and is_loss, from_zero=not is_loss)
        meanings = [f"{mark} {each.name}" for mark, each in zip(marks(len(series)), series, strict=True) if each.name]
        parts.append("\n".join([name, chart, *_wrapped(meanings, width)]))
    return "\n\n".join([*parts, _best_table(histories, width)])


def _wrapped(items: Sequence[str], width: int) -> list[str]:
    """Return lines with as many items side by side as fit."""
    lines: list[str] = []
    for item in items:
        if lines and display_width(lines[-1]) + display_width(item) + 4 <= width:
            lines[-1] += f"    {item}"
        else:
            lines.append(f"  {item}")
    return lines


def _best_table(histories: Sequence["Curves"], width: int) -> str:
    """Return a table of the smallest loss of each history."""
    import math

    rows = []
    for history in histories:
        if found := history.best():
            key, step, loss = found
            kind = key.partition("_")[0]
            perplexity = f"{math.exp(loss):,.4g}" if loss < 300 else "-"
            rows.append((visible(history.name), tr(kind), f"{loss:.4f}", perplexity, f"{step:,.0f}"))
    best = tr("best{loss}", loss="")  # "best" alone is translated as the most probable token
    titles = [tr("history"), best, tr("nats per token"), tr("perplexity"), tr("step")]
    return table(rows, titles, "llrrr", width)


# Surprise


def _plot_surprise(model: "LanguageModel", text: str, encoding: str | None, output: Path | None, as_json: bool) -> None:
    from rnnlm.lab.surprise import surprise_of
    from rnnlm.plots.surprise import draw

    surprise = surprise_of(model, _text_of(text, encoding))
    if surprise is None:
        raise PlotError(
            f"{'The text' if not text else shortened(visible(text))} is empty; expected some words to be surprised by."
        )
    if as_json:
        pairs = zip(surprise.tokens, surprise.bits.tolist(), strict=True)
        print_json(
            {
                "tokens": [{"token": token, "surprise_bits": bits} for token, bits in pairs],
                "bits_per_token": surprise.mean,
            }
        )
    shown = surprise._replace(tokens=[shortened(visible(token), 40) for token in surprise.tokens])
    if output is not None:
        save_picture(draw(shown), output, shown.tokens)
    elif not as_json:
        click.echo(_surprise_of_characters(shown, terminal_width()))


def _text_of(text: str, encoding: str | None) -> str:
    """Return the contents of the file that `text` names, of stdin for "-", or `text` itself."""
    from rnnlm.cli.lines import file_lines

    if text == "-" or _is_file(text):
        return "".join(f"{line}\n" for line in file_lines(text, encoding) if line is not None)
    if os.sep in text or text.endswith((".txt", ".gz", ".jsonl")):
        note(tr("There is no file {name}; this is taken as the text itself.", name=shortened(visible(text))))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _surprise_of_characters(surprise: "Surprise", width: int) -> str:
    """Return a table with a bar for each token; for a long text, a chart of the running mean and the highest tokens."""
    highest = max(float(surprise.bits.max()), 1.0)
    places: Sequence[int] = range(len(surprise.tokens))
    above = ""
    if len(places) > TOKENS_AS_BARS:
        ends, means, window = surprise.running_mean()
        course = Series("", ends.tolist(), means.tolist())
        chart = line_chart([course], width, LOSS_ROWS, tr("token"), from_zero=True)
        mean = tr("bits, mean of the last {n} tokens", n=f"{window:,}")
        above = f"{mean}\n{chart}\n\n{tr('The most surprising tokens')}\n"
        places = surprise.highest(20)
    rows = [(f"{place + 1:,}", surprise.tokens[place], f"{surprise.bits[place]:.2f}") for place in places]
    lines = table(rows, ["", tr("token"), tr("bits")], "rlr").split("\n")
    left = max(map(display_width, lines)) + 2
    bars = ["", *(bar(float(surprise.bits[place]), highest, max(10, width - left)) for place in places)]
    drawn = [f"{line}  {each}".rstrip(" ") for line, each in zip(lines, bars, strict=True)]
    return above + "\n".join([*drawn, "", translated(surprise.summary())])


# The embedding


def _plot_embedding(model: "LanguageModel", count: int, output: Path | None, as_json: bool) -> None:
    from rnnlm.lab.embedding import embedding_map
    from rnnlm.plots.embedding import draw

    found = embedding_map(model.network, model.vocabulary, count)
    if as_json:
        points = zip(found.tokens, found.counts, found.places.tolist(), strict=True)
        print_json(
            {
                "vectors": found.source,
                "explained_variance": list(found.explained),
                "tokens": [{"token": token, "count": number, "x": x, "y": y} for token, number, (x, y) in points],
            }
        )
    shown = found._replace(tokens=[token_cell(token) for token in found.tokens])
    if output is not None:
        figure, left_out = draw(shown)
        save_picture(figure, output, shown.tokens)
    elif not as_json:
        chart, left_out = scatter_chart(found.places.tolist(), shown.tokens, terminal_width(), 30)
        click.echo(chart)
        click.echo()
    if output is not None or not as_json:
        _tell_about(found, left_out, to_stderr=output is not None)


def _tell_about(found: "EmbeddingMap", left_out: int, to_stderr: bool) -> None:
    """Print which tokens were drawn, how much of the variance the axes show, and how many labels were left out."""
    first, second = (100 * share for share in found.explained)
    told = tr(
        "The {n} most frequent tokens by {source}. Of the variance of these vectors, the axis to the right has "
        "{first} %, the axis up {second} %.",
        n=f"{len(found.tokens):,}",
        source=translated(found.source),
        first=f"{first:.1f}",
        second=f"{second:.1f}",
    )
    dots = " {n} of them are dots, since there was no room for their labels."
    say(told + (tr(dots, n=left_out) if left_out else ""), err=to_stderr)
