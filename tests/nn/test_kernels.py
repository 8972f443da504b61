"""Compiled kernels agree with their NumPy twins, in results and in the arrays they write."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnlm.baselines.levels import places_of
from rnnlm.errors import RnnlmError
from rnnlm.nn import gradients, kernels, numerics, optimizers
from rnnlm.nn.cells import CELLS
from rnnlm.nn.cells.lstm import lstm_step
from rnnlm.nn.numerics import ACTIVATIONS

compiled = kernels.compiled()
needs_kernels = pytest.mark.skipif(compiled is None, reason="rnnlm was installed without a C compiler")
HERE = [target for target in kernels.TARGETS if compiled and compiled.choose(target)]  # supported by this processor
kernels.forget()


@pytest.fixture(autouse=True)
def best_for_the_next_test():
    yield
    kernels.forget()


on_every_target = pytest.mark.parametrize("target", HERE or ["none"])

T, B = 3, 4
WITH_TWINS = [name for name in CELLS if hasattr(compiled, f"{name}_steps")]


def window(cell, T, B, H, resets, scale=1.0):
    """Return random arguments of a cell's forward function, and gradients of its results."""
    rng = np.random.default_rng(1)
    rows, S = CELLS[cell].gates * H, CELLS[cell].states

    def normal(*shape):
        return rng.normal(0, scale, shape).astype(np.float32)

    keep = (rng.random((T, B, 1)) < 0.7).astype(np.float32) if resets else None
    weight = normal(rows, H) / np.float32(scale * H**0.5)  # so that states neither grow nor vanish
    arguments = normal(T, B, rows), weight, normal(rows), normal(rows), normal(S, B, H), keep
    return arguments, (normal(T, B, H), normal(S, B, H))


def passed(cell, arguments, gradients, activation="tanh"):
    """Return all results of a forward and a backward pass and the arrays they write, by name."""
    copies = [each if each is None else each.copy() for each in arguments]
    with np.errstate(over="ignore", invalid="ignore"):
        y, final, trace = CELLS[cell].forward(*copies, activation)
        found = CELLS[cell].backward(*(each.copy() for each in gradients), trace)
    slabs = {f"own {i}": each for i, each in enumerate(trace.own) if isinstance(each, np.ndarray)}
    return {"y": y, "final": final, "h": trace.h} | slabs | found._asdict()


def assert_equal_to_numpy(monkeypatch, target, cell, arguments, gradients, activation="tanh", scale=1.0):
    monkeypatch.setenv("RNNLM_KERNELS", "numpy")
    expected = passed(cell, arguments, gradients, activation)
    monkeypatch.setenv("RNNLM_KERNELS", target)
    found = passed(cell, arguments, gradients, activation)
    for name, array in expected.items():
        size = max(scale, float(np.abs(array).max()))
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=5e-6 * scale * size, err_msg=name)


@needs_kernels
def test_every_recurrent_cell_has_compiled_twins():
    assert [name for name, cell in CELLS.items() if cell.recurrent] == WITH_TWINS
    for name in WITH_TWINS:
        assert hasattr(compiled, f"{name}_steps_backward")


@needs_kernels
@on_every_target
@pytest.mark.parametrize("cell", WITH_TWINS)
@given(
    T=st.integers(1, 5),
    B=st.integers(1, 70),
    H=st.integers(1, 130),
    resets=st.booleans(),
    scale=st.sampled_from([1, 8]),
)
@example(T=1, B=1, H=1, resets=False, scale=1)
@example(T=1, B=7, H=65, resets=True, scale=1)  # too few rows for the matrix to be packed
@example(T=1, B=8, H=65, resets=True, scale=1)
@example(T=5, B=13, H=130, resets=True, scale=1)
@example(T=2, B=6, H=64, resets=False, scale=30)
def test_a_compiled_window_agrees_with_numpy(target, cell, T, B, H, resets, scale):
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert_equal_to_numpy(monkeypatch, target, cell, *window(cell, T, B, H, resets, scale), scale=scale)


@needs_kernels
@on_every_target
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_compiled(monkeypatch, target, activation):
    assert_equal_to_numpy(monkeypatch, target, "rnn", *window("rnn", 4, 9, 37, True), activation)


@needs_kernels
@on_every_target
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_states_are_clipped_as_in_numpy(monkeypatch, target, name):
    x = np.array([-1e30, -2e12, -1e12, -5, 0, 5, 1e12, 2e12, 1e30], np.float32)
    found = []
    for kind in ("numpy", target):
        monkeypatch.setenv("RNNLM_KERNELS", kind)
        with np.errstate(over="ignore"):
            found.append(states_of(x, name))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6, atol=1e-30)


def states_of(x, activation):
    """Return f(x), computed by the basic cell with a zero matrix."""
    nothing = np.zeros(len(x), np.float32)
    y, _, _ = CELLS["rnn"].forward(
        x[None, None].copy(),
        np.zeros((len(x), len(x)), np.float32),
        nothing,
        nothing,
        nothing[None, None],
        None,
        activation,
    )
    return y[0, 0]


@needs_kernels
@on_every_target
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_compiled_tanh_and_sigmoid_are_exact_to_single_precision(monkeypatch, target, name):
    monkeypatch.setenv("RNNLM_KERNELS", target)
    numbers = [np.linspace(-100, 100, 200_000), np.logspace(-30, 0), [-np.inf, np.inf, 0.0, -1e30, 1e30]]
    x = np.concatenate([*numbers, np.zeros(-sum(map(len, numbers)) % 128)]).astype(np.float32)
    # rows of 128 units that do not influence each other
    zero = np.zeros((1, len(x) // 128, 128), np.float32)
    y, _, _ = CELLS["rnn"].forward(
        x.reshape(zero.shape).copy(), np.zeros((128, 128), np.float32), zero[0, 0], zero[0, 0], zero, None, name
    )
    exact = {"tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}[name]
    with np.errstate(over="ignore"):
        expected = exact(x.astype(np.float64))
    np.testing.assert_allclose(y.reshape(-1), expected, rtol=0, atol=2e-7)
    near = np.abs(x) < 60
    np.testing.assert_allclose(y.reshape(-1)[near], expected[near], rtol=5e-7)


@needs_kernels
@on_every_target
@pytest.mark.parametrize("cell", WITH_TWINS)
@pytest.mark.parametrize("columns", [2, 20])  # without and with packing
def test_nan_is_propagated(monkeypatch, target, cell, columns):
    monkeypatch.setenv("RNNLM_KERNELS", target)
    (gates, *others), _ = window(cell, 1, columns, 5, False)
    gates[0, 1, 3] = np.nan
    y, _, _ = CELLS[cell].forward(gates, *others, "tanh")
    assert np.isnan(y[0, 1, 3])
    assert np.isnan(y).sum() == 1


@needs_kernels
@on_every_target
def test_a_column_gives_the_same_bits_whatever_columns_are_beside_it(monkeypatch, target):
    """Results do not depend on the block of rows that a column is in."""
    monkeypatch.setenv("RNNLM_KERNELS", target)
    (gates, *parameters, state, keep), gradients = window("lstm", 5, 13, 50, True)
    whole = passed("lstm", (gates, *parameters, state, keep), gradients)
    some = slice(4, 12)
    part = passed(
        "lstm",
        (gates[:, some], *parameters, state[:, some], keep[:, some]),
        [gradients[0][:, some], gradients[1][:, some]],
    )
    assert part["y"].tobytes() == np.ascontiguousarray(whole["y"][:, some]).tobytes()
    assert part["input_gates"].tobytes() == np.ascontiguousarray(whole["input_gates"][:, some]).tobytes()


def lstm_arguments(H=5):
    """Return arguments of lstm_steps: weight, gates, keep, bias, h, c, tanh_c."""
    (gates, weight, bias, _, _, keep), _ = window("lstm", T, B, H, True)
    h, c = np.zeros((2, T + 1, B, H), np.float32)
    return [weight, gates, keep, bias, h, c, np.zeros((T, B, H), np.float32)]


@needs_kernels
def test_arrays_of_wrong_dtype_shape_or_layout_are_refused():
    good = lstm_arguments()
    for place, array in enumerate(good):
        others = [array.astype(np.float64), array[..., :-1].copy(), np.asfortranarray(array), "abc"]
        for bad in others[:2] if array.ndim == 1 or array.shape[-1] == 1 else others:
            with pytest.raises((ValueError, TypeError, BufferError)):
                compiled.lstm_steps(*good[:place], bad, *good[place + 1 :])
    with pytest.raises(TypeError):
        compiled.lstm_steps(*good[:-1])
    with pytest.raises(ValueError, match="no activation"):
        compiled.rnn_steps(*good[:5], "softplus")


@needs_kernels
def test_only_inputs_may_be_read_only():
    good = lstm_arguments()
    for place, array in enumerate(good):
        locked = array.copy()
        locked.flags.writeable = False
        if place in (0, 2, 3):  # weight, keep, bias
            compiled.lstm_steps(*good[:place], locked, *good[place + 1 :])
        else:
            with pytest.raises((ValueError, BufferError)):
                compiled.lstm_steps(*good[:place], locked, *good[place + 1 :])


@needs_kernels
def test_an_unknown_target_is_refused(monkeypatch):
    monkeypatch.setenv("RNNLM_KERNELS", "avx1024")
    with pytest.raises(RnnlmError, match=r"RNNLM_KERNELS is 'avx1024'.* Expected avx512, avx2, portable or numpy"):
        kernels.compiled()
    assert not compiled.choose("avx1024")


@needs_kernels
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("V", [1, 5, 16, 1003])
@pytest.mark.parametrize("factor", [0.0, 0.125])
def test_the_compiled_softmax_agrees_with_numpy(V, with_bias, scale, factor):
    rng = np.random.default_rng(1)
    logits, bias = (rng.normal(0, scale, shape).astype(np.float32) for shape in ((4, V), (V,)))
    targets = rng.integers(0, V, 4)
    results = []
    for function in (numerics.softmax_error, compiled.softmax_error):
        found = logits.copy(), np.empty(4, np.float32)
        function(found[0], bias if with_bias else None, targets, factor, found[1])
        results.append(found)
    (ours, our_nats), (theirs, their_nats) = results
    np.testing.assert_allclose(their_nats, our_nats, rtol=1e-5, atol=1e-6)
    if factor:
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-7)


SWAPPED = ">f4" if sys.byteorder == "little" else "<f4"


@needs_kernels
def test_unaligned_arrays_and_integer_views_are_refused():
    good = lstm_arguments()
    for place, array in enumerate(good):
        unaligned = np.frombuffer(b"\0" + array.tobytes() + b"\0" * 3, np.uint8)[1:-3].copy()
        unaligned = np.concatenate([[0], unaligned]).astype(np.uint8)[1:].view(np.float32).reshape(array.shape)
        for bad in (unaligned, array.view(np.int32), array.view(np.uint32), array.view(SWAPPED)):
            with pytest.raises(ValueError, match="float32"):
                compiled.lstm_steps(*good[:place], bad, *good[place + 1 :])
    compiled.lstm_steps(*(array.view("<f4" if sys.byteorder == "little" else ">f4") for array in good))
    row, logits = np.zeros(1, np.float32), np.zeros((1, 5), np.float32)
    for bad in (np.array([1.0]), np.array([1], np.uint64), np.array([1], ">i8")):
        with pytest.raises(ValueError, match="int64"):
            compiled.softmax_error(logits, None, bad, 1.0, row)
    with pytest.raises(ValueError, match="float32"):
        compiled.softmax_error(logits.view(np.int32), None, np.array([1]), 1.0, row)
    one, whole = np.zeros(4, np.float32), np.zeros(4, np.int32)
    with pytest.raises(ValueError, match="float32"):
        compiled.adam_update(whole, one, one, one, one, 0.9, 0.999, 1e-2, 1.7, 1e-8, 1.0)


@needs_kernels
def test_an_id_outside_the_vocabulary_is_refused():
    row = np.zeros(1, np.float32)
    for target in (-1, 5, 1 << 40):
        with pytest.raises(ValueError, match="below 5"):
            compiled.softmax_error(np.zeros((1, 5), np.float32), None, np.array([target]), 1.0, row)
    with pytest.raises(ValueError, match="int64"):
        compiled.softmax_error(np.zeros((1, 5), np.float32), None, np.array([1], np.int32), 1.0, row)


@needs_kernels
@pytest.mark.parametrize("decay", [1.0, 0.99])
def test_compiled_adam_agrees_with_numpy(decay):
    rng = np.random.default_rng(1)
    results = []
    start = [rng.normal(size=77).astype(np.float32) for _ in range(3)]
    gradients = [rng.normal(0, 10.0**power, 77).astype(np.float32) for power in (0, -3, 3, -20)]
    for function in (optimizers.adam_update, compiled.adam_update):
        p, m, v = (array.copy() for array in start)
        v = np.square(v)
        for g in gradients:
            function(p, g, m, v, np.empty_like(p), 0.9, 0.999, 1e-2, 1.7, 1e-8, decay)
        results.append((p, m, v))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=2e-6, atol=1e-7)


@needs_kernels
@pytest.mark.parametrize("rule", ["sgd_update", "momentum_update", "momentum_update, ahead"])
def test_compiled_descent_agrees_with_numpy(rule):
    name, ahead = rule.split(",")[0], "ahead" in rule
    rng = np.random.default_rng(1)
    start = [rng.normal(size=77).astype(np.float32) for _ in range(2)]
    gradients = [rng.normal(0, 10.0**power, 77).astype(np.float32) for power in (0, -3, 3, -20)]
    results = []
    for module in (optimizers, compiled):
        p, v = (array.copy() for array in start)
        for g in gradients:
            slots = [] if name == "sgd_update" else [v]
            settings = [0.1] if name == "sgd_update" else [0.9, 0.1, ahead]
            getattr(module, name)(p, g, *slots, np.empty_like(p), *settings)
        results.append((p, v))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=2e-6, atol=1e-5)


@needs_kernels
@on_every_target
def test_compiled_row_sums_agree_with_numpy(target):
    assert compiled.choose(target)
    rng = np.random.default_rng(1)
    rows, places = rng.normal(size=(50, 37)).astype(np.float32), rng.integers(0, 9, 50)
    ours, theirs = np.ones((2, 9, 37), np.float32)
    gradients.add_rows(rows, places, ours)
    compiled.add_rows(rows, places, theirs)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)
    for bad in (places - 1, places + 1):
        with pytest.raises(ValueError, match="below 9"):
            compiled.add_rows(rows, bad, theirs)
    for arguments in (
        (rows[:-1].copy(), places, theirs),
        (rows, places.astype(np.int32), theirs),
        (rows, places, rows[0]),
    ):
        with pytest.raises(ValueError, match="expected"):
            compiled.add_rows(*arguments)


@needs_kernels
@on_every_target
@given(
    keys=st.lists(st.integers(0, 2**62), unique=True, max_size=100),
    wanted=st.lists(st.integers(-(2**62), 2**62), max_size=100),
)
def test_compiled_searches_agree_with_numpy(target, keys, wanted):
    assert compiled.choose(target)
    keys, wanted = np.sort(np.array(keys, np.int64)), np.array([*wanted, *keys[::2]], np.int64)
    ours, theirs = np.empty((2, len(wanted)), np.int64)
    places_of(keys, wanted, ours)
    compiled.places_of(keys, wanted, theirs)
    np.testing.assert_array_equal(theirs, ours)


@needs_kernels
@on_every_target
@pytest.mark.parametrize("V", [1, 5, 16, 1003])
def test_the_compiled_log_softmax_agrees_with_numpy(target, V):
    assert compiled.choose(target)
    logits = np.random.default_rng(1).normal(0, 30, (4, V + 3)).astype(np.float32)
    ours, theirs = logits.copy()[:, 1 : V + 1], logits.copy()[:, 1 : V + 1]
    numerics.log_softmax(ours)
    compiled.log_softmax(theirs)
    np.testing.assert_allclose(theirs, ours, rtol=2e-6, atol=1e-5)
    assert np.exp(theirs, dtype=np.float64).sum(axis=1) == pytest.approx(1, abs=1e-5)
    shifts = np.random.default_rng(2).normal(0, 3, 4).astype(np.float32)
    shifted = logits.copy()[:, 1 : V + 1]
    compiled.shifted_log_softmax(shifted, shifts)
    np.testing.assert_array_equal(shifted, theirs + shifts[:, None])
    numerics.shifted_log_softmax(ours := logits.copy()[:, 1 : V + 1], shifts)
    np.testing.assert_allclose(shifted, ours, rtol=2e-6, atol=1e-5)
    for bad in (logits.astype(np.float64), logits[0], logits.T, np.asfortranarray(logits)):
        with pytest.raises(ValueError, match="expected"):
            compiled.log_softmax(bad)
        with pytest.raises(ValueError, match="expected"):
            compiled.shifted_log_softmax(bad, shifts)
    for bad in (shifts[:3], shifts.astype(np.float64)):
        with pytest.raises(ValueError, match="expected"):
            compiled.shifted_log_softmax(logits, bad)


def test_numpy_is_used_for_double_precision_and_functions_without_a_twin(monkeypatch):
    assert kernels.compiled_steps(lstm_step, np.zeros((4, 1))) is None
    assert kernels.fastest(numerics.softmax_error, np.float64) is numerics.softmax_error
    assert kernels.fastest(numerics.tanh, np.float32) is numerics.tanh
    monkeypatch.setenv("RNNLM_KERNELS", "numpy")
    assert kernels.compiled_steps(lstm_step, np.zeros((4, 1), np.float32)) is None
    assert kernels.fastest(numerics.softmax_error, np.float32) is numerics.softmax_error


def test_numpy_is_used_without_the_compiled_module():
    program = "import sys; sys.modules['rnnlm.nn._kernels'] = None\n" + (
        "import numpy as np\nfrom rnnlm.nn import kernels\nfrom rnnlm.nn.cells.gru import gru_step\n"
        "assert kernels.compiled() is None\n"
        "assert kernels.compiled_steps(gru_step, np.zeros((3, 1), np.float32)) is None"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
