"""Measure speed and memory of `rnnlm score` on a large corpus from a pipe, compared with KenLM and PyTorch.

    python benchmarks/corpus_scoring.py --ngram kjv5.npz --kenlm-python venv/bin/python --megabytes 100
    python benchmarks/corpus_scoring.py --network kjv.npz --torch --megabytes 4 --rounds 5

Each line of the corpus is the first half of one line of a text and the second half of another, so that few lines are
repeated: rnnlm does not compute a repeated line again. Every contestant is a whole process, with one thread unless its
name says otherwise, and they take turns. On a machine with other load, lines per second of processor time say more than
lines per second. Memory is the peak after a tenth of the corpus and at its end.

--ngram: `--format tsv --columns perplexity,text`, `--max-perplexity` and the sums alone; with --kenlm-python, also
model.score(line) of KenLM's Python module, under that interpreter, on an ARPA file of the same model. --network: the
sums with one and two threads, and torch.nn on batches of 128 lines sorted by length. An n-gram model that is mixed with
the network is left out.
"""

import argparse
import json
import math
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from rnnlm.baselines.arpa import write_arpa
from rnnlm.language_model import LanguageModel

MEGABYTE, KIBIBYTES = 10**6, 1 << 10
LOG10_IN = {"logprob_log10": 1.0, "logprob_bits": math.log10(2)}
MOST = 20  # perplexity, a limit that about half of the lines meet
KENLM = """
import sys, kenlm
model = kenlm.Model(sys.argv[1])
print(sum(model.score(line) for line in open(0, encoding="utf-8")), file=sys.stderr)
"""
TORCH = """
import os, sys
sys.path.insert(0, sys.argv[2])
from inference_peers import lines_in_torch
import torch, rnnlm
torch.set_num_threads(1)
model = rnnlm.load(sys.argv[1])
score, block, total = lines_in_torch(model.network), [], 0.0
for line in open(0, encoding="utf-8"):
    block.append(model.ids_of_line([*model.tokens(line), "</s>"], model.line_end))
    if len(block) == 2048:
        total, block = total + score(block, model.start), []
print((total + score(block, model.start) if block else total) / 2.302585092994046, file=sys.stderr)
"""


class Run(NamedTuple):
    """Measurements of one process.

    wall, processor: seconds. early, peak: peak memory in MiB after a tenth of the corpus and at its end. log10: the sum
    of all log probabilities that the process reported.
    """

    wall: float
    processor: float
    early: float
    peak: float
    log10: float


def write_corpus(source: Path, target: Path, size: int) -> int:
    """Write about `size` bytes of lines, each made of the halves of two lines; return the number of lines."""
    lines = [line.split() for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    rng, written, number = random.Random(1), 0, 0
    with target.open("w", encoding="utf-8") as file:
        while written < size:
            first, second = rng.choice(lines), rng.choice(lines)
            written += file.write(" ".join(first[: (len(first) + 1) // 2] + second[len(second) // 2 :]) + "\n")
            number += 1
    return number


def peak_of(process: int) -> float:
    """Return the peak memory of a running process in MiB, or 0 if the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / KIBIBYTES for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def run(command: list[str], corpus: Path) -> Run:
    """Run a command, write the corpus to its stdin through a pipe, and measure it."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    early = peak = 0.0

    def feed() -> None:
        nonlocal early, peak
        given, size = 0, corpus.stat().st_size
        with corpus.open("rb") as file, process.stdin as pipe:
            while block := file.read(1 << 16):
                pipe.write(block)
                given += len(block)
                if not early and given > size / 10:
                    early = peak_of(process.pid)
            pipe.flush()
            peak = peak_of(process.pid)

    feeder = threading.Thread(target=feed)
    feeder.start()
    said = process.stderr.read().decode()
    feeder.join()
    process.wait()
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = [line.split() for line in said.splitlines() if line.strip()]
    sums = [float(words[1]) * LOG10_IN[words[0]] for words in found if words[0] in LOG10_IN]
    return Run(wall, processor, early, peak, sums[0] if sums else float(found[-1][0]))


def commands(arguments: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """Return the command lines to compare, by name. Models that they need are written to `folder`."""
    score = [sys.executable, "-m", "rnnlm", "score", "-", "--threads", "1", "-m"]
    found: dict[str, list[str]] = {}
    if arguments.ngram:
        ngram = [*score, str(arguments.ngram)]
        found["n-gram, sums"] = [*ngram, "--format", "mikolov"]
        found["n-gram, perplexity,text"] = [*ngram, "--format", "tsv", "--columns", "perplexity,text"]
        found["n-gram, --max-perplexity"] = [*ngram, "--base", "10", "--max-perplexity", str(MOST)]
        if arguments.kenlm_python:
            model = LanguageModel.load(arguments.ngram)
            with (folder / "model.arpa").open("wb") as file:
                write_arpa(model.ngram, model.vocabulary.tokens, file)
            found["KenLM"] = [arguments.kenlm_python, "-c", KENLM, str(folder / "model.arpa")]
    if arguments.network:
        whole, alone = LanguageModel.load(arguments.network), str(folder / "network.npz")
        LanguageModel(whole.tokenizer, whole.vocabulary, whole.network, whole.context).save(alone)
        network = [*score, alone, "--format", "mikolov"]
        found["network, 1 thread"] = network
        found["network, 2 threads"] = [*network, "--threads", "2"]
        if arguments.torch:
            found["torch"] = [sys.executable, "-c", TORCH, alone, str(Path(__file__).parent)]
    return found


def main() -> None:
    """Run all commands and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ngram", type=Path)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--text", type=Path, default=Path(os.environ.get("RNNLM_DATA", ".")) / "kjv" / "train.txt")
    parser.add_argument("--kenlm-python", help="Python interpreter with kenlm installed")
    parser.add_argument("--torch", action="store_true", help="also measure torch.nn with the weights of --network")
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        lines = write_corpus(arguments.text, corpus, int(arguments.megabytes * MEGABYTE))
        works = commands(arguments, Path(folder))
        rounds = [{name: run(command, corpus) for name, command in works.items()} for _ in range(arguments.rounds)]

    def median(name: str, field: str) -> float:
        return statistics.median(getattr(each[name], field) for each in rounds)

    print(f"{lines:,} lines, {arguments.megabytes:g} MB; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'':26}{'lines/s':>10}{'lines/processor s':>19}{'MiB at 10 %':>13}{'at the end':>12}{'log10':>16}")
    for name in works:
        wall, processor = (lines / median(name, field) for field in ("wall", "processor"))
        memory = "".join(f"{median(name, field):>{width}.0f}" for field, width in (("early", 13), ("peak", 12)))
        print(f"{name:26}{wall:>10,.0f}{processor:>19,.0f}{memory}{median(name, 'log10'):>16.3f}")
    if {"network, 1 thread", "network, 2 threads"} <= set(works):
        ratios = [each["network, 1 thread"].wall / each["network, 2 threads"].wall for each in rounds]
        print("two threads / one, in each round:", " ".join(f"{ratio:.2f}" for ratio in ratios))
    sums = [each.log10 for group in rounds for each in group.values()]
    if not (arguments.ngram and arguments.network):
        assert all(math.isclose(each, sums[0], rel_tol=1e-4) for each in sums), sums
    if arguments.json:
        figures = {name: [each[name]._asdict() for each in rounds] for name in works}
        arguments.json.write_text(json.dumps({"lines": lines, "runs": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
