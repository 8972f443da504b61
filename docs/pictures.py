"""Make the pictures of the README, each with the commands that a reader would type.

    python docs/pictures.py                    make all of them
    python docs/pictures.py surprise.png       make some of them
    python docs/pictures.py --work FOLDER      keep the models there and reuse those that exist

Models are trained on the texts in corpora/ when a picture first needs them, about a minute each. Each picture is a
function in PICTURES, which gets the folder with the models and the file to write.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # must be set before NumPy is imported
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rnnlm.cli import run

DOCS = ROOT / "docs"
LARGEST = 100_000  # largest size of a picture in bytes
CHINESE = ROOT / "corpora" / "chinese.txt"
ENGLISH = ROOT / "corpora" / "english.txt"
SENTENCE = "我 昨天 上学 迟到 了"
SENTENCES = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。\n我 的 手机 坏 了 ， 我 打算 买 一部 新 手机 。"


def rnnlm(*arguments: object) -> None:
    """Run a command; exit if it fails."""
    words = [str(argument) for argument in arguments]
    print("$ rnnlm", *(repr(word) if "\n" in word or " " in word else word for word in words))
    if code := run(words):
        sys.exit(code)


def chinese_model(work: Path, cell: str = "lstm") -> Path:
    """Train a model of the Chinese text, with its history in a file beside it, or reuse it."""
    model = work / f"{cell}.npz"
    if not model.exists():
        history = work / f"{cell}.jsonl"
        rnnlm("train", CHINESE, "-o", model, "--history", history, "--cell", cell, "--epochs", 10)
    return model


def learning_curves(work: Path, picture: Path) -> None:
    """Draw the learning curves of two cells on the same text."""
    cells = ("lstm", "rnn")
    for cell in cells:
        chinese_model(work, cell)
    before = Path.cwd()
    os.chdir(work)  # the legend shows the file names as given
    try:
        rnnlm("plot", *(f"{cell}.jsonl" for cell in cells), "-o", picture)
    finally:
        os.chdir(before)


def surprise(work: Path, picture: Path) -> None:
    """Draw two sentences with the surprise of each token."""
    rnnlm("plot", "--surprise", SENTENCES, "-m", chinese_model(work), "-o", picture)


def embedding(work: Path, picture: Path) -> None:
    """Draw the embeddings of the most frequent words."""
    rnnlm("plot", "--embedding", "--tokens", 80, "-m", chinese_model(work), "-o", picture)


def gradient_flow(_work: Path, picture: Path) -> None:
    """Draw how far back an error reaches in several untrained networks."""
    rnnlm("lab", "gradflow", ENGLISH, "--compare", "cells", "--plot", picture)


def backpropagation(_work: Path, picture: Path) -> None:
    """Draw forward and backward pass of the article's sentence."""
    rnnlm("lab", "bptt", SENTENCE, "--plot", picture)


def unrolled(_work: Path, picture: Path) -> None:
    """Draw a bidirectional network unrolled over the article's sentence."""
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
    """Make pictures and print their sizes."""
    for name in names:
        picture = DOCS / name
        PICTURES[name](work, picture)
        size = picture.stat().st_size
        print(f"{name}: {size:,} bytes" + (f", more than {LARGEST:,}" if size > LARGEST else ""))


def main() -> None:
    """Make the pictures that the command line names."""
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
