"""Measure what float32 denormals (numbers below 1.2e-38) cost, to decide whether to flush them to zero.

    python benchmarks/denormals.py

Prints the time of

- a step of each optimizer on a million numbers whose running averages are ordinary, denormal (as for a dead unit, whose
  gradient is 0) or made from gradients whose squares are denormal,
- a training step of networks whose states are ordinary or decay to 1e-39,
- a softmax whose tail is far below the first ten words,
- exp, the only function whose denormal results `nn.numerics` avoids.

The second column of times is relative to the first line of its group.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.optimizers import OPTIMIZERS, Optimizer

NUMBERS = 1 << 20


def main() -> None:
    """Time all cases and print the table."""
    for name in OPTIMIZERS:
        if name == "sgd":
            continue  # plain SGD has no running averages
        groups = {
            "ordinary": (1e-3, 1e-3),
            "averages of 1e-40, gradient 0": (0.0, 1e-40),
            "gradients of 1e-21": (1e-21, 0),
        }
        _group(name, {what: _optimizer_step(name, *values) for what, values in groups.items()})
    for cell, activation in (("rnn", "identity"), ("rnn", "relu"), ("rnn", "tanh"), ("gru", "tanh"), ("lstm", "tanh")):
        steps = {
            "ordinary states": _training_step(cell, activation, 1),
            "states of 1e-39": _training_step(cell, activation, 1e-38),
        }
        _group(f"{cell} {activation}", steps)
    _group("softmax", {f"tail {gap} nats below": _softmax_step(gap) for gap in (1, 30, 60, 100)})
    _group("exp", {f"of {x}": _exp(x) for x in (-50, -80, -88, -95)})


def _group(name: str, works: dict[str, Callable[[], Any]]) -> None:
    times = {what: _best(work) for what, work in works.items()}
    first = next(iter(times.values()))
    for what, seconds in times.items():
        print(f"{name:<14}{what:<32}{1e3 * seconds:8.2f} ms {seconds / first:6.2f}", flush=True)


def _best(work: Callable[[], Any], repeats: int = 9) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _optimizer_step(name: str, gradient: float, average: float) -> Callable[[], Any]:
    params = {"w": np.random.default_rng(1).normal(0, 1, NUMBERS).astype(np.float32)}
    optimizer = Optimizer(name, params)
    for slot in optimizer.slots.values():
        slot[...] = average
    grads = {"w": np.full(NUMBERS, gradient, np.float32)}
    return lambda: optimizer.step(params, grads, 1e-3)


def _training_step(cell: str, activation: str, scale: float) -> Callable[[], Any]:
    rng = np.random.default_rng(1)
    network = Network.initialize(NetworkConfig(1000, cell, activation, hidden_size=128, embedding_size=64), rng)
    for name, array in network.params.items():
        if "embedding" in name or "bias" in name:
            array *= np.float32(scale)
    state = np.full_like(network.zero_state(32), 0 if scale == 1 else 1e-39)
    ids = rng.integers(3, 1000, (32, 32))
    return _step(network, ids, state)


def _softmax_step(gap: float) -> Callable[[], Any]:
    rng = np.random.default_rng(1)
    network = Network.initialize(NetworkConfig(10_000, "rnn", hidden_size=128, embedding_size=64), rng)
    network.params["output.bias"][10:] = -gap
    ids = rng.integers(3, 10, (32, 32))
    return _step(network, ids, network.zero_state(32))


def _step(network: Network, ids: Any, state: Any) -> Callable[[], Any]:
    def step() -> None:
        _, _, backprop = network.loss(ids, ids, state, scale=1 / ids.size)
        backprop()

    return step


def _exp(x: float) -> Callable[[], Any]:
    numbers = np.full(NUMBERS, x, np.float32)
    return lambda: np.exp(numbers)


if __name__ == "__main__":
    main()
