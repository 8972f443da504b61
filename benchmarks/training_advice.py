"""Which advice `rnnlm train` gives: a table of good trainings, which should get none, and deliberately bad ones.

The texts are those of `corpora`, or their beginnings; with --data, a folder with tinyshakespeare.txt, that one too.
Each line says what was to be found and what was found. Names of cases, or parts of them, choose some; --quick leaves
out what takes more than about ten seconds on two idle cores.

Usage: python benchmarks/training_advice.py [--quick] [--list] [--seeds 1] [--data DIR] [NAME ...]
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CORPORA = Path(__file__).parent.parent / "corpora"
# How a line of each kind is recognised.
KINDS = {
    "coverage": "are not in the vocabulary",
    "small text": "The training text has",
    "large network": "recurrent weights for each token",
    "rate": "usually needs",
    "high rate": "The learning rate is too high",
    "overfitting": "Overfitting",
    "underfitting": "Underfitting",
}


@dataclass(frozen=True)
class Case:
    """A training; `expected` are the kinds of advice it should get."""

    text: str
    options: str
    expected: tuple[str, ...] = ()
    characters: int | None = None  # the beginning of the text
    quick: bool = True


CASES = {
    # good ones: nothing is to be said
    "english words": Case("english.txt", "", quick=False),
    "english words, 4 epochs": Case("english.txt", "--epochs 4"),
    "english characters": Case("english.txt", "--level char", quick=False),
    "english rnn": Case("english.txt", "--cell rnn --epochs 8", quick=False),
    "english gru": Case("english.txt", "--cell gru --epochs 8", quick=False),
    "english rmsprop": Case("english.txt", "--optimizer rmsprop", quick=False),
    "english adagrad": Case("english.txt", "--optimizer adagrad --epochs 6", quick=False),
    "english tied": Case("english.txt", "--tied --epochs 6", quick=False),
    "english two layers": Case("english.txt", "--num-layers 2 --epochs 8", quick=False),
    "english both sides": Case("english.txt", "--bidirectional --epochs 6", quick=False),
    "english mse": Case("english.txt", "--loss mse", quick=False),
    "english constant rate": Case("english.txt", "--schedule constant --epochs 6", quick=False),
    "english 40 KB": Case("english.txt", "--epochs 10", characters=40_000, quick=False),
    "chinese words": Case("chinese.txt", "", quick=False),
    "chinese words, 4 epochs": Case("chinese.txt", "--epochs 4", quick=False),
    "chinese characters": Case("chinese.txt", "--level char --epochs 8", quick=False),
    "shakespeare characters": Case("tinyshakespeare.txt", "--level char --time 60s", quick=False),
    "shakespeare words": Case("tinyshakespeare.txt", "--epochs 2", quick=False),
    # bad ones
    "no dropout": Case(
        "english.txt",
        "--dropout 0 --hidden-size 64 --embedding-size 64 --lr 0.01 --schedule constant --epochs 15",
        ("coverage", "overfitting"),
        20_000,
    ),
    "no dropout, characters": Case(
        "english.txt",
        "--level char --dropout 0 --embedding-size 32 --lr 0.01 --bptt 32 --schedule constant --epochs 12",
        ("overfitting",),
        20_000,
    ),
    "no dropout, GRU": Case("english.txt", "--cell gru --dropout 0 --epochs 12", ("overfitting",), quick=False),
    "chinese without dropout": Case("chinese.txt", "--dropout 0 --epochs 8", ("overfitting",), quick=False),
    "few epochs": Case("english.txt", "--level char --epochs 8", ("underfitting",), quick=False),
    "few epochs, rmsprop": Case("english.txt", "--optimizer rmsprop --epochs 6", ("underfitting",), quick=False),
    "one epoch": Case("english.txt", "--level char --epochs 1 --hidden-size 64", ("underfitting",)),
    "few units": Case("english.txt", "--hidden-size 8 --epochs 6", ("underfitting",)),
    "much dropout": Case("english.txt", "--dropout 0.9 --epochs 4", ("underfitting",)),
    "tiny rate": Case("english.txt", "--lr 1e-5 --epochs 2", ("underfitting",)),
    "sgd, tiny rate": Case("english.txt", "--optimizer sgd --lr 0.01 --epochs 2", ("underfitting",)),
    "adam 0.1": Case("english.txt", "--lr 0.1 --epochs 2", ("rate",)),
    "adam 1": Case("english.txt", "--lr 1 --epochs 2", ("rate",)),
    "sgd 200": Case("english.txt", "--optimizer sgd --lr 200 --epochs 3", ("high rate",)),
    "momentum 100": Case("english.txt", "--optimizer momentum --lr 100 --epochs 3", ("high rate",)),
    "adagrad 5": Case("english.txt", "--optimizer adagrad --lr 5 --epochs 3", ("high rate",)),
    "not clipped": Case("english.txt", "--optimizer sgd --lr 200 --clip 0 --epochs 3", ("high rate",)),
    "small vocabulary": Case("english.txt", "--vocab-size 200 --epochs 8", ("coverage",)),
    "rare words left out": Case("english.txt", "--min-count 8 --epochs 8", ("coverage",)),
    "tiny text": Case("english.txt", "--epochs 10", ("coverage", "small text"), 4_000),
    "tiny text, characters": Case("english.txt", "--level char --epochs 4", ("small text",), 4_000),
    "wide for the text": Case(
        "english.txt", "--level char --hidden-size 768 --epochs 0.2", ("large network", "underfitting"), 20_000
    ),
}


def advice(case: Case, folder: Path, seed: int) -> list[str]:
    """What a training says."""
    source = Path(case.text)
    text = folder / source.name
    text.write_text(source.read_text(encoding="utf-8")[: case.characters], encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "rnnlm",
        "train",
        str(text),
        "-o",
        str(folder / "model.npz"),
        "--force",
        "--seed",
        str(seed),
    ]
    done = subprocess.run([*command, *case.options.split()], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        return [done.stderr.strip().splitlines()[-1]]
    return [line.split(maxsplit=1)[1] for line in done.stderr.splitlines() if line.startswith("Advice ")]


def kind(line: str) -> str:
    """The kind of a line of advice."""
    return next((name for name, sign in KINDS.items() if sign in line), "?")


def main() -> int:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", type=Path, help="a folder with tinyshakespeare.txt")
    arguments = parser.parse_args()
    unlike = trainings = 0
    for name, case in CASES.items():
        path = (CORPORA if (CORPORA / case.text).exists() else arguments.data or CORPORA) / case.text
        chosen = any(part in name for part in arguments.names) if arguments.names else case.quick or not arguments.quick
        if not chosen or not path.exists():
            continue
        if arguments.list:
            print(name)
            continue
        case = Case(str(path), case.options, case.expected, case.characters)
        for seed in range(1, arguments.seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                lines = advice(case, Path(folder), seed)
            same = sorted(map(kind, lines)) == sorted(case.expected)
            trainings, unlike = trainings + 1, unlike + (not same)
            print(
                f"{'  ' if same else '!!'} {name:<26} {', '.join(case.expected) or '-':<22} {case.options}", flush=True
            )
            for line in lines:
                print(f"      {line}", flush=True)
    if not arguments.list:
        print(f"{trainings} trainings; {unlike} got other advice than expected (!!)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
