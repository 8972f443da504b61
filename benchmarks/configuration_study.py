"""Compare what rnnlm/training/configuration.py chooses for a text with the alternatives around it.

    python benchmarks/configuration_study.py corpora/english.txt
    python benchmarks/configuration_study.py TEXT --level char --epochs 2 --only rate width
    python benchmarks/configuration_study.py TEXT --bytes 20000 --seeds 1 2 3
    python benchmarks/configuration_study.py corpora/chinese.txt --pairs zh --only dropout passes memory

Trains TEXT (or its first --bytes) with the options that `rnnlm train` chooses by default, then changes one option at a
time, over a grid around the choice. Training length is set in passes, not in time, so other load on the machine changes
no figure. The loss is that of the best model on the held-out tenth, as `rnnlm train` reports it. Each line names the
change; a difference below 0 % means a better model than the default. --pairs adds a second objective, the share of
minimal pairs in which the model is right: `rnnlm lab memory` with that language or file. `agreement.py --write` writes
its texts with their pairs to files.
"""

import argparse
import json
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

Choice = dict[str, str]
Change = Callable[[Choice], list[str]]


def scaled(option: str, factor: float) -> Change:
    """Return a change that multiplies a chosen number by a factor."""
    return lambda choice: [f"--{option}", f"{float(choice[option]) * factor:.3g}"]


def times(option: str, factor: float) -> Change:
    """Return a change that multiplies a chosen integer by a factor and rounds it."""
    return lambda choice: [f"--{option}", str(round(int(choice[option]) * factor))]


def more_dropout(difference: float) -> Change:
    """Return a change that adds a difference to the chosen dropout rate, clipped to [0, 0.8]."""
    return lambda choice: ["--dropout", f"{min(0.8, max(0.0, float(choice['dropout']) + difference)):.2g}"]


def fixed(*options: str) -> Change:
    """Return a change to options that do not depend on the choice."""
    return lambda choice: list(options)


VARIATIONS: dict[str, list[Change]] = {
    "rate": [scaled("lr", 0.25), scaled("lr", 0.5), scaled("lr", 2)],
    "width": [times("hidden-size", factor) for factor in (0.5, 0.75, 1.5, 2)],
    "dropout": [
        *(more_dropout(difference) for difference in (-0.2, -0.1, 0.1, 0.2)),
        *(scaled("input-dropout", factor) for factor in (0, 2)),
    ],
    "passes": [scaled("epochs", 0.5), scaled("epochs", 0.7), scaled("epochs", 1.5)],
    "decay": [fixed("--weight-decay", "0"), fixed("--weight-decay", "0.005"), fixed("--weight-decay", "0.1")],
    "batch": [times("batch-size", 0.5), times("batch-size", 2)],
    "memory": [*(fixed("--long-memory", share) for share in ("0", "0.25", "0.5", "1")), fixed("--bptt", "32")],
    "cell": [fixed("--cell", "gru"), fixed("--num-layers", "2")],
    "masks": [
        fixed("--locked-dropout"),
        fixed("--embedding-dropout", "0.1"),
        fixed("--weight-dropout", "0.2"),
    ],
    "other": [
        fixed("--average-weights", "0.99"),
        fixed("--shift"),
        fixed("--label-smoothing", "0.05"),
        fixed("--schedule", "linear"),
        fixed("--init", "orthogonal"),
        fixed("--clip", "0.25"),
    ],
}


def train(text: Path, options: list[str], model: Path) -> tuple[float, Choice] | None:
    """Train and return the valid loss and all options; None if the options were refused."""
    command = [sys.executable, "-m", "rnnlm", "train", str(text), "-o", str(model), "--force", *options]
    said = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8").stderr
    loss, equal = re.search(r"Best valid loss ([\d.]+)", said), re.search(r"^Equals +(.*)$", said, re.MULTILINE)
    if not loss or not equal:
        print(f"refused: {' '.join(options)}: {said.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    words = shlex.split(equal[1])
    return float(loss[1]), {word[2:]: after for word, after in zip(words, [*words[1:], ""], strict=True)}


def right(model: Path, pairs: str) -> float:
    """Return a model's accuracy on minimal pairs, only those of distance 8 and more if there are any."""
    which = "--language" if pairs in ("zh", "en") else "--pairs"
    command = [sys.executable, "-m", "rnnlm", "lab", "memory", "-m", str(model), which, pairs, "--json"]
    rows = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout.splitlines()
    found = {row["group"]: row["accuracy"] for row in map(json.loads, rows)}
    return float(found.get("distance 8 and more", found["all"]))


def changes(choice: Choice, only: list[str]) -> Iterator[list[str]]:
    """Yield the options to try."""
    for name, variations in VARIATIONS.items():
        if not only or name in only:
            for change in variations:
                yield change(choice)


def main() -> None:
    """Print the loss of the default choice and of each change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--bytes", type=int, help="bytes of the text to use; default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=VARIATIONS, default=[])
    parser.add_argument("--pairs", help="also measure agreement on these pairs: zh, en or a file")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        text, model = Path(name) / arguments.text.name, Path(name) / "model.npz"
        text.write_bytes(arguments.text.read_bytes()[: arguments.bytes])
        first = train(text, [*options, "--seed", str(arguments.seeds[0])], model)
        if first is None:
            sys.exit(1)
        choice, chosen_loss, best = first[1], 0.0, float("inf")
        print(HEADER + (f"{'right':>8}" if arguments.pairs else ""))
        for change in [[], *changes(choice, arguments.only)]:
            losses, shares = [], []
            for seed in arguments.seeds:
                if run := train(text, [*options, *change, "--seed", str(seed)], model):
                    losses.append(run[0])
                    shares += [right(model, arguments.pairs)] if arguments.pairs else []
            if not losses:
                continue
            loss = statistics.mean(losses)
            chosen_loss, best = chosen_loss or loss, min(best, loss)
            label = " ".join(change) or " ".join(f"--{key} {choice[key]}" for key in SHOWN)
            extent = f"{min(losses):.4f}-{max(losses):.4f}"
            share = f"{statistics.mean(shares):8.1%}" if shares else ""
            print(f"{loss:8.4f}  {extent:>15}  {100 * (loss / chosen_loss - 1):+7.2f} %{share}  {label}", flush=True)
        print(f"The choice is {100 * (chosen_loss / best - 1):.2f} % above the best of these.")


HEADER = f"{'loss':>8}  {'range':>15}  {'change':>8}"
SHOWN = ("hidden-size", "embedding-size", "dropout", "epochs", "batch-size", "lr", "weight-decay")

if __name__ == "__main__":
    main()
