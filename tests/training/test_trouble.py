"""Explosions, nan and extreme learning rates: a training ends with a good model or with an error."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm import LanguageModel
from rnnlm.cli import run
from rnnlm.errors import TrainingError
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import LARGEST_WEIGHT
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.batches import Batches
from rnnlm.text.vocabulary import EOS
from rnnlm.training.numpy_engine import NumpyEngine
from rnnlm.training.plan import TrainingConfig
from rnnlm.training.trainer import MOST_RECOVERIES, Trainer

V = 8
IDS = np.array([3, 4, 5, EOS, 6, 4, 7, EOS, 3, 7, 7, 5, 5, EOS] * 12, dtype=np.int32)
VALID = IDS[:28]


def make(trouble=lambda engine, step: None, config=None, **options):
    """Return a trainer of 4 epochs that calls `trouble(engine, step)` after each step."""
    network = NetworkConfig(V, "rnn", "tanh", hidden_size=6, embedding_size=4, **(config or {}))
    engine = NumpyEngine(
        Network.initialize(network, np.random.default_rng(1)), options.pop("optimizer", "adam"), "stream"
    )
    step_of_engine, count = engine.train_step, [0]

    def train_step(*arguments):
        result = step_of_engine(*arguments)
        count[0] += 1
        trouble(engine, count[0])
        return result

    engine.train_step = train_step
    batches = Batches(IDS, 4, 7, "stream", seed=1)
    return Trainer(engine, batches, VALID, TrainingConfig(**({"epochs": 4, "lr": 0.01} | options)), V)


def all_sound(trainer):
    arrays = [
        *trainer.best().values(),
        *trainer.engine.params().values(),
        *trainer.engine.optimizer_state()[1].values(),
    ]
    return all(np.isfinite(array).all() for array in arrays)


NAMES = list(NetworkConfig(V, "rnn", hidden_size=6, embedding_size=4).shapes())


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e30, -3e38]),
    st.integers(1, 24),
    st.integers(0, 1000),
)
def test_a_bad_weight_causes_one_recovery_and_is_not_saved(name, value, step, place):
    """For any parameter and step, also in the embedding of an absent token and at the last step."""

    def trouble(engine, now):
        if now == step:
            array = engine.network.params[name]
            array.flat[place % array.size] = value

    trainer = make(trouble)
    reports = list(trainer.run())
    assert [each.kind for each in reports].count("recovery") == trainer.progress.recoveries == 1
    assert all_sound(trainer)
    assert reports[-1].valid_nats_per_token < math.log(V)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("step", [1, 5, 24])
def test_a_bad_optimizer_slot_is_found_before_it_is_saved(value, step):
    def trouble(engine, now):
        if now == step:
            engine.optimizer.slots["square.output.weight"][0, 0] = value

    trainer = make(trouble)
    for _ in trainer.run():
        before = asdict(trainer.progress)
        header, arrays = trainer.state()  # as if saving after every step
        assert all(np.isfinite(array).all() for array in (*arrays.values(), *trainer.best().values()))
        assert header["progress"]["recoveries"] <= 1
        assert asdict(trainer.progress) == before  # state() changes nothing
    assert trainer.progress.recoveries == 1
    assert all_sound(trainer)


def test_the_state_saved_after_a_bad_step_is_that_of_the_recovery():
    def trouble(engine, now):
        if now == 5:
            engine.network.params["output.weight"][0, 0] = math.nan

    trainer = make(trouble)
    reports = trainer.run()
    while trainer.progress.step < 5:
        next(reports)
    header, arrays = trainer.state()
    assert (next(reports).kind, trainer.progress.recoveries) == ("recovery", 1)
    after, its_arrays = trainer.state()
    assert header["progress"] == after["progress"]
    assert all(np.array_equal(array, its_arrays[name]) for name, array in arrays.items())


def test_a_nan_state_does_not_outlast_the_recovery():
    def trouble(engine, now):
        if now == 8:
            engine.network.params["rnn.weight_hh_l0"][...] = math.nan

    trainer = make(trouble)
    list(trainer.run())
    assert trainer.progress.recoveries == 1
    assert trainer.carried is None or np.isfinite(trainer.carried).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("lr", [1e-30, 1000.0, 1e30])
def test_extreme_learning_rates_end_with_a_finite_model_or_an_error(optimizer, lr):
    trainer = make(optimizer=optimizer, lr=lr)
    try:
        list(trainer.run())
    except TrainingError as error:  # the best parameters, if any, are kept
        message, best = str(error), trainer.best_params or {}
    else:
        message, best = "", trainer.best()
        assert all_sound(trainer)
    assert not message or ("--lr" in message and trainer.progress.recoveries == MOST_RECOVERIES)
    assert all(np.abs(array).max() <= LARGEST_WEIGHT for array in best.values())


@pytest.mark.parametrize(("cell", "activation"), [*((c, "tanh") for c in CELLS), ("rnn", "relu"), ("rnn", "identity")])
def test_a_learning_rate_of_1000_on_the_command_line(cell, activation, tmp_path, capsys):
    text, model = tmp_path / "text.txt", tmp_path / "model.npz"
    text.write_text("we saw the sea\nthe sea was calm\n" * 40)
    options = ["--cell", cell, "--lr", "1000", "--clip", "0", "--hidden-size", "8", "--epochs", "3", "--threads", "1"]
    more = ["--activation", activation] if cell == "rnn" else []
    code = run(["train", str(text), "-o", str(model), *options, *more])
    said = capsys.readouterr().err
    assert "Warning" not in said
    assert "Traceback" not in said
    assert code in (0, 1)
    if code:
        assert said.rstrip().split("\n")[-1].startswith("Error: The loss exploded")
    if model.exists():  # the best model from before the explosions
        probabilities = [each.probability for each in LanguageModel.load(model).predict("we", 99).candidates]
        assert sum(probabilities) == pytest.approx(1, abs=0.2)  # <unk> is not listed


def test_a_token_of_probability_zero_has_a_finite_loss():
    """The loss of a token with probability zero is finite, and its gradient raises the probability."""
    config = NetworkConfig(V, "rnn", "tanh", hidden_size=6, embedding_size=4)
    network = Network.initialize(config, np.random.default_rng(1))
    network.params["output.bias"][5] = -500  # exp(-500) underflows in float32
    ids = np.full((7, 4), 5)
    loss, _, backprop = network.loss(ids, ids, network.zero_state(4), scale=1 / ids.size)
    assert loss.nats / ids.size == pytest.approx(500 + math.log(V - 1), rel=0.01)
    assert backprop()["output.bias"][5] == pytest.approx(-1)
