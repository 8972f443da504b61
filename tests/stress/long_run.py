"""Measure whether memory and files grow during a long training.

    python tests/stress/long_run.py                       two hours on a generated text
    python tests/stress/long_run.py --corpus my.txt --time 20m --threads 1        and any other option of rnnlm train

Prints resident memory and the sizes of checkpoint and history once a minute, and at the end the growth of memory from
the second quarter of the run to the last (in the first one, caches are filled and the first evaluation runs).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

MEBIBYTE = 1 << 20


def main() -> None:
    """Train, sample the process and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", help="text to train on; without it two megabytes are made")
    parser.add_argument("--time", default="2h", help="length of the training, as in rnnlm train")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two looks")
    parser.add_argument("--json", type=Path, help="write the samples there")
    arguments, options = parser.parse_known_args()  # unknown options are passed on to rnnlm train
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        corpus = arguments.corpus or str(_made_text(home / "corpus.txt"))
        # With given sizes, a training uses its whole time, however often it reads the text.
        options = options or ["--hidden-size", "256", "--dropout", "0.3"]
        samples = watch(home, corpus, ["--time", arguments.time, *options], arguments.every)
    if arguments.json:
        arguments.json.write_text(json.dumps(samples, indent=1) + "\n")
    print(_verdict(samples))


def watch(home: Path, corpus: str, options: list[str], every: float) -> list[dict[str, float]]:
    """Return samples of a training: seconds, resident bytes, bytes of checkpoint and history, temporary files."""
    model, history = home / "model.npz", home / "history.jsonl"
    command = [
        sys.executable,
        "-m",
        "rnnlm",
        "train",
        corpus,
        "-o",
        str(model),
        "--force",
        "--history",
        str(history),
        *options,
    ]
    samples: list[dict[str, float]] = []
    print(" minute  resident MiB  checkpoint MiB  history KiB  temporary files", flush=True)
    with (home / "log.txt").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        started = time.monotonic()
        while process.poll() is None:
            try:
                process.wait(every)
            except subprocess.TimeoutExpired:
                sample = _sample(process.pid, time.monotonic() - started, model, history)
                samples.append(sample)
                print(_row(sample), flush=True)
    if process.returncode:
        sys.exit(f"rnnlm train ended with exit code {process.returncode}:\n" + (home / "log.txt").read_text()[-2000:])
    return samples


def _sample(process: int, seconds: float, model: Path, history: Path) -> dict[str, float]:
    resident_pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return {
        "seconds": round(seconds),
        "resident_bytes": resident_pages * os.sysconf("SC_PAGE_SIZE"),
        "checkpoint_bytes": model.stat().st_size if model.exists() else 0,
        "history_bytes": history.stat().st_size if history.exists() else 0,
        "temporary_files": sum(not path.name.endswith("lock") for path in model.parent.glob(".rnnlm-*")),
    }


def _row(sample: dict[str, float]) -> str:
    return (
        f"{sample['seconds'] / 60:7.1f}  {sample['resident_bytes'] / MEBIBYTE:12.1f}  "
        f"{sample['checkpoint_bytes'] / MEBIBYTE:14.2f}  {sample['history_bytes'] / 1024:11.1f}  "
        f"{sample['temporary_files']:15.0f}"
    )


def _verdict(samples: list[dict[str, float]]) -> str:
    quarter = len(samples) // 4
    if not quarter:
        return "Too short for a verdict: fewer than four samples."
    resident = [sample["resident_bytes"] / MEBIBYTE for sample in samples]
    early, late = median(resident[quarter : 2 * quarter]), median(resident[-quarter:])
    return (
        f"Resident memory: {early:.1f} MiB in the second quarter, {late:.1f} MiB in the last, {late - early:+.1f}; "
        f"peak of the samples {max(resident):.1f}."
    )


def _made_text(path: Path) -> Path:
    """Write two megabytes of random words with Zipf frequencies, in lines."""
    rng = np.random.default_rng(1)
    alphabet = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(alphabet, size)) for size in rng.integers(2, 10, 5_000)]
    ranks = np.minimum(rng.zipf(1.3, 330_000), len(words)) - 1
    path.write_text("\n".join(" ".join(words[rank] for rank in line) for line in np.array_split(ranks, 30_000)) + "\n")
    return path


if __name__ == "__main__":
    main()
