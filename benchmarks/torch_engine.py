"""Compare the training speed of --engine torch with plain torch.nn code, and measure the time to a given loss.

    python benchmarks/torch_engine.py                            the configurations of training_speed.py
    python benchmarks/torch_engine.py --resets                   sentence context: segments against a loop of steps
    python benchmarks/torch_engine.py --target 1.4697 TEXT       seconds until that loss on the held-out tenth of TEXT
    torchrun --nproc-per-node 2 benchmarks/torch_engine.py --target 1.4697 TEXT      the same with several workers

Both sides of a comparison see the same ids on the same device and take turns; compare the median of the ratios. On a
GPU an LSTM of 2 x 1024 is added, in float32, TF32 and bfloat16. The plain code has no sparse gradients, and does not
report the loss, the gradient norm and the state of each step, which a training needs.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rnnlm
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.batches import Batch
from rnnlm.training.torch_cells import MODULES
from rnnlm.training.torch_engine import TorchEngine, TorchSettings
from rnnlm.training.trainer import Report

PLAIN_CELLS = [name for name, cell in CELLS.items() if cell.torch]
CONFIGS = [  # V, H, L, B, T, as in training_speed.py
    (65, 128, 2, 50, 50),
    (65, 512, 2, 50, 50),
    (4000, 256, 1, 32, 64),
    (10000, 200, 2, 20, 20),
    (10000, 650, 2, 20, 35),
]
LARGE = [(10000, 1024, 2, 64, 64), (50000, 1024, 2, 64, 64)]
SENTENCE = 12  # approximate tokens in a sentence, for state resets between sentences


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def engine_step(
    cell: str, config: tuple[int, ...], batch: Batch, context: str, settings: TorchSettings
) -> Callable[[], Any]:
    """Return a training step of the engine, with embeddings as wide as the hidden layer."""
    V, H, L, _, _ = config
    network = Network.initialize(NetworkConfig(V, cell, "tanh", H, L, H), np.random.default_rng(1))
    engine = TorchEngine(network, "sgd", context, clip=1.0, settings=settings)
    state: Any = None

    def step() -> None:
        nonlocal state
        _, state = engine.train_step(batch, state, 0.1, (1,))

    return step


def plain_step(
    cell: str, config: tuple[int, ...], batch: Batch, device: torch.device, autocast: bool
) -> Callable[[], Any]:
    """Return the same step in torch.nn: forward, loss, backward, clipping, SGD.

    With resets it loops over the time steps.
    """
    V, H, L, _, _ = config
    embedding, output = torch.nn.Embedding(V, H), torch.nn.Linear(H, V)
    rnn = MODULES[cell](H, H, L)
    model = torch.nn.ModuleList([embedding, rnn, output]).to(device)
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    inputs, targets = (torch.tensor(ids).long().to(device) for ids in (batch.inputs, batch.targets))
    keep = None if batch.keep is None else torch.tensor(batch.keep).to(device)
    state: Any = None

    def hidden(x: torch.Tensor) -> torch.Tensor:
        nonlocal state
        if keep is None:
            y, state = rnn(x, state)
            return y
        outputs = []
        for t in range(len(x)):
            if state is not None:
                state = tuple(s * keep[t] for s in state) if isinstance(state, tuple) else state * keep[t]
            y, state = rnn(x[t : t + 1], state)
            outputs.append(y)
        return torch.cat(outputs)

    def step() -> None:
        nonlocal state
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=autocast):
            y = hidden(embedding(inputs))
            loss = torch.nn.functional.cross_entropy(output(y).view(-1, V), targets.view(-1))
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def seconds(step: Callable[[], Any], steps: int, device: torch.device) -> float:
    """Return the mean time of a step in seconds."""
    synchronize(device)
    started = time.perf_counter()
    for _ in range(steps):
        step()
    synchronize(device)
    return (time.perf_counter() - started) / steps


def compare(
    cell: str, config: tuple[int, ...], precision: str, arguments: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    """Return medians over interleaved rounds."""
    V, _, _, B, T = config
    rng = np.random.default_rng(0)
    ids = rng.integers(3, V, (T + 1, B)).astype(np.int32)
    keep = (rng.random((T, B, 1)) > 1 / SENTENCE).astype(np.float32) if arguments.resets else None
    batch = Batch(ids[:-1], ids[1:], keep, False)
    settings = TorchSettings(arguments.device, precision, arguments.compile, arguments.threads)
    context = "sentence" if arguments.resets else "stream"
    contestants = {
        "engine": engine_step(cell, config, batch, context, settings),
        "plain": plain_step(cell, config, batch, device, precision == "bf16"),
    }
    steps = max(1, round(arguments.seconds / max(seconds(step, 2, device) for step in contestants.values())))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(arguments.rounds):
        for name in sorted(contestants, reverse=bool(number % 2)):
            times[name].append(seconds(contestants[name], steps, device))
    return {
        "cell": cell,
        "V,H,L,B,T": config,
        "precision": precision,
        "tokens_per_second": {name: B * T / statistics.median(each) for name, each in times.items()},
        "ratio": statistics.median(b / a for a, b in zip(times["engine"], times["plain"], strict=True)),
    }


def table(arguments: argparse.Namespace) -> None:
    """Measure all configurations and print the table."""
    settings = TorchSettings(arguments.device, threads=arguments.threads)
    tiny = Network.initialize(NetworkConfig(8, "lstm", "tanh", 4, 1, 4), np.random.default_rng(1))
    device = TorchEngine(tiny, "sgd", "stream", settings=settings).device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{arguments.threads} threads"
    print(f"{device} ({name}), PyTorch {torch.__version__}; tokens/s")
    plain = "loop of steps" if arguments.resets else "torch.nn"
    print(f"{'cell':5}{'V, H, L, B, T':>26}{'precision':>11}{'engine':>12}{plain:>15}{'ratio':>8}")
    cases = [(cell, config, "float32") for config in CONFIGS for cell in PLAIN_CELLS]
    if device.type == "cuda":
        cases += [("lstm", config, precision) for config in LARGE for precision in ("float32", "tf32", "bf16")]
    rows = []
    for cell, config, precision in cases[arguments.first : arguments.last]:
        row = compare(cell, config, precision, arguments, device)
        rows.append(row)
        speeds = row["tokens_per_second"]
        print(
            f"{cell:5}{', '.join(map(str, config)):>26}{precision:>11}{speeds['engine']:12,.0f}{speeds['plain']:15,.0f}"
            f"{row['ratio']:8.2f}",
            flush=True,
        )
    ratios = [row["ratio"] for row in rows]
    print(f"ratio: geometric mean {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"device": str(device), "rows": rows}, indent=1))


def time_to_target(arguments: argparse.Namespace) -> None:
    """Train on a text until the held-out loss reaches the target."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    options = json.loads(arguments.options) | {"level": "char", "epochs": arguments.epochs}
    started: list[float] = []
    reached: list[float] = []

    def watch(report: Report) -> bool:
        if not started:
            started.append(time.perf_counter())  # count the time from after the first step
        if report.valid_nats_per_token is None:
            return True
        elapsed, loss = time.perf_counter() - started[0], report.valid_nats_per_token
        if rank == 0:
            print(f"{elapsed:8.1f} s  step {report.step:7,}  valid {loss:.4f}", flush=True)
        reached.extend([elapsed] if loss <= arguments.target else [])
        return not reached

    rnnlm.train(
        arguments.text,
        engine="torch",
        device=arguments.device,
        precision=arguments.precision,
        compiled=arguments.compile,
        threads=arguments.threads,
        progress=watch,
        **options,
    )
    if rank == 0:
        verdict = f"after {reached[0]:.1f} s" if reached else f"not within {arguments.epochs:g} epochs"
        print(f"{arguments.target} nats per character {verdict}; {size} workers on {arguments.device}")


def main() -> None:
    """Run the measurement that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", help="text to train on, with --target")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="duration of a round")
    parser.add_argument("--first", type=int, default=0, help="first row of the table")
    parser.add_argument("--last", type=int, default=None)
    parser.add_argument("--resets", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", default="float32", help="arithmetic, with --target")
    parser.add_argument("--target", type=float)
    parser.add_argument("--epochs", type=float, default=20.0, help="most passes, with --target")
    parser.add_argument("--options", default="{}", help='network options as JSON, with --target: {"hidden_size": 512}')
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.target and not arguments.text:
        sys.exit("--target needs a TEXT to train on.")
    (time_to_target if arguments.target else table)(arguments)


if __name__ == "__main__":
    main()
