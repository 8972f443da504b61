"""Export of a language model for sherpa-onnx: two ONNX files, like those of icefall's rnn_lm/export-onnx.py.

    without state, --lm of non-streaming recognisers:
        x (N, L) int64, tokens without <s> and </s>, padded at the end; x_lens (N,) int64 -> nll (N,)
    with state, --lm of streaming recognisers, in shallow fusion:
        x (N, L) int64, h0, c0 (layers, N, hidden) -> log_softmax (N, V) after the last token, next_h0, next_c0

Ids are those of the tokens of the recogniser, in inputs and outputs. sherpa-onnx reads the metadata of the files
(`num_layers`, `hidden_size`, `sos_id`, ...), and identifies inputs and outputs by their order: see its
csrc/offline-rnn-lm.cc and csrc/online-rnn-lm.cc.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnlm.errors import ExchangeError
from rnnlm.exchange import vocabulary_file
from rnnlm.exchange.model_files import VOCABULARY_EXTENSION
from rnnlm.exchange.onnx_graph import Graph, forward, output, states_of
from rnnlm.exchange.packages import load_package
from rnnlm.language_model import LanguageModel
from rnnlm.nn.network import Network
from rnnlm.nn.numerics import Array
from rnnlm.sentences import Sentence
from rnnlm.storage.atomic import not_written, replacing
from rnnlm.text.token_lists import read_tokens
from rnnlm.text.vocabulary import BOS, EOS, SPECIALS, UNK, Vocabulary

WITHOUT_STATE, WITH_STATE = "no-state", "with-state"  # in file names, as in icefall
BOTH_ENDS = ("<sos/eos>", "<s>", "<sos>")  # start tokens of recognisers, the most common first


def paths_of(path: Path) -> tuple[Path, Path, Path]:
    """Return the paths of the two ONNX files and of the vocabulary file for a given path.

    >>> [str(each) for each in paths_of(Path("models/lm.onnx"))]
    ['models/lm.no-state.onnx', 'models/lm.with-state.onnx', 'models/lm.vocabulary.json']
    """
    stem = path.parent / path.name.removesuffix(".onnx")
    endings = (f".{WITHOUT_STATE}.onnx", f".{WITH_STATE}.onnx", VOCABULARY_EXTENSION)
    first, second, third = (Path(f"{stem}{ending}") for ending in endings)
    return first, second, third


class Tokens(NamedTuple):
    """Mapping from the ids of a recogniser to those of a model.

    read: (n,) or (n + 1,) model ids of input tokens. asked: (n,) model ids of output tokens. sos, eos: ids of the
    recogniser. notes: messages for the user.
    """

    read: Array
    asked: Array
    sos: int
    eos: int
    notes: list[str]


class SherpaExport(NamedTuple):
    """Contents of the files, and notes on the tokens."""

    without_state: bytes
    with_state: bytes
    vocabulary: bytes
    notes: list[str]

    def save(self, path: Path) -> None:
        """Write the files of `paths_of(path)`, each atomically.

        Raises:
            SavingError: one of them cannot be written.
        """
        contents = (self.without_state, self.with_state, self.vocabulary)
        try:
            with ExitStack() as files:
                for each, content in zip(paths_of(path), contents, strict=True):
                    files.enter_context(replacing(each)).write(content)
        except OSError as error:
            raise not_written(path, error) from error


def export_sherpa(model: LanguageModel, tokens: str | Path | None = None) -> SherpaExport:
    """Return a model of sentences encoded for sherpa-onnx.

    tokens: token file of the recogniser (tokens.txt); without it, the recogniser must use the ids of the model.

    Raises:
        ExchangeError: the model is not a unidirectional network of sentences, a package is missing, or the model has
            none of the tokens of the recogniser.
        VocabularyError: the token file cannot be read.
    """
    if model.kind != "rnn" or model.network.config.bidirectional:
        raise ExchangeError(
            f"sherpa-onnx takes a recurrent network of one direction; the model is {model.predictor.describe()}."
        )
    if model.context != "sentence" and not model.line_resets:
        raise ExchangeError(
            "sherpa-onnx scores utterances, each from <s> on; the model was trained on one stream of text. Train it "
            "with --context sentence."
        )
    known = _own(model.vocabulary) if tokens is None else _arranged(read_tokens(tokens), model.vocabulary, str(tokens))
    if tokens is None:
        known.notes.append(
            Sentence(
                "sherpa-onnx uses the ids of the recogniser, which have to be those of the vocabulary file. To convert "
                "them, give the tokens.txt of the recogniser with --vocabulary."
            )
        )
    network: Any = model.network
    return SherpaExport(
        _without_state(network, known), _with_state(network, known), vocabulary_file.encode(model), known.notes
    )


def _own(vocabulary: Vocabulary) -> Tokens:
    ids = np.arange(len(vocabulary), dtype=np.int64)
    return Tokens(ids, ids, BOS, EOS, [])


def _arranged(tokens: Sequence[str], vocabulary: Vocabulary, name: str) -> Tokens:
    """Map the tokens of a recogniser to the model by their spelling; unknown ones become <unk>."""
    asked = vocabulary.encode(list(tokens)).astype(np.int64)
    read, notes = asked.copy(), list[str]()
    if not (asked != UNK).any():
        raise ExchangeError(
            f"None of the {len(tokens):,} tokens of {name} is among the {len(vocabulary):,} of the model. Give the "
            "tokens.txt of the recogniser that the model was trained for, see rnnlm train --vocabulary."
        )
    place = {token: number for number, token in enumerate(tokens)}
    starts = [place[token] for token in BOTH_ENDS if token in place]
    ends = [place[token] for token in ("</s>", "<eos>", BOTH_ENDS[0]) if token in place]
    asked[[*starts, *ends]], read[ends], read[starts] = EOS, EOS, BOS
    if not starts:  # add an id after the others
        starts, read = [len(tokens)], np.append(read, BOS)
    special = {*starts, *ends, *(place[token] for token in SPECIALS if token in place)}
    missing = [token for number, token in enumerate(tokens) if asked[number] == UNK and number not in special]
    if missing:
        notes.append(
            Sentence(
                "{n} of the {tokens} tokens of {name} are unknown to the model: {shown}. They have the probability of "
                "<unk>.",
                n=f"{len(missing):,}",
                tokens=f"{len(tokens):,}",
                name=name,
                shown=" ".join(missing[:4]) + " ..." * (len(missing) > 4),
            )
        )
    return Tokens(read, asked, starts[0], ends[0] if ends else starts[0], notes)


# --- graphs -------------------------------------------------------------------------------------------------------


def _read(graph: Graph, name: str, table: Array) -> str:
    """Look up model ids (L, N) for the ids x (N, L) of the recogniser."""
    return graph.node("Transpose", [graph.node("Gather", [graph.constant(name, table), "x"])], perm=[1, 0])


def _vector(graph: Graph, value: int) -> str:
    """Add an integer constant of shape (1,)."""
    return graph.constant(f"vector_{value}", np.array([value], np.int64))


def _number(graph: Graph, value: int) -> str:
    return graph.constant(f"number_{value}", np.array(value, np.int64))


def _without_state(network: Network, tokens: Tokens) -> bytes:
    onnx = load_package("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = Graph(onnx)
    shape = graph.node("Shape", ["x"])
    row = graph.node("Concat", [_vector(graph, 1), graph.node("Gather", [shape, _vector(graph, 0)])], axis=0)
    start = graph.node("Expand", [_vector(graph, BOS), row])  # (1, N)
    ids = graph.node("Concat", [start, _read(graph, "read", tokens.read)], axis=0)
    output(graph, network, forward(graph, network, ids, [], ""))
    # Targets: the tokens, then </s> at index x_lens; those after it are masked below.
    end = graph.node("Add", [graph.node("Gather", [shape, _number(graph, 1)]), _number(graph, 1)])
    places = graph.node("Range", [_number(graph, 0), end, _number(graph, 1)])
    places = graph.node("Unsqueeze", [places, _vector(graph, 1)])  # (L + 1, 1)
    asked = graph.node("Concat", [_read(graph, "asked", tokens.asked), start], axis=0)
    targets = graph.node("Where", [graph.node("Equal", [places, "x_lens"]), _vector(graph, EOS), asked])
    targets = graph.node("Unsqueeze", [targets, _vector(graph, 2)])
    chosen = graph.node("GatherElements", ["log_probabilities", targets], axis=2)
    chosen = graph.node("Squeeze", [chosen, _vector(graph, 2)])  # (L + 1, N)
    nothing = graph.constant("nothing", np.zeros(1, np.float32))
    chosen = graph.node("Where", [graph.node("LessOrEqual", [places, "x_lens"]), chosen, nothing])
    graph.node("Neg", [graph.node("ReduceSum", [chosen, _vector(graph, 0)], keepdims=0)], "nll")
    inputs = [
        helper.make_tensor_value_info("x", kinds.INT64, ["N", "L"]),
        helper.make_tensor_value_info("x_lens", kinds.INT64, ["N"]),
    ]
    outputs = [helper.make_tensor_value_info("nll", kinds.FLOAT, ["N"])]
    return graph.encode(inputs, outputs, (__doc__ or "").strip(), _metadata(network, tokens, "without state"))


def _with_state(network: Network, tokens: Tokens) -> bytes:
    onnx = load_package("onnx")
    helper, config = onnx.helper, network.config
    graph, states = Graph(onnx), states_of(config)
    for name in states:
        graph.node("Identity", [f"{name}0"], name)
    output(graph, network, forward(graph, network, _read(graph, "read", tokens.read), states, ""))
    for name in ("h", "c"):  # for cells without c, c0 is passed through
        graph.node("Identity", [f"next_{name}" if name in states else f"{name}0"], f"next_{name}0")
    last = graph.node("Gather", ["log_probabilities", _number(graph, -1)], axis=0)
    graph.node("Gather", [last, graph.constant("asked", tokens.asked)], "log_softmax", axis=1)
    state = [config.num_layers, "N", config.hidden_size]
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.INT64, ["N", "L"])]
    inputs += [helper.make_tensor_value_info(f"{name}0", onnx.TensorProto.FLOAT, state) for name in ("h", "c")]
    outputs = [helper.make_tensor_value_info("log_softmax", onnx.TensorProto.FLOAT, ["N", len(tokens.asked)])]
    outputs += [helper.make_tensor_value_info(f"next_{name}0", onnx.TensorProto.FLOAT, state) for name in ("h", "c")]
    sizes = {
        "num_layers": str(config.num_layers),
        "hidden_size": str(config.hidden_size),
        "embedding_dim": str(config.embedding_size),
    }
    return graph.encode(inputs, outputs, (__doc__ or "").strip(), _metadata(network, tokens, "with state") | sizes)


def _metadata(network: Network, tokens: Tokens, comment: str) -> dict[str, str]:
    return {
        "model_type": "rnnlm",
        "version": "1",
        "model_author": "rnnlm",
        "comment": f"rnnlm {comment}",
        "sos_id": str(tokens.sos),
        "eos_id": str(tokens.eos),
        "vocab_size": str(len(tokens.asked)),
    }
