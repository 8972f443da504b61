"""Time training steps with the adaptive and the full softmax, in rnnlm and in torch.nn.

    python benchmarks/adaptive_softmax.py constants     measure the constants of rnnlm/nn/clusters.py on this machine
    python benchmarks/adaptive_softmax.py steps         time whole training steps, see --help for sizes

All contestants see the same ids, drawn by Zipf's law or by the word counts of --text, and take turns, a few steps each,
so that other load on the machine affects all of them alike. Compare the ratios rather than the times.
"""

import os

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # rnnlm splits the columns of a batch among its own threads

import argparse
import collections
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from rnnlm.nn.clusters import COSTS, Costs, choose_cutoffs
from rnnlm.nn.gradients import summed
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.optimizers import OPTIMIZERS, Optimizer
from rnnlm.nn.outputs import Softmax, tail_width
from rnnlm.text.batches import Batch
from rnnlm.training.numpy_engine import NumpyEngine

SIZES = ["10000,200,2,20,20", "50000,256,1,32,32"]  # V, H, L, B, T
PARTS = 2  # threads, each of which computes its own gradient; the gradients are then summed


def seconds(step: Callable[[], object], steps: int) -> float:
    """Return the mean time of a step in seconds."""
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps


# --- constants --------------------------------------------------------------------------------------------------


def cluster_step(rows: int, classes: int, width: int) -> Callable[[], None]:
    """Return a function that does one thread's work for a cluster in a training step.

    It computes the loss and gradients, sums the gradients, computes their norm and updates the weights with Adam.
    """
    rng = np.random.default_rng(1)
    layer, rows_each = Softmax(), max(1, rows // PARTS)
    shapes = layer.shapes(classes, width)
    params = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    hidden = rng.normal(0, 0.5, (rows_each, width)).astype(np.float32)
    targets, optimizer = rng.integers(0, classes, rows_each), Optimizer("adam", params)

    def step() -> None:
        parts = []
        for _ in range(PARTS):
            chosen = np.flatnonzero(targets >= 0)
            parts.append(layer.loss(params, hidden[chosen], targets[chosen], "cross-entropy", 1 / rows)[1]()[1])
        grads, _ = summed(parts)
        optimizer.step(params, grads, 1e-3)

    return step


def constants(rounds: int) -> tuple[Costs, list[tuple[int, int, int, float, float]]]:
    """Fit the cost model to measured times of clusters of many sizes, by least squares of relative errors.

    Returns the constants, and for each size: rows, classes, width, measured and modelled milliseconds.
    """
    sizes = [
        (rows, classes, width)
        for rows in (4, 40, 400)
        for classes in (10, 300, 3000, 20_000)
        for width in (16, 64, 256)
        if rows * classes * width < 1 << 30
    ]
    steps = {size: cluster_step(*size) for size in sizes}
    repeats = {size: max(1, int(0.01 / seconds(step, 2))) for size, step in steps.items()}
    times = {size: [seconds(steps[size], repeats[size]) for _ in range(rounds)] for size in sizes}
    measured = np.array([1e9 * statistics.median(times[size]) for size in sizes])
    terms = np.array([(1, n * k * d, n * k, k * d) for n, k, d in sizes], dtype=float)
    active = list(range(terms.shape[1]))
    while True:  # a negative cost is noise: leave the term out and fit again
        found = np.zeros(terms.shape[1])
        found[active] = np.linalg.lstsq(terms[:, active] / measured[:, None], np.ones(len(sizes)), rcond=None)[0]
        if (found >= 0).all():
            break
        active.remove(int(found.argmin()))
    modelled = terms @ found
    return Costs(*found.tolist()), [
        (*size, t / 1e6, m / 1e6) for size, t, m in zip(sizes, measured, modelled, strict=True)
    ]


def print_constants(rounds: int) -> dict[str, object]:
    """Measure the constants, print them beside those in use, and return them."""
    costs, rows = constants(rounds)
    print(f"{'rows':>6}{'classes':>9}{'width':>7}{'measured ms':>13}{'model ms':>11}")
    for n, k, d, measured, modelled in rows:
        print(f"{n:6}{k:9,}{d:7}{measured:13.3f}{modelled:11.3f}")
    errors = [abs(modelled / measured - 1) for *_, measured, modelled in rows]
    print(f"median relative error of the model {statistics.median(errors):.2f}")
    print("measured  Costs(" + ", ".join(f"{name}={value:.3g}" for name, value in costs._asdict().items()) + ")")
    print("in use    Costs(" + ", ".join(f"{name}={value:.3g}" for name, value in COSTS._asdict().items()) + ")")
    return costs._asdict()


# --- steps ------------------------------------------------------------------------------------------------------


def rnnlm_step(config: NetworkConfig, ids: np.ndarray, optimizer: str, lr: float) -> Callable[[], None]:
    """Return a function that makes one training step with rnnlm."""
    network = Network.initialize(config, np.random.default_rng(1))
    engine = NumpyEngine(network, optimizer, "stream", clip=1.0, threads=THREADS)
    batch, state = Batch(ids[:-1], ids[1:], None, False), network.zero_state(ids.shape[1])

    def step() -> None:
        nonlocal state
        _, state = engine.train_step(batch, state, lr, (1,))

    return step


def torch_step(config: NetworkConfig, ids: np.ndarray, optimizer: str, lr: float) -> Callable[[], None]:
    """Return a function that makes the same step in torch.nn.

    An adaptive configuration uses AdaptiveLogSoftmaxWithLoss.
    """
    V, H = config.vocabulary_size, config.hidden_size
    torch.manual_seed(1)
    embedding, rnn = torch.nn.Embedding(V, config.embedding_size), torch.nn.LSTM(H, H, config.num_layers)
    if config.cutoffs:
        output = torch.nn.AdaptiveLogSoftmaxWithLoss(H, V, list(config.cutoffs), config.div_value, head_bias=True)
    else:
        output = torch.nn.Linear(H, V)
    parameters = [*embedding.parameters(), *rnn.parameters(), *output.parameters()]
    optimize = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](parameters, lr=lr)
    inputs, targets = torch.tensor(ids[:-1]).long(), torch.tensor(ids[1:]).long().view(-1)
    state = None

    def step() -> None:
        nonlocal state
        hidden, state = rnn(embedding(inputs), state)
        state = tuple(s.detach() for s in state)
        flat = hidden.view(-1, H)
        if config.cutoffs:
            loss = output(flat, targets).loss
        else:
            loss = torch.nn.functional.cross_entropy(output(flat), targets)
        optimize.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimize.step()

    return step


def counts_of(text: Path | None, V: int) -> np.ndarray:
    """Return the counts of the V most frequent words of a text, or counts by Zipf's law."""
    if text is None:
        return 1e6 / np.arange(1, V + 1)
    found = collections.Counter(text.read_text(encoding="utf-8").split())
    counts = np.array([count for _, count in found.most_common(V)], dtype=float)
    return np.concatenate([counts, np.ones(V - len(counts))])


def compare(size: Sequence[int], arguments: argparse.Namespace) -> dict[str, object]:
    """Return median times over interleaved rounds."""
    V, H, L, B, T = size
    counts = counts_of(arguments.text, V)
    ids = np.random.default_rng(0).choice(V, (T + 1, B), p=counts / counts.sum()).astype(np.int32)
    cutoffs = tuple(arguments.cutoffs or choose_cutoffs(counts, H, B * T, arguments.div_value))
    full = NetworkConfig(V, "lstm", "tanh", H, L, H)
    settings = {"output": "adaptive", "cutoffs": cutoffs, "div_value": arguments.div_value}
    adaptive = NetworkConfig(V, "lstm", "tanh", H, L, H, **settings)  # type: ignore[arg-type]
    lr = OPTIMIZERS[arguments.optimizer].default_lr / 10
    contestants = {
        "rnnlm adaptive": rnnlm_step(adaptive, ids, arguments.optimizer, lr),
        "rnnlm full": rnnlm_step(full, ids, arguments.optimizer, lr),
        "torch adaptive": torch_step(adaptive, ids, arguments.optimizer, lr),
        "torch full": torch_step(full, ids, arguments.optimizer, lr),
    }
    steps = {name: max(1, round(0.3 / seconds(step, 2))) for name, step in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, step in contestants.items():
            times[name].append(seconds(step, steps[name]))
    return {
        "V,H,L,B,T": size,
        "cutoffs": cutoffs,
        "widths": [tail_width(H, arguments.div_value, i) for i in range(len(cutoffs))],
        "milliseconds": {name: 1e3 * statistics.median(each) for name, each in times.items()},
        "times_faster_than_torch_full": {
            name: statistics.median(b / a for a, b in zip(each, times["torch full"], strict=True))
            for name, each in times.items()
        },
    }


def print_steps(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Time the training steps, print the table and return its rows."""
    torch.set_num_threads(THREADS)
    print(f"{THREADS} threads, NumPy {np.__version__}, PyTorch {torch.__version__}, {arguments.optimizer}, LSTM")
    rows = []
    for size in arguments.size or SIZES:
        row = compare([int(number) for number in size.split(",")], arguments)
        rows.append(row)
        print(f"V, H, L, B, T = {size}; cut at {row['cutoffs']}, widths {row['widths']}")
        for name, milliseconds in row["milliseconds"].items():  # type: ignore[attr-defined]
            faster = row["times_faster_than_torch_full"][name]  # type: ignore[index]
            print(f"  {name:16}{milliseconds:10.1f} ms a step{faster:8.2f} x torch full", flush=True)
    return rows


def main() -> None:
    """Run the measurement that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["constants", "steps"])
    parser.add_argument("--size", action="append", help="a network as V,H,L,B,T; may be repeated")
    parser.add_argument(
        "--cutoffs", type=int, nargs="+", help="cutoffs of the vocabulary; default: those of the cost model"
    )
    parser.add_argument("--div-value", type=float, default=4.0)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    parser.add_argument("--text", type=Path, help="text whose word counts are used")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = print_constants(arguments.rounds) if arguments.what == "constants" else print_steps(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
