"""Every optimizer against its namesake in torch.optim."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from rnnlm.nn.gradients import CHUNK, RowGradient, pieces
from rnnlm.nn.optimizers import OPTIMIZERS, Optimizer

# Names that torch spells differently; others are found ignoring case.
TORCH_NAMES = {"momentum": "sgd", "nesterov": "sgd"}
TORCH_SETTINGS = {"nesterov": {"nesterov": True}}


def namesake(name, tensors, weight_decay=None):
    """Return torch's optimizer of that name. Weight decay applies to AdamW only, and never to biases."""
    classes = {each.lower(): getattr(torch.optim, each) for each in dir(torch.optim) if each[0].isupper()}
    settings = {**OPTIMIZERS[name].settings, **TORCH_SETTINGS.get(name, {})}
    if name == "adamw":
        decay = OPTIMIZERS[name].weight_decay if weight_decay is None else weight_decay
        tensors = [{"params": [each], "weight_decay": decay * (each.dim() > 1)} for each in tensors]
    return classes[TORCH_NAMES.get(name, name)](tensors, lr=1.0, **settings)


def parameters(dtype):
    """Return parameters smaller and larger than a chunk, in C and Fortran order."""
    rng = np.random.default_rng(1)
    shapes = {"bias": (7,), "rows": (5, 3), "columns": (4, 6), "long": (CHUNK + 5,), "wide": (130, 2 * CHUNK // 100)}
    params = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    for name in ("columns", "wide"):
        params[name] = np.asfortranarray(params[name])
    return params


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_five_steps_agree_with_torch(name, dtype, tolerance):
    params = parameters(dtype)
    assert params["wide"].size > 2 * CHUNK
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in params.items()}
    ours, theirs = Optimizer(name, params), namesake(name, list(tensors.values()))
    rng = np.random.default_rng(2)
    for lr in (0.1, 0.05, 0.2, 0.0, 0.01):
        grads = {key: rng.normal(0, 0.3, p.shape).astype(dtype) for key, p in params.items()}
        for key, gradient in grads.items():
            gradient[rng.random(gradient.shape) < 0.2] = 0  # a word that does not occur
            tensors[key].grad = torch.tensor(gradient)
        ours.step(params, {k: np.asfortranarray(g) if k in ("columns", "wide") else g for k, g in grads.items()}, lr)
        for group in theirs.param_groups:
            group["lr"] = lr
        theirs.step()
    for key, array in params.items():
        assert array.dtype == dtype
        np.testing.assert_allclose(array, tensors[key].detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_applied_to_weights_but_not_to_biases_before_the_rule(name):
    """Only torch's AdamW decays like this; for the others the reference weights are decayed by hand."""
    params, rng = parameters(np.float64), np.random.default_rng(2)
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in params.items()}
    ours, theirs = Optimizer(name, params, weight_decay=0.3), namesake(name, list(tensors.values()), 0.3)
    for lr in (0.1, 0.05, 0.2, 0.0, 0.01):
        grads = {key: rng.normal(0, 0.3, p.shape) for key, p in params.items()}
        ours.step(params, {k: np.asfortranarray(g) if k in ("columns", "wide") else g for k, g in grads.items()}, lr)
        for key, tensor in tensors.items():
            tensor.grad = torch.tensor(grads[key])
            if name != "adamw" and tensor.dim() > 1:
                tensor.data.mul_(1 - lr * 0.3)
        for group in theirs.param_groups:
            group["lr"] = lr
        theirs.step()
    for key, array in params.items():
        np.testing.assert_allclose(array, tensors[key].detach().numpy(), rtol=1e-12, atol=1e-12)


def test_adam_with_decay_is_adamw():
    params = [parameters(np.float32) for _ in range(2)]
    optimizers = [Optimizer("adam", params[0], 0.01), Optimizer("adamw", params[1])]
    grads = {key: np.ones_like(array) for key, array in params[0].items()}
    for _ in range(3):
        for optimizer, each in zip(optimizers, params, strict=True):
            optimizer.step(each, grads, 0.1)
    for key, array in params[0].items():
        np.testing.assert_array_equal(array, params[1][key])


def test_rows_that_are_not_looked_up_are_not_decayed():
    params = {"x": np.ones((6, 2))}
    rows = RowGradient(np.array([1, 4]), np.zeros((2, 2)), 6)
    Optimizer("sgd", params, weight_decay=0.5).step(params, {"x": rows}, 0.1)
    assert params["x"][:, 0].tolist() == [1, 0.95, 1, 1, 0.95, 1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slots_have_the_shape_and_dtype_of_their_parameter(name):
    params = parameters(np.float32)
    slots = Optimizer(name, params).slots
    assert len(slots) == len(OPTIMIZERS[name].slots) * len(params)
    for key, slot in slots.items():
        owner = params[key.partition(".")[2]]
        assert (slot.shape, slot.dtype, slot.strides) == (owner.shape, owner.dtype, owner.strides)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_default_rate_descends_a_quadratic_valley(name):
    params = {"x": np.array([3.0, -2.0])}
    optimizer = Optimizer(name, params)
    for _ in range(20):
        optimizer.step(params, {"x": 0.5 * params["x"]}, OPTIMIZERS[name].default_lr)
    assert np.linalg.norm(params["x"]) < 13**0.5


# Rows of a look-up table


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_sparse_gradients_agree_with_dense_ones(name, transposed):
    rng = np.random.default_rng(4)
    table = rng.normal(size=(900, 140))
    by_row, by_array = {"x": table.copy()}, {"x": table.copy()}
    if transposed:
        by_row, by_array = ({"x": np.asfortranarray(each["x"].T)} for each in (by_row, by_array))
    rows, whole = Optimizer(name, by_row), Optimizer(name, by_array)
    for lr in (0.1, 0.05, 0.2):
        ids = rng.integers(0, 900, 500)
        gradient = RowGradient.summed(ids, rng.normal(size=(500, 140)), 900, transposed)
        assert len(pieces({"x": gradient})) > 1
        rows.step(by_row, {"x": gradient}, lr, scale=0.3)
        whole.step(by_array, {"x": np.asarray(gradient, order="F" if transposed else "C")}, lr, scale=0.3)
    np.testing.assert_allclose(by_row["x"], by_array["x"], rtol=1e-12)


def test_adam_on_rows_agrees_with_torchs_sparse_adam():
    rng = np.random.default_rng(5)
    params = {"x": rng.normal(size=(50, 4))}
    tensor = torch.tensor(params["x"], requires_grad=True)
    # torch adds eps before bias correction, but it is too small to matter here
    ours, theirs = Optimizer("adam", params), torch.optim.SparseAdam([tensor], lr=0.1, eps=1e-20)
    for _ in range(6):
        ids, rows = rng.integers(0, 50, 12), rng.normal(size=(12, 4))
        ours.step(params, {"x": RowGradient.summed(ids, rows, 50)}, 0.1)
        tensor.grad = torch.sparse_coo_tensor(ids[None], rows, (50, 4), check_invariants=True)
        theirs.step()
    np.testing.assert_allclose(params["x"], tensor.detach().numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_that_are_not_looked_up_do_not_change(name):
    rng = np.random.default_rng(6)
    params = {"x": rng.normal(size=(30, 3)).astype(np.float32)}
    before, optimizer = params["x"].copy(), Optimizer(name, params)
    for _ in range(3):
        optimizer.step(params, {"x": RowGradient.summed(np.array([4, 9, 4]), np.ones((3, 3), np.float32), 30)}, 0.1)
    changed = (params["x"] != before).any(axis=1)
    assert changed.nonzero()[0].tolist() == [4, 9]
    for slot in optimizer.slots.values():
        assert slot.any(axis=1).nonzero()[0].tolist() == [4, 9]
        assert slot.dtype == np.float32


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_gives_the_same_bits_however_the_work_is_split(name):
    results = []
    for count in (1, 3):

        def shares(work, found, count=count):
            edges = [len(found) * i // count for i in range(count + 1)]
            return [work(found[start:stop]) for start, stop in pairwise(edges)]

        rng = np.random.default_rng(7)
        params = parameters(np.float32) | {"table": rng.normal(size=(900, 40)).astype(np.float32)}
        optimizer = Optimizer(name, params)
        for _ in range(2):
            grads = {key: np.asarray(rng.normal(size=p.shape), p.dtype, order="K") for key, p in params.items()}
            grads |= {key: np.asfortranarray(grads[key]) for key in ("columns", "wide")}
            rows = rng.normal(size=(700, 40)).astype(np.float32)
            grads["table"] = RowGradient.summed(rng.integers(0, 900, 700), rows, 900)
            optimizer.step(params, grads, 0.1, 0.7, shares)
        results.append(params)
    for key, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][key])
