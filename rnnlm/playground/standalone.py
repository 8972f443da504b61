"""Export a model and the page as one HTML file that works from a disk: `rnnlm export --to html`.

The parameters are rounded to integers of 16 or 8 bits with a scale for each row; biases are not rounded. With 16 bits
that is more precise than float16, which spends 5 bits on the exponent: the numbers in a row have similar magnitudes.
"""

import base64
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnlm.errors import ExchangeError
from rnnlm.inference.generation import SamplingOptions
from rnnlm.language_model import LanguageModel
from rnnlm.nn.network import Network
from rnnlm.nn.numerics import Array
from rnnlm.playground.bundle import page
from rnnlm.playground.served import ServedModel
from rnnlm.sentences import Sentence
from rnnlm.storage.atomic import not_written, replacing
from rnnlm.text.pieces import PieceTokenizer
from rnnlm.text.vocabulary import SPECIALS

BITS = (16, 8)
PARTS = ("type", "surprise", "sample")  # the parts of the page that need no server
MEASURED = 400  # tokens
LARGEST = 256 << 20  # bytes of parameters: base64 takes 4/3 of them, and browsers read at most 512 MB


class Loss(NamedTuple):
    """The change of log probabilities (nats) by rounding, measured on tokens that the model generated.

    tokens: Number of tokens. mean, largest: Of the absolute differences. worse: Increase of the mean of -log p.
    """

    tokens: int
    mean: float
    largest: float
    worse: float


class HtmlExport(NamedTuple):
    """The content of the file, the loss by rounding, and notes on differences from the model."""

    content: bytes
    loss: Loss
    notes: list[str]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file atomically.

        Raises:
            SavingError: The file cannot be written.
        """
        try:
            with replacing(Path(path)) as file:
                file.write(self.content)
        except OSError as error:
            raise not_written(Path(path), error) from error


def export_html(model: LanguageModel, name: str = "rnnlm", bits: int = 16) -> HtmlExport:
    """Put a model into a page that works without a server and shows next tokens, surprise and generated text.

    Its probabilities are those of the network with rounded parameters, without an n-gram that is mixed with it.

    Args:
        model: A network that reads from left to right.
        name: Name of the model on the page.
        bits: Bits of each parameter, 16 or 8.

    Raises:
        ExchangeError: `bits` is another number, the model is not such a network, or it is too large.
    """
    if bits not in BITS:
        raise ExchangeError(f"bits is {bits!r}; expected one of {', '.join(map(str, BITS))}.")
    network = model.network if model.kind == "rnn" else None
    if not isinstance(network, Network):
        raise ExchangeError(
            f"A page takes a recurrent network of one direction; the model is {model.predictor.describe()}."
        )
    if isinstance(model.tokenizer, PieceTokenizer):
        raise ExchangeError(
            "A page cuts text into characters, words or at spaces; the model's tokens are pieces, which need the "
            "program that cut them. Serve it with rnnlm serve."
        )
    alone = _with_network(model, network)
    described, packed, rounded = _pack(network, bits)
    loss = _loss(alone, _with_network(model, Network(network.config, rounded)))
    listed = ServedModel(name, alone).described() | {"id": name, "parts": list(PARTS)}
    document = {"listed": listed, "model": _description(alone) | {"arrays": described}}
    data = {
        "model-description": json.dumps(document, ensure_ascii=False, separators=(",", ":")),
        "model-weights": base64.b64encode(packed).decode("ascii"),
    }
    return HtmlExport(page(data).encode("utf-8", "surrogatepass"), loss, _notes(model))


def _with_network(model: LanguageModel, network: Network) -> LanguageModel:
    made = LanguageModel(model.tokenizer, model.vocabulary, network, model.context)
    made.line_before, made.line_resets = model.line_before, model.line_resets
    return made


def _notes(model: LanguageModel) -> list[str]:
    found = list[str]()
    if model.predictor is not model.network:
        without = "The {ngram} that is mixed with the network is left out: a page has none."
        found.append(Sentence(without, ngram=model.ngram.describe()))
    if model.level == "word" and model.tokenizer.options()["jieba"] is not None:
        found.append(
            Sentence(
                "Chinese that has no spaces between its words is cut by how often the model's text has each word, not "
                "by jieba, and in places otherwise."
            )
        )
    return found


def _description(model: LanguageModel) -> dict[str, Any]:
    """Return the description of a model that offline/model.js reads."""
    options = model.tokenizer.options()
    names = ("h", "c")
    zero = model.by_line.zero_state(1)[:, :, 0]  # (S, L, H)
    return {
        "level": model.level,
        "context": model.context,
        "reads_lines": model.reads_lines,
        "start": model.start,
        "end": model.end,
        "never": model.never_generated(),
        "unknown_word_penalty": model.unknown_word_penalty,
        "tokenizer": {"name": model.level, "segmenter": options.get("segmenter"), "rules": options.get("rules")},
        "tokens": [*SPECIALS, *model.vocabulary.tokens],
        "counts": model.vocabulary.counts,
        "network": model.network.config.to_header(),
        "zero": [dict(zip(names, map(_numbers, layer), strict=False)) for layer in zero.swapaxes(0, 1)],
    }


def _numbers(values: Array) -> list[float]:
    return [float(f"{each:.9g}") for each in values.tolist()]


# --- rounding -----------------------------------------------------------------------------------------------------


def _pack(network: Network, bits: int) -> tuple[list[dict[str, Any]], bytes, dict[str, Array]]:
    """Return the layout of each array in the packed bytes, the bytes, and the arrays as they are read from them.

    Raises:
        ExchangeError: There are more bytes than LARGEST.
    """
    described, parts, rounded, offset = list[dict[str, Any]](), list[bytes](), dict[str, Array](), 0
    for name, array in network.params.items():
        kind, data, rounded[name] = _rounded(np.ascontiguousarray(array, dtype="<f4"), bits)
        described.append({"name": name, "shape": list(array.shape), "type": kind, "offset": offset})
        data += bytes(-len(data) % 4)  # floats begin at a multiple of 4
        parts.append(data)
        offset += len(data)
    if offset > LARGEST:
        raise ExchangeError(
            f"The page would have {offset / 1e6:,.0f} MB of parameters, more than browsers read in one piece "
            f"({LARGEST / 1e6:,.0f} MB). Train a smaller model, or take --bits 8."
        )
    return described, b"".join(parts), rounded


def _rounded(array: Array, bits: int) -> tuple[str, bytes, Array]:
    """Return the type of a packed array, its bytes, and the array that is read from them."""
    if array.ndim == 1:
        return "float32", array.tobytes(), array
    most = 2 ** (bits - 1) - 1
    scale = np.abs(array).max(axis=1) / np.float32(most)
    scale = np.where(scale > 0, scale, 1).astype("<f4")
    whole = np.rint(array / scale[:, None]).clip(-most, most).astype(f"<i{bits // 8}")
    return f"int{bits}", scale.tobytes() + whole.tobytes(), whole.astype(np.float32) * scale[:, None]


def _loss(model: LanguageModel, rounded: LanguageModel) -> Loss:
    ids = np.array(_written(model), dtype=np.int32)
    before, after = model.nats(ids).astype(np.float64), rounded.nats(ids).astype(np.float64)
    differences = after - before
    absolute = np.abs(differences)
    return Loss(len(ids), float(absolute.mean()), float(absolute.max()), float(differences.mean()))


def _written(model: LanguageModel) -> Sequence[int]:
    """Return the ids of a text that the model generates, always the same."""
    ids, rng = list[int](), np.random.default_rng(0)
    while len(ids) < MEASURED:
        for drawn in model.sample("", SamplingOptions(MEASURED - len(ids)), rng):
            ids += [each for each in drawn if each is not None]
    return ids
