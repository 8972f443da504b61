"""Compare bits per character of character and word models at equal training time, unknown words spelled out.

    python benchmarks/levels.py                             two texts, both levels, a minute each
    python benchmarks/levels.py my.txt --time 30

The last tenth of the lines is the test part. A word model gives <unk> the probability of all unknown words together, so
the cost of spelling each unknown word is added: its nats under a character 5-gram of the words that occur once in the
training part, which unknown words resemble. Seconds are processor time of one thread, see `cells.py`.
"""

import argparse
import math
import os
from collections import Counter
from pathlib import Path

from cells import count_processor_time

import rnnlm
from rnnlm.text.vocabulary import UNK

TEXTS = ("tinyshakespeare.txt", "hongloumeng.txt")


def spelling(model: rnnlm.LanguageModel, train: list[str], test: list[str]) -> float:
    """Return the nats that spelling out all unknown words of the test lines costs."""
    counts = Counter(piece.text.strip() for line in train for piece in model.cut(line))
    speller = rnnlm.train_ngram(
        text=[word for word, count in counts.items() if word and count == 1], order=5, level="char"
    )
    unknown = [piece.text.strip() for line in test for piece in model.cut(line) if piece.token_id == UNK]
    return -sum(scored.logprob_nats for scored in speller.score(unknown))


def bits_per_character(lines: list[str], level: str, seconds: float, seed: int) -> tuple[float, float, float]:
    """Train a model and measure it on the last tenth of the lines.

    Returns bits per character without and with the spelling of unknown words, and the share of unknown words.
    """
    cut = len(lines) * 9 // 10
    train, test = lines[:cut], lines[cut:]
    model = rnnlm.train(text=train, level=level, time=f"{seconds:.0f}s", seed=seed, threads=1, progress=False)
    found = model.evaluate(test)
    more = spelling(model, train, test) if level == "word" else 0.0
    alone = found.bits_per_char
    return alone, alone + more / math.log(2) / found.characters, found.oov / found.tokens


def main() -> None:
    """Train the models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", type=Path, help="texts to measure; default: two of $RNNLM_DATA")
    parser.add_argument("--time", type=float, default=60, help="CPU seconds for each training")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    data = os.environ.get("RNNLM_DATA")
    if not arguments.texts and data is None:
        parser.error("no text is given, and $RNNLM_DATA is not set")
    count_processor_time()
    print("| text | level | bits/char | with spelling | unknown words |\n| --- | --- | ---: | ---: | ---: |")
    for path in arguments.texts or [Path(data or "", name) for name in TEXTS]:
        lines = path.read_text(encoding="utf-8").splitlines()
        for level in ("char", "word"):
            alone, whole, unknown = bits_per_character(lines, level, arguments.time, arguments.seed)
            print(f"| {path.name} | {level} | {alone:.3f} | {whole:.3f} | {unknown:.1%} |", flush=True)


if __name__ == "__main__":
    main()
