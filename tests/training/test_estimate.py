"""The time that a training will take is told before it begins, and telling it changes nothing."""

import pytest

from rnnlm.training import estimate
from rnnlm.training.dataset import Sources
from rnnlm.training.estimate import expected_seconds
from rnnlm.training.machine import EngineChoice, Machine
from rnnlm.training.options import Options
from rnnlm.training.session import Request, Session

SMALL = {"hidden_size": 8, "embedding_size": 4, "ngram": 0}


def session_of(machine, **options):
    return Session.prepare(Request(Sources(["@english"]), Options(**SMALL | options)), machine)


@pytest.fixture
def machine(monkeypatch):
    """A machine of a known speed, which is asked whatever the training."""
    monkeypatch.setattr(estimate, "WORTH_MEASURING", 0.0)
    monkeypatch.setattr(estimate, "tokens_per_second", lambda *arguments: 1000.0)
    return Machine(1)


def test_it_is_the_tokens_and_a_third_of_those_that_are_evaluated_by_the_speed(machine):
    session = session_of(machine, epochs=3.0, valid_fraction=0.0)
    assert expected_seconds(session, machine) == pytest.approx(3 * len(session.dataset.train) / 1000)
    held_out = session_of(machine, epochs=3.0)
    evaluations = held_out.trainer.plan.total_steps / held_out.trainer.plan.steps_between_evaluations
    evaluated = evaluations * held_out.valid_tokens / 3
    assert evaluations >= 3
    assert expected_seconds(held_out, machine) == pytest.approx((3 * len(held_out.dataset.train) + evaluated) / 1000)


def test_it_is_told_and_the_model_is_the_same_to_the_byte(tmp_path, monkeypatch, rnnlm):
    """The speed is really measured here, on a network of its own."""
    monkeypatch.setattr("rnnlm.cli.training_messages.WORTH_TELLING", 0.0)
    command = ["train", "@english", "--hidden-size", "8", "--epochs", "0.2", "--threads", "1", "-o"]
    plain = rnnlm(*command, tmp_path / "plain.npz")
    monkeypatch.setattr(estimate, "WORTH_MEASURING", 0.0)
    told = rnnlm(*command, tmp_path / "told.npz")
    assert "Time  " not in plain.err
    assert told.err.count("\nTime        about ") == 1
    assert "--time 30s for less" in told.err
    assert (tmp_path / "plain.npz").read_bytes() == (tmp_path / "told.npz").read_bytes()
    for options in (["--time", "1s"], ["--resume", "--epochs", "0.3"]):
        where = tmp_path / ("told.npz" if "--resume" in options else "timed.npz")
        said = rnnlm("train", "@english", "--hidden-size", "8", "--threads", "1", *options, "-o", where).err
        assert "Time  " not in said


def test_where_it_is_not_measured(machine, monkeypatch):
    assert expected_seconds(session_of(machine, epochs=1.0, time=30.0), machine) is None
    session = session_of(machine, epochs=1.0)
    assert expected_seconds(session, machine) is not None
    assert expected_seconds(session, Machine(1, EngineChoice("torch", compiled=True))) is None
    monkeypatch.setattr(estimate, "WORTH_MEASURING", 1e30)
    assert expected_seconds(session, machine) is None


def test_a_second_network_that_finds_no_memory_is_no_reason_not_to_train(machine, monkeypatch):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(estimate, "tokens_per_second", fail)
    assert expected_seconds(session_of(machine, epochs=1.0), machine) is None
