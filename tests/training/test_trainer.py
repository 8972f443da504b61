"""The trainer: learning, stopping, recovery from explosions, and exact resumption."""

import json
import math
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from rnnlm.errors import CheckpointError, TrainingError
from rnnlm.inference.scoring import never
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.batches import Batches
from rnnlm.text.vocabulary import EOS
from rnnlm.training import numpy_engine
from rnnlm.training.engine import StepResult
from rnnlm.training.numpy_engine import NumpyEngine
from rnnlm.training.plan import Progress, TrainingConfig
from rnnlm.training.schedules import SCHEDULES, factor
from rnnlm.training.trainer import MOST_RECOVERIES, Trainer

V = 8
SENTENCES = ([3, 4, 5, EOS], [6, 4, 7, EOS], [3, 7, 7, 5, 5, EOS], [6, 3, EOS])
CONTEXTS = ["stream", "sentence"]
PER_EPOCH = 9  # 240 tokens in 4 columns, 7 steps per batch
EVERY = 3  # steps between evaluations: the larger of 63 / 20 and 3 x 26 validation tokens / 26 tokens per step


def text(length, seed):
    rng = np.random.default_rng(seed)
    ids = [each for _ in range(length) for each in SENTENCES[rng.integers(len(SENTENCES))]][:length]
    return np.array([*ids[:-1], EOS], dtype=np.int32)


TRAIN, VALID = text(240, 51), text(26, 52)


def make_engine(seed=53, cell="rnn", activation="tanh", optimizer="adam", context="stream", dropout=0.0, **options):
    config = NetworkConfig(V, cell, activation, hidden_size=6, embedding_size=4, dropout=dropout)
    return NumpyEngine(Network.initialize(config, np.random.default_rng(seed)), optimizer, context, **options)


def make(engine=None, clock=None, valid=VALID, context="stream", **config):
    if not config.keys() & {"epochs", "seconds"}:
        config["epochs"] = 7
    engine = make_engine(context=context) if engine is None else engine
    options = {} if clock is None else {"clock": clock}
    batches = Batches(TRAIN, 4, 7, context, seed=1)
    return Trainer(engine, batches, valid, TrainingConfig(**config), V, **options)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


class Wrapped:
    """Engine that forwards everything that is not overridden to another one."""

    def __init__(self, engine):
        self.engine = engine
        self.network = engine.network

    def __getattr__(self, name):
        return getattr(self.engine, name)


# Learning


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("cell", CELLS)
def test_the_loss_falls_below_the_unigram_entropy(cell, context):
    counts = Counter(TRAIN.tolist())
    entropy = -sum(n / len(TRAIN) * math.log(n / len(TRAIN)) for n in counts.values())
    trainer = make(make_engine(cell=cell, context=context), context=context, epochs=20, lr=0.02)
    reports = list(trainer.run())
    last = [report for report in reports if report.kind == "evaluation"][-1]
    assert last.step == 20 * PER_EPOCH
    assert last.train_nats_per_token < 0.75 * entropy
    assert last.valid_nats_per_token < 0.85 * entropy
    nats, tokens = trainer.engine.evaluate(VALID)
    assert last.valid_nats_per_token == pytest.approx(nats / tokens, rel=1e-6)


def test_trainings_are_repeatable_to_the_last_bit():
    runs = [make(make_engine(dropout=0.3)) for _ in range(2)]
    histories = [[report.history()["train_nats_per_token"] for report in trainer.run()] for trainer in runs]
    assert histories[0] == histories[1]
    assert_same(runs[0].engine.params(), runs[1].engine.params())


def test_the_seed_changes_dropout():
    runs = [make(make_engine(dropout=0.3), seed=seed, epochs=1) for seed in (1, 2)]
    losses = [list(trainer.run())[-1].train_nats_per_token for trainer in runs]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("epochs", [0.5, 1, 2.5])
def test_trainings_may_end_within_an_epoch(epochs):
    trainer = make(epochs=epochs)
    reports = list(trainer.run())
    assert len(reports) == trainer.progress.step == round(epochs * PER_EPOCH)
    assert trainer.progress.finished
    assert reports[-1].kind == "evaluation"
    assert reports[-1].progress == 1
    assert reports[-1].epoch == pytest.approx(trainer.progress.step / PER_EPOCH)
    assert [report.step for report in reports] == list(range(1, len(reports) + 1))


class Recorder(Wrapped):
    """Engine that keeps the arguments and results of every training step."""

    def __init__(self, engine):
        super().__init__(engine)
        self.steps = []

    def train_step(self, batch, state, lr, key):
        result, new_state = self.engine.train_step(batch, state, lr, key)
        self.steps.append((batch, state, result, new_state.copy()))
        return result, new_state


def test_batches_are_read_in_order_and_carry_the_state():
    trainer = make(Recorder(make_engine()), epochs=3)
    list(trainer.run())
    expected = [trainer.batches.batch(epoch, number) for epoch in range(3) for number in range(PER_EPOCH)]
    carried = None
    for (batch, state, _, new_state), wanted in zip(trainer.engine.steps, expected, strict=True):
        np.testing.assert_array_equal(batch.inputs, wanted.inputs)
        np.testing.assert_array_equal(batch.targets, wanted.targets)
        if wanted.starts_epoch:
            assert state is None
        else:
            np.testing.assert_array_equal(state, carried)
        carried = new_state


def test_reports_give_the_mean_loss_since_the_last_evaluation():
    trainer = make(Recorder(make_engine()))
    reports = list(trainer.run())
    results = [result for _, _, result, _ in trainer.engine.steps]
    assert [report.step for report in reports if report.kind == "evaluation"] == list(range(EVERY, 64, EVERY))
    for number, report in enumerate(reports):
        since = results[number - number % EVERY : number + 1]
        expected = sum(result.nats for result in since) / sum(result.tokens for result in since)
        assert report.train_nats_per_token == pytest.approx(expected, rel=1e-12)
        assert report.gradient_norm == results[number].gradient_norm
        assert (report.valid_nats_per_token is None) == (report.kind == "steps")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_learning_rate_follows_the_schedule(schedule):
    trainer = make(schedule=schedule, warm_up=0.2, lr=0.01, valid=None)
    found = [report.learning_rate for report in trainer.run()]
    assert found == pytest.approx([0.01 * factor(schedule, (step + 0.5) / 63, 0.2) for step in range(63)])


def test_short_epochs_are_evaluated_at_their_ends():
    reports = list(make(epochs=60).run())
    evaluated = [report.step for report in reports if report.kind == "evaluation"]
    assert all(step % PER_EPOCH == 0 for step in evaluated)
    assert 15 <= len(evaluated) <= 30


# Best parameters, patience, plateau


class Scripted(Wrapped):
    """Engine that returns the given losses per held-out token and keeps the parameters at each evaluation."""

    def __init__(self, engine, values):
        super().__init__(engine)
        self.values, self.evaluated = list(values), []

    def evaluate(self, sequence, averaged=True, stop=never):
        self.evaluated.append(self.engine.params())
        return self.values[len(self.evaluated) - 1] * len(sequence), len(sequence)


def test_best_returns_the_parameters_of_the_best_evaluation():
    values = [3, 2, 2.5, 1.5, 1.5, 1.7, *[1.6] * 15]
    trainer = make(Scripted(make_engine(), values))
    improved = [report.improved for report in trainer.run() if report.kind == "evaluation"]
    assert improved == [True, True, False, True, *[False] * 17]
    assert trainer.progress.best_nats_per_token == 1.5
    assert trainer.progress.best_step == 4 * EVERY
    assert_same(trainer.best(), trainer.engine.evaluated[3])
    assert any((trainer.best()[name] != array).any() for name, array in trainer.engine.params().items())


def test_best_returns_the_last_parameters_without_held_out_text():
    trainer = make(valid=None)
    assert_same(trainer.best(), trainer.engine.params())
    reports = [report for report in trainer.run() if report.kind == "evaluation"]
    assert all(report.improved and report.valid_nats_per_token is None for report in reports)
    assert trainer.progress.best_nats_per_token == reports[-1].train_nats_per_token
    assert_same(trainer.best(), trainer.engine.params())


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_ends_the_training(patience):
    trainer = make(Scripted(make_engine(), [3, 2, 2, 2.5, 2.4, *[9] * 16]), patience=patience)
    reports = list(trainer.run())
    assert trainer.progress.step == reports[-1].step == (2 + patience) * EVERY
    assert trainer.progress.finished
    assert_same(trainer.best(), trainer.engine.evaluated[1])


def test_an_improvement_restarts_patience():
    trainer = make(Scripted(make_engine(), [3, 4, 2, 4, 1, *[4] * 16]), patience=2)
    list(trainer.run())
    assert trainer.progress.step == 7 * EVERY


def test_the_plateau_schedule_halves_the_rate_at_evaluations_without_improvement():
    values = [3, 2, 2.5, 2, 1, *[5] * 16]
    trainer = make(Scripted(make_engine(), values), schedule="plateau", lr=0.01, warm_up=0)
    rates = [report.learning_rate for report in trainer.run()]
    halvings = [0, 0, 0, 1, 2, 2, *range(3, 18)]  # number of halvings in each interval between evaluations
    assert rates == pytest.approx([0.01 * 0.5 ** halvings[step // EVERY] for step in range(63)])


# Resuming


def saved(trainer):
    """Return what a checkpoint holds: the header as JSON, C-ordered arrays, the best parameters."""
    header, arrays = trainer.state()
    best = {name: np.ascontiguousarray(array.copy()) for name, array in trainer.best().items()}
    return json.dumps(header), {name: np.ascontiguousarray(array.copy()) for name, array in arrays.items()}, best


def resumed(saved_state, make_trainer):
    header, arrays, best = saved_state
    trainer = make_trainer()
    trainer.load_state(json.loads(header), arrays, best)
    return trainer


def until(trainer, step):
    """Run the training up to a step and return the reports."""
    reports = []
    for report in trainer.run():
        reports.append(report)
        if report.step >= step:
            break
    return reports


def losses(reports):
    return [(r.step, r.kind, r.learning_rate, r.train_nats_per_token, r.valid_nats_per_token) for r in reports]


def assert_same_training(found, expected):
    assert saved(found)[0] == saved(expected)[0]
    assert asdict(found.progress) == asdict(expected.progress)
    assert_same(found.engine.params(), expected.engine.params())
    assert_same(found.state()[1], expected.state()[1])
    assert_same(found.best(), expected.best())


# After the first step, at an evaluation, within an epoch, at its end, and just before the end of the training.
STOPS = (1, EVERY, 5, PER_EPOCH, 31, 32, 62)
SETTINGS = [
    {"context": "stream", "schedule": "cosine", "dropout": 0.0, "threads": 1, "valid": VALID},
    {"context": "sentence", "schedule": "plateau", "dropout": 0.3, "threads": 2, "valid": VALID},
    {"context": "stream", "schedule": "linear", "dropout": 0.3, "threads": 1, "valid": None},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings["schedule"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_repeated_resumption_equals_an_uninterrupted_training(optimizer, settings, monkeypatch):
    monkeypatch.setattr(numpy_engine, "MIN_COLUMNS", 2)  # so that two threads are used
    context, dropout = settings["context"], settings["dropout"]
    kept = {name: settings[name] for name in ("context", "schedule", "valid")}
    lr = OPTIMIZERS[optimizer].default_lr

    def new(seed):
        engine = make_engine(seed, optimizer=optimizer, context=context, dropout=dropout, threads=settings["threads"])
        return make(engine, lr=lr, **kept)

    whole = new(53)
    expected = list(whole.run())
    trainer, reports = new(53), []
    for stop in STOPS:
        reports += until(trainer, stop)
        assert trainer.progress.step == stop
        trainer = resumed(saved(trainer), lambda stop=stop: new(stop))  # other initial weights
    reports += trainer.run()
    assert losses(reports) == losses(expected)
    assert_same_training(trainer, whole)


@pytest.mark.parametrize("valid", [VALID, None], ids=["held out", "nothing held out"])
def test_averaged_parameters_are_the_best_and_resume_exactly(valid):
    def new(seed):
        return make(make_engine(seed, average=0.9), valid=valid)

    whole, plain = new(53), make(valid=valid)
    reports = list(whole.run())
    list(plain.run())
    assert_same(whole.engine.params(), plain.engine.params())  # averaging does not affect the training
    assert any((whole.best()[name] != array).any() for name, array in plain.best().items())
    if valid is not None:
        measure = make_engine()
        measure.restore(whole.best(), *measure.optimizer_state())
        best = min(report.valid_nats_per_token for report in reports if report.kind == "evaluation")
        assert measure.evaluate(valid)[0] / len(valid) == pytest.approx(best, rel=1e-6)
    trainer = new(53)
    for stop in STOPS:
        until(trainer, stop)
        trainer = resumed(saved(trainer), lambda stop=stop: new(stop))
    list(trainer.run())
    assert_same_training(trainer, whole)


class Overshooting(Wrapped):
    """Engine that multiplies the weights, but not their average, by 10,000 after one step."""

    count = 0

    def train_step(self, *arguments):
        found = self.engine.train_step(*arguments)
        self.count += 1
        if self.count == 2 * EVERY:
            for array in self.network.params.values():
                array *= 1e4
        return found


def test_exploded_weights_are_noticed_though_the_average_is_good():
    trainer = make(Overshooting(make_engine(average=0.999)))
    reports = list(trainer.run())
    assert [(report.kind, report.step) for report in reports if report.kind == "recovery"] == [("recovery", EVERY)]
    assert [report.step for report in reports if report.kind == "evaluation"][:2] == [EVERY, 2 * EVERY]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("stop", [1, EVERY, 8, 33])
def test_every_cell_resumes_exactly(cell, stop):
    whole, trainer = (make(make_engine(cell=cell)) for _ in range(2))
    list(whole.run())
    until(trainer, stop)
    trainer = resumed(saved(trainer), lambda: make(make_engine(9, cell)))
    list(trainer.run())
    assert_same_training(trainer, whole)


@pytest.mark.parametrize("valid", [VALID, None], ids=["held out", "nothing held out"])
@pytest.mark.parametrize("stop", [1, EVERY - 1, EVERY, EVERY + 1])
def test_the_best_parameters_may_share_memory_with_the_network(stop, valid):
    """As in the command line interface, which makes the network of the arrays in the file."""
    whole, trainer = make(valid=valid), make(valid=valid)
    list(whole.run())
    until(trainer, stop)
    header, arrays, best = saved(trainer)
    trainer = make(make_engine(9), valid=valid)
    for name, array in best.items():
        np.copyto(trainer.engine.network.params[name], array)
    trainer.load_state(json.loads(header), arrays, trainer.engine.network.params)
    list(trainer.run())
    assert_same_training(trainer, whole)


def test_reading_the_state_does_not_affect_the_training():
    whole, watched = make(), make()
    list(whole.run())
    for _ in watched.run():
        saved(watched)
    assert_same_training(watched, whole)


def test_a_state_before_the_first_step_resumes_exactly():
    whole = make()
    list(whole.run())
    trainer = resumed(saved(make()), lambda: make(make_engine(9)))
    list(trainer.run())
    assert_same_training(trainer, whole)


def test_a_finished_training_resumes_only_with_more_epochs():
    trainer = make(epochs=2)
    list(trainer.run())
    state = saved(trainer)
    again = resumed(state, lambda: make(make_engine(9), epochs=2))
    assert list(again.run()) == []
    assert_same_training(again, trainer)
    longer = resumed(state, lambda: make(make_engine(9), epochs=3))
    assert [report.step for report in longer.run()] == list(range(2 * PER_EPOCH + 1, 3 * PER_EPOCH + 1))


def test_resuming_keeps_the_best_parameters_and_patience():
    script = [3, 1, *[2] * 19]
    trainer = make(Scripted(make_engine(), script), patience=4)
    until(trainer, 4 * EVERY)
    best = trainer.engine.evaluated[1]
    trainer = resumed(saved(trainer), lambda: make(Scripted(make_engine(9), script[4:]), patience=4))
    list(trainer.run())
    assert trainer.progress.step == 6 * EVERY
    assert trainer.progress.best_step == 2 * EVERY
    assert_same(trainer.best(), best)


def damaged(change):
    trainer = make()
    until(trainer, 4)
    header, arrays, best = saved(trainer)
    header = json.loads(header)
    change(header, arrays)
    return header, arrays, best


DAMAGES = {
    "no progress": lambda header, arrays: header.pop("progress"),
    "no steps": lambda header, arrays: header.pop("optimizer_steps"),
    "steps that are no number": lambda header, arrays: header.update(optimizer_steps="many"),
    "steps below zero": lambda header, arrays: header.update(optimizer_steps=-1),
    "progress that is no object": lambda header, arrays: header.update(progress=[1, 2]),
    "an unknown field": lambda header, arrays: header["progress"].update(speed=1),
    "a step that is no number": lambda header, arrays: header["progress"].update(step="4"),
    "a step below zero": lambda header, arrays: header["progress"].update(step=-4),
    "a batch beyond the epoch": lambda header, arrays: header["progress"].update(batch=PER_EPOCH),
    "a batch that is half": lambda header, arrays: header["progress"].update(batch=1.5),
    "a factor that is no number": lambda header, arrays: header["progress"].update(lr_factor=None),
    "a factor that is not finite": lambda header, arrays: header["progress"].update(lr_factor=math.nan),
    "a factor beyond all bounds": lambda header, arrays: header["progress"].update(lr_factor=10**400),
    "a step beyond all bounds": lambda header, arrays: header["progress"].update(step=10**400),
    "a best loss that is text": lambda header, arrays: header["progress"].update(best_nats_per_token="1.5"),
    "a slot less": lambda header, arrays: arrays.pop("optimizer.mean.output.bias"),
    "a parameter of another shape": lambda header, arrays: arrays.update({"current.output.bias": np.zeros(3)}),
    "a best loss below all bounds": lambda header, arrays: header["progress"].update(best_nats_per_token=-math.inf),
    "a flag that is a number": lambda header, arrays: header["progress"].update(finished=1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_refused(damage):
    state = damaged(DAMAGES[damage])
    with pytest.raises(CheckpointError):
        make().load_state(*state)


def test_a_carried_state_of_wrong_shape_is_refused_at_the_first_step():
    trainer = make()
    trainer.load_state(*damaged(lambda header, arrays: arrays.update(carried_state=np.zeros((1, 1, 3, 6)))))
    with pytest.raises(CheckpointError, match="shape"):
        next(trainer.run())


@pytest.mark.parametrize("header", [{}, [], None, "text", 3])
def test_a_state_without_a_valid_header_is_refused(header):
    with pytest.raises(CheckpointError):
        make().load_state(header, {}, make_engine().params())


# A time budget


class Clock:
    """Clock that advances at each call: by a second, or by `seconds(n)` at the n-th call."""

    def __init__(self, seconds=lambda look: 1.0):
        self.now, self.looks, self.seconds = 1000.0, 0, seconds

    def __call__(self):
        self.now += self.seconds(self.looks)
        self.looks += 1
        return self.now


class Timed(Wrapped):
    """Engine with its own clock: a step takes `seconds(n)`, an evaluation half a second, all else no time."""

    def __init__(self, engine, seconds=lambda step: 1.0):
        super().__init__(engine)
        self.now, self.seconds = 1000.0, seconds

    def clock(self):
        return self.now

    def train_step(self, batch, state, lr, key):
        self.now += self.seconds(key[1])
        return self.engine.train_step(batch, state, lr, key)

    def evaluate(self, sequence, averaged=True, stop=never):
        self.now += 0.5
        return self.engine.evaluate(sequence, averaged, stop)


def make_timed(seconds=lambda step: 1.0, seed=53, **config):
    engine = Timed(make_engine(seed), seconds)
    return make(engine, clock=engine.clock, **{"seconds": 200, "lr": 0.01, **config})


SPEEDS = {
    "even": lambda step: 1.0,
    "slower in the middle": lambda step: 0.5 if step < 100 else 2.0,
    "faster in the middle": lambda step: 2.0 if step < 40 else 0.5,
}


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_learning_rate_ends_with_the_time(schedule, speed):
    trainer = make_timed(SPEEDS[speed], schedule=schedule, warm_up=0)
    reports = list(trainer.run())
    rates = [report.learning_rate for report in reports]
    assert rates[0] == pytest.approx(0.01, rel=0.01)
    if "faster" not in speed:  # a step faster than expected may be followed by a slightly higher rate
        assert rates == sorted(rates, reverse=True)
    slowest = 2.0
    assert 0 < rates[-1] <= 0.01 * factor(schedule, 1 - slowest / 200, 0)
    assert 200 - slowest <= trainer.progress.seconds <= 200 + slowest
    assert reports[-1].kind == "evaluation"
    assert len(reports) > 50
    assert trainer.progress.finished


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_rate_is_taken_at_the_middle_of_the_next_step(schedule):
    """The next step is assumed to take as long as the last; its rate is that of the middle of this time."""
    trainer = make_timed(lambda step: 40.0, schedule=schedule, warm_up=0.5)
    rates, shares = [], []
    for report in trainer.run():
        rates.append(report.learning_rate)
        shares.append(report.progress)
    middles = [start + min(0.2, 1 - start) / 2 for start in shares[:-1]]
    assert rates[1:] == pytest.approx([0.01 * factor(schedule, middle, 0.5) for middle in middles])
    assert all(0 < rate < 0.01 for rate in rates)


def test_evaluations_are_spread_over_the_time():
    reports = list(make(clock=Clock(), seconds=400).run())
    evaluated = [report.seconds for report in reports if report.kind == "evaluation"]
    assert 15 <= len(evaluated) <= 25
    assert max(np.diff(evaluated)) < 400 / 10


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_epochs_may_end_a_training_before_its_time(schedule):
    engine = Timed(make_engine())
    trainer = make(engine, clock=engine.clock, schedule=schedule, warm_up=0, lr=0.01, epochs=7, seconds=1000)
    reports = list(trainer.run())
    assert trainer.progress.step == 7 * PER_EPOCH
    assert trainer.progress.seconds < 100
    rates = [report.learning_rate for report in reports]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] <= 0.01 * factor(schedule, 1 - 2 / (7 * PER_EPOCH), 0)
    assert 10 <= sum(report.kind == "evaluation" for report in reports) <= 25
    assert reports[-1].progress == 1


def test_time_may_end_a_training_before_its_epochs():
    engine = Timed(make_engine())
    trainer = make(engine, clock=engine.clock, epochs=1000, seconds=30)
    list(trainer.run())
    assert 28 <= trainer.progress.seconds <= 32
    assert trainer.progress.finished


def test_slow_evaluations_take_little_of_the_time():
    clock = Clock()

    class Slow(Wrapped):
        spent = 0

        def evaluate(self, sequence, averaged=True, stop=never):
            clock.now += 20
            self.spent += 20
            return self.engine.evaluate(sequence, averaged, stop)

    trainer = make(Slow(make_engine()), clock=clock, seconds=1000)
    begin = clock.now
    list(trainer.run())
    assert 40 <= trainer.engine.spent <= 0.15 * 1000
    assert 975 <= trainer.progress.seconds <= 1003  # time for the last evaluation was reserved
    assert clock.now - begin == pytest.approx(trainer.progress.seconds, rel=0.02)


@pytest.mark.parametrize("stop", [1, 2, 37, 90, 183])
def test_a_resumed_run_uses_the_remaining_time_and_schedule(stop):
    """With equal times per step, the resumed run equals an uninterrupted one to the last bit."""
    whole = make_timed()
    expected = list(whole.run())
    trainer = make_timed()
    before = until(trainer, stop)
    used = trainer.progress.seconds
    assert used >= stop
    trainer = resumed(saved(trainer), lambda: make_timed(seed=9))
    assert trainer.progress.seconds == used
    after = list(trainer.run())
    assert losses(before + after) == losses(expected)
    assert [report.seconds for report in before + after] == [report.seconds for report in expected]
    assert_same_training(trainer, whole)


def test_a_resumed_run_keeps_to_the_remaining_time_on_a_slower_machine():
    trainer = make_timed()
    until(trainer, 90)
    left = 200 - trainer.progress.seconds
    trainer = resumed(saved(trainer), lambda: make_timed(lambda step: 2.0, seed=9))
    begin = trainer.engine.now
    reports = list(trainer.run())
    assert left - 2 <= trainer.engine.now - begin <= left + 2
    assert reports[-1].learning_rate <= 0.01 * factor("cosine", 1 - 2 / 200, 0)


def test_no_time_is_recorded_without_a_time_budget():
    """Checkpoints do not depend on the speed of the machine."""
    trainer = make(clock=Clock())
    reports = list(trainer.run())
    assert trainer.progress.seconds == 0
    assert reports[0].tokens_per_second == reports[0].tokens == 28


# Trouble


class Exploding(Wrapped):
    """Engine whose weights and loss become `value` at the given calls of train_step."""

    def __init__(self, engine, calls, value=math.nan):
        super().__init__(engine)
        self.calls, self.value, self.count = calls, value, 0

    def train_step(self, *arguments):
        result, state = self.engine.train_step(*arguments)
        self.count += 1
        if self.count in self.calls:
            for array in self.network.params.values():
                array[...] = self.value
            result = StepResult(self.value * result.tokens, self.value, result.tokens, 1.0)
            state = np.full_like(state, self.value)
        return result, state


@pytest.mark.parametrize("value", [math.nan, math.inf, 2 * math.log(V) + 6])
@pytest.mark.parametrize("at", [1, 2, EVERY + 1, 11, 12])
def test_an_explosion_restores_the_last_evaluation_and_halves_the_rate(at, value):
    good = (at - 1) // EVERY * EVERY
    trainer = make(Exploding(make_engine(), {at}, value), lr=0.01, schedule="constant", warm_up=0)
    expected = trainer.engine.params(), trainer.engine.optimizer_state()
    reports = trainer.run()
    for report in reports:
        if report.kind == "recovery":
            break
        if report.kind == "evaluation":
            expected = trainer.engine.params(), trainer.engine.optimizer_state()
    assert f"step {at:,}" in report.message
    assert f"step {good:,}" in report.message
    assert report.step == trainer.progress.step == good
    assert (trainer.progress.epoch, trainer.progress.batch) == divmod(good, PER_EPOCH)
    assert_same(trainer.engine.params(), expected[0])
    assert trainer.engine.optimizer_state()[0] == expected[1][0] == good
    assert_same(trainer.engine.optimizer_state()[1], expected[1][1])
    rest = list(reports)
    assert [each.step for each in rest] == list(range(good + 1, 64))
    assert all(each.learning_rate == pytest.approx(0.005) for each in rest)
    assert trainer.progress.recoveries == 1
    assert math.isfinite(rest[-1].valid_nats_per_token)
    assert rest[-1].valid_nats_per_token < 2


def test_a_recovery_continues_with_the_same_batches_as_a_resume():
    """At the same rate, a recovery equals resuming from the last evaluation."""
    exploded = make(Exploding(make_engine(dropout=0.3), {14}), schedule="constant")
    list(exploded.run())
    whole = make(make_engine(dropout=0.3), schedule="constant")
    until(whole, 12)
    assert whole.carried is not None
    trainer = resumed(saved(whole), lambda: make(make_engine(9, dropout=0.3), schedule="constant"))
    trainer.progress.lr_factor = 0.5
    list(trainer.run())
    assert_same(exploded.engine.params(), trainer.engine.params())


def test_an_evaluation_of_nan_is_an_explosion():
    values = [2.0, 1.9, math.nan, *[1.8] * 30]
    trainer = make(Scripted(make_engine(), values))
    reports = list(trainer.run())
    kinds = [(report.kind, report.step) for report in reports if report.kind != "steps"]
    assert kinds[:4] == [("evaluation", 3), ("evaluation", 6), ("recovery", 6), ("evaluation", 9)]
    recovery = next(report for report in reports if report.kind == "recovery")
    assert "step 9" in recovery.message
    assert trainer.progress.lr_factor == 0.5
    assert trainer.progress.best_nats_per_token == pytest.approx(1.8)


def test_too_many_explosions_are_an_error():
    trainer = make(Exploding(make_engine(), range(5, 1000)), lr=0.64, schedule="constant", warm_up=0)
    kinds = []
    with pytest.raises(TrainingError, match=r"exploded 6 times.*step 4 .*0\.02.*--lr"):
        kinds.extend(report.kind for report in trainer.run())
    assert kinds.count("recovery") == MOST_RECOVERIES == 5
    assert trainer.progress.lr_factor == 0.5**5
    assert all(np.isfinite(array).all() for array in trainer.best().values())


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("cell", "activation"), [*((cell, "tanh") for cell in CELLS), *(("rnn", a) for a in ACTIVATIONS)]
)
def test_a_real_explosion_ends_with_an_error_and_no_warnings(cell, activation, optimizer):
    engine = make_engine(cell=cell, activation=activation, optimizer=optimizer, clip=0)
    with pytest.raises(TrainingError, match="--lr"):
        list(make(engine, lr=1e12, schedule="constant", warm_up=0).run())


def test_time_before_a_recovery_counts():
    trainer = make(Exploding(make_engine(), {15}), clock=Clock(), seconds=100)
    seconds = [report.seconds for report in trainer.run()]
    assert seconds == sorted(seconds)
    assert trainer.progress.recoveries == 1
    assert trainer.progress.seconds == pytest.approx(100, abs=3)


def test_the_number_of_recoveries_survives_a_resume():
    trainer = make(Exploding(make_engine(), {5, 6, 7}))
    until(trainer, 10)
    trainer = resumed(saved(trainer), lambda: make(Exploding(make_engine(9), range(1000))))
    kinds = []
    with pytest.raises(TrainingError):
        kinds.extend(report.kind for report in trainer.run())
    assert kinds == ["recovery"] * (MOST_RECOVERIES - 3)


def test_progress_is_saved_completely_as_json():
    trainer = make()
    until(trainer, 10)
    header, _, _ = saved(trainer)
    assert Progress(**json.loads(header)["progress"]) == trainer.progress


@pytest.mark.parametrize("length", [26, 104, 400])
def test_evaluations_read_at_most_a_third_of_the_trained_tokens(length):
    trainer = make(valid=text(length, 54))
    steps = [report.step for report in trainer.run() if report.kind == "evaluation"]
    assert steps[-1] == trainer.plan.total_steps
    tokens = trainer.plan.total_steps * len(TRAIN) // PER_EPOCH
    assert (len(steps) - 1) * length <= tokens / 3


# Interruptions


class Interrupting(Wrapped):
    """Engine that interrupts its trainer during the n-th evaluation."""

    def __init__(self, engine, number):
        super().__init__(engine)
        self.left, self.trainer = number, None

    def evaluate(self, sequence, averaged=True, stop=never):
        self.left -= 1
        if not self.left:
            assert self.trainer.at_rest
            self.trainer.interrupt()
        return self.engine.evaluate(sequence, averaged, stop)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_resumed_run_repeats_an_interrupted_evaluation(context, threads, monkeypatch):
    monkeypatch.setattr(numpy_engine, "MIN_COLUMNS", 2)

    def new(seed=53):
        return make_engine(seed, context=context, threads=threads)

    whole = make(new(), context=context)
    expected = losses(whole.run())
    trainer = make(Interrupting(new(), 2), context=context)
    trainer.engine.trainer = trainer
    reports = list(trainer.run())
    assert not trainer.progress.finished
    assert (trainer.progress.step, trainer.progress.best_step) == (2 * EVERY, EVERY)
    trainer = resumed(saved(trainer), lambda: make(new(9), context=context))
    reports += trainer.run()
    assert losses(reports) == expected
    assert_same_training(trainer, whole)


class Exited(Wrapped):
    """Engine that raises KeyboardInterrupt in the middle of step 10."""

    def train_step(self, batch, state, lr, key):
        if key[1] == 10:
            self.engine.computing = True
            raise KeyboardInterrupt
        return self.engine.train_step(batch, state, lr, key)


def test_an_exception_during_a_step_loses_only_that_step():
    whole = make()
    list(whole.run())
    trainer = make(Exited(make_engine()))
    with pytest.raises(KeyboardInterrupt):
        list(trainer.run())
    assert trainer.at_rest
    assert trainer.progress.step == 10
    trainer = resumed(saved(trainer), lambda: make(make_engine(9)))
    list(trainer.run())
    assert_same_training(trainer, whole)


def test_the_trainer_is_not_at_rest_between_reports():
    trainer = make()
    for _ in trainer.run():
        assert not trainer.at_rest


# Another text


@pytest.mark.parametrize("stop", [EVERY - 1, 5, PER_EPOCH, 31])
@pytest.mark.parametrize("length", [120, 480])
def test_a_training_on_another_text_resumes_at_the_same_share_of_the_epoch(stop, length):
    trainer = make()
    until(trainer, stop)
    header, arrays, best = saved(trainer)
    other = text(26, 61)
    longer = Trainer(make_engine(9), Batches(text(length, 60), 4, 7, "stream", seed=1), other, trainer.config, V)
    longer.load_state(json.loads(header), arrays, best, text_changed=True)
    per_epoch = longer.batches.per_epoch
    assert longer.progress.epoch == trainer.progress.epoch
    assert longer.progress.batch == trainer.progress.batch * per_epoch // PER_EPOCH
    assert longer.carried is None
    if trainer.progress.best_nats_per_token is not None:
        probe = make_engine(9)
        probe.restore(best, 0, probe.optimizer_state()[1])
        nats, tokens = probe.evaluate(other)
        assert longer.progress.best_nats_per_token == pytest.approx(nats / tokens)
    for _ in longer.run():
        pass
    assert longer.progress.epoch == 7
