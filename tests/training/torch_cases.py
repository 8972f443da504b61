"""Compare NumPy and PyTorch over a few training steps from the same parameters on the same batches.

Under torchrun, this program compares all processes together with NumPy in one process, and then runs command
lines, each given as a JSON list of arguments:

    torchrun --nproc-per-node 2 tests/training/torch_cases.py RESULTS.json '["train", "text.txt"]'
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.batches import Batches, SentenceBatches
from rnnlm.text.vocabulary import EOS
from rnnlm.training.numpy_engine import NumpyEngine

DECAYS = dict.fromkeys(("lstm", "lstm, stream", "gru", "rnn", "relu", "sigmoid"), 0.2)  # a different optimizer in each
AVERAGED = dict.fromkeys(("gru", "one-hot", "tied", "both directions", "dropped weights, adaptive"), 0.6)
SMOOTHED = dict.fromkeys(("gru, stream", "one-hot", "tied", "both directions", "dropped weights"), 0.05)
V, COLUMNS, STEPS = 30, 5, 20  # COLUMNS is not a multiple of the number of workers
DROPPING = {"weight_dropout": 0.3, "embedding_dropout": 0.2}
ADAPTIVE = {"output": "adaptive", "cutoffs": (8, 20), "div_value": 2.0}
# Network options, optimizer, context, objective: together they cover all members of all families.
CASES = {
    "lstm": ({}, "adam", "sentence", "cross-entropy"),
    "lstm, stream": ({}, "sgd", "stream", "cross-entropy"),
    "gru": ({"cell": "gru"}, "momentum", "sentence", "cross-entropy"),
    "gru, stream": ({"cell": "gru", "num_layers": 1}, "adamw", "stream", "cross-entropy"),
    "cifg": ({"cell": "cifg"}, "adam", "sentence", "cross-entropy"),
    "cifg, stream": ({"cell": "cifg", "embedding_size": 0}, "adamw", "stream", "cross-entropy"),
    "dropped weights, cifg": (DROPPING | {"cell": "cifg"}, "sgd", "stream", "cross-entropy"),
    "mingru": ({"cell": "mingru"}, "adam", "sentence", "cross-entropy"),
    "mingru, stream": ({"cell": "mingru", "embedding_size": 0}, "sgd", "stream", "cross-entropy"),
    "rnn": ({"cell": "rnn"}, "nesterov", "sentence", "cross-entropy"),
    "relu": ({"cell": "rnn", "activation": "relu"}, "adagrad", "sentence", "cross-entropy"),
    "sigmoid": ({"cell": "rnn", "activation": "sigmoid"}, "rmsprop", "sentence", "cross-entropy"),
    "identity": ({"cell": "rnn", "activation": "identity"}, "adam", "stream", "cross-entropy"),
    "one-hot": ({"embedding_size": 0}, "adam", "sentence", "cross-entropy"),
    "tied": ({"tied": True}, "adam", "sentence", "cross-entropy"),
    "adaptive": (ADAPTIVE, "adam", "stream", "cross-entropy"),
    "squared error": ({}, "adam", "sentence", "mse"),
    "both directions": ({"bidirectional": True}, "rmsprop", "sentence", "cross-entropy"),
    "both directions, one-hot": ({"bidirectional": True, "embedding_size": 0}, "adam", "sentence", "cross-entropy"),
    "dropped weights": (DROPPING, "adam", "sentence", "cross-entropy"),
    "dropped weights, relu": (DROPPING | {"cell": "rnn", "activation": "relu"}, "sgd", "stream", "cross-entropy"),
    "dropped weights, sigmoid": (
        DROPPING | {"cell": "rnn", "activation": "sigmoid", "tied": True},
        *("adam", "sentence", "cross-entropy"),
    ),
    "dropped weights, adaptive": (DROPPING | ADAPTIVE | {"embedding_size": 0}, "adam", "stream", "cross-entropy"),
    "dropped weights, both directions": (
        DROPPING | {"bidirectional": True, "embedding_size": 0, "cell": "gru"},
        *("adam", "sentence", "cross-entropy"),
    ),
}


def text(length: int = 700) -> np.ndarray:
    """Return token ids of short sentences and a few longer ones."""
    rng = np.random.default_rng(5)
    ids = np.where(rng.random(length) < 0.2, EOS, rng.integers(2, V, length)).astype(np.int32)
    ids[40:70] = 7
    ids[-1] = EOS
    return ids


def network(options: dict, dtype=np.float64, **more) -> Network:
    sizes = {"vocabulary_size": V, "hidden_size": 8, "num_layers": 2, "embedding_size": 8}
    config = NetworkConfig(**sizes | options | more)
    kind = BidirectionalNetwork if config.bidirectional else Network
    return kind.initialize(config, np.random.default_rng(6), dtype=dtype)


def steps(engine, optimizer: str, context: str, worker=(0, 1), number: int = STEPS, columns: int = COLUMNS):
    """Return the results of training steps, and the state after the last one."""
    ids = text()
    if engine.network.config.bidirectional:
        batches = SentenceBatches(ids, columns, 9, seed=1, worker=worker)
    else:
        batches = Batches(ids, columns, 9, context, seed=1, worker=worker, line_resets=0.1)
    state, results = None, []
    for step in range(number):
        batch = batches.batch(*divmod(step, batches.per_epoch))
        before = None if batch.starts_epoch else state
        result, state = engine.train_step(batch, before, OPTIMIZERS[optimizer].default_lr, (1, step))
        results.append(result)
    return results, state.copy()


def difference(found: dict, expected: dict) -> float:
    """Return the largest relative difference (Frobenius norm) between arrays of the same names."""
    assert found.keys() == expected.keys()
    assert all(found[name].shape == array.shape for name, array in expected.items())
    norms = {name: np.linalg.norm(array) or 1.0 for name, array in expected.items()}
    return max((np.linalg.norm(found[name] - array) / norms[name] for name, array in expected.items()), default=0.0)


def compare(name: str, engine_of, worker=(0, 1), dtype=np.float64) -> dict[str, float]:
    """Return the differences between NumPy and another engine after STEPS training steps."""
    options, optimizer, context, objective = CASES[name]
    clip = {"cross-entropy": 0.3, "mse": 0.01}[objective]  # so that some steps are clipped
    settings = {
        "clip": clip,
        "objective": objective,
        "weight_decay": DECAYS.get(name),
        "average": AVERAGED.get(name, 0.0),
        "smoothing": SMOOTHED.get(name, 0.0),
    }
    ours = NumpyEngine(network(options, dtype), optimizer, context, **settings)
    other = engine_of(network(options, dtype), optimizer, context, **settings)
    expected, state = steps(ours, optimizer, context)
    found, found_state = steps(other, optimizer, context, worker)
    valid = text()[:200]
    return {
        "parameters": difference(other.params(), ours.params()),
        "slots": difference(other.optimizer_state()[1], ours.optimizer_state()[1]),
        "results": float(np.abs(np.array(found) / np.array(expected) - 1).max()),
        "clipped": float(np.mean([result.gradient_norm > clip for result in expected])),
        "state": float(np.abs(found_state - state).max()),
        "evaluation": abs(other.evaluate(valid)[0] / ours.evaluate(valid)[0] - 1),
    }


def dropout_run(engine_of, worker=(0, 1)) -> list[float]:
    """Return the losses of a few steps with dropout, also with fewer columns than workers."""
    losses = []
    dropping = {"dropout": 0.3}
    for options, columns in (
        (dropping, COLUMNS),
        (dropping | {"bidirectional": True}, 1),
        (dropping | {"locked_dropout": True}, COLUMNS),
        (dropping | {"locked_dropout": True, "bidirectional": True}, COLUMNS),
    ):
        engine = engine_of(network(options), "adam", "sentence", clip=1.0)
        losses += [result.nats for result in steps(engine, "adam", "sentence", worker, 6, columns)[0]]
    return losses


def main(results: str, *command_lines: str) -> None:
    """Compare the engines and run command lines; the first process writes the results."""
    import torch

    from rnnlm.cli import engines, run
    from rnnlm.training.distributed import ProcessGroup
    from rnnlm.training.torch_engine import TorchEngine

    torch.set_num_threads(1)
    workers = ProcessGroup("cpu")

    def engine(*arguments, **options) -> TorchEngine:
        return TorchEngine(*arguments, **options, workers=workers)

    worker = (workers.rank, workers.size)
    names = list(CASES)[:: 1 if workers.size == 2 else 4]  # many processes are slow on few cores
    found = {
        "differences": {name: compare(name, engine, worker) for name in names},
        "dropout": dropout_run(engine, worker),
        "largest": workers.largest(workers.rank),
        "of the first": workers.of_the_first(workers.rank),
    }
    # Processes of torchrun can meet only once: a second rendezvous may find leftovers of the first.
    engines.EngineChoice.meet = lambda choice: workers
    leave, workers.leave = workers.leave, lambda: None
    found["codes"] = [run(json.loads(line)) for line in command_lines]
    leave()
    if worker[0] == 0:
        Path(results).write_text(json.dumps(found))


def main_with_a_death(rank: str, step: str, arguments: str) -> None:
    """Run a command line in which one worker kills itself at the beginning of a step."""
    from rnnlm.cli import main as command_line
    from rnnlm.training.torch_engine import TorchEngine

    whole = TorchEngine.train_step

    def train_step(self, batch, state, lr, key):
        if key[1] == int(step) and os.environ["RANK"] == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, batch, state, lr, key)

    TorchEngine.train_step = train_step
    command_line(json.loads(arguments))


if __name__ == "__main__":
    (main_with_a_death if len(sys.argv) == 4 and sys.argv[1].isdecimal() else main)(*sys.argv[1:])
