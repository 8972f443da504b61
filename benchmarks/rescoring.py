"""Time the scoring of n-best lists by candidate, by list, and all lists together, with equal results.

Lists are simulated from a text: some words get alternatives with a cost, and the 100 cheapest sentences are the
candidates. The three ways take turns, list by list, so that other load on the machine affects all of them alike. The
network has random weights, since only its size matters for speed.

Usage: python benchmarks/rescoring.py [TEXT] [--lists 8] [--rounds 3] [--hidden-size 512] [--vocab-size 10000]
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rnnlm.inference.lines import score_lines
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import WordTokenizer
from rnnlm.text.vocabulary import BOS, EOS, FIRST, Vocabulary

CANDIDATES = 100
TEXT = Path(__file__).parent.parent / "corpora" / "english.txt"
DOUBTFUL = 0.4  # share of the words that have alternatives
ALTERNATIVES = 2  # alternatives of each of those words


def sentences(path: Path, number: int, V: int) -> list[np.ndarray]:
    """Return ids of sentences of usual length, evenly spread over a text.

    The vocabulary is the V most frequent words of the text.
    """
    parts = re.split(r"(?<=[.!?])\s+", path.read_text(encoding="utf-8"))
    tokens = [WordTokenizer("spaces").tokenize(part) for part in parts]
    words, counts = np.unique([word for line in tokens for word in line], return_counts=True)
    vocabulary = Vocabulary.build(words.tolist(), counts, max_size=V)
    usable = [line for line in tokens if 10 <= len(line) <= 30]
    return [vocabulary.encode(usable[place * len(usable) // number]) for place in range(number)]


def candidates(sentence: np.ndarray, V: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the cheapest sentences of a word lattice, best first, each with </s>."""
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for word in sentence:
        choices = [(0.0, int(word))]
        if rng.random() < DOUBTFUL:
            choices += zip(rng.exponential(size=ALTERNATIVES), rng.integers(FIRST, V, ALTERNATIVES), strict=True)
        grown = [(cost + more, [*ids, int(other)]) for cost, ids in best for more, other in choices]
        best = sorted(grown, key=lambda entry: entry[0])[:CANDIDATES]
    return [np.array([*ids, EOS], dtype=np.int32) for _, ids in best]


def one_by_one(network: Network, lists: list[list[np.ndarray]]) -> list[float]:
    """Score each candidate separately, all its steps in one call."""
    scores = []
    for line in (line for each in lists for line in each):
        inputs = np.concatenate([[BOS], line[:-1]])[:, None]
        nats, _ = network.nats(inputs, line[:, None], network.zero_state(1))
        scores.append(-float(nats.sum(dtype=np.float64)))
    return scores


def list_by_list(network: Network, lists: list[list[np.ndarray]]) -> list[float]:
    """Score one list after the other, each as a prefix tree."""
    return [float(score.log_probabilities.sum()) for each in lists for score in score_lines(network, each)]


def together(network: Network, lists: list[list[np.ndarray]]) -> list[float]:
    """Score all lists as one prefix tree."""
    lines = [line for each in lists for line in each]
    return [float(score.log_probabilities.sum()) for score in score_lines(network, lines)]


WAYS: dict[str, Callable[[Network, list[list[np.ndarray]]], list[float]]] = {
    "one by one": one_by_one,
    "list by list": list_by_list,
    "together": together,
}


def measure(network: Network, lists: list[list[np.ndarray]], rounds: int) -> tuple[dict[str, float], float]:
    """Return the median seconds of each way, and the largest difference between scores."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    scores = {}
    for _ in range(rounds):
        for name, way in WAYS.items():
            started = time.perf_counter()
            scores[name] = np.array(way(network, lists))
            times[name].append(time.perf_counter() - started)
    difference = max(float(np.abs(found - scores["one by one"]).max()) for found in scores.values())
    return {name: statistics.median(each) for name, each in times.items()}, difference


def main() -> None:
    """Time the three ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="?", type=Path, default=TEXT)
    parser.add_argument("--lists", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--vocab-size", type=int, default=10000)
    arguments = parser.parse_args()
    H, V = arguments.hidden_size, arguments.vocab_size
    rng = np.random.default_rng(0)
    lists = [candidates(sentence, V, rng) for sentence in sentences(arguments.text, arguments.lists, V)]
    lines = [line for each in lists for line in each]
    prefixes = {tuple(line[:end]) for each in lists for line in each for end in range(1, len(line) + 1)}
    print(
        f"{len(lists)} lists, {len(lines)} candidates, {sum(map(len, lines)):,} tokens, of which {len(prefixes):,} are"
    )
    print(f"different with all that is before them; embedding {H}, hidden {H}, V {V:,}, NumPy {np.__version__}")
    print(f"{'cell':6}{'':14}{'seconds':>9}{'candidates/s':>14}{'gain':>8}{'largest difference (nats)':>28}")
    for cell in CELLS:
        network = Network.initialize(NetworkConfig(V, cell, "tanh", H, 1, H), np.random.default_rng(1))
        times, difference = measure(network, lists, arguments.rounds)
        for name, seconds in times.items():
            gain = times["one by one"] / seconds
            print(
                f"{cell:6}{name:14}{seconds:9.2f}{len(lines) / seconds:14.0f}{gain:8.1f}{difference:28.1e}", flush=True
            )


if __name__ == "__main__":
    main()
