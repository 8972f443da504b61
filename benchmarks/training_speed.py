"""Compare the training speed with torch.nn on the same step: forward, loss, backward, clipping, SGD.

Both sides see the same ids and take turns, a few steps each, so that other load on the machine affects both alike.
Compare the median of the ratios.

    python benchmarks/training_speed.py                          compiled kernels, if they were built, and NumPy
    ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell python benchmarks/training_speed.py --kernels avx2
                                                                both sides as on a processor without AVX-512
    OPENBLAS_NUM_THREADS=2 python benchmarks/training_speed.py --threads 1      BLAS threads instead of rnnlm's own

Freed memory is kept by the process, as in `rnnlm train`; both sides benefit.

The share of the ceiling is the rate of the floating-point operations in a step's matrix products, divided by the best
rate of a NumPy matrix product with all threads. It counts the operations of the textbook formula. The product of an
embedding with the first layer is computed once per distinct token, so with a small vocabulary the share may exceed 1.
"""

import os

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # rnnlm splits the columns of a batch among its own threads

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.batches import Batch
from rnnlm.training.allocator import keep_freed_memory
from rnnlm.training.numpy_engine import NumpyEngine

KERNELS = {"compiled": "", "numpy": "numpy"}  # rnnlm's contestants, and $RNNLM_KERNELS if it differs
TORCH_CELLS = {name: getattr(torch.nn, cell.torch) for name, cell in CELLS.items() if cell.torch}
CONFIGS = [  # V, H, L, B, T
    (65, 128, 2, 50, 50),
    (65, 512, 2, 50, 50),
    (4000, 256, 1, 32, 64),
    (10000, 200, 2, 20, 20),
    (10000, 650, 2, 20, 35),
]


def rnnlm_step(cell: str, config: tuple[int, ...], ids: np.ndarray, kernels: str, threads: int) -> Callable[[], None]:
    """Return a training step of this package, with embeddings as wide as the hidden layer.

    kernels: "" for the compiled ones, or "numpy".
    """
    V, H, L, B, _ = config
    network = Network.initialize(NetworkConfig(V, cell, "tanh", H, L, H), np.random.default_rng(1))
    engine = NumpyEngine(network, "sgd", "stream", clip=1.0, threads=threads)
    batch = Batch(ids[:-1], ids[1:], None, False)
    state = network.zero_state(B)

    def step() -> None:
        nonlocal state
        os.environ["RNNLM_KERNELS"] = kernels
        _, state = engine.train_step(batch, state, 0.1, (1,))

    return step


def torch_step(cell: str, config: tuple[int, ...], ids: np.ndarray) -> Callable[[], None]:
    """Return the same step in torch.nn."""
    V, H, L, _, _ = config
    torch.manual_seed(1)
    embedding = torch.nn.Embedding(V, H)
    rnn = TORCH_CELLS[cell](H, H, L)
    output = torch.nn.Linear(H, V)
    parameters = [*embedding.parameters(), *rnn.parameters(), *output.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    inputs, targets = torch.tensor(ids[:-1]).long(), torch.tensor(ids[1:]).long()
    state = None

    def step() -> None:
        nonlocal state
        hidden, state = rnn(embedding(inputs), state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = torch.nn.functional.cross_entropy(output(hidden).view(-1, V), targets.view(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def seconds(step: Callable[[], None], steps: int) -> float:
    """Return the mean time of a step in seconds."""
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps


def flops(cell: str, config: tuple[int, ...]) -> int:
    """Return the floating-point operations of a step's matrix products: forward, and twice as many backward."""
    V, H, L, B, T = config
    return 3 * 2 * B * T * (L * CELLS[cell].gates * H * (H + H) + V * H)


def ceiling(threads: int) -> float:
    """Return the most operations per second that NumPy reaches in matrix products with all threads."""
    a = np.random.default_rng(0).random((threads, 1024, 1024), dtype=np.float32)
    out = np.empty_like(a)
    with ThreadPoolExecutor(threads) as pool:

        def products() -> None:
            list(pool.map(lambda i: np.matmul(a[i], a[i], out=out[i]), range(threads)))

        return threads * 2 * 1024**3 / min(seconds(products, 2) for _ in range(5))


def compare(cell: str, config: tuple[int, ...], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return medians over interleaved rounds."""
    V, _, _, B, T = config
    ids = np.random.default_rng(0).integers(3, V, (T + 1, B)).astype(np.int32)
    contestants = {"torch": torch_step(cell, config, ids)}
    for name in arguments.kernels:
        contestants[name] = rnnlm_step(cell, config, ids, KERNELS.get(name, name), arguments.threads)
    steps = max(1, round(0.4 / max(seconds(step, 2) for step in contestants.values())))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, step in contestants.items():
            times[name].append(seconds(step, steps))
    return {
        "cell": cell,
        "V,H,L,B,T": config,
        "tokens_per_second": {name: B * T / statistics.median(each) for name, each in times.items()},
        "times_as_fast_as_torch": {
            name: statistics.median(b / a for a, b in zip(times[name], times["torch"], strict=True))
            for name in arguments.kernels
        },
        "share_of_ceiling": flops(cell, config) / statistics.median(times[arguments.kernels[0]]) / arguments.ceiling,
    }


def main() -> None:
    """Measure all configurations and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=THREADS, help="number of threads")
    parser.add_argument("--kernels", nargs="+", default=[*KERNELS], choices=[*KERNELS, "avx512", "avx2", "portable"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    arguments.ceiling = ceiling(arguments.threads)
    blas = os.environ["OPENBLAS_NUM_THREADS"]
    print(
        f"{arguments.threads} threads and {blas} of BLAS in each, NumPy {np.__version__}, "
        f"PyTorch {torch.__version__}; matrix products at {arguments.ceiling / 1e9:.0f} GFLOP/s"
    )
    names = arguments.kernels
    print(f"{'':31}{'tokens/s':>{10 + 10 * len(names)}}{'times torch':>{10 * len(names)}}{'share of':>10}")
    headings = ["torch", *names, *names, "ceiling"]
    print(f"{'cell':5}{'V, H, L, B, T':>26}" + "".join(f"{heading:>10}" for heading in headings))
    rows = []
    for config in CONFIGS:
        for cell in TORCH_CELLS:
            row = compare(cell, config, arguments)
            rows.append(row)
            speeds, ratios = row["tokens_per_second"], row["times_as_fast_as_torch"]
            print(
                f"{cell:5}{', '.join(map(str, config)):>26}"
                + "".join(f"{speeds[name]:10,.0f}" for name in ("torch", *names))
                + "".join(f"{ratios[name]:10.2f}" for name in names)
                + f"{row['share_of_ceiling']:10.0%}",
                flush=True,
            )
    for name in names:
        ratios = [row["times_as_fast_as_torch"][name] for row in rows]
        print(f"{name}: geometric mean {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": arguments.threads, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
