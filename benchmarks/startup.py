"""Measure time and peak memory of whole processes, from start to exit.

Commands such as help and prediction take turns with `import numpy` and, if it is installed, `import torch`. Figures are
medians over the rounds, with the ratio to `import torch`.

Usage: python benchmarks/startup.py [--rounds 9] [--json FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "corpora" / "chinese.txt"
SEPARATED, PLAIN = "我 昨天 上学 迟到 了", "我昨天上学迟到了"
MEBIBYTE = 1 << 20


def commands(model: str) -> dict[str, list[str]]:
    """Return the name and the Python arguments of each process to measure."""
    from rnnlm.cli import COMMANDS

    rnnlm = ["-m", "rnnlm"]
    found = {
        "python -c pass": ["-c", "pass"],
        "import numpy": ["-c", "import numpy"],
        "rnnlm --help": [*rnnlm, "--help"],
        **{f"rnnlm {name} --help": [*rnnlm, name, "--help"] for name in COMMANDS},
        "rnnlm predict, words separated": [*rnnlm, "predict", "-m", model, SEPARATED],
        "rnnlm predict, jieba": [*rnnlm, "predict", "-m", model, PLAIN],
        "rnnlm sample": [*rnnlm, "sample", "-m", model, "--length", "50"],
        "rnnlm info": [*rnnlm, "info", "-m", model],
    }
    if find_spec("torch"):
        found["import torch"] = ["-c", "import torch"]
    return found


def run(arguments: list[str]) -> tuple[float, float]:
    """Return seconds and peak resident bytes of one process."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"{' '.join(arguments)} failed:\n{process.stderr.read().decode()}")
    process.stderr.close()
    return seconds, usage.ru_maxrss * (1024 if sys.platform == "linux" else 1)


def main() -> None:
    """Measure all processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "model.npz")
        train = [sys.executable, "-m", "rnnlm", "train", str(CORPUS), "-o", model, "--epochs", "0.1"]
        subprocess.run(train, check=True, stderr=subprocess.DEVNULL)
        works = commands(model)
        for each in works.values():
            run(each)  # warm up: compile bytecode and fill the system's file cache
        rounds = [{name: run(each) for name, each in works.items()} for _ in range(arguments.rounds)]
    rows = {
        name: {
            "seconds": statistics.median(each[name][0] for each in rounds),
            "peak_bytes": max(each[name][1] for each in rounds),
        }
        for name in works
    }
    torch = rows.get("import torch")
    print(f"{'':32}{'seconds':>9}{'peak MiB':>10}{'of import torch':>17}")
    for name, row in rows.items():
        share = f"{row['seconds'] / torch['seconds']:17.2f}" if torch else ""
        print(f"{name:32}{row['seconds']:9.3f}{row['peak_bytes'] / MEBIBYTE:10.1f}{share}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
