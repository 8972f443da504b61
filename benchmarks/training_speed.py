"""Training tokens per second, beside torch.nn doing the same step: forward, loss, backward, clipping, SGD.

Both sides see the same ids and take turns, a few steps each, so that whatever else the machine does hits both. The
figure to look at is the median of the ratios. Usage: python benchmarks/training_speed.py [--rounds 5] [--json FILE]
"""

import os

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # rnnlm's own threads each take some columns of the batch

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.batches import Batch
from rnnlm.training.numpy_engine import NumpyEngine

CONFIGS = [  # V, H, L, B, T
    (65, 128, 2, 50, 50),
    (65, 512, 2, 50, 50),
    (4000, 256, 1, 32, 64),
    (10000, 200, 2, 20, 20),
    (10000, 650, 2, 20, 35),
]


def rnnlm_step(cell: str, config: tuple[int, ...], ids: np.ndarray) -> Callable[[], None]:
    """One training step of this package, embedding as wide as the hidden layer."""
    V, H, L, B, _ = config
    network = Network.initialize(NetworkConfig(V, cell, "tanh", H, L, H), np.random.default_rng(1))
    engine = NumpyEngine(network, "sgd", "stream", clip=1.0, threads=THREADS)
    batch = Batch(ids[:-1], ids[1:], None, False)
    state = network.zero_state(B)

    def step() -> None:
        nonlocal state
        _, state = engine.train_step(batch, state, 0.1, (1,))

    return step


def torch_step(cell: str, config: tuple[int, ...], ids: np.ndarray) -> Callable[[], None]:
    """The same step in torch.nn."""
    V, H, L, _, _ = config
    torch.manual_seed(1)
    embedding = torch.nn.Embedding(V, H)
    rnn = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](H, H, L)
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
    """Time of a step."""
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - started) / steps


def compare(cell: str, config: tuple[int, ...], rounds: int) -> dict[str, object]:
    """Medians over interleaved rounds."""
    V, _, _, B, T = config
    ids = np.random.default_rng(0).integers(3, V, (T + 1, B)).astype(np.int32)
    ours, theirs = rnnlm_step(cell, config, ids), torch_step(cell, config, ids)
    steps = max(1, round(0.5 / max(seconds(ours, 2), seconds(theirs, 2))))
    pairs = [(seconds(ours, steps), seconds(theirs, steps)) for _ in range(rounds)]
    return {
        "cell": cell,
        "V,H,L,B,T": config,
        "rnnlm_tokens_per_second": B * T / statistics.median(a for a, _ in pairs),
        "torch_tokens_per_second": B * T / statistics.median(b for _, b in pairs),
        "ratio": statistics.median(b / a for a, b in pairs),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    print(f"{THREADS} threads, NumPy {np.__version__}, PyTorch {torch.__version__}")
    print(f"{'cell':5}{'V, H, L, B, T':>26}{'rnnlm tokens/s':>16}{'torch tokens/s':>16}{'ratio':>8}")
    rows = []
    for config in CONFIGS:
        for cell in CELLS:
            row = compare(cell, config, arguments.rounds)
            rows.append(row)
            ours, theirs = row["rnnlm_tokens_per_second"], row["torch_tokens_per_second"]
            print(
                f"{cell:5}{', '.join(map(str, config)):>26}{ours:16,.0f}{theirs:16,.0f}{row['ratio']:8.2f}", flush=True
            )
    mean = statistics.geometric_mean(float(str(row["ratio"])) for row in rows)
    print(f"geometric mean of the ratios {mean:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": THREADS, "rows": rows, "geometric_mean": mean}, indent=1))


if __name__ == "__main__":
    main()
