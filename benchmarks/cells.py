"""Which recurrent cell is best in equal minutes, on characters and words, in English and Chinese; beside it the n-gram.

    python benchmarks/cells.py                                        all cells and texts, a minute each: 100 minutes
    python benchmarks/cells.py --texts tinyshakespeare-words --cells lstm gru --time 30s --seeds 1

Every training is `rnnlm train TEXT --time T --cell CELL`, which chooses the width and all else by its rules; the
learning rate is the best of half, once and twice what they choose, by the held-out tenth and with the first seed.
Figures are nats a token of that tenth: the network alone, and with the n-gram model that `rnnlm train` mixes with it;
the mean of the seeds, the least and the largest. Texts are looked for in --data, by default $RNNLM_DATA. Times are
those of a machine that does nothing else.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import rnnlm
from rnnlm.names import CELLS

TEXTS = {
    "tinyshakespeare-characters": ("tinyshakespeare.txt", "char"),
    "tinyshakespeare-words": ("tinyshakespeare.txt", "word"),
    "hongloumeng-characters": ("hongloumeng.txt", "char"),
    "hongloumeng-words": ("hongloumeng.txt", "word"),
}
FACTORS = (1.0, 0.5, 2.0)  # of the rate that the rules choose


def trained(text: Path, level: str, cell: str, time: str, seed: int, lr: float | None, folder: Path) -> dict[str, Any]:
    """What the file of a new model says of its training."""
    model, rate = folder / "model.npz", [] if lr is None else ["--lr", f"{lr:g}"]
    options = ["--level", level, "--cell", cell, "--time", time, "--seed", str(seed), *rate, "-o", model, "--force"]
    command = [sys.executable, "-m", "rnnlm", "train", *map(str, [text, *options])]
    said = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8")
    if said.returncode:
        sys.exit(said.stderr)
    return rnnlm.load(model).training


def measured(text: Path, level: str, cell: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Find a cell's rate with the first seed, then train with the others."""
    first, *others = arguments.seeds
    runs: dict[float, dict[str, Any]] = {}
    chosen = 0.0
    for factor in FACTORS:
        run = trained(text, level, cell, arguments.time, first, factor * chosen or None, folder)
        chosen = chosen or run["options"]["lr"]
        runs[factor * chosen] = run
    lr = min(runs, key=lambda each: runs[each]["best_nats_per_token"])
    best = [runs[lr], *(trained(text, level, cell, arguments.time, seed, lr, folder) for seed in others)]
    return {"cell": cell, "lr": lr, "units": best[0]["options"]["hidden_size"], "runs": best}


def shown(figures: list[float]) -> str:
    """Mean and range."""
    extent = f" ({min(figures):.3f} to {max(figures):.3f})" if len(figures) > 1 else ""
    return f"{statistics.mean(figures):.3f}{extent}"


def row(found: dict[str, Any]) -> str:
    """A line of the table."""
    alone = [run["best_nats_per_token"] for run in found["runs"]]
    both = [run.get("mixture", {}).get("nats_per_token", nats) for run, nats in zip(found["runs"], alone, strict=True)]
    return f"| {found['cell']} | {found['units']} | {found['lr']:g} | {shown(alone)} | {shown(both)} |"


def main() -> None:
    """Print a table for each text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", choices=TEXTS, default=list(TEXTS))
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    parser.add_argument("--time", default="60s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--data", type=Path, default=os.environ.get("RNNLM_DATA"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("--data names no folder with the texts, and $RNNLM_DATA is not set")
    with tempfile.TemporaryDirectory() as name:
        for text in arguments.texts:
            file, level = TEXTS[text]
            print(f"\n{text}, {arguments.time}\n\n| cell | units | rate | network | with the n-gram |")
            print("| --- | ---: | ---: | ---: | ---: |", flush=True)
            for cell in arguments.cells:
                found = measured(arguments.data / file, level, cell, arguments, Path(name))
                print(row(found), flush=True)
            ngram = found["runs"][0]["baselines"]
            print(f"| {ngram['order']}-gram alone | | | {ngram['ngram_nats_per_token']:.3f} | |", flush=True)


if __name__ == "__main__":
    main()
