"""rnnlm import: make a model from the files of other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnlm.cli.languages import tr
from rnnlm.cli.outputs import check_free, is_same_file
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import force_option
from rnnlm.errors import ExchangeError
from rnnlm.names import ACTIVATIONS, CONTEXTS, LEVELS, SEGMENTERS

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.text.pieces import PieceTokenizer


@click.command(name="import", short_help="Make a model from weights or an ARPA file of another program.")
@click.argument("weights", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--vocabulary",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    show_default="NAME.vocabulary.json beside WEIGHTS",
    help="Vocabulary file of `rnnlm export`, or all tokens: JSON with a list in the order of their ids or {token: id}, "
    "or text with a token and its id, or only a token, on each line.",
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
    type=click.Choice(ACTIVATIONS),
    default=None,
    help="Activation of a basic recurrent network; the weights do not show it.",
)
@click.option("--level", type=click.Choice(LEVELS), default=None, help="What a token is, if VOCABULARY does not say.")
@click.option(
    "--context",
    type=click.Choice(CONTEXTS),
    default=None,
    show_default="as VOCABULARY says, else word: sentence, char: stream",
    help="What the network was trained on: each line by itself, or the text as one stream.",
)
@click.option(
    "--segmenter",
    type=click.Choice(SEGMENTERS),
    default=None,
    show_default="as VOCABULARY says, else auto",
    help="How Chinese is cut into words: by jieba or at the text's own spaces.",
)
@click.option(
    "--sentencepiece",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="SentencePiece model whose pieces are the tokens, to read plain text.",
)
@click.option(
    "--tokenizer",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="tokenizer.json of Hugging Face whose pieces are the tokens, to read plain text.",
)
@click.option("--bos", metavar="TOKEN", default=None, show_default="<s>, else EOS", help="Token read before each line.")
@click.option("--eos", metavar="TOKEN", default=None, show_default="</s>", help="Token that ends each line.")
@click.option(
    "--unk", metavar="TOKEN", default=None, show_default="<unk>", help="Token that stands for unknown tokens."
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
    sentencepiece: Path | None,
    tokenizer: Path | None,
    bos: str | None,
    eos: str | None,
    unk: str | None,
    force: bool,
) -> None:
    """Make a model from WEIGHTS (a PyTorch state_dict or a safetensors file) and a vocabulary, or from an ARPA file.

    Cell, sizes, layers and output layer are inferred from names and shapes. If the vocabulary has other names for <s>,
    </s> and <unk>, give them with --bos, --eos and --unk. No code in the files is run. An ARPA file becomes a
    checkpoint that loads faster; its tokens are separated by spaces.

    \b
    rnnlm import rnnlm.pt -o again.npz
    rnnlm import lstm.safetensors --vocabulary tokens.json --level word
    rnnlm import lm.pt --vocabulary tokens.txt --level token --eos '<eos>'
    rnnlm import lm.pt --vocabulary tokens.txt --sentencepiece bpe.model
    rnnlm import model.arpa.gz -o model.npz
    """
    from rnnlm.exchange.model_files import Choices, import_arpa, import_model, vocabulary_path
    from rnnlm.foreign import form_without_weights, is_arpa
    from rnnlm.storage.lock import Reservation

    if form := form_without_weights(weights):
        raise ExchangeError(f"{weights} {form}")
    arpa = is_arpa(weights)
    if arpa and vocabulary:
        raise ExchangeError(f"{weights} is an ARPA file, which lists its words itself. Leave --vocabulary out.")
    vocabulary = vocabulary or vocabulary_path(weights)
    output = output or weights.parent / f"{Path(weights.name.removesuffix('.gz')).stem}.npz"
    if str(output) == "-":
        raise click.BadParameter("a checkpoint is a file; give its name.", param_hint="--output")
    for source in (weights, vocabulary):
        if is_same_file(output, source):
            raise ExchangeError(f"--output {output} is a file to import, and would be replaced. Choose another name.")
    check_free(output, force)
    with Reservation(output):
        pieces = _pieces(sentencepiece, tokenizer)
        choices, notes = Choices(activation, level, context, segmenter, bos, eos, unk, pieces), list[str]()
        if arpa:
            model = import_arpa(weights, choices)
        else:
            model, notes = import_model(weights, vocabulary, choices)
        model.save(output)
    for message in notes:
        note(message)
    size, tokens = f"{len(model.vocabulary):,}", tr(f"{model.level}s")
    note(tr("Vocabulary  {size} {tokens}, context {context}", size=size, tokens=tokens, context=model.context))
    note(_ngrams(model) if arpa else _network(model))
    does = "fill" if not arpa and model.network.config.bidirectional else "predict"
    note(tr("Saved {file}. Try: {command}", file=output, command=f"rnnlm {does} -m {output} TEXT"))


def _pieces(sentencepiece: Path | None, tokenizer: Path | None) -> "PieceTokenizer | None":
    """Return the tokenizer of a SentencePiece or Hugging Face file; None if neither is given, an error if both are."""
    from rnnlm.text.pieces import HUGGING_FACE, SENTENCEPIECE, PieceTokenizer

    if sentencepiece and tokenizer:
        raise click.UsageError("--sentencepiece and --tokenizer both say what a token is; leave one out.")
    kind, path = (SENTENCEPIECE, sentencepiece) if sentencepiece else (HUGGING_FACE, tokenizer)
    return None if path is None else PieceTokenizer.read(path, kind)


def _ngrams(model: "LanguageModel") -> str:
    counts = ", ".join(f"{count:,}" for count in model.ngram.ngram_counts())
    return tr("Model       n-grams of order {order}: {counts}", order=model.ngram.order, counts=counts)


def _network(model: "LanguageModel") -> str:
    config = model.network.config
    cell = config.cell.upper() + (f" ({config.activation})" if config.cell == "rnn" else "")
    size = f"{cell} {config.num_layers} x {config.hidden_size}"
    layer = ", adaptive softmax" if config.output == "adaptive" else ", tied output" if config.tied else ""
    return tr(
        "Network     {network}, {embedding}{output}; {parameters} parameters",
        network=tr("bidirectional {network}", network=size) if config.bidirectional else size,
        embedding=tr("embedding {size}" if config.embedding_size else "one-hot input", size=config.embedding_size),
        output=tr(layer),
        parameters=f"{model.network.parameter_count:,}",
    )
