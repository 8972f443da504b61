"""Engine on NumPy: threads give the same step as one thread; arrays are copied and checked."""

import numpy as np
import pytest

from rnnlm.errors import CheckpointError
from rnnlm.inference.scoring import sequence_nats
from rnnlm.nn.cells import CELLS
from rnnlm.nn.gradients import clipped_scale, summed
from rnnlm.nn.network import OF_TRAINING, Network, NetworkConfig
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.nn.outputs import LOSSES
from rnnlm.text.batches import Batches
from rnnlm.text.vocabulary import EOS
from rnnlm.training.numpy_engine import NumpyEngine

V = 12
CONTEXTS = ["stream", "sentence"]


def make(threads=1, cell="lstm", optimizer="sgd", context="sentence", dtype=np.float64, **options):
    dropping = {name: options.pop(name) for name in [*options] if name in OF_TRAINING}
    config = NetworkConfig(V, cell, hidden_size=6, num_layers=2, embedding_size=5, **dropping)
    network = Network.initialize(config, np.random.default_rng(41), dtype=dtype)
    return NumpyEngine(network, optimizer, context, threads=threads, **options)


def batch(context="sentence", number=1):
    rng = np.random.default_rng(42)
    ids = np.where(rng.random(900) < 0.2, EOS, rng.integers(2, V, 900)).astype(np.int32)
    return Batches(ids, 27, 9, context, seed=1).batch(0, number)


def carried(engine, columns=27):
    state = engine.network.zero_state(columns)
    state += np.random.default_rng(43).normal(0, 0.3, state.shape)
    return state


def step(engine, context="sentence", key=(1, 2)):
    return engine.train_step(batch(context), carried(engine), 0.1, key)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("objective", LOSSES)
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_step_follows_the_textbook(cell, context, objective):
    """The mean gradient, clipped, times the learning rate is subtracted."""
    engine = make(cell=cell, context=context, objective=objective, clip=0.01)
    given, state = batch(context), carried(engine)
    before = engine.params()
    loss, final, backprop = engine.network.loss(
        given.inputs, given.targets, state, given.keep, objective=objective, scale=1 / given.targets.size
    )
    grads = backprop()
    del grads["initial_state"]
    _, norm = summed([grads])
    result, new_state = engine.train_step(given, state, 0.1, (1, 2))
    assert result == (loss.nats, loss.objective, loss.tokens, norm)
    assert norm > 0.01  # the gradient was clipped
    np.testing.assert_array_equal(new_state, final)
    for name, array in engine.params().items():
        np.testing.assert_allclose(
            array, before[name] - 0.1 * clipped_scale(norm, 0.01) * np.asarray(grads[name]), rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("cell", CELLS)
def test_threads_give_the_same_step_as_one_thread(cell, context, threads):
    alone, together = make(1, cell, context=context), make(threads, cell, context=context)
    assert len(together._shares(27)) == threads
    for number in range(3):
        (expected, state), (found, found_state) = step(alone, context), step(together, context)
        assert found == pytest.approx(expected, rel=1e-12), number
        np.testing.assert_allclose(found_state, state, rtol=1e-10, atol=1e-14)
    for name, array in alone.params().items():
        np.testing.assert_allclose(together.params()[name], array, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("context", CONTEXTS)
def test_all_threads_drop_the_same_weights_and_tokens(context):
    dropping = {"weight_dropout": 0.3, "embedding_dropout": 0.3, "context": context}
    engines = [make(threads, **dropping) for threads in (1, 2, 3)]
    for number in range(3):
        (expected, _), *others = [step(engine, context, (1, number)) for engine in engines]
        for found, _ in others:
            assert found == pytest.approx(expected, rel=1e-12), number
    for engine in engines[1:]:
        for name, array in engines[0].params().items():
            np.testing.assert_allclose(engine.params()[name], array, rtol=1e-10, atol=1e-14)
    plain = make(1, context=context)
    assert step(plain, context)[0] != step(make(1, **dropping), context)[0]
    assert engines[0].evaluate(batch().inputs[:, 0]) != plain.evaluate(batch().inputs[:, 0])  # the parameters differ
    plain.restore(engines[0].params(), *engines[0].optimizer_state())
    assert engines[0].evaluate(batch().inputs[:, 0]) == plain.evaluate(batch().inputs[:, 0])  # no dropout


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_runs_with_equal_threads_are_identical(threads, dropout):
    runs = [make(threads, dropout=dropout, dtype=np.float32, optimizer="adam") for _ in range(2)]
    for number in range(4):
        results = [step(engine, key=(7, number)) for engine in runs]
        assert results[0][0] == results[1][0]
        np.testing.assert_array_equal(results[0][1], results[1][1])
    assert_same(runs[0].params(), runs[1].params())
    assert_same(runs[0].optimizer_state()[1], runs[1].optimizer_state()[1])


@pytest.mark.parametrize("columns", [1, 7, 16, 27, 64])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_each_column_belongs_to_one_thread(threads, columns):
    shares = make(threads)._shares(columns)
    assert len(shares) <= threads
    assert [b for share in shares for b in range(columns)[share]] == list(range(columns))


def test_dropout_depends_only_on_the_key():
    losses = {key: [step(make(dropout=0.3), key=key)[0].nats for _ in range(2)] for key in ((1, 2), (1, 3), (2, 2))}
    assert all(first == second for first, second in losses.values())
    assert len({first for first, _ in losses.values()}) == 3


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_drop_different_units(threads):
    """Columns with equal inputs end in equal states only where the same units are dropped."""
    engine = make(threads, dropout=0.5)
    same = batch()
    same = same._replace(
        inputs=np.repeat(same.inputs[:, :1], 27, axis=1), targets=same.targets, keep=np.ones((9, 27, 1), np.float32)
    )
    _, state = engine.train_step(same, None, 0.1, (1, 2))
    firsts = [state[:, :, share.start] for share in engine._shares(27)]
    assert len({first.tobytes() for first in firsts}) == threads


def test_none_as_state_means_the_zero_state():
    first, second = make(), make()
    result = first.train_step(batch(), None, 0.1, (1, 2))
    expected = second.train_step(batch(), second.network.zero_state(27), 0.1, (1, 2))
    assert result[0] == expected[0]
    assert_same(first.params(), second.params())


def test_the_given_state_is_not_modified():
    engine = make()
    state = carried(engine)
    copy = state.copy()
    engine.train_step(batch(), state, 0.1, (1, 2))
    np.testing.assert_array_equal(state, copy)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_non_finite_gradient_changes_nothing_without_warnings(threads, optimizer):
    engine = make(threads, optimizer=optimizer)
    step(engine)
    engine.network.params["output.weight"][3, 2] = np.inf
    params, (steps, slots) = engine.params(), engine.optimizer_state()
    result, _ = step(engine)
    assert not np.isfinite(result.gradient_norm)
    assert_same(engine.params(), params)
    assert engine.optimizer_state()[0] == steps == 1
    assert_same(engine.optimizer_state()[1], slots)


@pytest.mark.parametrize("value", [1e30, 1e38, np.inf, np.nan])
@pytest.mark.parametrize("cell", CELLS)
def test_huge_weights_give_no_warnings(cell, value):
    """The trainer sees it from the loss and the gradient norm."""
    engine = make(2, cell, dtype=np.float32)
    for array in engine.network.params.values():
        np.copyto(array, value, where=array > 0)
    result, _ = engine.train_step(batch(), None, 1e30, (1, 2))
    if cell == "cifg" and np.isfinite(value):  # its open forget gate closes the input gate: the state stays zero
        assert np.isfinite(result.gradient_norm)
    else:
        assert not (np.isfinite(result.gradient_norm) and result.nats / result.tokens < 1000)


@pytest.mark.parametrize("context", CONTEXTS)
def test_evaluate_agrees_with_sequence_nats(context):
    ids = np.random.default_rng(1).integers(1, V, 300).astype(np.int32)
    engine = make(2, context=context)
    expected = sequence_nats(engine.network, ids, context)
    assert engine.evaluate(ids) == (pytest.approx(expected[0], rel=1e-12), 300)


def test_evaluation_uses_no_dropout():
    ids = np.random.default_rng(1).integers(1, V, 300).astype(np.int32)
    assert make(dropout=0.5).evaluate(ids) == make().evaluate(ids)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("decay", [0.2, 0.9])
def test_averages_follow_the_formula_and_are_evaluated(decay, threads):
    engine, plain, ids = make(threads, average=decay), make(threads), batch().inputs[:, 0]
    expected = engine.params()
    for number in range(1, 12):
        assert step(engine)[0] == step(plain)[0]  # averaging does not affect the training
        now, used = engine.params(), min(decay, (1 + number) / (10 + number))
        expected = {name: used * array + (1 - used) * now[name] for name, array in expected.items()}
    _, slots = engine.optimizer_state()
    assert_same(engine.params(), plain.params())
    for name, array in expected.items():
        np.testing.assert_allclose(slots[f"average.{name}"], array, rtol=1e-12, atol=1e-15)
    assert engine.evaluate(ids, averaged=False) == plain.evaluate(ids)
    plain.restore(expected, 0, {})
    assert engine.evaluate(ids) == (pytest.approx(plain.evaluate(ids)[0], rel=1e-10), len(ids))
    assert engine.evaluate(ids)[0] != pytest.approx(engine.evaluate(ids, averaged=False)[0], rel=1e-6)


def test_averages_soon_forget_the_initial_parameters():
    """After n steps, the initial parameters weigh less than 1 / n^7; with a fixed decay, 0.999^n."""
    engine = make(average=0.999)
    for array in engine._measured.params.values():
        array += 1
    for _ in range(30):
        engine.train_step(batch(), carried(engine), 1e-12, (1, 2))
    _, slots = engine.optimizer_state()
    for name, array in engine.params().items():
        np.testing.assert_allclose(slots[f"average.{name}"], array, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_params_are_copies_and_can_be_restored(optimizer):
    engine, other = make(optimizer=optimizer), make(optimizer=optimizer)
    step(engine)
    params, (steps, slots) = engine.params(), engine.optimizer_state()
    kept = {name: array.copy() for name, array in (params | slots).items()}
    step(engine)
    assert_same(params | slots, kept)  # unchanged by the second step
    other.restore(params, steps, slots)
    step(other)
    assert_same(params | slots, kept)  # and by a step of the engine that restored them
    assert_same(other.params(), engine.params())
    assert other.optimizer_state()[0] == engine.optimizer_state()[0] == 2
    assert_same(other.optimizer_state()[1], engine.optimizer_state()[1])


def test_arrays_of_wrong_shape_or_missing_are_refused():
    engine = make(optimizer="adam")
    params, (steps, slots) = engine.params(), engine.optimizer_state()
    name = "rnn.weight_hh_l1"
    for broken in (
        (params | {name: params[name].T}, slots),
        ({key: array for key, array in params.items() if key != name}, slots),
        (params, slots | {f"mean.{name}": np.zeros(3)}),
        (params, {key: array for key, array in slots.items() if key != f"mean.{name}"}),
    ):
        with pytest.raises(CheckpointError, match=name):
            engine.restore(broken[0], steps, broken[1])
