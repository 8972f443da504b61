"""The compiled twins do what the functions in NumPy do: same numbers, same arrays touched, nothing hidden."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from rnnlm.nn import kernels, numerics, optimizers
from rnnlm.nn.cells import CELLS
from rnnlm.nn.cells.lstm import lstm_step
from rnnlm.nn.cells.rnn import COMPILED_ACTIVATIONS, rnn_step

compiled = kernels.compiled()
needs_kernels = pytest.mark.skipif(compiled is None, reason="rnnlm was installed without a C compiler")

T, B = 3, 4
RESETS = {"no resets": None, "resets": [[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1]]}
STEPS = [
    *((f"rnn_step{way}", name) for name in COMPILED_ACTIVATIONS for way in ("", "_backward")),
    *((f"{cell}_step{way}", None) for cell in ("lstm", "cifg", "gru") for way in ("", "_backward")),
]


def in_numpy(step):
    """The function of a cell's module that has a compiled twin."""
    return getattr(importlib.import_module(f"rnnlm.nn.cells.{step.split('_')[0]}"), step)


def arguments(step, activation, H, keep, scale=1.0):
    """Arrays of random numbers in the shapes that a step takes, in its order, and t is 1."""
    rng = np.random.default_rng(1)
    cell = step.split("_")[0]
    G = CELLS[cell].gates
    keep = None if keep is None else np.array(keep, np.float32)[:, :, None]
    shapes = {
        f"{cell}_step": [(T, B, G * H), (B, G * H), "keep", (G * H,), (T + 1, B, H), (T + 1, B, H), (T, B, H)],
        f"{cell}_step_backward": [
            *((T, B, H), (B, H), "keep", (T, B, G * H), (T + 1, B, H), (T, B, H), (B, H), (T, B, G * H)),
        ],
        "rnn_step": [(T, B, H), (B, H), "keep", (H,), (T + 1, B, H)],
        "rnn_step_backward": [(T, B, H), (B, H), "keep", (T + 1, B, H), (T, B, H)],
        "gru_step": [(T, B, 3 * H), (B, 3 * H), "keep", (4 * H,), (T + 1, B, H), (T, B, H)],
        "gru_step_backward": [
            *((T, B, H), (B, H), "keep", (T, B, 3 * H), (T + 1, B, H), (T, B, H), (B, H)),
            *((T, B, 3 * H), (T, B, 3 * H)),
        ],
    }[step]
    assert G in (1, 3, 4)
    arrays = [keep if shape == "keep" else rng.normal(0, scale, shape).astype(np.float32) for shape in shapes]
    return ([] if activation is None else [activation]) + arrays


# What NumPy may use as scratch, by its place: its content is not compared.
SCRATCH = {f"{cell}_step": [1] for cell in CELLS}
SCRATCH |= {f"{step}_backward": [1] for step in SCRATCH}


@needs_kernels
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("H", [1, 7, 8, 50])
@pytest.mark.parametrize(("step", "activation"), STEPS)
def test_the_compiled_step_is_that_in_numpy(step, activation, H, resets, scale):
    for t in (0, 1, T - 1):
        plain = arguments(step, activation, H, RESETS[resets], scale)
        fused = [each.copy() if isinstance(each, np.ndarray) else each for each in plain]
        with np.errstate(over="ignore"):
            in_numpy(step)(t, *plain)
        getattr(compiled, step)(t, *fused)
        skipped = [place + (activation is not None) for place in SCRATCH[step]]
        for place, (ours, theirs) in enumerate(zip(plain, fused, strict=True)):
            if isinstance(ours, np.ndarray) and place not in skipped:
                np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=3e-6 * scale**2, err_msg=f"argument {place}")


@needs_kernels
@pytest.mark.parametrize("name", COMPILED_ACTIVATIONS)
def test_a_state_ends_where_it_ends_in_numpy(name):
    x = np.array([-1e30, -2e12, -1e12, -5, 0, 5, 1e12, 2e12, 1e30], np.float32)
    nothing, (plain, fused) = np.zeros((1, len(x)), np.float32), np.zeros((2, 2, 1, len(x)), np.float32)
    with np.errstate(over="ignore"):
        rnn_step(0, name, x[None, None].copy(), nothing.copy(), None, nothing[0], plain)
    compiled.rnn_step(0, name, x[None, None].copy(), nothing, None, nothing[0], fused)
    np.testing.assert_allclose(fused, plain, rtol=1e-6, atol=1e-30)


@needs_kernels
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_the_compiled_functions_are_exact_to_single_precision(name):
    x = np.concatenate(
        [np.linspace(-100, 100, 200_001), np.logspace(-30, 0), [-np.inf, np.inf, 0.0, -1e30, 1e30]]
    ).astype(np.float32)
    h = np.zeros((2, 1, len(x)), np.float32)
    nothing = np.zeros((1, len(x)), np.float32)
    compiled.rnn_step(0, name, x[None, None].copy(), nothing, None, nothing[0], h)
    exact = {"tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}[name]
    with np.errstate(over="ignore"):
        expected = exact(x.astype(np.float64))
    np.testing.assert_allclose(h[1, 0], expected, rtol=0, atol=2e-7)
    near = np.abs(x) < 60
    np.testing.assert_allclose(h[1, 0][near], expected[near], rtol=5e-7)


@needs_kernels
@pytest.mark.parametrize(("step", "activation"), [each for each in STEPS if not each[0].endswith("backward")])
def test_what_is_no_number_is_not_hidden(step, activation):
    arrays = arguments(step, activation, 5, None)
    arrays[1 if activation else 0][1, 2, 3] = np.nan  # among the gates
    getattr(compiled, step)(1, *arrays)
    h = arrays[5 if activation else 4]
    assert np.isnan(h[2, 2, 3])
    assert np.isnan(h).sum() == 1


@needs_kernels
def test_other_arrays_than_expected_are_refused():
    good = arguments("lstm_step", None, 5, RESETS["resets"])
    for place, array in enumerate(good):
        others = [array.astype(np.float64), array[..., :-1].copy(), np.asfortranarray(array), "abc"]
        for bad in others[:2] if array.ndim == 1 or array.shape[-1] == 1 else others:
            with pytest.raises((ValueError, TypeError, BufferError)):
                compiled.lstm_step(1, *good[:place], bad, *good[place + 1 :])
    for t in (-1, T, "1", 1 << 80):
        with pytest.raises((ValueError, TypeError, OverflowError)):
            compiled.lstm_step(t, *good)
    with pytest.raises(TypeError):
        compiled.lstm_step(1, *good[:-1])
    with pytest.raises(ValueError, match="no activation"):
        compiled.rnn_step(1, "softplus", *arguments("rnn_step", None, 5, None))


@needs_kernels
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("V", [1, 5, 16, 1003])
def test_compiled_exponentials_are_those_in_numpy(V, with_bias, scale):
    rng = np.random.default_rng(1)
    logits, bias = (rng.normal(0, scale, shape).astype(np.float32) for shape in ((4, V), (V,)))
    targets = rng.integers(0, V, 4)
    results = []
    for function in (numerics.exponentials, compiled.exponentials):
        found = logits.copy(), np.empty(4, np.float32), np.empty(4, np.float32)
        function(found[0], bias if with_bias else None, targets, *found[1:])
        results.append(found)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5)


SWAPPED = ">f4" if sys.byteorder == "little" else "<f4"


@needs_kernels
def test_views_into_the_middle_of_a_number_and_integers_of_its_size_are_refused():
    good = arguments("lstm_step", None, 5, RESETS["resets"])
    for place, array in enumerate(good):
        unaligned = np.frombuffer(b"\0" + array.tobytes() + b"\0" * 3, np.uint8)[1:-3].copy()
        unaligned = np.concatenate([[0], unaligned]).astype(np.uint8)[1:].view(np.float32).reshape(array.shape)
        for bad in (unaligned, array.view(np.int32), array.view(np.uint32), array.view(SWAPPED)):
            with pytest.raises(ValueError, match="float32"):
                compiled.lstm_step(1, *good[:place], bad, *good[place + 1 :])
    compiled.lstm_step(1, *(array.view("<f4" if sys.byteorder == "little" else ">f4") for array in good))
    row, logits = np.zeros(1, np.float32), np.zeros((1, 5), np.float32)
    for bad in (np.array([1.0]), np.array([1], np.uint64), np.array([1], ">i8")):
        with pytest.raises(ValueError, match="int64"):
            compiled.exponentials(logits, None, bad, row, row.copy())
    with pytest.raises(ValueError, match="float32"):
        compiled.exponentials(logits.view(np.int32), None, np.array([1]), row, row.copy())
    one, whole = np.zeros(4, np.float32), np.zeros(4, np.int32)
    with pytest.raises(ValueError, match="float32"):
        compiled.adam_update(whole, one, one, one, one, 0.9, 0.999, 1e-2, 1.7, 1e-8, 1.0)


@needs_kernels
def test_an_id_beyond_the_vocabulary_is_refused():
    row = np.zeros(1, np.float32)
    for target in (-1, 5, 1 << 40):
        with pytest.raises(ValueError, match="below V"):
            compiled.exponentials(np.zeros((1, 5), np.float32), None, np.array([target]), row, row.copy())
    with pytest.raises(ValueError, match="int64"):
        compiled.exponentials(np.zeros((1, 5), np.float32), None, np.array([1], np.int32), row, row.copy())


@needs_kernels
@pytest.mark.parametrize("decay", [1.0, 0.99])
def test_compiled_adam_is_that_in_numpy(decay):
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


def test_double_precision_and_functions_without_a_twin_are_numpys(monkeypatch):
    assert kernels.fastest(lstm_step, np.float64) is lstm_step
    assert kernels.fastest(numerics.tanh, np.float32) is numerics.tanh
    monkeypatch.setenv("RNNLM_KERNELS", "numpy")
    assert kernels.fastest(lstm_step, np.float32) is lstm_step


def test_without_the_compiled_module_everything_works():
    program = "import sys; sys.modules['rnnlm.nn._kernels'] = None\n" + (
        "import numpy as np\nfrom rnnlm.nn import kernels\nfrom rnnlm.nn.cells.gru import gru_step\n"
        "assert kernels.compiled() is None\nassert kernels.fastest(gru_step, np.float32) is gru_step"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
