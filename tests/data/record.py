"""Make the fixture files of a checkpoint format, once, when it is released: `python tests/data/record.py FOLDER`.

FOLDER/recorded.json names for every file the command that makes it and the questions to ask of it. They are run here,
in the folder, and the answers are written beside them. Later versions of rnnlm must give the same answers from the same
files, so a folder is never recorded twice: a new format gets a new one, and so does each version that is released, with
what it has brought. (Of an older version: PYTHONPATH names a copy of its commit.) An answer changes only where it was
wrong: `predict` and `score` of streams, which began lines after <s> before 0.5.0.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Run the commands of a folder and keep the answers."""
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
    """What a command prints, run in the folder on one thread."""
    program, *arguments = shlex.split(command)
    assert program == "rnnlm"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    whole = [sys.executable, "-m", "rnnlm", *arguments]
    return subprocess.run(
        whole, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout


if __name__ == "__main__":
    main()
