"""rnnlm import: a model from the files of other programs."""

from pathlib import Path

import click

from rnnlm.cli.common import force_option, note
from rnnlm.cli.export import check_free, is_same_file
from rnnlm.errors import ExchangeError


@click.command(name="import", short_help="Make a model of weights from another program.")
@click.argument("weights", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--vocabulary",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    show_default="NAME.vocabulary.json beside WEIGHTS",
    help="JSON: the file that export writes, or a list of all tokens in the order of their ids.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    show_default="the name of WEIGHTS with .npz",
    help="Checkpoint to write.",
)
@click.option(
    "--activation",
    type=click.Choice(["tanh", "relu", "sigmoid", "identity"]),
    default=None,
    help="The activation of a basic recurrent network, which weights do not tell.",
)
@click.option(
    "--level", type=click.Choice(["char", "word"]), default=None, help="What a token is, if VOCABULARY does not say."
)
@click.option(
    "--context",
    type=click.Choice(["sentence", "stream"]),
    default=None,
    show_default="as VOCABULARY says, else word: sentence, char: stream",
    help="What the network was trained on: every line for itself, or the text in one piece.",
)
@click.option(
    "--segmenter",
    type=click.Choice(["auto", "jieba", "spaces"]),
    default=None,
    show_default="as VOCABULARY says, else auto",
    help="Chinese words by jieba or by the text's own spaces.",
)
@force_option
def import_(
    weights: Path,
    vocabulary: Path | None,
    output: Path | None,
    activation: str | None,
    level: str | None,
    context: str | None,
    segmenter: str | None,
    force: bool,
) -> None:
    """Make a model of WEIGHTS, a PyTorch state_dict or a safetensors file, and of a vocabulary.

    Cell, sizes, layers and output layer are found from names and shapes. No code in the files is run.

    \b
    rnnlm import rnnlm.pt -o again.npz
    rnnlm import lstm.safetensors --vocabulary tokens.json --level word
    """
    from rnnlm.checkpoint import Reservation
    from rnnlm.exchange.model_files import Choices, import_model, vocabulary_path

    vocabulary = vocabulary or vocabulary_path(weights)
    output = output or weights.parent / f"{weights.stem}.npz"
    if str(output) == "-":
        raise click.BadParameter("a checkpoint is a file; give its name.", param_hint="--output")
    for source in (weights, vocabulary):
        if is_same_file(output, source):
            raise ExchangeError(f"--output {output} is a file to import, and would be replaced. Choose another name.")
    check_free(output, force)
    with Reservation(output):
        model, notes = import_model(weights, vocabulary, Choices(activation, level, context, segmenter))
        model.save(output)
    for message in notes:
        note(message)
    config = model.network.config
    cell = config.cell.upper() + (f" ({config.activation})" if config.cell == "rnn" else "")
    embedding = f"embedding {config.embedding_size}" if config.embedding_size else "one-hot input"
    kind = "bidirectional " * config.bidirectional
    layer = ", adaptive softmax" if config.output == "adaptive" else ", tied output" if config.tied else ""
    note(f"Vocabulary  {len(model.vocabulary):,} {model.level}s, context {model.context}")
    note(
        f"Network     {kind}{cell} {config.num_layers} x {config.hidden_size}, {embedding}{layer}; "
        f"{model.network.parameter_count:,} parameters"
    )
    note(f"Saved {output}. Try: rnnlm {'fill' if config.bidirectional else 'predict'} -m {output} TEXT")
