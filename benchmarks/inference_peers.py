"""Time inference with rnnlm, ONNX Runtime and torch, in interleaved rounds.

    python benchmarks/inference_peers.py [--rounds 9] [--json FILE]

The network has the sizes that `rnnlm train` chooses for the King James Bible and random weights, whose values do not
matter for speed.

- step: read one token of one text and compute the log probabilities of all next tokens, in one thread, compared with
  ONNX Runtime on the graph that `rnnlm export --to onnx` writes.
- 50 states: the same for 50 hypotheses of a decoder through `model.scorer()`, which joins and splits their states.
- lines: log probabilities of 3,000 lines of 2 to 60 tokens, compared with torch.nn on batches of 128 lines sorted by
  length; both use all cores.
- n-grams: the same lines with a 5-gram trained on 3,000 other lines, as one text and line by line, in one thread,
  without a peer.
"""

import os

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # rnnlm splits the lines among its own threads

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from rnnlm.baselines.ngram import NgramModel
from rnnlm.exchange.onnx_graph import encode_onnx
from rnnlm.inference.lines import score_lines
from rnnlm.inference.scoring import sequence_nats
from rnnlm.language_model import LanguageModel
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.scorer import State
from rnnlm.text.tokenizers import TokenTokenizer
from rnnlm.text.vocabulary import BOS, EOS, FIRST, Vocabulary
from rnnlm.training.allocator import keep_freed_memory

CONFIG = NetworkConfig(12_246, "lstm", "tanh", 256, 1, 128, output="adaptive", cutoffs=(304, 1691))
LINES, BATCH, STEPS, ORDER, STATES = 3_000, 128, 300, 5, 50


def drawn(rng: np.random.Generator) -> list[np.ndarray]:
    """Return lines of token ids drawn by Zipf's law, each ending in </s>."""
    frequencies = 1 / np.arange(1, CONFIG.vocabulary_size - FIRST + 1)
    lengths = rng.integers(2, 61, LINES)
    ids = rng.choice(len(frequencies), lengths.sum(), p=frequencies / frequencies.sum()) + FIRST
    edges = [0, *np.cumsum(lengths)]
    return [np.append(ids[start : end - 1], EOS).astype(np.int32) for start, end in pairwise(edges)]


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Return the mean time of `times` calls in seconds."""
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times


def one_step(network: Network) -> dict[str, Callable[[], object]]:
    """Return functions that read one token, of one text and of STATES hypotheses, in rnnlm and in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(encode_onnx(network), options)

    def peer(ids: np.ndarray, state: np.ndarray) -> Callable[[], np.ndarray]:
        inputs = {"ids": ids, **{each.name: state[i] for i, each in enumerate(session.get_inputs()[1:])}}
        return lambda: session.run(None, inputs)[0].reshape(ids.size, -1)

    tokens = [f"w{place}" for place in range(CONFIG.vocabulary_size - FIRST)]
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    scorer = LanguageModel(TokenTokenizer(), vocabulary, network, "sentence").scorer()
    ids = np.random.default_rng(2).integers(FIRST, CONFIG.vocabulary_size, (1, STATES))
    states = scorer.steps([scorer.start()] * STATES, [*ids[0]])
    one, zero = np.array([[FIRST]]), network.zero_state(1)
    works = {
        "step": lambda: network.next_log_probabilities(one, zero)[0],
        "step, ONNX Runtime": peer(one, zero),
        f"step of {STATES} states": lambda: scorer.log_probs(scorer.steps(states, [*ids[0]])),
        f"step of {STATES} states, ONNX Runtime": peer(ids, State.joined(states)),
    }
    ways = [*works.values()]
    for ours, theirs in zip(ways[::2], ways[1::2], strict=True):
        np.testing.assert_allclose(ours()[:, BOS + 1 :], theirs()[:, BOS + 1 :], atol=1e-4)
    return works


def lines_in_torch(network: Network) -> Callable[..., float]:
    """Return a function that computes the log probability of lines in torch.nn, each read after an id such as <s>."""
    config = network.config
    weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in network.params.items()}
    embedding = torch.nn.Embedding.from_pretrained(weights["embedding.weight"])
    rnn = torch.nn.LSTM(config.embedding_size, config.hidden_size)
    rnn.load_state_dict({name.removeprefix("rnn."): each for name, each in weights.items() if name.startswith("rnn.")})
    output = torch.nn.AdaptiveLogSoftmaxWithLoss(
        config.hidden_size, config.vocabulary_size, config.cutoffs, config.div_value, head_bias=True
    )
    output.load_state_dict({n.removeprefix("output."): each for n, each in weights.items() if n.startswith("output.")})

    def total(lines: list[np.ndarray], start: int = BOS) -> float:
        ordered, found = sorted(lines, key=len), 0.0
        with torch.inference_mode():
            for place in range(0, len(ordered), BATCH):
                batch = [torch.from_numpy(line).long() for line in ordered[place : place + BATCH]]
                targets = torch.nn.utils.rnn.pad_sequence(batch, padding_value=-1)
                inputs = torch.cat([torch.full_like(targets[:1], start), targets[:-1].clamp(min=0)])
                counted = targets >= 0
                hidden, _ = rnn(embedding(inputs))
                found += float(output(hidden[counted], targets[counted]).output.sum())
        return found

    return total


def main() -> None:
    """Measure all contestants and print their times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    rng = np.random.default_rng(1)
    network = Network.initialize(CONFIG, rng)
    lines, others = drawn(rng), drawn(rng)
    text = np.concatenate(lines)
    tokens = len(text)
    ngram = NgramModel.train(np.concatenate(others), CONFIG.vocabulary_size, ORDER)
    steps, in_torch = one_step(network), lines_in_torch(network)
    ours = sum(score.log_probabilities.sum() for score in score_lines(network, lines, threads=THREADS))
    np.testing.assert_allclose(ours, in_torch(lines), rtol=1e-4)
    works = {
        **{name: (work, STEPS // 10 if "states" in name else STEPS) for name, work in steps.items()},
        "lines": (lambda: score_lines(network, lines, threads=THREADS), 1),
        "lines, torch": (lambda: in_torch(lines), 1),
        "5-gram, one text": (lambda: sequence_nats(ngram, text, "sentence"), 3),
        "5-gram, lines": (lambda: score_lines(ngram, lines), 3),
    }
    rounds = [{name: seconds(*work) for name, work in works.items()} for _ in range(arguments.rounds)]
    found = {name: statistics.median(each[name] for each in rounds) for name in works}
    for name, each in found.items():
        print(f"{name:32}" + (f"{each * 1e3:12.3f} ms" if "step" in name else f"{tokens / each:12,.0f} tokens/s"))
    of_step, of_states = (
        statistics.median(each[name] / each[f"{name}, ONNX Runtime"] for each in rounds)
        for name in ("step", f"step of {STATES} states")
    )
    of_lines = statistics.median(each["lines, torch"] / each["lines"] for each in rounds)
    print(
        f"a step takes {of_step:.2f} times ONNX Runtime's, of {STATES} states {of_states:.2f} times; lines are scored "
        f"{of_lines:.2f} times as fast as in torch"
    )
    if arguments.json:
        figures = {"seconds": found, "tokens": tokens, "step_to_onnxruntime": of_step, "lines_to_torch": of_lines}
        figures["states_to_onnxruntime"] = of_states
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
