"""Several networks in one training: their average, its loss on the held-out part, and resuming."""

import itertools
import json
import math

import numpy as np
import pytest

import rnnlm
from rnnlm.errors import CheckpointError, TrainingError
from rnnlm.storage import checkpoint

LINES = [f"the {a} {b} the {c}" for a, b, c in itertools.product(("cat", "dog"), ("saw", "bit"), ("hen", "rat", "fox"))]
SMALL = {"hidden_size": 8, "embedding_size": 4, "epochs": 2, "networks": 3, "threads": 1, "ngram": 0}


def train(**more):
    return rnnlm.train(text=LINES * 8, **{**SMALL, "progress": False, **more})


def stopped_after(step, path, **more):
    """A training that ended after a step, saved."""
    model = train(progress=lambda report: report.step < step, **more)
    model.save(path)
    return model


@pytest.fixture(scope="module")
def whole():
    return train()


@pytest.mark.parametrize("more", [{}, {"level": "char"}, {"bidirectional": True}, {"softmax": "adaptive"}])
def test_loss_of_the_model_is_that_of_the_average(more):
    model = train(valid=LINES[::2], **more)
    assert (model.training["averaged"], model.network.config.hidden_size) == (3, 24)
    if "bidirectional" not in more:
        assert math.log(model.evaluate(LINES[::2]).perplexity) == pytest.approx(
            model.training["best_nats_per_token"], abs=1e-5
        )


def test_networks_differ_and_the_second_is_another_than_that_of_the_next_seed(whole):
    alone = train(networks=1, seed=2).network.params["rnn.weight_hh_l0"]
    wide = whole.network.params["rnn.weight_hh_l0"].reshape(4, 3, 8, 3, 8)
    own = [wide[:, number, :, number].reshape(32, 8) for number in range(3)]
    for one, other in itertools.combinations([*own, alone], 2):
        assert not np.allclose(one, other)


def test_first_network_is_that_of_a_training_of_one(whole):
    alone = train(networks=1).network.params["rnn.weight_hh_l0"]
    wide = whole.network.params["rnn.weight_hh_l0"].reshape(4, 3, 8, 3, 8)
    assert wide[:, 0, :, 0].reshape(32, 8) == pytest.approx(alone, abs=0)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.9])
def test_resumed_training_equals_one_that_was_never_stopped(share, whole, tmp_path):
    last = whole.training["state"]["progress"]["step"]
    part = stopped_after(round(share * last), tmp_path / "part.npz")
    assert part.training.get("averaged", 1) < 3
    resumed = train(resume=tmp_path / "part.npz")
    whole.save(tmp_path / "whole.npz")
    resumed.save(tmp_path / "resumed.npz")
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "resumed.npz").read_bytes()


def test_stopped_training_is_the_average_of_the_networks_that_are_trained(whole, tmp_path):
    steps = whole.training["state"]["progress"]["step"] // 3
    assert stopped_after(steps - 1, tmp_path / "m.npz").network.config.hidden_size == 8
    two = stopped_after(2 * steps + 1, tmp_path / "m.npz")
    expected = train(networks=2)
    assert two.training["averaged"] == 2
    for name, array in expected.network.params.items():
        assert two.network.params[name] == pytest.approx(array, abs=0)


def test_reports_go_on_from_one_network_to_the_next():
    reports = []
    train(progress=reports.append)
    for name in ("step", "epoch", "progress", "network"):
        values = [getattr(report, name) for report in reports]
        assert values == sorted(values)
    assert [reports[-1].progress, reports[-1].network, reports[-1].epoch] == [1, 3, 6]
    assert reports[-1].valid_nats_per_token < max(report.valid_nats_per_token or 0 for report in reports)


def test_finished_training_goes_on_with_its_last_network(tmp_path, whole):
    whole.save(tmp_path / "m.npz")
    longer = train(resume=tmp_path / "m.npz", epochs=4)
    before, after = (each.network.params["rnn.weight_hh_l0"].reshape(4, 3, 8, 3, 8) for each in (whole, longer))
    assert longer.training["state"]["progress"]["epoch"] == 8
    assert np.array_equal(before[:, :2], after[:, :2])
    assert not np.array_equal(before[:, 2], after[:, 2])


def test_average_can_be_trained_further_as_one_network(tmp_path, whole):
    whole.save(tmp_path / "m.npz")
    model = rnnlm.train(text=LINES, init_from=tmp_path / "m.npz", epochs=1, threads=1, progress=False)
    assert model.network.config.hidden_size == 24


@pytest.mark.parametrize(
    ("options", "said"),
    [({"tied": True, "embedding_size": 8, "softmax": "full"}, "tied"), ({"init_from": "m.npz"}, "init_from")],
)
def test_what_cannot_be_averaged_is_refused(options, said, tmp_path, whole, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole.save("m.npz")
    sizes = {"hidden_size": 24, "embedding_size": 12} if "init_from" in options else {}
    with pytest.raises(TrainingError, match=said):
        train(**{**sizes, **options})


@pytest.mark.parametrize(
    "edit",
    [
        lambda training: training.update(averaged=5),
        lambda training: training.update(averaged="2"),
        lambda training: training["state"].pop("ensemble"),
        lambda training: training["state"]["ensemble"].pop("present"),
        lambda training: training["state"]["ensemble"]["before"].update(steps="many"),
        lambda training: training["state"]["ensemble"].update(nats_per_token=[]),
        lambda training: training["options"].update(networks=2),
    ],
)
def test_damaged_state_is_told_in_a_sentence(edit, tmp_path, whole):
    whole.save(tmp_path / "m.npz")
    header, arrays = checkpoint.load(tmp_path / "m.npz")
    edit(header["training"])
    checkpoint.save(tmp_path / "m.npz", json.loads(json.dumps(header)), arrays)
    with pytest.raises(CheckpointError, match=r"damaged|edited"):
        rnnlm.train(text=LINES * 8, resume=tmp_path / "m.npz", threads=1, progress=False)
