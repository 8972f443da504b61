"""Measure tokens per second of training, evaluation, scoring and sampling with the same network.

Every round gives each of them a tenth of a second, so that other load on the machine affects all of them alike; the
figures are medians over the rounds. The networks have random weights, since only their sizes matter for speed.

Usage: python benchmarks/inference_speed.py [--rounds 15] [--json FILE]
"""

import os

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # rnnlm splits the columns of a batch among its own threads

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rnnlm.inference.generation import SamplingOptions, sample
from rnnlm.inference.lines import score_lines
from rnnlm.inference.scoring import sequence_nats
from rnnlm.nn.clusters import choose_cutoffs
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.batches import Batch
from rnnlm.text.vocabulary import BOS, EOS, FIRST
from rnnlm.training.numpy_engine import NumpyEngine

NETWORKS = {  # V, H, embedding size and output layer: the defaults of rnnlm train, then the same with the full softmax
    "characters": (65, 256, 128, "softmax"),
    "words": (10_000, 256, 128, "adaptive"),
    "words, full softmax": (10_000, 256, 128, "softmax"),
}
B, T = 32, 64
SLICE = 0.1  # seconds
LINE = 20  # tokens

Work = Callable[[], int]  # does a piece of work and returns its number of tokens


class Ids:
    """A row of ids with the interface that the scorer reads."""

    def __init__(self, ids: np.ndarray) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Return the ids at the given positions."""
        return self.ids[positions]


def counts(V: int) -> np.ndarray:
    """Return the counts of V ids by Zipf's law."""
    return 1e6 / np.arange(1, V + 1)


def drawn(network: Network, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return random ids, drawn by their frequencies."""
    frequencies = counts(network.vocabulary_size)[FIRST:]
    return rng.choice(
        np.arange(FIRST, network.vocabulary_size, dtype=np.int32), shape, p=frequencies / frequencies.sum()
    )


def training(network: Network, rng: np.random.Generator) -> Work:
    """Return a training step with Adam and dropout, as `rnnlm train` makes it."""
    learner = Network(network.config, {name: array.copy(order="K") for name, array in network.params.items()})
    engine = NumpyEngine(learner, "adam", "stream", threads=THREADS)
    ids = drawn(network, rng, (T + 1, B))
    batch, numbers = Batch(ids[:-1], ids[1:], None, False), itertools.count()

    def work() -> int:
        engine.train_step(batch, None, 1e-3, (next(numbers),))
        return batch.tokens

    return work


def evaluation(network: Network, rng: np.random.Generator) -> Work:
    """Return an evaluation as in `rnnlm eval` and in the validation of a training."""
    ids = drawn(network, rng, (32_768,))
    ids[LINE - 1 :: LINE] = EOS
    sequence = Ids(ids)
    return lambda: sequence_nats(network, sequence, "sentence", THREADS)[1]


def scoring(network: Network, rng: np.random.Generator) -> Work:
    """Return the scoring of lines that have no common beginning, as in `rnnlm score`."""
    lines = drawn(network, rng, (200, LINE))
    lines[:, -1] = EOS
    return lambda: sum(len(score.log_probabilities) for score in score_lines(network, list(lines)))


def sampling(count: int) -> Callable[[Network, np.random.Generator], Work]:
    """Return the sampling of `count` texts, as in `rnnlm sample --count`."""

    def make(network: Network, rng: np.random.Generator) -> Work:
        def endless() -> Iterator[list[int | None]]:
            while True:
                yield from sample(network, [BOS], SamplingOptions(length=1000), rng, count, [BOS, EOS], None)

        steps = endless()
        return lambda: sum(len(next(steps)) for _ in range(20))

    return make


WORKS: dict[str, Callable[[Network, np.random.Generator], Work]] = {
    "training": training,
    "evaluation": evaluation,
    "scoring": scoring,
    "sampling, 1 text": sampling(1),
    "sampling, 32 texts": sampling(32),
}


def tokens_per_second(work: Work) -> float:
    """Return the speed over one slice of time."""
    started, tokens = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < SLICE:
        tokens += work()
    return tokens / elapsed


def measure(name: str, rounds: int) -> dict[str, object]:
    """Return median speeds over interleaved rounds, and the median ratio of evaluation to training."""
    V, H, embedding, output = NETWORKS[name]
    rng = np.random.default_rng(1)
    cutoffs = choose_cutoffs(counts(V), H, B * T) if output == "adaptive" else ()
    config = NetworkConfig(V, "lstm", "tanh", H, 1, embedding, dropout=0.2, output=output, cutoffs=cutoffs)
    network = Network.initialize(config, rng)
    works = {kind: make(network, rng) for kind, make in WORKS.items()}
    for work in works.values():
        work()
    speeds = [{kind: tokens_per_second(work) for kind, work in works.items()} for _ in range(rounds)]
    medians = {kind: statistics.median(each[kind] for each in speeds) for kind in works}
    ratio = statistics.median(each["evaluation"] / each["training"] for each in speeds)
    return {"network": name, "V": V, "H": H, "tokens_per_second": medians, "evaluation_to_training": ratio}


def main() -> None:
    """Measure all networks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name in NETWORKS:
        row = measure(name, arguments.rounds)
        rows.append(row)
        print(f"{name}: LSTM of {row['H']} units, {row['V']:,} tokens")
        for kind, speed in row["tokens_per_second"].items():
            print(f"  {kind:20}{speed:12,.0f} tokens/s")
        print(f"  evaluation is {row['evaluation_to_training']:.1f} times as fast as training")
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": THREADS, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
