"""rnnlm ngram: n-gram models, the baseline for recurrent networks."""

import gzip
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.blas import use_threads
from rnnlm.cli.command_line import asked_for
from rnnlm.cli.groups import SuggestingGroup
from rnnlm.cli.languages import tr
from rnnlm.cli.ngram_orders import LARGEST_ORDER, possible_contexts
from rnnlm.cli.outputs import check_not_a_text, check_output
from rnnlm.cli.printing import note, show_table
from rnnlm.cli.shared_options import force_option, threads_option
from rnnlm.cli.text_file import TextFile
from rnnlm.cli.texts import reading_bar, text_options
from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnlm.language_model import LanguageModel
    from rnnlm.text.corpus import TokenizedCorpus

DEFAULT_OUTPUT = "ngram.npz"


@click.group(cls=SuggestingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def ngram() -> None:
    """The n-gram baseline: interpolated modified Kneser-Ney, orders 1 to 6.

    \b
    rnnlm ngram train corpus.txt --order 3 -o ngram.npz
    rnnlm eval test.txt -m ngram.npz
    """


@ngram.command(short_help="Train an n-gram model on a text.")
@click.argument("corpus", nargs=-1, required=True, type=TextFile())
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_OUTPUT,
    show_default=True,
    help="Checkpoint to write.",
)
@click.option(
    "--order", type=click.IntRange(1, LARGEST_ORDER), default=3, show_default=True, help="Order of the n-grams, n."
)
@click.option(
    "--arpa",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=None,
    help='Also write an ARPA file for KenLM and SRILM; compressed if it ends in .gz, "-" for stdout.',
)
@text_options
@threads_option
@force_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    corpus: tuple[str, ...],
    output: Path,
    order: int,
    arpa: Path | None,
    encoding: str | None,
    threads: int | None,
    force: bool,
    **chosen: Any,
) -> None:
    """Train an n-gram model on all of CORPUS: text files, folders of them, .gz, or "-" for stdin.

    The checkpoint can be used like that of a network: eval, score, rescore, predict, sample. An existing file is only
    replaced if it is a model that the same command made from the same text.
    """
    check_output(output, "--output")
    check_not_a_text(output, corpus, "--output")
    if arpa is not None:
        check_output(arpa, "--arpa")
        check_not_a_text(arpa, [*corpus, str(output)], "--arpa")
    from rnnlm.cli.replacement import check_arpa, check_model
    from rnnlm.storage.lock import Reservation
    from rnnlm.training.dataset import Sources
    from rnnlm.training.ngram import train_ngram
    from rnnlm.training.options import Options

    started, asked = time.monotonic(), asked_for(ctx)
    with Reservation(output):
        replaced = None if force else check_model(output, "ngram", {**chosen, "order": order}, asked)
        if arpa is not None and not force:
            check_arpa(arpa, replaced)

        def check(text: "TokenizedCorpus", options: "Mapping[str, Any]") -> None:
            if replaced is not None:
                replaced.check_text(text.digest, text.files)
                replaced.check_options(options)

        sources = Sources(corpus, None, encoding, chosen.pop("column"), reading_bar())
        trained = train_ngram(sources, Options(**chosen), order, use_threads(threads), check)
        model = trained.model
        if asked:
            model.training["asked"] = asked
        for message in trained.notes:
            note(message)
        if arpa is not None and model.context != "sentence":
            raise RnnlmError(
                "--arpa needs --context sentence: an ARPA file describes sentences, and the programs that read it "
                "begin each at <s>, which a model of one long stream has seen only once."
            )
        model.save(output)
        if arpa is not None:
            save_arpa(model, arpa)
    _report(model, trained.coverage, time.monotonic() - started)
    note(tr("Saved {file}. Try: {command}", file=output, command=f"rnnlm eval TEXT -m {output}"))


def save_arpa(model: "LanguageModel", path: Path) -> None:
    """Write the n-gram model as an ARPA file; an old file stays until the new one is complete.

    Raises:
        RnnlmError: the file cannot be written.
    """
    from rnnlm.baselines.arpa import write_arpa
    from rnnlm.storage.atomic import replacing
    from rnnlm.storage.lock import Reservation

    tokens = model.vocabulary.tokens
    if str(path) == "-":
        write_arpa(model.ngram, tokens, sys.stdout.buffer)
        return
    try:
        with Reservation(path), replacing(path) as file:
            packed = gzip.GzipFile("", "wb", 6, file, mtime=0) if path.suffix == ".gz" else nullcontext(file)
            with packed as stream:
                write_arpa(model.ngram, tokens, stream)
    except OSError as error:
        raise RnnlmError(f"--arpa {path} cannot be written: {error.strerror or error}.") from error


def _report(model: "LanguageModel", coverage: float, seconds: float) -> None:
    """Print the sizes of text, vocabulary and model, and how few of the possible contexts were seen."""
    V, tokens = len(model.vocabulary), model.training["corpus"]["train_tokens"]
    note(tr("Text        {tokens} tokens", tokens=f"{tokens:,}"))
    units, covered = tr(f"{model.level}s"), f"{100 * coverage:.2f}"
    covering = "Vocabulary  {size} {tokens}, covering {coverage} % of the text"
    note(tr(covering, size=f"{V:,}", tokens=units, coverage=covered))
    note(tr("Model       order {order}, trained in {seconds} s", order=model.ngram.order, seconds=f"{seconds:.1f}"))
    counts = zip(model.ngram.ngram_counts(), model.ngram.context_counts(), strict=True)
    rows = [
        (n, f"{ngrams:,}", f"{contexts:,}", possible_contexts(V, n)) for n, (ngrams, contexts) in enumerate(counts, 1)
    ]
    titles = ["n", *map(tr, ("n-grams", "contexts seen", "contexts possible"))]
    show_table(rows, titles, "rrrr", err=True)
