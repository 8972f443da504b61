"""A checkpoint of a network mixed with an n-gram model of the same text, in all commands."""

import math

import numpy as np
import pytest

import rnnlm as library
from rnnlm.errors import CheckpointError
from rnnlm.language_model import LanguageModel
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.storage import checkpoint
from tests.sentences import SENTENCES

SMALL = ["--hidden-size", "8", "--embedding-size", "4", "--threads", "1", "--epochs", "2"]


@pytest.fixture
def model_path(corpus, rnnlm):
    path = corpus.with_name("both.npz")
    rnnlm("train", corpus, "-o", path, *SMALL)
    return path


def test_a_training_keeps_the_ngram_if_the_mixture_is_better(model_path, corpus, rnnlm):
    model = LanguageModel.load(model_path)
    assert isinstance(model.predictor, NetworkWithNgram)
    assert (model.kind, model.ngram.order) == ("rnn", 5)
    assert model.training["mixture"]["nats_per_token"] < model.training["best_nats_per_token"]
    assert "with a 5-gram" in repr(model)
    alone = corpus.with_name("alone.npz")
    rnnlm("train", corpus, "-o", alone, *SMALL, "--ngram", "0")
    network = LanguageModel.load(alone)
    assert network.predictor is network.network
    assert network.network.params.keys() == model.network.params.keys()
    assert all((network.network.params[n] == a).all() for n, a in model.network.params.items()), (
        "the training is as it was"
    )


def test_a_given_order_is_kept(corpus, rnnlm):
    path = corpus.with_name("three.npz")
    rnnlm("train", corpus, "-o", path, *SMALL, "--ngram", "3")
    assert LanguageModel.load(path).ngram.order == 3


@pytest.mark.parametrize("options", [["--bidirectional"], ["--valid-fraction", "0"]])
def test_a_bidirectional_network_or_missing_held_out_text_rules_out_the_ngram(options, corpus, rnnlm):
    path = corpus.with_name("m.npz")
    rnnlm("train", corpus, "-o", path, *SMALL, *options)
    assert LanguageModel.load(path).predictor.kind == "rnn"
    assert "mixed_ngram" not in checkpoint.read_header(path)
    said = rnnlm("train", corpus, "-o", path, *SMALL, *options, "--ngram", "3", "--force", code=1).err
    assert said.startswith("Error: --ngram 3 cannot be mixed with the network: ")


def test_a_resumed_training_ends_like_an_uninterrupted_one(corpus, rnnlm):
    whole, parts = corpus.with_name("whole.npz"), corpus.with_name("parts.npz")
    stopped = library.train(corpus, hidden_size=8, embedding_size=4, threads=1, epochs=2, progress=lambda r: r.step < 3)
    assert isinstance(stopped.predictor, NetworkWithNgram), "one that was stopped has it as well"
    stopped.save(parts)
    library.train(corpus, hidden_size=8, embedding_size=4, threads=1, epochs=2, progress=False).save(whole)
    rnnlm("train", corpus, "-o", parts, "--resume", "--threads", "1")
    one, other = checkpoint.load(whole), checkpoint.load(parts)
    assert one[1].keys() == other[1].keys()
    assert all((one[1][name] == other[1][name]).all() for name in one[1])
    assert one[0]["mixed_ngram"] == other[0]["mixed_ngram"]


def test_a_training_can_start_from_the_network_of_a_mixture(model_path, corpus, rnnlm):
    path = corpus.with_name("next.npz")
    rnnlm("train", corpus, "-o", path, "--init-from", model_path, "--epochs", "1", "--threads", "1", "--ngram", "0")
    assert LanguageModel.load(path).network.params.keys() == LanguageModel.load(model_path).network.params.keys()


def test_eval_shows_the_mixture_and_each_part(model_path, corpus, rnnlm):
    found = rnnlm("eval", "-m", model_path, corpus, "--json").json
    model = LanguageModel.load(model_path)
    assert found["nats_per_token"] == pytest.approx(model.evaluate(corpus).nats_per_token, rel=1e-6)
    names = [row["model"] for row in found["parts"]]
    assert names == ["LSTM 1 x 8 alone", "5-gram alone"]
    alone = LanguageModel(model.tokenizer, model.vocabulary, model.network, model.context)
    ngram = LanguageModel(model.tokenizer, model.vocabulary, model.ngram, model.context)
    for row, other in zip(found["parts"], (alone, ngram), strict=True):
        assert row["nats_per_token"] == pytest.approx(other.evaluate(corpus).nats_per_token, rel=1e-6)
    shown = rnnlm("eval", "-m", model_path, corpus).out
    assert "LSTM 1 x 8 alone" in shown
    assert "the model is both together" in shown


def test_dynamic_evaluation_mixes_the_adapted_network(model_path, corpus, rnnlm):
    (row,) = rnnlm("eval", "-m", model_path, corpus, "--dynamic", "--dynamic-lr", "1e-9", "--json").json["dynamic"]
    assert row["nats_per_token"] == pytest.approx(
        LanguageModel.load(model_path).evaluate(corpus).nats_per_token, rel=1e-5
    )


def test_the_torch_engine_measures_the_same(model_path, corpus, rnnlm):
    ours = rnnlm("eval", "-m", model_path, corpus, "--json").json
    theirs = rnnlm("eval", "-m", model_path, corpus, "--json", "--engine", "torch", "--device", "cpu").json
    assert theirs["nats_per_token"] == pytest.approx(ours["nats_per_token"], rel=1e-5)


def test_predict_and_score_use_the_mixture(model_path, tmp_path, rnnlm):
    model = LanguageModel.load(model_path)
    first = SENTENCES[0]
    prompt = first.rsplit(" ", 2)[0]
    said = rnnlm("predict", "-m", model_path, prompt, "-k", "3", "--json").json
    ids = np.array(model.prefix(model.encode(prompt)))[:, None]
    expected, _ = model.predictor.next_log_probabilities(ids, model.predictor.zero_state(1))
    best = said["candidates"][0]
    token = model.vocabulary.encode([best["token"]])[0]
    assert best["probability"] == pytest.approx(math.exp(expected[0, token]), rel=1e-5)
    (tmp_path / "line.txt").write_text(first + "\n", encoding="utf-8")
    lines = rnnlm("score", "-m", model_path, tmp_path / "line.txt", "--json").json
    assert lines["logprob_nats"] == pytest.approx(model.score(first).logprob_nats, rel=1e-6)


def test_info_shows_the_ngram_and_export_leaves_it_out(model_path, rnnlm):
    facts = rnnlm("info", model_path, "--json").json
    assert facts["mixed_ngram"]["order"] == 5
    assert len(facts["mixed_ngram"]["weights"]) == 5
    assert facts["training"]["mixed_nats_per_token"] < facts["training"]["best_nats_per_token"]
    assert "order 5" in rnnlm("info", model_path).out
    said = rnnlm("export", "-m", model_path, "--to", "safetensors").err
    assert "The 5-gram that is mixed with the network is left out" in said


def test_earlier_versions_read_the_network_alone(model_path):
    header, arrays = checkpoint.load(model_path)
    before = ("embedding.", "rnn.", "output.", "ngram.")  # names that 0.4.0 takes for a model's arrays
    read = {name for name in arrays if name.startswith(before)}
    assert read == LanguageModel.load(model_path).network.params.keys()
    assert (header["kind"], header["version"]) == ("rnn", 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h, a: h["mixed_ngram"].update(weights=[0.5]), "weights"),
        (lambda h, a: h["mixed_ngram"].update(weights=[0.5, 0.5, 0.5, 0.5, 7]), "weights"),
        (lambda h, a: h["mixed_ngram"].update(weights=None), "weights"),
        (lambda h, a: h["mixed_ngram"].update(order="many"), "n-gram tables"),
        (lambda h, a: h.update(mixed_ngram=3), "object"),
        (lambda h, a: a.pop("mixed_ngram.2.keys"), "n-gram tables"),
        (lambda h, a: a["mixed_ngram.2.log_probability"].fill(1), "n-gram tables"),
    ],
)
def test_a_damaged_mixture_is_refused_in_a_sentence(change, said, model_path, tmp_path):
    header, arrays = checkpoint.load(model_path)
    change(header, arrays)
    checkpoint.save(tmp_path / "damaged.npz", header, arrays)
    with pytest.raises(CheckpointError, match=said):
        LanguageModel.load(tmp_path / "damaged.npz")
