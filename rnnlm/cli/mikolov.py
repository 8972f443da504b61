"""`rnnlm -rnnlm MODEL -test FILE -nbest ...`: the options of Mikolov's rnnlm, for scripts that call it by this name."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from rnnlm.blas import limit_blas
from rnnlm.cli.common import load_model
from rnnlm.cli.lines import file_lines
from rnnlm.cli.streams import Collected


def is_asked(arguments: Sequence[str]) -> bool:
    """Whether a command line is one of that program, which has no commands and options with one dash."""
    return "-rnnlm" in arguments and arguments[0].startswith("-") and not arguments[0].startswith("--")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-rnnlm", "model_path", type=click.Path(path_type=Path), required=True, help="Model of `rnnlm train`.")
@click.option("-test", "file", required=True, help='Lists, "id words" in each line; "-": stdin.')
@click.option("-nbest", is_flag=True, help="Score the lines of n-best lists.")
@click.option("-independent", is_flag=True, help="Read each line for itself.")
@click.option("-debug", type=click.IntRange(0), default=1, show_default=True, help="From 1 on also sums.")
def mikolov(model_path: Path, file: str, nbest: bool, independent: bool, debug: int) -> None:
    """Print log10 p of every line of n-best lists, whose first field is an id, as Mikolov's rnnlm does.

    \b
    rnnlm -rnnlm model.npz -test lists.txt -nbest -debug 0 -independent

    An unknown word has the probability of <unk>, where that program takes 1e-5. Blank lines have no score.
    """
    if not nbest:
        raise click.UsageError(
            "Of Mikolov's options, those for n-best lists are understood: add -nbest. For the perplexity of a text: "
            f"rnnlm eval {file} -m {model_path}"
        )
    if not independent:
        raise click.UsageError(
            "Lists are read one by one here, and each line from the start: add -independent. (Without it, Mikolov's "
            "program reads a list after the first line of the one before.)"
        )
    limit_blas(1)
    model = load_model(model_path)
    output = Collected(lambda text: click.echo(text, nl=False))
    total, words = 0.0, 0
    for scored in model.score(_hypotheses(file, output), hypotheses=True):
        score = scored.logprob_nats / math.log(10)
        output.write(f"{score:.6f}\n")
        total += score
        words += len(scored.ids)
    if debug and words:
        output.write(f"\ntest log probability: {total:.6f}\n\nPPL net: {10 ** (-total / words):.6f}\n")
    output.flush()


def _hypotheses(file: str, output: Collected) -> Iterator[str | None]:
    """The words of each line that is not blank, without its id."""
    for line in file_lines(file, None, output.flush):
        if line is None:
            yield None
        elif fields := line.strip().split(maxsplit=1):
            yield "".join(fields[1:])
