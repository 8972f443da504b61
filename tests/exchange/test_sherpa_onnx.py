"""sherpa-onnx itself with the two graphs: its recogniser finds several words equally likely, so the model decides.

Its encoder, decoder and joiner are minimal graphs, whose logits do not depend on the sound.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.exchange.sherpa import export_sherpa, paths_of
from rnnlm.model_header import network_of
from rnnlm.text.tokenizers import TokenTokenizer
from rnnlm.text.vocabulary import Vocabulary

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
sherpa_onnx = pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed")

WORDS = [f"w{i}" for i in range(20)]
TOKENS = ["<blk>", "<sos/eos>", "<unk>", *WORDS[::-1]]  # not in the order of the model
HEARD = [["w1", "w2"], ["w3", "w4", "w5"], ["w1", "w9"]]  # equally likely words of each frame
V, FRAMES = len(TOKENS), len(HEARD)
HYPOTHESES = [" ".join(words) for words in itertools.product(*HEARD)]
SECOND = np.zeros(16000, np.float32)  # of silence


def write(path, nodes, inputs, outputs, constants, metadata):
    """Write a graph.

    nodes: (operator, inputs, outputs, attributes). inputs, outputs: names with types and shapes.
    """
    helper = onnx.helper
    kinds = {int: onnx.TensorProto.INT64, float: onnx.TensorProto.FLOAT}
    values = [
        [helper.make_tensor_value_info(name, kinds[kind], shape) for name, (kind, shape) in each.items()]
        for each in (inputs, outputs)
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, ins.split(), outs.split(), **more) for kind, ins, outs, more in nodes],
        "recogniser",
        *values,
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write the parts that both kinds of recognisers share to the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("tokens.txt").write_text("".join(f"{token} {i}\n" for i, token in enumerate(TOKENS)), encoding="utf-8")
    spoken = "".join(f"{'' if i < 3 else '▁'}{token} {i}\n" for i, token in enumerate(TOKENS))
    Path("spoken.txt").write_text(spoken, encoding="utf-8")
    shape = [
        ("Shape", "y", "shape", {}),
        ("Gather", "shape first", "n", {"axis": 0}),
        ("Concat", "n v", "wanted", {"axis": 0}),
        ("Expand", "zero wanted", "decoder_out", {}),
    ]
    constants = {"first": np.array([0]), "v": np.array([V]), "zero": np.zeros((1, 1), np.float32)}
    sizes = {"vocab_size": str(V), "context_size": "2"}
    write("decoder", shape, {"y": (int, ["N", 2])}, {"decoder_out": (float, ["N", V])}, constants, sizes)
    both = {"encoder_out": (float, ["N", V]), "decoder_out": (float, ["N", V])}
    added = [("Add", "encoder_out decoder_out", "logit", {})]
    write("joiner", added, both, {"logit": (float, ["N", V])}, {}, {"joiner_dim": str(V)})
    return {"decoder": "decoder", "joiner": "joiner", "tokens": "spoken.txt", "decoding_method": "modified_beam_search"}


@pytest.fixture(params=["lstm", "gru", "rnn"])
def model(request, make_network):
    network = make_network(cell=request.param, num_layers=2, seed=3)
    for name in ("output.weight", "embedding.weight"):
        network.params[name] *= 4  # so that the hypotheses differ clearly
    vocabulary = Vocabulary(WORDS, [1] * len(WORDS))
    return LanguageModel(TokenTokenizer(), vocabulary, network_of(network.config, network.params), "sentence")


def logits():
    found = np.full((1, FRAMES, V), -30, np.float32)
    for frame, words in enumerate(HEARD):
        found[0, frame, [TOKENS.index(word) for word in words]] = 0
    return found


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_an_offline_recogniser_chooses_the_hypothesis_by_the_model(scale, model, folder):
    export_sherpa(model, "tokens.txt").save(Path("lm"))
    nodes = [
        ("Shape", "x_lens", "n", {}),
        ("Concat", "n sizes", "wanted", {"axis": 0}),
        ("Expand", "logits wanted", "encoder_out", {}),
        ("Mul", "x_lens nothing", "none", {}),
        ("Add", "none frames", "encoder_out_lens", {}),
    ]
    constants = {"logits": logits(), "sizes": np.array([FRAMES, V]), "nothing": np.array(0), "frames": np.array(FRAMES)}
    inputs = {"x": (float, ["N", "T", 80]), "x_lens": (int, ["N"])}
    outputs = {"encoder_out": (float, ["N", FRAMES, V]), "encoder_out_lens": (int, ["N"])}
    write("encoder", nodes, inputs, outputs, constants, {"model_type": "zipformer2", "version": "1"})
    recogniser = sherpa_onnx.OfflineRecognizer.from_transducer(
        encoder="encoder", lm=str(paths_of(Path("lm"))[0]), lm_scale=scale, max_active_paths=20, **folder
    )
    stream = recogniser.create_stream()
    stream.accept_waveform(16000, SECOND)
    recogniser.decode_stream(stream)
    scores = {text: scored.logprob_nats for text, scored in zip(HYPOTHESES, model.score(HYPOTHESES), strict=True)}
    assert stream.result.text == max(scores, key=lambda text: scale * scores[text])


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_a_streaming_recogniser_adds_the_models_log_probabilities(scale, model, folder):
    export_sherpa(model, "tokens.txt").save(Path("lm"))
    nodes = [
        ("Identity", "c", "next_c", {}),
        ("Add", "h one", "next_h", {}),
        ("Greater", "h half", "later", {}),
        ("Where", "later blank logits", "encoder_out", {}),
    ]
    blank = np.where(np.arange(V) == 0, 0, -30).astype(np.float32)[None, None]
    constants = {"one": np.ones(1, np.float32), "half": np.float32(0.5), "blank": blank, "logits": logits()}
    state = (float, [1, "N", 1])
    inputs = {"x": (float, ["N", "T", 80]), "h": state, "c": state}
    outputs = {"encoder_out": (float, ["N", FRAMES, V]), "next_h": state, "next_c": state}
    sizes = {"num_encoder_layers": "1", "T": "9", "decode_chunk_len": "4", "rnn_hidden_size": "1", "d_model": "1"}
    write("encoder", nodes, inputs, outputs, constants, {"model_type": "lstm", "version": "1"} | sizes)
    recogniser = sherpa_onnx.OnlineRecognizer.from_transducer(
        encoder="encoder", lm=str(paths_of(Path("lm"))[1]), lm_scale=scale, max_active_paths=20, **folder
    )
    stream = recogniser.create_stream()
    stream.accept_waveform(16000, SECOND)
    stream.input_finished()
    while recogniser.is_ready(stream):
        recogniser.decode_stream(stream)
    steps = {
        text: scored.log_probabilities[:-1] for text, scored in zip(HYPOTHESES, model.score(HYPOTHESES), strict=True)
    }
    best = max(steps, key=lambda text: scale * steps[text].sum())
    assert recogniser.get_result(stream) == best
    assert recogniser.lm_probs(stream) == pytest.approx(steps[best], rel=1e-4)
