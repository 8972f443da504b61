"""Run commands on extreme texts and measure their outcome, time and memory.

    python tests/stress/hostile_texts.py                  all of them at full size, about a quarter of an hour
    python tests/stress/hostile_texts.py --scale 0.01     a hundredth of the size
    python tests/stress/hostile_texts.py empty one-line   those texts only

A model of words and one of characters are trained on each text for one step (`train --epochs 1e-9 --valid-fraction 0`).
Then eval, score and predict are run on the first 16 KiB of the text, and sample. Each command runs in its own process,
whose peak resident memory is printed with the size of the file that it reads. "refused" means exit code 1, followed by
the error message; all other exit codes but 0 ("done") are faults.
"""

import argparse
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

MEBIBYTE = 1 << 20
KIB_READ = 16
WORDS = ["the", "sea", "was", "calm", "and", "no", "wind", "blew", "over", "it", "all", "night", "long", "we", "slept"]


def _words(size: int) -> bytes:
    """Return words separated by spaces, without line breaks."""
    rng = random.Random(1)
    part = " ".join(rng.choices(WORDS, k=100_000)).encode() + b" "
    return (part * (size // len(part) + 1))[:size]


def _different_characters(number: int) -> str:
    """Return that many different characters, a hundred per line, without control characters and surrogates."""
    usable = (code for code in range(0x20, 0x110000) if not 0x7F <= code < 0xA0 and not 0xD800 <= code < 0xE000)
    characters = [chr(code) for code, _ in zip(usable, range(number), strict=False)]
    return "\n".join("".join(characters[start : start + 100]) for start in range(0, number, 100))


def _mixed_encodings(size: int) -> bytes:
    """Return UTF-8 text that ends with one line in GB18030."""
    return "老师批评了我。\n".encode() * (size // 22) + "老师批评了我。\n".encode("gb18030")


# Name of a text: function that makes it from its size, and its full size.
TEXTS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "one-line": (_words, 100 * MEBIBYTE),
    "one-word": (lambda size: (b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size], 100 * MEBIBYTE),
    "one-line-chinese": (lambda size: "老师批评了我上学迟到".encode() * (size // 30), 10 * MEBIBYTE),
    "empty-lines": (lambda size: b"one line\n" + b"\n" * size + b"another line\n", 1_000_000),
    "blank-lines": (lambda size: b"one line\n" + b" \t \n" * (size // 4) + b"another line\n", 4_000_000),
    "one-word-lines": (lambda size: b"a\n" * (size // 2), 2_000_000),
    "characters": (lambda size: _different_characters(size).encode() * 2, 200_000),
    "words": (lambda size: "\n".join(f"w{number}" for number in range(size)).encode(), 200_000),
    "random-bytes": (lambda size: random.Random(1).randbytes(size), MEBIBYTE),
    "nul": (lambda size: _words(size) + b"\0", MEBIBYTE),
    "mixed-encodings": (_mixed_encodings, MEBIBYTE),
    "cr-only": (lambda size: _words(size).replace(b"it ", b"it.\r"), 10 * MEBIBYTE),
    "combining": (lambda size: ("e" + "\u0301" * (size // 2)).encode(), 10 * MEBIBYTE),
    "emoji": (lambda size: "👩\u200d".encode() * (size // 7), 10 * MEBIBYTE),
    "bidi": (lambda size: "\u202eabc\u202c \u2067def\u2069 ".encode() * (size // 20), 10 * MEBIBYTE),
    "specials": (lambda size: b"<s> </s> <unk> </s>\n" * (size // 20), MEBIBYTE),
    "escapes": (lambda size: b"\x1b[31mred\x1b[0m \x1b]0;title\x07 text\n" * (size // 32), MEBIBYTE),
    "dots": (lambda size: b"." * size, 10 * MEBIBYTE),
    "apostrophes": (lambda size: b"a'" * (size // 2), 10 * MEBIBYTE),
}


class Outcome(NamedTuple):
    """Outcome, duration in seconds and peak resident memory in bytes of a command."""

    said: str
    seconds: float
    peak: int


def main() -> None:
    """Make the texts, run the commands and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help=f"of {', '.join(TEXTS)}; without it all")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    arguments = parser.parse_args()
    if unknown := set(arguments.texts) - TEXTS.keys():
        parser.error(f"there is no text {unknown.pop()}")
    print(f"{'text':<18}{'command':<14}{'size':>10}  {'seconds':>7}  {'peak MiB':>8}  outcome", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.texts or TEXTS:
            path = Path(folder, f"{name}.txt")
            # In another process, because a command's peak includes the memory of the process that starts it.
            maker = multiprocessing.Process(target=_write, args=(path, name, arguments.scale))
            maker.start()
            maker.join()
            for command, read, outcome in _outcomes(path):
                print(
                    f"{name:<18}{command:<14}{read:>10,}  {outcome.seconds:7.1f}  {outcome.peak / MEBIBYTE:8.0f}  "
                    f"{outcome.said}",
                    flush=True,
                )
            path.unlink()


def _write(path: Path, name: str, scale: float) -> None:
    make, size = TEXTS[name]
    path.write_bytes(make(max(1, int(size * scale))))


def _outcomes(path: Path) -> Iterator[tuple[str, int, Outcome]]:
    """Yield the command, the size of the file that it reads and its outcome, for all commands."""
    beginning = path.with_name("beginning.txt")
    with path.open("rb") as file:
        content = file.read(KIB_READ << 10)
    whole = len(content) - max(range(4), key=lambda cut: _is_utf8(content[: len(content) - cut]))
    beginning.write_bytes(content[:whole])
    size = path.stat().st_size
    for level in ("word", "char"):
        model = path.with_name(f"{level}.npz")
        options = ["--level", level, "--epochs", "1e-9", "--valid-fraction", "0"]
        yield f"train {level}", size, _run(["train", str(path), "-o", str(model), "--force", *options], path.parent)
        if model.exists():
            yield f"eval {level}", whole, _run(["eval", str(beginning), "-m", str(model)], path.parent)
            yield f"score {level}", whole, _run(["score", str(beginning), "-m", str(model)], path.parent)
            with beginning.open("rb") as text:
                yield f"predict {level}", whole, _run(["predict", "-", "-m", str(model)], path.parent, text.fileno())
            yield f"sample {level}", 0, _run(["sample", "-m", str(model), "--length", "100"], path.parent)
            model.unlink()


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _run(arguments: list[str], folder: Path, stdin: int = subprocess.DEVNULL) -> Outcome:
    """Run a command in another process and measure it."""
    environment = {**os.environ, "RNNLM_CACHE": str(folder / "cache")}
    with (folder / "errors.txt").open("w+b") as errors:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "rnnlm", *arguments],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4096))
        said = errors.read().decode("utf-8", "replace").strip().split("\n")[-1][:160]
    kinds = {0: "done", 1: f"refused: {said.removeprefix('Error: ').replace(str(folder), '')}"}
    outcome = kinds.get(process.returncode, f"FAULT, exit code {process.returncode}: {said}")
    return Outcome(outcome, seconds, used.ru_maxrss * 1024)


if __name__ == "__main__":
    main()
