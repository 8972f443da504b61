"""Measure the speed from text to ids, and the time to the first training step on a large text.

    python benchmarks/text_speed.py                             characters, words, jieba, rjieba; about five minutes
    python benchmarks/text_speed.py --only characters words
    python benchmarks/text_speed.py --only large --megabytes 2000 --level word

Every tokenization runs in a fresh process with an empty cache, from the file to the ids in the cache. Imports are not
counted; loading dictionaries and starting further processes are. Figures are medians over interleaved rounds. MB per
second of processor time is the speed on a processor without other load. "encoded" is from text in memory to the ids of
a vocabulary.

`large` makes a text, runs `rnnlm train` on it twice, and prints the time from the start of the command to the first
step, and the peak memory of the process and of the largest process that it started. Texts are repeated up to the size
that is needed; they come from --data, by default $RNNLM_DATA, else from the corpora of this repository.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rnnlm.text.vocabulary import Vocabulary

MEGABYTE, MEBIBYTE = 10**6, 1 << 20
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
CORPORA = Path(__file__).parent.parent / "corpora"
# A word that is in no text: rjieba does not support user words, so jieba itself cuts, with its usual results.
ITSELF = 'WordTokenizer("jieba", user_dictionary=[("龘靐齉爩", 1)])'

TOKENIZE = """
import resource, time
from rnnlm.text.corpus import tokenize_corpus
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
if __name__ == "__main__":
    tokenizer = {tokenizer}
    started, worked = time.perf_counter(), time.process_time()
    corpus = tokenize_corpus([{text!r}], tokenizer, lines={lines}, cache_dir={cache!r}, processes={processes})
    seconds, own = time.perf_counter() - started, time.process_time() - worked
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(seconds, own + others.ru_utime + others.ru_stime, len(corpus.ids))
"""

TRAIN = """
import sys, time
from rnnlm.cli import main
from rnnlm.training.numpy_engine import NumpyEngine
train_step = NumpyEngine.train_step
def first_step(self, *arguments):
    print(time.time(), flush=True)
    NumpyEngine.train_step = train_step
    return self.train_step(*arguments)
NumpyEngine.train_step = first_step
main(sys.argv[1:])
"""

# Group: name, text, megabytes, tokenizer, lines, processes.
WAYS = {
    "characters": [
        ("characters, ASCII, stream", "english", 100, "CharTokenizer()", False, 1),
        ("characters, ASCII, lines", "english", 100, "CharTokenizer()", True, 1),
        ("characters, Chinese, stream", "chinese", 100, "CharTokenizer()", False, 1),
        ("characters, Chinese, lines", "chinese", 100, "CharTokenizer()", True, 1),
    ],
    "words": [
        ("words, English, 1 process", "english", 40, "WordTokenizer()", True, 1),
        ("words, English, {cores} processes", "english", 40, "WordTokenizer()", True, CORES),
    ],
    "jieba": [
        ("jieba, 1 process", "chinese", 15, ITSELF, True, 1),
        ("jieba, {cores} processes", "chinese", 15, ITSELF, True, CORES),
    ],
    "rjieba": [
        ("rjieba, 1 process", "chinese", 40, 'WordTokenizer("jieba")', True, 1),
        ("rjieba, {cores} processes", "chinese", 40, 'WordTokenizer("jieba")', True, CORES),
    ],
}


def sample_of(kind: str, data: Path | None) -> bytes:
    """Return a text in English or Chinese."""
    if data is not None:
        return (data / {"english": "tinyshakespeare.txt", "chinese": "hongloumeng.txt"}[kind]).read_bytes()
    return (CORPORA / f"{kind}.txt").read_bytes()


def write_text(path: Path, sample: bytes, size: int) -> None:
    """Repeat a text up to `size` bytes, ending with a whole line."""
    with path.open("wb") as file:
        while file.tell() + len(sample) <= size:
            file.write(sample)
        file.write(sample[: sample.rindex(b"\n", 0, max(size - file.tell(), sample.index(b"\n") + 1)) + 1])


def encoding_speed(sample: bytes, rounds: int) -> float:
    """Return UTF-8 bytes per second from text in memory to the ids of a vocabulary, 1 MiB at a time."""
    text = sample.decode()
    characters = sorted(set(text))
    vocabulary = Vocabulary(characters, [1] * len(characters))
    piece = (text * (1 + MEBIBYTE // len(text)))[:MEBIBYTE]
    size, speeds = len(piece.encode()), []
    for _ in range(max(rounds, 5) + 1):
        started = time.perf_counter()
        for _ in range(20):
            vocabulary.encode(piece)
        speeds.append(20 * size / (time.perf_counter() - started))
    return statistics.median(speeds[1:])  # the first call builds the table


def tokenizing_seconds(home: Path, text: Path, tokenizer: str, lines: bool, processes: int) -> tuple[float, float, int]:
    """Tokenize once in a new process.

    Returns seconds, processor seconds of all its processes together, and the number of ids.
    """
    with tempfile.TemporaryDirectory(dir=home) as cache:
        program = Path(cache) / "program.py"
        code = TOKENIZE.format(tokenizer=tokenizer, text=str(text), lines=lines, cache=cache, processes=processes)
        program.write_text(code, encoding="utf-8")
        path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path}
        done = subprocess.run([sys.executable, str(program)], env=environment, stdout=subprocess.PIPE, check=True)
    seconds, worked, ids = done.stdout.split()
    return float(seconds), float(worked), int(ids)


def measure(home: Path, groups: list[str], data: Path | None, rounds: int) -> list[dict[str, object]]:
    """Return the speeds of all contestants; those of a group take turns."""
    rows: list[dict[str, object]] = []
    for group in groups:
        if group == "rjieba" and find_spec("rjieba") is None:
            print("rjieba is not installed: pip install 'rnnlm-cli[fast]'")
            continue
        if group == "characters":
            for kind, label in (("english", "ASCII"), ("chinese", "Chinese")):
                speed = encoding_speed(sample_of(kind, data), rounds)
                rows.append(row(f"characters, {label}, encoded", speed, None))
        ways = list(dict.fromkeys(WAYS[group])) if CORES > 1 else WAYS[group][::2]
        seconds: dict[str, list[float]] = {name: [] for name, *_ in ways}
        worked: dict[str, list[float]] = {name: [] for name, *_ in ways}
        sizes, ids = {}, {}
        for _ in range(rounds):
            for name, kind, megabytes, tokenizer, lines, processes in ways:
                text = home / f"{kind}-{megabytes}.txt"
                if not text.exists():
                    write_text(text, sample_of(kind, data), megabytes * MEGABYTE)
                took, work, ids[name] = tokenizing_seconds(home, text, tokenizer, lines, processes)
                seconds[name].append(took)
                worked[name].append(work)
                sizes[name] = text.stat().st_size
        for name, *_ in ways:
            size, work = sizes[name], statistics.median(worked[name])
            found = row(name.format(cores=CORES), size / statistics.median(seconds[name]), ids[name], size / work)
            found |= {"megabytes": size / MEGABYTE, "seconds": seconds[name], "processor_seconds": worked[name]}
            rows.append(found)
    return rows


def row(name: str, speed: float, ids: int | None, by_processor: float | None = None) -> dict[str, object]:
    """Print a line of the table and return it as a JSON object."""
    more = "" if by_processor is None else f"{by_processor / MEGABYTE:9.1f} MB for a second of a processor"
    print(f"  {name:36}{speed / MEGABYTE:9.1f} MB/s{more}", flush=True)
    return {"name": name, "megabytes_per_second": speed / MEGABYTE, "ids": ids}


def large(home: Path, data: Path | None, megabytes: int, level: str, options: list[str]) -> list[dict[str, object]]:
    """Run `rnnlm train` twice on one large text."""
    text = home / "large.txt"
    write_text(text, sample_of("english", data), megabytes * MEGABYTE)
    time.sleep(4)  # a younger file is not trusted to be unchanged, see rnnlm.text.cache
    rows: list[dict[str, object]] = []
    print(f"rnnlm train --level {level}, a text of {megabytes:,} MB")
    print(f"  {'':12}{'first step after':>18}{'peak memory':>16}{'of a worker':>16}")
    for name in ("first run", "second run"):
        model = home / "model.npz"
        arguments = ["train", str(text), "--level", level, "-o", str(model), "--force", "--time", "10s", *options]
        path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"RNNLM_CACHE": str(home / "cache"), "PYTHONPATH": path}
        errors = (home / "errors.txt").open("w+")
        started = time.time()
        process = subprocess.Popen(
            [sys.executable, "-c", TRAIN, *arguments], env=environment, stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        began = process.stdout.readline()
        process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status or not began:
            errors.seek(0)
            sys.exit(f"rnnlm train failed:\n{errors.read()}")
        seconds = float(began) - started
        # Usage of all child processes that have ended so far, including their own children.
        worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        scale = 1024 if sys.platform == "linux" else 1
        peak, others = usage.ru_maxrss * scale, worker * scale
        shown = f"{others / MEBIBYTE:12.0f} MiB" if others > peak else f"{'-':>16}"
        print(f"  {name:12}{seconds:16.2f} s{peak / MEBIBYTE:12.0f} MiB{shown}", flush=True)
        rows.append({"level": level, "run": name, "megabytes": megabytes, "first_step_s": seconds, "peak_bytes": peak})
    return rows


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*WAYS, "large"], default=[*WAYS])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=2000, help="size of the large text in MB")
    parser.add_argument("--level", choices=["char", "word"], default="char", help="level of the large text")
    parser.add_argument("--data", type=Path, default=os.environ.get("RNNLM_DATA"), help="folder with larger texts")
    parser.add_argument("--folder", type=Path, help="folder for temporary texts and caches")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        home = Path(folder)
        groups = [each for each in arguments.only if each != "large"]
        rows = measure(home, groups, arguments.data, arguments.rounds)
        if "large" in arguments.only:
            rows += large(home, arguments.data, arguments.megabytes, arguments.level, [])
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": CORES, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
