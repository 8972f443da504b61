"""A training that cannot be saved for a while continues, retries, and reports what is on disk."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from rnnlm.cli import saving
from rnnlm.cli.saving import Saver
from rnnlm.errors import CheckpointError, SavingError
from rnnlm.storage import checkpoint
from rnnlm.training.dataset import Sources
from rnnlm.training.machine import Machine
from rnnlm.training.options import Options
from rnnlm.training.session import Request, Session


class Run:
    """A stub of a training. Each save takes the next item of `script`: an exception to raise, or None."""

    def __init__(self, step=0, script=()):
        self.trainer = SimpleNamespace(progress=SimpleNamespace(step=step, finished=False))
        self.script, self.saved = list(script), []

    ngram = None

    def save(self, path, at_the_end=False):
        trouble = self.script.pop(0) if self.script else None
        if trouble is not None:
            raise trouble
        self.saved.append(self.trainer.progress.step)
        return self.saved[-1]


FULL = SavingError("m.npz cannot be written: No space left on device.")


@pytest.fixture
def display():
    lines = []
    return SimpleNamespace(line=lines.append, lines=lines)


def test_if_no_checkpoint_can_be_made_the_weights_alone_are_saved(tmp_path, display, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("我 昨天 上学 迟到 了\n" * 50, encoding="utf-8")
    encoded = checkpoint._encode_header

    def too_large(header, members):
        if members:
            raise CheckpointError("The model cannot be saved.")
        return encoded(header, members)

    monkeypatch.setattr(checkpoint, "_encode_header", too_large)
    run = Session.prepare(Request(Sources([str(text)]), Options(epochs=0.1, hidden_size=4)), Machine())
    for _ in run.trainer.run():
        pass
    saver = Saver(run, tmp_path / "m.npz", SimpleNamespace(renew=lambda: None), False)
    with pytest.raises(CheckpointError, match=r"m\.weights\.npz.*m\.vocabulary\.json"):
        saver.finish(display, SimpleNamespace(received=0))
    with np.load(tmp_path / "m.weights.npz", allow_pickle=False) as weights:
        assert {name: array.tobytes() for name, array in weights.items()} == {
            name: array.tobytes() for name, array in run.trainer.best().items()
        }
    tokens = json.loads((tmp_path / "m.vocabulary.json").read_text("utf-8"))
    assert tokens == ["<s>", "</s>", "<unk>", *run.model.vocabulary.tokens]


@pytest.mark.parametrize("command", [["train"], ["ngram", "train"]])
def test_a_model_that_could_not_be_saved_is_refused_before_training(tmp_path, monkeypatch, command, rnnlm):
    text, words = tmp_path / "text.txt", tmp_path / "words.txt"
    text.write_text("我昨天上学迟到了\n" * 50, encoding="utf-8")
    words.write_text("".join(f"{chr(0x4E00 + i)}学 5\n" for i in range(200)), encoding="utf-8")
    monkeypatch.setattr(checkpoint, "MAX_HEADER_CONTAINERS", 150)
    error = rnnlm(*command, text, "--user-dict", words, "-o", tmp_path / "m.npz", code=1).err
    assert "--user-dict" in error
    assert "epoch" not in error
    assert not list(tmp_path.glob("*.npz"))


def make(run, tmp_path, resumed=False):
    return Saver(run, tmp_path / "m.npz", SimpleNamespace(renew=lambda: None), resumed)


@pytest.mark.parametrize("trouble", [FULL, MemoryError()])
def test_the_first_failure_and_the_next_success_are_reported(tmp_path, display, trouble):
    run = Run(script=[None, trouble, trouble, None])
    saver = make(run, tmp_path)
    for step in (1, 2, 3, 4, 5):
        run.trainer.progress.step = step
        saver.try_to_save(display)
    assert run.saved == [1, 4, 5]
    assert len(display.lines) == 2
    assert "The training goes on" in display.lines[0]
    assert "holds step 1" in display.lines[0]
    assert "Saved again" in display.lines[1]
    assert "holds step 4" in display.lines[1]


def test_after_a_failure_saving_is_retried_sooner(tmp_path, display, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(saving.time, "monotonic", lambda: now[0])
    saver = make(Run(script=[FULL, None]), tmp_path)
    now[0] = saving.SAVE_SECONDS - 1
    assert not saver.is_due()
    now[0] += 2
    assert saver.is_due()
    saver.try_to_save(display)
    assert not saver.is_due()
    now[0] += saving.RETRY_SECONDS + 1
    assert saver.is_due()
    saver.try_to_save(display)
    now[0] += saving.RETRY_SECONDS + 1
    assert not saver.is_due()


def finish(run, tmp_path, display, monkeypatch, received=0, resumed=False):
    waited = []
    monkeypatch.setattr(saving, "_wait", lambda seconds, _: waited.append(seconds))
    saver = make(run, tmp_path, resumed)
    run.trainer.progress.step += 5
    saver.finish(display, SimpleNamespace(received=received))
    return waited


def test_at_the_end_the_network_is_saved_before_the_mixture_weights_are_found(tmp_path, display, monkeypatch):
    run, ends = Run(), []
    run.ngram, save = "an n-gram model", run.save
    run.save = lambda path, at_the_end=False: ends.append(at_the_end) or save(path, at_the_end)
    finish(run, tmp_path, display, monkeypatch)
    assert ends == [False, True]


def test_at_the_end_saving_is_retried_for_a_minute(tmp_path, display, monkeypatch):
    run = Run(script=[FULL, FULL, None])
    assert finish(run, tmp_path, display, monkeypatch) == list(saving.LAST_RETRIES[:2])
    assert run.saved == [5]
    assert len(display.lines) == 1
    assert "Trying again for 60 s" in display.lines[0]


def test_a_final_failure_is_an_error_that_says_what_is_on_disk(tmp_path, display, monkeypatch):
    with pytest.raises(SavingError, match="The training is not saved; nothing of this training is saved"):
        finish(Run(script=[FULL] * 99), tmp_path, display, monkeypatch)
    with pytest.raises(SavingError, match="holds step 7"):
        finish(Run(7, script=[FULL] * 99), tmp_path, display, monkeypatch, resumed=True)


def test_an_interrupted_training_does_not_wait_for_retries(tmp_path, display, monkeypatch):
    run = Run(script=[FULL, None])
    with pytest.raises(SavingError):
        finish(run, tmp_path, display, monkeypatch, received=2)
    assert run.saved == []


def test_before_the_first_step_nothing_is_saved(tmp_path, display):
    run = Run()
    make(run, tmp_path).finish(display, SimpleNamespace(received=2))
    assert run.saved == []


@pytest.mark.parametrize("resumed", [True, False])
def test_resume_is_suggested_only_if_there_is_something_to_resume(tmp_path, resumed):
    saver = make(Run(3), tmp_path, resumed)
    assert ("--resume" in saver.how_to_go_on()) == resumed
    assert ("holds step 3" in saver.on_disk()) == resumed
