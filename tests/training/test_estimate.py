"""The expected time of a training is printed before it begins, without any effect on the model."""

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
    """Return a machine of a known speed; every training is long enough to measure it."""
    monkeypatch.setattr(estimate, "WORTH_MEASURING", 0.0)
    monkeypatch.setattr(estimate, "tokens_per_second", lambda *arguments: 1000.0)
    return Machine(1)


def test_evaluated_tokens_count_a_third_of_trained_tokens(machine):
    session = session_of(machine, epochs=3.0, valid_fraction=0.0)
    assert expected_seconds(session, machine) == pytest.approx(3 * len(session.dataset.train) / 1000)
    held_out = session_of(machine, epochs=3.0)
    evaluations = held_out.trainer.plan.total_steps / held_out.trainer.plan.steps_between_evaluations
    evaluated = evaluations * held_out.valid_tokens / 3
    assert evaluations >= 3
    assert expected_seconds(held_out, machine) == pytest.approx((3 * len(held_out.dataset.train) + evaluated) / 1000)


def test_printing_the_estimate_does_not_change_the_model(tmp_path, monkeypatch, rnnlm):
    """The speed is really measured here, on a second network."""
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


def test_no_estimate_for_time_budgets_compiled_or_short_trainings(machine, monkeypatch):
    assert expected_seconds(session_of(machine, epochs=1.0, time=30.0), machine) is None
    session = session_of(machine, epochs=1.0)
    assert expected_seconds(session, machine) is not None
    assert expected_seconds(session, Machine(1, EngineChoice("torch", compiled=True))) is None
    monkeypatch.setattr(estimate, "WORTH_MEASURING", 1e30)
    assert expected_seconds(session, machine) is None


def test_the_training_runs_without_an_estimate_if_memory_is_short(machine, monkeypatch):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(estimate, "tokens_per_second", fail)
    assert expected_seconds(session_of(machine, epochs=1.0), machine) is None
