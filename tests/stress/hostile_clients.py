"""Measure the latency and memory of `rnnlm serve` under hostile clients.

20 honest clients send requests to /api/predict with pauses of 0.1 s. 50 hostile clients, ten of each kind:

- blowup      request the largest possible answers: 8 x 20,000 ids, n 16, echo, logprobs 20
- stalled     request a stream and do not read it for 5 or 60 s
- slow        send nothing, or half a head, or half a body, and wait for 1 or 20 s
- leaving     disconnect in the middle of their body
- malformed   send broken chunks and heads, and texts of 20,000 characters to be coloured

Every request of an honest client ("key") must be answered. Once a minute, this program prints the latency of these
requests, the number of lost ones, the resident memory of the server and the size of its log. The server runs an
untrained LSTM of 128 units over the characters of corpora/english.txt in another process on the same cores.

Usage: python tests/stress/hostile_clients.py [--seconds 600] [--port 8933] [--json FILE]
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rnnlm.language_model import LanguageModel
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import CharTokenizer
from rnnlm.text.vocabulary import Vocabulary

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "corpora" / "english.txt").read_text(encoding="utf-8")
HONEST, HOSTILE = 20, 50
PAUSE = 0.1  # seconds between two requests of an honest client
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def main() -> None:
    """Start the server and the clients, and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--port", type=int, default=8933)
    parser.add_argument("--json", type=Path, help="write the rows there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, log = Path(folder) / "char.npz", Path(folder) / "log.txt"
        _model().save(model)
        command = [sys.executable, "-m", "rnnlm", "serve", "-m", str(model), "--port", str(arguments.port)]
        with log.open("wb") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file) as server:
            assert server.stdout is not None
            server.stdout.readline()
            rows = asyncio.run(Load(arguments.port, server.pid, log, arguments.seconds).run())
            server.terminate()
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def _model() -> LanguageModel:
    tokens = sorted(set(TEXT))
    config = NetworkConfig(len(tokens) + 3, cell="lstm", hidden_size=128, embedding_size=64)
    network = Network.initialize(config, np.random.default_rng(1))
    return LanguageModel(CharTokenizer(), Vocabulary(tokens, [1] * len(tokens)), network, "stream")


def post(path: str, body: Any) -> bytes:
    """Return a POST request with `Connection: close`."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Load:
    """All clients of a run and the measurements of the honest ones."""

    def __init__(self, port: int, server: int, log: Path, seconds: float) -> None:
        self._port, self._server, self._log, self._seconds = port, server, log, seconds
        self._end = time.monotonic() + seconds
        self._took: list[float] = []  # seconds of the requests of this minute
        self._lost = 0
        self._all: list[float] = []

    async def run(self) -> list[dict[str, float]]:
        """Run all clients and return the measurements of each minute."""
        honest = [self._honest(random.Random(number)) for number in range(HONEST)]
        hostile = [self._hostile(SORTS[number % len(SORTS)], random.Random(1000 + number)) for number in range(HOSTILE)]
        rows, *_ = await asyncio.gather(self._watch(), *honest, *hostile)
        return rows

    async def _watch(self) -> list[dict[str, float]]:
        rows = []
        print(" minute    keys  p50 s  p95 s  max s  lost  resident MiB  log KiB", flush=True)
        while time.monotonic() < self._end:
            await asyncio.sleep(min(60.0, max(0.0, self._end - time.monotonic())))
            rows.append(self._row(sorted(self._took)))
            self._all += self._took
            self._took = []
        whole = self._row(sorted(self._all))
        print(f"whole: {len(self._all):,} keys, p50 {whole['p50']:.3f} s, p95 {whole['p95']:.3f} s, lost {self._lost}")
        return rows

    def _row(self, took: list[float]) -> dict[str, float]:
        pages = int(Path(f"/proc/{self._server}/statm").read_text().split()[1])
        row = {
            "seconds": round(self._seconds - (self._end - time.monotonic())),
            "keys": len(took),
            **{f"p{share}": took[len(took) * share // 100] if took else 0.0 for share in (50, 95)},
            "max": took[-1] if took else 0.0,
            "lost": self._lost,
            "resident": pages * 4096 / 2**20,
            "log": self._log.stat().st_size / 1024,
        }
        print(
            f"{row['seconds'] / 60:7.1f} {len(took):7,} {row['p50']:6.3f} {row['p95']:6.3f} {row['max']:6.2f} "
            f"{self._lost:5}  {row['resident']:12.1f} {row['log']:8.1f}",
            flush=True,
        )
        return row

    async def _honest(self, rng: random.Random) -> None:
        while time.monotonic() < self._end:
            start = rng.randrange(len(TEXT) - 1000)
            request, began = (
                post("/api/predict", {"text": TEXT[start : start + rng.randrange(1, 800)]}),
                time.monotonic(),
            )
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(request)
                answer = await asyncio.wait_for(reader.read(-1), 30)
                writer.close()
                if answer[9:12] != b"200":
                    self._lost += 1
                self._took.append(time.monotonic() - began)
            except (OSError, TimeoutError):
                self._lost += 1
            await asyncio.sleep(PAUSE)

    async def _hostile(self, sort: Any, rng: random.Random) -> None:
        while time.monotonic() < self._end:
            with suppress(OSError, TimeoutError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2048)
                await sort(reader, writer, rng)
                writer.close()


# --- kinds of hostile clients -----------------------------------------------------------------------------------------


async def _blowup(reader: Any, writer: Any, rng: random.Random) -> None:
    prompts = [[5] * 20_000] * rng.choice([1, 8])
    body = {"prompt": prompts, "n": rng.choice([1, 16]), "max_tokens": 0, "logprobs": 20, "echo": True}
    writer.write(post("/v1/completions", body))
    await asyncio.wait_for(reader.read(2000), 20)


async def _stalled(reader: Any, writer: Any, rng: random.Random) -> None:
    del reader
    body = {"prompt": [5] * rng.choice([300, 3000]), "n": 4, "echo": True, "logprobs": 20, "max_tokens": 4096}
    writer.write(post("/v1/completions", body | {"stream": True}))
    await asyncio.sleep(rng.choice([5, 60]))


async def _slow(reader: Any, writer: Any, rng: random.Random) -> None:
    del reader
    writer.write(rng.choice([b"", b"GET /h", HEAD + b'Content-Length: 100\r\n\r\n{"p']))
    await asyncio.sleep(rng.choice([1, 20]))


async def _leaving(reader: Any, writer: Any, rng: random.Random) -> None:
    del reader
    writer.write(post("/v1/completions", {"prompt": "The"})[: -rng.randrange(1, 20)])
    await asyncio.sleep(0.05)


async def _malformed(reader: Any, writer: Any, rng: random.Random) -> None:
    del reader
    chunks = HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    writer.write(rng.choice([b"\x00\x01\r\n\r\n", chunks, post("/api/surprise", {"text": TEXT[:20_000], "k": 5})]))
    await asyncio.sleep(0.5)


SORTS = (_blowup, _stalled, _slow, _leaving, _malformed)


if __name__ == "__main__":
    main()
