"""rnnlm export: write a model in the formats of other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnlm.cli.languages import tr
from rnnlm.cli.loading import load_model
from rnnlm.cli.outputs import check_free, check_output, is_same_file
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import force_option, model_option
from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from rnnlm.exchange.model_files import Export
    from rnnlm.exchange.sherpa import SherpaExport

SHERPA, HTML = "sherpa", "html"
EXTENSIONS = {"torch": ".pt", "safetensors": ".safetensors", "onnx": ".onnx", HTML: ".html"}
CHECKPOINT, SLIM_EXTENSION = "npz", ".slim.npz"


@click.command(short_help="Write a model for other programs.")
@model_option
@click.option(
    "--to",
    required=True,
    type=click.Choice([CHECKPOINT, "torch", "safetensors", SHERPA, "onnx", HTML]),
    help="torch: a state_dict; safetensors: the same arrays; onnx: a graph for ONNX runtimes; sherpa: two graphs for "
    "rescoring with sherpa-onnx; npz: a checkpoint, with --slim; html: a page for any browser.",
)
@click.option("--slim", is_flag=True, help="With --to npz: leave out what only --resume needs.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    show_default="the model's name with .pt, .safetensors, .onnx, .html or .slim.npz",
    help="File to write; the vocabulary is written beside it, to NAME.vocabulary.json. With --to sherpa: beginning "
    "of the names of the two graphs. With --to html: the only file.",
)
@click.option(
    "--vocabulary",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="With --to sherpa: tokens.txt of the recogniser, whose ids the graphs then use.",
)
@click.option(
    "--bits",
    type=click.Choice(["16", "8"]),
    default=None,
    show_default="16",
    help="With --to html: bits of each parameter. 8 halves the file; the loss of accuracy is printed.",
)
@force_option
def export(
    model_path: Path,
    to: str,
    slim: bool,
    output: Path | None,
    vocabulary: Path | None,
    bits: str | None,
    force: bool,
) -> None:
    """Write the weights of a model in a format of another program, and its vocabulary as JSON beside them.

    \b
    rnnlm export --to torch          for torch.load(..., weights_only=True)
    rnnlm export --to safetensors
    rnnlm export --to onnx           needs no PyTorch, here or where it is used
    rnnlm export --to sherpa --vocabulary tokens.txt
    rnnlm export --to html           one file to open in a browser, no server
    rnnlm export --to npz --slim     for rnnlm itself, a fraction of the size
    """
    if bits is not None and to != HTML:
        raise click.UsageError(f"--bits is for --to {HTML}; the other formats keep the parameters as they are.")
    if slim != (to == CHECKPOINT):
        raise click.UsageError("--slim and --to npz go together: a whole checkpoint is copied with cp.")
    if slim:
        _slim(model_path, output or model_path.parent / (model_path.stem + SLIM_EXTENSION), force)
        return
    if vocabulary is not None and to != SHERPA:
        raise click.UsageError(f"--vocabulary is for --to {SHERPA}; the other formats keep the model's own ids.")
    output = output or model_path.parent / (model_path.stem + EXTENSIONS.get(to, ""))
    if to == HTML:
        _export_html(model_path, output, int(bits or 16), force)
    else:
        _export_weights(model_path, to, output, vocabulary, force)


def _export_weights(model_path: Path, to: str, output: Path, vocabulary: Path | None, force: bool) -> None:
    """Write the weights in a format of another program, and the vocabulary beside them."""
    from rnnlm.exchange.model_files import export as exported
    from rnnlm.exchange.model_files import vocabulary_path
    from rnnlm.exchange.sherpa import export_sherpa, paths_of

    if str(output) == "-":
        raise click.BadParameter("an export is two files, not for stdout; give a file name.", param_hint="--output")
    *written, beside = paths_of(output) if to == SHERPA else (output, vocabulary_path(output))
    if any(is_same_file(model_path, each) for each in (*written, beside)):
        raise RnnlmError(f"--output {output} would replace the model to export. Choose another name.")
    for each in written:
        check_free(each, force)
    check_output(beside)
    model = load_model(model_path)
    files: Export | SherpaExport
    if to == SHERPA:
        files = found = export_sherpa(model, vocabulary)
        for message in found.notes:
            note(message)
    else:
        files = exported(model, to)
    if (
        beside.exists() and beside.read_bytes() != files.vocabulary
    ):  # the same vocabulary may be there from another format
        check_free(beside, force)
    files.save(output)
    if model.predictor is not model.network:
        without = "The {ngram} that is mixed with the network is left out: it is not in these formats."
        note(tr(without, ngram=model.ngram.describe()))
    note(
        tr(
            "Saved {files}: {parameters} parameters; and {vocabulary}: {tokens} tokens.",
            files=tr(" and ").join(map(str, written)),
            parameters=f"{model.network.parameter_count:,}",
            vocabulary=beside,
            tokens=f"{len(model.vocabulary):,}",
        )
    )


def _slim(model_path: Path, output: Path, force: bool) -> None:
    """Write a checkpoint without the state of its training, and report sizes and what it can no longer do."""
    if str(output) == "-":
        raise click.BadParameter("a checkpoint is a file; give its name.", param_hint="--output")
    if is_same_file(model_path, output):
        raise RnnlmError(f"--output {output} would replace the model to export. Choose another name.")
    check_free(output, force)
    model = load_model(model_path)
    had_state = "state" in model.training
    model.save(output, slim=True)
    before, after = (path.stat().st_size / 1e6 for path in (model_path, output))
    saved = tr("Saved {file}: {after} MB of {before} MB.", file=output, after=f"{after:.1f}", before=f"{before:.1f}")
    lost = " It answers the same; --resume cannot go on with it, --init-from can start from it."
    note(saved + (tr(lost) if had_state else ""))


def _export_html(model_path: Path, output: Path, bits: int, force: bool) -> None:
    """Write the page, and report how much rounding changes the probabilities."""
    from rnnlm.playground.standalone import export_html

    if str(output) == "-":
        raise click.BadParameter("a page is a file to open in a browser; give its name.", param_hint="--output")
    if is_same_file(model_path, output):
        raise RnnlmError(f"--output {output} would replace the model to export. Choose another name.")
    check_free(output, force)
    page = export_html(load_model(model_path), model_path.stem, bits)
    page.save(output)
    for message in page.notes:
        note(message)
    loss = page.loss
    note(
        tr(
            "{bits} bits for each parameter change the log probability of a token by {mean} nats on average and "
            "{largest} at most, and the mean by {worse}, in {tokens} tokens that the model wrote.",
            bits=bits,
            mean=f"{loss.mean:.2g}",
            largest=f"{loss.largest:.2g}",
            worse=f"{loss.worse:+.1g}",
            tokens=loss.tokens,
        )
    )
    size = f"{len(page.content) / 1e6:.1f}"
    note(tr("Saved {file}: {size} MB. Open it in a browser; it needs no server.", file=output, size=size))
