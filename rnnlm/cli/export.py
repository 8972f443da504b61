"""rnnlm export: a model for other programs."""

from pathlib import Path

import click

from rnnlm.cli.common import force_option, load_model, model_option, note
from rnnlm.cli.outputs import check_free, check_output, is_same_file
from rnnlm.errors import RnnlmError

EXTENSIONS = {"torch": ".pt", "safetensors": ".safetensors", "onnx": ".onnx"}


@click.command(short_help="Write a model for other programs.")
@model_option
@click.option(
    "--to",
    required=True,
    type=click.Choice(list(EXTENSIONS)),
    help="torch: a state_dict; safetensors: the same arrays; onnx: a graph that runtimes compute.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    show_default="the model's name with .pt, .safetensors or .onnx",
    help="File to write; the vocabulary goes beside it, into NAME.vocabulary.json.",
)
@force_option
def export(model_path: Path, to: str, output: Path | None, force: bool) -> None:
    """Write the weights of a model in a format of other programs, and its vocabulary as JSON beside them.

    \b
    rnnlm export --to torch          for torch.load(..., weights_only=True)
    rnnlm export --to safetensors
    rnnlm export --to onnx           needs no PyTorch, here or where it is used
    """
    from rnnlm.exchange.model_files import export as exported
    from rnnlm.exchange.model_files import vocabulary_path

    output = output or model_path.parent / (model_path.stem + EXTENSIONS[to])
    beside = vocabulary_path(output)
    if str(output) == "-":
        raise click.BadParameter("an export is two files; give the name of one.", param_hint="--output")
    if any(is_same_file(model_path, written) for written in (output, beside)):
        raise RnnlmError(f"--output {output} would replace the model that is to be exported. Choose another name.")
    check_free(output, force)
    check_output(beside)
    model = load_model(model_path)
    files = exported(model, to)
    if beside.exists() and beside.read_bytes() != files.vocabulary:  # that of another format of this model may stay
        check_free(beside, force)
    files.save(output)
    if model.predictor is not model.network:
        note(f"The {model.ngram.describe()} that is mixed with the network is left out: it is not in these formats.")
    note(
        f"Saved {output}: {model.network.parameter_count:,} parameters; and {beside}: {len(model.vocabulary):,} tokens."
    )
