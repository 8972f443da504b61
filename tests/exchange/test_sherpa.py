"""The two graphs for sherpa-onnx, called as its C++ code does, by order of inputs and outputs and with its ids."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.errors import ExchangeError
from rnnlm.exchange.sherpa import export_sherpa, paths_of
from rnnlm.model_header import network_of
from rnnlm.nn.cells import CELLS
from rnnlm.text.tokenizers import TokenTokenizer
from rnnlm.text.vocabulary import Vocabulary

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
WORDS = [f"w{i}" for i in range(20)]
# Recognisers number their tokens in any order, and have tokens that the language model lacks.
RECOGNISER = ["<blk>", "<sos/eos>", "<unk>", *WORDS[::-1], "new", "#0"]
LISTS = [["w3", "w1", "w1", "w19", "w0"], ["w7"], [], ["w2", "new", "w2"]]


class Sherpa:
    """The calls that sherpa-onnx makes, in Python."""

    def __init__(self, encoded):
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = runtime.InferenceSession(encoded, options, providers=["CPUExecutionProvider"])
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.meta = self.session.get_modelmeta().custom_metadata_map

    def run(self, *arrays):
        return self.session.run(None, dict(zip(self.inputs, arrays, strict=True)))

    def rescore(self, ids):
        """Return the nll of each hypothesis, in one batch padded with 0, as csrc/offline-lm.cc does."""
        x = np.zeros((len(ids), max(map(len, ids))), np.int64)
        for row, each in zip(x, ids, strict=True):
            row[: len(each)] = each
        return self.run(x, np.array([len(each) for each in ids], np.int64))[0]

    def fuse(self, ids):
        """Return the log probability of each token, and the last distribution, as csrc/online-rnn-lm.cc does."""
        state = [np.zeros((int(self.meta["num_layers"]), 1, int(self.meta["hidden_size"])), np.float32)] * 2
        scores, *state = self.run(np.array([[int(self.meta["sos_id"])]], np.int64), *state)
        found = []
        for token in ids:
            found.append(scores.ravel()[token])
            scores, *state = self.run(np.array([[token]], np.int64), *state)
        return np.array(found), scores


@pytest.fixture
def recogniser(tmp_path):
    path = tmp_path / "tokens.txt"
    path.write_text("".join(f"{token} {i}\n" for i, token in enumerate(RECOGNISER)), encoding="utf-8")
    return path


def model_of(network, context="sentence"):
    return LanguageModel(
        TokenTokenizer(), Vocabulary(WORDS, [1] * len(WORDS)), network_of(network.config, network.params), context
    )


def test_both_graphs_give_the_scores_of_the_model_for_the_recognisers_ids(causal_network, recogniser):
    model, place = model_of(causal_network), {token: i for i, token in enumerate(RECOGNISER)}
    files = export_sherpa(model, recogniser)
    for encoded in (files.without_state, files.with_state):
        onnx.checker.check_model(onnx.load_from_string(encoded), full_check=True)
    ids = [[place[token] for token in tokens] for tokens in LISTS]
    scored = list(model.score([" ".join(tokens) for tokens in LISTS]))
    nll = Sherpa(files.without_state).rescore(ids)
    assert nll.dtype == np.float32
    assert nll == pytest.approx([-each.logprob_nats for each in scored], rel=1e-5)
    online = Sherpa(files.with_state)
    for each, line in zip(ids, scored, strict=True):
        steps, last = online.fuse(each)
        assert steps == pytest.approx(line.log_probabilities[:-1], rel=1e-4, abs=1e-5)
        assert last.shape == (1, len(RECOGNISER))
        assert last[0, place["<sos/eos>"]] == pytest.approx(line.log_probabilities[-1], rel=1e-4, abs=1e-5)


def test_inputs_and_metadata_are_those_of_icefall(make_network, recogniser):
    files = export_sherpa(model_of(make_network(cell="lstm", num_layers=2)), recogniser)
    offline, online = Sherpa(files.without_state), Sherpa(files.with_state)
    assert offline.inputs == ["x", "x_lens"]
    assert online.inputs == ["x", "h0", "c0"]
    assert [each.name for each in online.session.get_outputs()] == ["log_softmax", "next_h0", "next_c0"]
    known = {"model_type": "rnnlm", "version": "1", "sos_id": "1", "eos_id": "1", "vocab_size": "25"}
    assert known.items() <= offline.meta.items()
    assert (known | {"num_layers": "2", "hidden_size": "6", "embedding_dim": "5"}).items() <= online.meta.items()
    assert "new #0" in " ".join(files.notes)
    assert "<blk>" in " ".join(files.notes)


def test_a_recogniser_without_a_start_symbol_gets_an_additional_id(make_network, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\n".join([*WORDS, "</s>"]), encoding="utf-8")
    model = model_of(make_network(cell="gru"))
    online = Sherpa(export_sherpa(model, path).with_state)
    assert (online.meta["sos_id"], online.meta["eos_id"], online.meta["vocab_size"]) == ("21", "20", "21")
    steps, last = online.fuse([3, 4])
    expected = model.score("w3 w4").log_probabilities
    assert [*steps, last[0, 20]] == pytest.approx(expected, rel=1e-4)


def test_after_several_tokens_at_once_the_last_distribution_is_returned(make_network, recogniser):
    online = Sherpa(export_sherpa(model_of(make_network(cell="cifg")), recogniser).with_state)
    ids = np.array([[1, 4, 5], [1, 9, 9]], np.int64)
    state = [np.zeros((1, 2, 6), np.float32)] * 2
    at_once = online.run(ids, *state)
    for column in ids.T:
        scores, *state = online.run(column[:, None], *state)
    for found, expected in zip(at_once, [scores, *state], strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_without_a_tokens_file_ids_are_those_of_the_model(cell, make_network):
    model = model_of(make_network(cell=cell))
    files = export_sherpa(model)
    assert "tokens.txt" in files.notes[0]
    ids = model.vocabulary.encode(["w4", "w5"]).tolist()
    assert Sherpa(files.without_state).rescore([ids])[0] == pytest.approx(-model.score("w4 w5").logprob_nats, rel=1e-5)


def test_unsupported_models_and_vocabularies_are_refused(make_network, recogniser, tmp_path):
    with pytest.raises(ExchangeError, match="one direction"):
        export_sherpa(model_of(make_network(bidirectional=True)), recogniser)
    with pytest.raises(ExchangeError, match="--context sentence"):
        export_sherpa(model_of(make_network(), "stream"), recogniser)
    foreign = tmp_path / "foreign.json"
    foreign.write_text(json.dumps(["x", "y", "z", "<unk>"]), encoding="utf-8")
    with pytest.raises(ExchangeError, match=r"None of the 4 tokens .*foreign\.json is among the 23"):
        export_sherpa(model_of(make_network()), foreign)


def test_export_writes_both_graphs_and_replaces_nothing(make_network, recogniser, tmp_path, monkeypatch, rnnlm):
    monkeypatch.chdir(tmp_path)
    model = model_of(make_network())
    model.save("m.npz")
    said = rnnlm("export", "-m", "m.npz", "--to", "sherpa", "--vocabulary", str(recogniser)).err
    written = [str(each) for each in paths_of(Path("m"))]
    assert written == ["m.no-state.onnx", "m.with-state.onnx", "m.vocabulary.json"]
    assert all(name in said for name in written)
    nll = Sherpa(Path(written[0]).read_bytes()).rescore([[RECOGNISER.index("w3")]])[0]
    assert math.exp(-nll) == pytest.approx(math.exp(model.score("w3").logprob_nats), rel=1e-5)
    assert "exists already" in rnnlm("export", "-m", "m.npz", "--to", "sherpa", code=1).err
    assert "--vocabulary is for --to sherpa" in rnnlm("export", "--to", "onnx", "--vocabulary", "t.txt", code=2).err
