"""A training by epochs that is interrupted anywhere and resumed ends in the same bytes as an uninterrupted one."""

import itertools
import json
import random
import signal

import pytest

from rnnlm.cli import run
from rnnlm.nn.cells import CELLS
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.storage import checkpoint
from rnnlm.training import numpy_engine
from rnnlm.training.schedules import SCHEDULES
from rnnlm.training.trainer import Trainer

WORDS = [
    *("我", "你", "他", "昨天", "今天", "明天", "上学", "回家", "迟到", "高兴", "老师", "妈妈"),
    *("批评", "了", "。", "，"),
]
SMALL = ["--hidden-size", "7", "--embedding-size", "5", "--bptt", "6", "--batch-size", "6", "--epochs", "2"]
STEPS = 2 * 27  # approximate; stops are drawn from this range


@pytest.fixture
def corpus(tmp_path):
    rng = random.Random(3)
    path = tmp_path / "corpus.txt"
    lines = [" ".join(rng.choices(WORDS, k=rng.randrange(4, 9))) for _ in range(150)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def stopping(monkeypatch):
    """`stopping(step)` sends a signal when the next training reaches `step`, or none for None."""
    whole = Trainer.run
    stop = [None]

    def run_and_stop(trainer):
        for report in whole(trainer):
            if stop[0] is not None and report.step >= stop[0]:
                signal.raise_signal(signal.SIGINT)
            yield report

    monkeypatch.setattr(Trainer, "run", run_and_stop)
    return lambda step: stop.__setitem__(0, step)


@pytest.fixture
def train(corpus, tmp_path, stopping, monkeypatch):
    """`train(name, options, stops)` stops and resumes a training at each of `stops` and returns its bytes."""

    def run_all(name, options, stops=()):
        path = tmp_path / name
        for number, stop in enumerate([*stops, None]):
            stopping(stop)
            monkeypatch.setenv("RNNLM_CACHE", str(tmp_path / f"cache-{name}-{number}"))  # an empty cache each time
            threads = options[options.index("--threads") :][:2]  # their number changes the order of sums
            arguments = ["train", str(corpus), "-o", str(path)]
            code = run([*arguments, *(["--resume", *threads] if number else options)])
            assert code == (0 if stop is None else 130)
        return path.read_bytes()

    return run_all


def settings():
    """Yield options for every cell, context, optimizer, schedule and kind of network, and for one and two threads."""
    rng = random.Random(5)
    optimizers, schedules = itertools.cycle(OPTIMIZERS), itertools.cycle(SCHEDULES)
    for cell, context in itertools.product(CELLS, ("sentence", "stream")):
        yield [
            *("--cell", cell, "--context", context, "--threads", rng.choice("12")),
            *("--optimizer", next(optimizers), "--schedule", next(schedules)),
            *("--dropout", rng.choice(("0", "0.3")), "--num-layers", rng.choice("12")),
        ]
    yield ["--bidirectional", "--cell", "gru", "--dropout", "0.3", "--threads", "2"]
    yield [
        *("--dropout", "0.3", "--locked-dropout", "--weight-dropout", "0.2", "--embedding-dropout", "0.1"),
        *("--threads", "2"),
    ]
    yield ["--softmax", "adaptive", "--cell", "lstm", "--dropout", "0.3", "--threads", "2"]
    yield ["--softmax", "adaptive", "--bidirectional", "--threads", "1", "--weight-decay", "0.1"]
    yield ["--average-weights", "0.95", "--optimizer", "sgd", "--threads", "2"]
    yield ["--shift", "--context", "stream", "--label-smoothing", "0.1", "--threads", "1"]
    yield ["--average-weights", "0.95", "--valid-fraction", "0", "--embedding-size", "0", "--threads", "1"]
    yield ["--tied", "--embedding-size", "7", "--optimizer", next(optimizers), "--threads", "1"]
    yield ["--embedding-size", "0", "--cell", "rnn", "--optimizer", next(optimizers), "--threads", "1"]
    yield ["--loss", "mse", "--valid-fraction", "0", "--threads", "1"]
    yield ["--level", "char", "--patience", "3", "--min-count", "2", "--threads", "1"]


def test_the_settings_cover_every_optimizer_schedule_and_cell():
    chosen = {word for options in settings() for word in options}
    assert chosen >= {*OPTIMIZERS, *SCHEDULES, *CELLS, "1", "2"}


@pytest.mark.parametrize("options", list(settings()), ids=" ".join)
def test_a_training_stopped_at_random_steps_ends_in_the_same_bytes(options, train, monkeypatch):
    monkeypatch.setattr(numpy_engine, "MIN_COLUMNS", 2)  # so that the work is split between two threads
    rng = random.Random(" ".join(options))
    stops = sorted(rng.sample(range(1, STEPS - 6), 2))
    whole = train("whole.npz", [*SMALL, *options])
    assert train("stopped.npz", [*SMALL, *options], stops) == whole


@pytest.mark.parametrize("more", [[], ["--average-weights", "0.9"]], ids=["", "averaged"])
def test_a_training_stopped_around_a_recovery_ends_in_the_same_bytes(more, train, tmp_path, monkeypatch):
    """The loss explodes at step 40; the training is stopped before and after the recovery."""
    step = numpy_engine.NumpyEngine.train_step

    def exploding(engine, batch, state, lr, key):
        if key[1] == 40 and lr > 0.01:  # the rate tells the first attempt from the one after the recovery
            for array in engine.network.params.values():
                array *= 1e4
        return step(engine, batch, state, lr, key)

    monkeypatch.setattr(numpy_engine.NumpyEngine, "train_step", exploding)
    options = [*SMALL, "--lr", "0.016", "--schedule", "constant", "--threads", "1", *more]
    whole = train("whole.npz", options)
    assert train("stopped.npz", options, [39, 45, 50]) == whole
    assert progress(tmp_path / "whole.npz")["recoveries"] == 1


def test_a_training_can_be_resumed_with_another_number_of_threads(train, corpus, tmp_path, stopping, rnnlm):
    stopping(20)
    path = tmp_path / "m.npz"
    rnnlm("train", corpus, "-o", path, *SMALL, "--threads", "2", code=130)
    stopping(None)
    rnnlm("train", corpus, "-o", path, "--resume", "--threads", "1")


def progress(path):
    return checkpoint.read_header(path)["training"]["state"]["progress"]


def test_a_changed_text_is_refused_without_changed_text(corpus, tmp_path, stopping, rnnlm):
    path, history = tmp_path / "m.npz", tmp_path / "history.jsonl"
    stopping(40)
    rnnlm("train", corpus, "-o", path, *SMALL, "--threads", "1", code=130)
    stopping(None)
    before, at = path.read_bytes(), progress(path)
    corpus.write_text(corpus.read_text(encoding="utf-8") * 2 + "火箭 飞 。\n", encoding="utf-8")
    arguments = ["train", str(corpus), "-o", str(path), "--resume", "--threads", "1"]
    assert "--changed-text" in rnnlm(*arguments, code=1).err
    assert path.read_bytes() == before
    said = rnnlm(*arguments, "--changed-text", "--history", history).err
    assert "is not the one that this checkpoint was trained on" in said
    assert "<unk>" in said
    rows = [json.loads(line) for line in history.read_text().splitlines()]
    share = at["epoch"] + at["batch"] / 27
    assert rows[0]["epoch"] >= share - 0.05
    assert progress(path)["finished"]
    assert progress(path)["epoch"] == 2
    assert progress(path)["step"] > 2 * 27 + 10  # epochs of the new text are longer
    assert "火箭" not in checkpoint.read_header(path)["vocabulary"]["tokens"]
    rnnlm(*arguments)  # the changed text is now the recorded one


def test_changed_text_without_resume_is_a_usage_error(corpus, tmp_path, rnnlm):
    assert "--resume" in rnnlm("train", corpus, "-o", tmp_path / "m.npz", "--changed-text", code=2).err


def test_a_resumed_time_budget_uses_the_remaining_time(corpus, tmp_path, stopping, rnnlm):
    path = tmp_path / "m.npz"
    stopping(30)
    arguments = ["train", str(corpus), "-o", str(path), *SMALL[:-2], "--threads", "1", "--dropout", "0"]
    rnnlm(*arguments, "--time", "1.5s", code=130)
    used = progress(path)["seconds"]
    assert 0 < used < 1.5
    stopping(31)
    rnnlm("train", corpus, "-o", path, "--resume", code=130)
    assert progress(path)["step"] == 31
    assert used < progress(path)["seconds"] < 1.5
    stopping(None)
    rnnlm("train", corpus, "-o", path, "--resume")
    assert progress(path)["finished"]
    assert progress(path)["seconds"] == pytest.approx(1.5, abs=0.5)


def test_messages_of_resuming_name_options_as_they_are_typed(corpus, tmp_path, rnnlm):
    model = ["-o", str(tmp_path / "m.npz"), "--threads", "1"]
    rnnlm("train", corpus, *SMALL, *model)
    said = rnnlm("train", corpus, *model, "--resume", "--preset", "small").err
    assert "finished; to go on, give more --epochs" in said
    assert "--preset small is ignored" in said
    for options in (["--tied"], ["--vocab-size", "50"], ["--hidden-size", "9"], ["--no-shift", "--seed", "3"]):
        said = rnnlm("train", corpus, *model, "--resume", *options, code=1).err
        assert options[-2 if len(options) > 1 else -1] in said
        assert not {"None", "True", "False"} & set(said.replace(".", " ").split())


def test_a_removed_current_folder_is_reported(tmp_path, monkeypatch, rnnlm):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "current folder has been removed" in rnnlm("train", "text.txt", code=1).err
    monkeypatch.chdir(tmp_path)
