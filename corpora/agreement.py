"""Put the sentences of the grammar in rnnlm/lab/agreement_words.py among the written ones of this folder's texts.

    python corpora/agreement.py              write chinese.txt and english.txt anew; a second time changes nothing
    python corpora/agreement.py --without    leave the made sentences out: do this before the grammar is changed

The held-out part of the grammar, of which `rnnlm lab memory -m MODEL` makes minimal pairs, is never put in.
"""

import argparse
from pathlib import Path

import numpy as np

from rnnlm.lab.agreement import sentences, written
from rnnlm.lab.agreement_words import GRAMMARS

TEXTS = {"zh": ("chinese.txt", 2600, "\n"), "en": ("english.txt", 1800, "\n\n")}  # name, sentences, between two
FOLDER = Path(__file__).parent


def main() -> None:
    """Write both texts."""
    parser = argparse.ArgumentParser(description="Put made sentences among the written ones of the corpora.")
    parser.add_argument("--without", action="store_true", help="leave them out instead")
    without = parser.parse_args().without
    for language, (name, number, between) in TEXTS.items():
        grammar = GRAMMARS[language]
        made = [written(words, grammar.space) for words in sentences(grammar, number)]
        path = FOLDER / name
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if line and line not in set(made)]
        made = [] if without else made
        places = np.random.default_rng(1).choice(len(kept) + len(made), len(made), replace=False)
        lines = {int(place): line for place, line in zip(places, made, strict=True)}
        rest = iter(kept)
        mixed = (lines.get(place) or next(rest) for place in range(len(kept) + len(made)))
        path.write_text(between.join(mixed) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
