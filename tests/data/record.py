"""Make the fixture files of a checkpoint format, once, at its release: `python tests/data/record.py FOLDER`.

For every file, FOLDER/recorded.json has the command that makes it and questions to ask of it. This program runs them in
the folder and records the answers there. Later versions of rnnlm must give the same answers from the same files, so a
folder is never recorded twice: each new format and each released version with new features gets a new folder. (To
record an older version, set PYTHONPATH to a checkout of it.) A recorded answer changes only if it was wrong, as those
of `predict` and `score` on streams, which started lines with <s> before 0.5.0.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Run the commands of a folder and record the answers."""
    folder = Path(sys.argv[1])
    recorded = json.loads((folder / "recorded.json").read_text(encoding="utf-8"))
    for name, entry in recorded["files"].items():
        if (folder / name).exists():
            sys.exit(f"{folder / name} is there already; fixtures are made once. Make a new folder for a new format.")
        run(folder, entry["command"])
        entry["answers"] = {
            what: json.loads(run(folder, f"{question} -m {name} --json")) for what, question in entry["asked"].items()
        }
    text = json.dumps(recorded, ensure_ascii=False, indent=1)
    (folder / "recorded.json").write_text(text + "\n", encoding="utf-8")


def run(folder: Path, command: str) -> str:
    """Run a command in the folder with one thread and return its output."""
    program, *arguments = shlex.split(command)
    assert program == "rnnlm"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    whole = [sys.executable, "-m", "rnnlm", *arguments]
    return subprocess.run(
        whole, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout


if __name__ == "__main__":
    main()
