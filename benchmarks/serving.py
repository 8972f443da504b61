"""Measure the latency of `rnnlm serve`: for one typist, for 20 typists, and under overload.

- keys: one client types 2,000 characters and asks /api/predict after every key, as soon as the previous answer has
  arrived. The figures are of the second thousand keys. pasted: the same text in one request, to a server that has not
  seen it.
- crowd: 20 clients type different texts, at five keys per second each, then without a pause.
- load: 200 clients send requests for a minute without a pause: keys, streamed completions, texts coloured by surprise.
  Every request has to be answered, or refused with 503 and Retry-After, which its client obeys. The memory of the
  server is sampled every five seconds.

The models have random weights: an LSTM of 512 units over 4,000 characters, and one over 10,000 words (of at most three
characters, segmented by jieba). The server is a separate process that shares the cores with this program.

Usage: python benchmarks/serving.py [keys] [crowd] [load] [--seconds 60] [--json FILE]
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnlm.language_model import LanguageModel
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import Vocabulary

ROOT = Path(__file__).parents[1]
SENTENCES = (ROOT / "corpora" / "chinese.txt").read_text(encoding="utf-8").replace(" ", "").splitlines()
HIDDEN = 512
LENGTH = 2000  # characters
CROWD, LOAD = 20, 200  # clients
KEYS_PER_SECOND = 5
CROWD_SECONDS = 15
MEBIBYTE = 1 << 20


# --- models and texts ---------------------------------------------------------------------------------------------


def model(tokenizer: CharTokenizer | WordTokenizer, tokens: list[str]) -> LanguageModel:
    """Return an LSTM of 512 units with random weights."""
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    config = NetworkConfig(len(vocabulary), cell="lstm", hidden_size=HIDDEN, embedding_size=128)
    network = Network.initialize(config, np.random.default_rng(1))
    return LanguageModel(tokenizer, vocabulary, network, "stream" if tokenizer.name == "char" else "sentence")


def save_models(folder: Path) -> dict[str, Path]:
    """Write both models to files and return the paths by name."""
    characters = list(dict.fromkeys("".join(SENTENCES) + "".join(map(chr, range(0x4E00, 0x5E00)))))[:4000]
    tokenizer = WordTokenizer()
    words = dict.fromkeys(token for sentence in SENTENCES for token in tokenizer.tokenize(sentence))
    words |= dict.fromkeys(a + b for a, b in itertools.product(characters[:100], repeat=2))
    paths = {"characters": folder / "characters.npz", "words": folder / "words.npz"}
    model(CharTokenizer(), characters).save(paths["characters"])
    model(tokenizer, list(words)[:10_000]).save(paths["words"])
    return paths


def text(rng: np.random.Generator, length: int) -> str:
    """Return a random line of `length` characters."""
    sentences = (SENTENCES[place] for place in rng.integers(len(SENTENCES), size=length))
    return "".join(sentences)[:length]


# --- server and clients -------------------------------------------------------------------------------------------


class Server(NamedTuple):
    """A running server."""

    port: int
    process: int

    def memory(self) -> float:
        """Return the resident memory in MiB, or nan if the system does not tell."""
        try:
            status = Path(f"/proc/{self.process}/status").read_text(encoding="ascii")
        except OSError:
            return float("nan")
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


@contextmanager
def serving(paths: dict[str, Path]) -> Iterator[Server]:
    """Run `rnnlm serve` with all models."""
    command = [sys.executable, "-m", "rnnlm", "serve", "--port", "0"]
    for path in paths.values():
        command += ["-m", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")
    assert process.stdout is not None
    port = re.findall(r":(\d+)$", process.stdout.readline().strip())[0]
    try:
        yield Server(int(port), process.pid)
    finally:
        process.terminate()
        process.wait()


class Client:
    """A persistent connection, whose requests are sent one after another."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str, body: dict[str, Any]) -> tuple[int, float]:
        """Send a request; return the status and the seconds until the whole answer has arrived."""
        start = time.perf_counter()
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self.writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in answer.lower():
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readexactly(2)
        else:
            await self.reader.readexactly(int(re.findall(rb"content-length: (\d+)", answer.lower())[0]))
        return int(answer[9:12]), time.perf_counter() - start

    def close(self) -> None:
        """Close the connection."""
        if self.writer is not None:
            self.writer.close()


# --- measurements -------------------------------------------------------------------------------------------------


async def keys(server: Server, name: str, written: str) -> list[float]:
    """Return the seconds to the answer after every key."""
    client, seconds = Client(server.port), []
    for length in range(1, len(written) + 1):
        status, taken = await client.ask("/api/predict", {"model": name, "text": written[:length]})
        assert status == 200, status
        seconds.append(taken)
    client.close()
    return seconds


async def pasted(server: Server, name: str, written: str) -> float:
    """Return the seconds to the answer to a text that the server has not seen."""
    client = Client(server.port)
    status, taken = await client.ask("/api/predict", {"model": name, "text": written})
    assert status == 200, status
    client.close()
    return taken


async def crowd(server: Server, name: str, pause: float) -> list[float]:
    """Return the seconds to the answers for 20 clients that type."""
    end = time.perf_counter() + CROWD_SECONDS

    async def type_on(number: int) -> list[float]:
        rng = np.random.default_rng(number)
        client, written, length, seconds = Client(server.port), text(rng, LENGTH), int(rng.integers(1, 200)), []
        await asyncio.sleep(pause * rng.random())
        while time.perf_counter() < end:
            length = length % LENGTH + 1
            status, taken = await client.ask("/api/predict", {"model": name, "text": written[:length]})
            assert status == 200, status
            seconds.append(taken)
            await asyncio.sleep(max(0.0, pause - taken))
        client.close()
        return seconds

    return list(itertools.chain.from_iterable(await asyncio.gather(*map(type_on, range(CROWD)))))


class Load(NamedTuple):
    """Results of the load test."""

    seconds: dict[str, list[float]]  # seconds to each answer, by path
    statuses: Counter[int]
    lost: int  # connections that closed without an answer
    memory: list[float]  # resident memory in MiB, sampled every five seconds


async def load(server: Server, seconds: float) -> Load:
    """Send requests of all kinds from 200 clients without a pause."""
    end = time.perf_counter() + seconds
    found = Load({}, Counter(), 0, [])
    lost = 0

    def request(rng: np.random.Generator, written: str, length: int) -> tuple[str, dict[str, Any]]:
        kind, name = rng.random(), ("characters", "words")[int(rng.integers(2))]
        if kind < 0.8:
            return "/api/predict", {"model": name, "text": written[:length]}
        if kind < 0.9:
            return "/v1/completions", {"model": name, "prompt": written[:20], "max_tokens": 50, "stream": True}
        return "/api/surprise", {"model": name, "text": written[:300]}

    async def ask_on(number: int) -> None:
        nonlocal lost
        rng = np.random.default_rng(number)
        client, written = Client(server.port), text(rng, LENGTH)
        for length in itertools.cycle(range(1, LENGTH)):
            if time.perf_counter() >= end:
                break
            path, body = request(rng, written, length)
            try:
                status, taken = await client.ask(path, body)
            except (OSError, asyncio.IncompleteReadError):
                lost += 1
                client = Client(server.port)
                continue
            found.statuses[status] += 1
            if status == 200:
                found.seconds.setdefault(path, []).append(taken)
            elif status == 503:
                await asyncio.sleep(1)
        client.close()

    async def watch() -> None:
        while time.perf_counter() < end:
            found.memory.append(server.memory())
            await asyncio.sleep(5)

    await asyncio.gather(watch(), *map(ask_on, range(LOAD)))
    found.memory.append(server.memory())
    return found._replace(lost=lost)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return percentiles in milliseconds."""
    ordered = sorted(seconds)
    return {
        "requests": len(seconds),
        "median_ms": 1000 * statistics.median(seconds),
        "p95_ms": 1000 * ordered[int(0.95 * len(ordered))],
        "largest_ms": 1000 * ordered[-1],
    }


# --- tables -------------------------------------------------------------------------------------------------------


def show(title: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Print a row."""
    numbers = "  ".join(f"{name} {value:>9,.1f}" for name, value in figures.items())
    print(f"{title:<44}{numbers}", flush=True)
    return {"what": title, **figures}


def measure(wanted: list[str], seconds: float) -> list[dict[str, Any]]:
    """Return the rows of all measurements that are wanted."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = save_models(Path(folder))
        for name in paths:
            if "keys" in wanted:
                with serving(paths) as server:
                    typed = asyncio.run(keys(server, name, text(np.random.default_rng(0), LENGTH)))
                    rows.append(show(f"keys, {name}", percentiles(typed[LENGTH // 2 :])))
                    new = [
                        asyncio.run(pasted(server, name, text(np.random.default_rng(n), LENGTH))) for n in range(1, 6)
                    ]
                    rows.append(show(f"{LENGTH:,} characters pasted, {name}", percentiles(new)))
            if "crowd" in wanted:
                for title, pause in ((f"{KEYS_PER_SECOND} keys/s each", 1 / KEYS_PER_SECOND), ("without a pause", 0.0)):
                    with serving(paths) as server:
                        taken = asyncio.run(crowd(server, name, pause))
                    rows.append(show(f"{CROWD} clients, {name}, {title}", percentiles(taken)))
        if "load" in wanted:
            with serving(paths) as server:
                found = asyncio.run(load(server, seconds))
            for path, taken in sorted(found.seconds.items()):
                rows.append(show(f"{LOAD} clients, {path}", percentiles(taken)))
            answers = {f"status_{status}": number for status, number in sorted(found.statuses.items())}
            rows.append(show(f"{LOAD} clients, answers", answers | {"lost": found.lost}))
            print("memory in MiB, every 5 s:", " ".join(f"{each:.0f}" for each in found.memory))
            rows.append({"what": "memory", "MiB": found.memory})
    return rows


def main() -> None:
    """Measure, print the rows and write them as JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="keys|crowd|load", help="what to measure; default: all three")
    parser.add_argument("--seconds", type=float, default=60, help="duration of the load test")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if unknown := set(arguments.what) - {"keys", "crowd", "load"}:
        parser.error(f"there is no {sorted(unknown)[0]!r} to measure; expected keys, crowd or load")
    rows = measure(arguments.what or ["keys", "crowd", "load"], arguments.seconds)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
