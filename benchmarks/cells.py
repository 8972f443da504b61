"""Compare recurrent cells at equal training time, on characters and words, in English and Chinese.

    python benchmarks/cells.py                               all cells and texts, 40 seconds each: two and a half hours
    python benchmarks/cells.py --texts tinyshakespeare-words --cells lstm gru --time 30 --seeds 1

Every model is trained like `rnnlm train TEXT --time T --cell CELL --no-coupled-gates`, which chooses the width and all
other options. The learning rate is the best of once, half and twice the chosen one, on the held-out tenth with the
first seed. Figures are nats per token on that tenth, for the network alone and for its mixture with the n-gram model
of `rnnlm train`: the mean over the seeds, the minimum and the maximum. Texts are looked for in --data, by default
$RNNLM_DATA.

Seconds are processor time of one thread, so other load on the machine changes little. The cells of `new_cells.py` that
have no compiled loop get more seconds, by the ratio of the speeds of the LSTM with and without its compiled loop. This
estimates what they would reach with a compiled loop of their own.
"""

import os

for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse
import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from new_cells import install

install()

import rnnlm
from rnnlm import names
from rnnlm.training import clock, speed

TEXTS = {
    "tinyshakespeare-characters": ("tinyshakespeare.txt", "char"),
    "tinyshakespeare-words": ("tinyshakespeare.txt", "word"),
    "hongloumeng-characters": ("hongloumeng.txt", "char"),
    "hongloumeng-words": ("hongloumeng.txt", "word"),
}
FACTORS = (1.0, 0.5, 2.0)  # factors of the learning rate that the rules choose
WITHOUT_LOOP = ("mlstm", "mogrifier")
# With coupled gates, which a time budget chooses, an LSTM would be trained as cifg.
ALIKE: dict[str, Any] = {"threads": 1, "progress": False, "coupled_gates": False}


def count_processor_time() -> None:
    """Make time budgets and the measurement of speed count processor time."""
    clock.RunningClock.__init__.__defaults__ = (time.process_time,)  # type: ignore[misc]
    speed.time = SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment]


def trained(text: Path, level: str, cell: str, seconds: float, seed: int, lr: float | None) -> dict[str, Any]:
    """Train a model and return the training record of its checkpoint, with the speed in tokens per second."""
    model = rnnlm.train(text, level=level, cell=cell, time=f"{seconds:.0f}s", seed=seed, lr=lr, **ALIKE)
    speeds = [report["tokens_per_second"] for report in model.history]
    return {**model.training, "speed": statistics.median(speeds)}


def speed_of(text: Path, level: str, cell: str, units: int) -> float:
    """Return tokens per second of processor time."""
    model = rnnlm.train(text, level=level, cell=cell, time="8s", hidden_size=units, ngram=0, **ALIKE)
    return float(statistics.median(report["tokens_per_second"] for report in model.history))


def measured(text: Path, level: str, cell: str, seconds: float, seeds: list[int]) -> dict[str, Any]:
    """Find a cell's learning rate with the first seed, then train with the others."""
    runs: dict[float, dict[str, Any]] = {}
    chosen = 0.0
    for factor in FACTORS:
        run = trained(text, level, cell, seconds, seeds[0], factor * chosen or None)
        chosen = chosen or run["options"]["lr"]
        runs[factor * chosen] = run
    lr = min(runs, key=lambda each: runs[each]["best_nats_per_token"])
    best = [runs[lr], *(trained(text, level, cell, seconds, seed, lr) for seed in seeds[1:])]
    return {"cell": cell, "lr": lr, "units": best[0]["options"]["hidden_size"], "runs": best}


def shown(figures: list[float]) -> str:
    """Return the mean and the range of figures as text."""
    extent = f" ({min(figures):.3f} to {max(figures):.3f})" if len(figures) > 1 else ""
    return f"{statistics.mean(figures):.3f}{extent}"


def row(found: dict[str, Any], seconds: float) -> str:
    """Return a line of the table."""
    alone = [run["best_nats_per_token"] for run in found["runs"]]
    both = [run.get("mixture", {}).get("nats_per_token", nats) for run, nats in zip(found["runs"], alone, strict=True)]
    cells = (found["cell"], found["units"], f"{found['lr']:g}", f"{seconds:.0f}", shown(alone), shown(both))
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print a table for each text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cells = [name for name in names.CELLS if name != "numpy-lstm"]
    parser.add_argument("--texts", nargs="+", choices=TEXTS, default=list(TEXTS))
    parser.add_argument("--cells", nargs="+", choices=cells, default=cells)
    parser.add_argument("--time", type=float, default=40, help="CPU seconds for each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--data", type=Path, default=os.environ.get("RNNLM_DATA"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("--data names no folder with the texts, and $RNNLM_DATA is not set")
    count_processor_time()
    for name in arguments.texts:
        file, level = TEXTS[name]
        text = arguments.data / file
        print(f"\n{name}\n\n| cell | units | rate | seconds | network | with the n-gram |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
        factor = 1.0
        if set(WITHOUT_LOOP) & set(arguments.cells):
            factor = speed_of(text, level, "lstm", 192) / speed_of(text, level, "numpy-lstm", 192)
        for cell in arguments.cells:
            seconds = arguments.time * (factor if cell in WITHOUT_LOOP else 1)
            found = measured(text, level, cell, seconds, arguments.seeds)
            print(row(found, seconds), flush=True)
        ngram = found["runs"][0]["baselines"]
        print(f"| {ngram['order']}-gram alone | | | | {ngram['ngram_nats_per_token']:.3f} | |", flush=True)


if __name__ == "__main__":
    main()
