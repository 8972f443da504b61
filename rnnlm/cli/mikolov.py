"""`rnnlm -rnnlm MODEL -test FILE -nbest ...`: options of Mikolov's rnnlm, for scripts that call that program."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from rnnlm.blas import limit_blas
from rnnlm.cli.lines import file_lines
from rnnlm.cli.loading import load_model
from rnnlm.cli.streams import Collected


def is_asked(arguments: Sequence[str]) -> bool:
    """Return whether a command line is one for Mikolov's rnnlm, which has single-dash options and no commands."""
    return "-rnnlm" in arguments and arguments[0].startswith("-") and not arguments[0].startswith("--")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-rnnlm", "model_path", type=click.Path(path_type=Path), required=True, help="Model of `rnnlm train`.")
@click.option("-test", "file", required=True, help='Lists, "id words" in each line; "-": stdin.')
@click.option("-nbest", is_flag=True, help="Score the lines of n-best lists.")
@click.option("-independent", is_flag=True, help="Read each line by itself.")
@click.option("-debug", type=click.IntRange(0), default=1, show_default=True, help="1 or more: print sums, too.")
def mikolov(model_path: Path, file: str, nbest: bool, independent: bool, debug: int) -> None:
    """Print log10 p of every line of n-best lists as Mikolov's rnnlm does; the first field of a line is an id.

    \b
    rnnlm -rnnlm model.npz -test lists.txt -nbest -debug 0 -independent

    An unknown word has the probability of <unk>; Mikolov's program uses 1e-5. Blank lines get no score.
    """
    if not nbest:
        raise click.UsageError(
            "Only Mikolov's options for n-best lists are supported: add -nbest. For the perplexity of a text: "
            f"rnnlm eval {file} -m {model_path}"
        )
    if not independent:
        raise click.UsageError(
            "Only independent lines are supported: add -independent. (Without it, Mikolov's program reads each list "
            "after the first line of the previous list.)"
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
    """Yield the words of each line that is not blank, without its id; None where a pipe has no more lines yet."""
    for line in file_lines(file, None, output.flush):
        if line is None:
            yield None
        elif fields := line.strip().split(maxsplit=1):
            yield "".join(fields[1:])
