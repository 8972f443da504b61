"""Makes the pictures of the README, each by the commands that a reader would give.

    python docs/pictures.py                    all of them
    python docs/pictures.py surprise.png       some of them
    python docs/pictures.py --work FOLDER      keeps the models there, and uses those that it finds

Models are trained on the texts in corpora/ the first time that a picture needs them, about a minute each. A picture
is a function here, in PICTURES under its name; it is given the folder with the models and the file to write.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rnnlm.cli import run

DOCS = ROOT / "docs"
LARGEST = 100_000  # bytes of a picture
CHINESE = ROOT / "corpora" / "chinese.txt"
ENGLISH = ROOT / "corpora" / "english.txt"
SENTENCE = "我 昨天 上学 迟到 了"
SENTENCES = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。\n我 的 手机 坏 了 ， 我 打算 买 一部 新 手机 。"


def rnnlm(*arguments: object) -> None:
    """Run a command; a failure ends the program."""
    words = [str(argument) for argument in arguments]
    print("$ rnnlm", *(repr(word) if "\n" in word or " " in word else word for word in words))
    if code := run(words):
        sys.exit(code)


def chinese_model(work: Path, cell: str = "lstm") -> Path:
    """A model of the Chinese text; its history is beside it."""
    model = work / f"{cell}.npz"
    if not model.exists():
        history = work / f"{cell}.jsonl"
        rnnlm("train", CHINESE, "-o", model, "--history", history, "--cell", cell, "--epochs", 10)
    return model


def learning_curves(work: Path, picture: Path) -> None:
    """Two cells on the same text."""
    cells = ("lstm", "rnn")
    for cell in cells:
        chinese_model(work, cell)
    before = Path.cwd()
    os.chdir(work)  # the legend has the names as they are given
    try:
        rnnlm("plot", *(f"{cell}.jsonl" for cell in cells), "-o", picture)
    finally:
        os.chdir(before)


def surprise(work: Path, picture: Path) -> None:
    """Two sentences, token by token."""
    rnnlm("plot", "--surprise", SENTENCES, "-m", chinese_model(work), "-o", picture)


def embedding(work: Path, picture: Path) -> None:
    """The most frequent words."""
    rnnlm("plot", "--embedding", "--tokens", 80, "-m", chinese_model(work), "-o", picture)


def gradient_flow(_work: Path, picture: Path) -> None:
    """Fresh networks side by side: how far back an error reaches."""
    rnnlm("lab", "gradflow", ENGLISH, "--compare", "cells", "--plot", picture)


def backpropagation(_work: Path, picture: Path) -> None:
    """The article's sentence, forwards and back again."""
    rnnlm("lab", "bptt", SENTENCE, "--plot", picture)


def unrolled(_work: Path, picture: Path) -> None:
    """The article's sentence, read from both sides."""
    rnnlm("lab", "unroll", SENTENCE, "--bidirectional", "--plot", picture)


PICTURES: dict[str, Callable[[Path, Path], None]] = {
    "learning-curves.svg": learning_curves,
    "surprise.png": surprise,
    "embedding.png": embedding,
    "gradient-flow.svg": gradient_flow,
    "backpropagation.png": backpropagation,
    "unrolled.png": unrolled,
}


def make(names: Sequence[str], work: Path) -> None:
    """Make pictures; say how large they are."""
    for name in names:
        picture = DOCS / name
        PICTURES[name](work, picture)
        size = picture.stat().st_size
        print(f"{name}: {size:,} bytes" + (f", more than {LARGEST:,}" if size > LARGEST else ""))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PICTURE", help=f"one of {', '.join(PICTURES)}; all by default")
    parser.add_argument("--work", type=Path, help="folder for the models; by default one that is removed")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(PICTURES):
        parser.error(f"{', '.join(sorted(unknown))}: there is no such picture; expected {', '.join(PICTURES)}")
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        make(arguments.names or list(PICTURES), work)


if __name__ == "__main__":
    main()
