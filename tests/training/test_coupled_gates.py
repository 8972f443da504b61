"""Trainings of an LSTM with coupled gates: when they are chosen, what they save, and resuming."""

import math

import numpy as np
import pytest

import rnnlm
from rnnlm.errors import CheckpointError, TrainingError

LINES = ["the cat saw the hen", "the dog bit the fox", "a hen saw a dog and the cat", "the fox ran"] * 20
SMALL = {"hidden_size": 8, "embedding_size": 4, "epochs": 2, "threads": 1, "ngram": 0, "progress": False}


def train(**more):
    return rnnlm.train(text=LINES, **{**SMALL, "coupled_gates": True, **more})


def recurrent(model):
    return {name: array for name, array in model.network.params.items() if name.startswith("rnn.")}


@pytest.mark.parametrize("more", [{}, {"level": "char"}, {"networks": 2}, {"bidirectional": True}, {"num_layers": 2}])
def test_saved_network_is_an_lstm_whose_input_gate_is_one_minus_its_forget_gate(more, tmp_path):
    train(**more).save(tmp_path / "m.npz")
    model = rnnlm.load(tmp_path / "m.npz")
    assert model.network.config.cell == "lstm"
    for array in recurrent(model).values():
        i, f, _, _ = np.split(array, 4)
        assert np.array_equal(i, -f)
        assert f.any()


def test_training_is_that_of_the_cell_cifg():
    coupled, cifg = train(), train(cell="cifg", coupled_gates=None)
    for name, array in recurrent(cifg).items():
        assert np.array_equal(recurrent(coupled)[name][8:], array)
    assert coupled.training["best_nats_per_token"] == cifg.training["best_nats_per_token"]


def test_loss_of_the_saved_network_is_that_of_the_training():
    model = train(valid=LINES[:30])
    found = math.log(model.evaluate(LINES[:30]).perplexity)
    assert found == pytest.approx(model.training["best_nats_per_token"], abs=1e-5)


@pytest.mark.parametrize("networks", [1, 2])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_resumed_training_equals_one_that_was_never_stopped(networks, share, tmp_path):
    whole = train(networks=networks)
    last = whole.training["state"]["progress"]["step"]
    train(networks=networks, progress=lambda report: report.step < share * last).save(tmp_path / "m.npz")
    resumed = rnnlm.train(text=LINES, resume=tmp_path / "m.npz", threads=1, progress=False)
    whole.save(tmp_path / "whole.npz")
    resumed.save(tmp_path / "resumed.npz")
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "resumed.npz").read_bytes()


@pytest.mark.parametrize(
    ("options", "coupled"),
    [
        ({}, False),
        ({"time": 1}, True),
        ({"time": 1, "coupled_gates": False}, False),
        ({"time": 1, "cell": "gru"}, False),
        ({"time": 1, "level": "char"}, False),
        ({"coupled_gates": True}, True),
    ],
)
def test_gates_are_coupled_for_words_in_a_time(options, coupled):
    model = rnnlm.train(text=LINES, **{**SMALL, "epochs": 0.5, **options})
    assert model.training["options"]["coupled_gates"] is coupled
    i, f, *_ = np.split(model.network.params["rnn.weight_hh_l0"], 4 if model.network.config.cell == "lstm" else 3)
    assert np.array_equal(i, -f) is coupled


def test_coupled_model_can_be_trained_further_with_a_free_input_gate(tmp_path):
    train().save(tmp_path / "m.npz")
    further = rnnlm.train(text=LINES, init_from=tmp_path / "m.npz", time=1, epochs=1, threads=1, progress=False)
    i, f, *_ = np.split(further.network.params["rnn.weight_hh_l0"], 4)
    assert not np.array_equal(i, -f)


def test_gates_that_cannot_be_coupled_are_refused_in_a_sentence(tmp_path):
    for cell, said in (("gru", "or use cell='lstm'"), ("cifg", "the gates of cifg are coupled")):
        with pytest.raises(TrainingError, match=said):
            train(cell=cell)
    train(coupled_gates=False).save(tmp_path / "m.npz")
    with pytest.raises(TrainingError, match="coupled from the start"):
        rnnlm.train(text=LINES, init_from=tmp_path / "m.npz", coupled_gates=True, epochs=1, progress=False)
    with pytest.raises(CheckpointError, match="coupled_gates contradicts"):
        rnnlm.train(text=LINES, resume=tmp_path / "m.npz", coupled_gates=True, epochs=3, progress=False)
