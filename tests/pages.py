"""Run the examples of a documentation page: its commands in a shell and its Python, with very short trainings."""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click

import rnnlm
from rnnlm.cli import cli

ROOT = Path(__file__).parents[1]

# A command named rnnlm for the shell, with very short trainings.
SHORT = """#!{python}
import sys
from tests.pages import quick
from rnnlm.cli import run
sys.exit(run(quick(sys.argv[1:])))
"""


# A page with this line shows what its commands really print; see `differing`.
COMPARED = "<!-- The tests compare what these commands print with what is shown. -->"
NOT_COMPARED = r"^<!-- Not compared: [^\n]* -->\n```console\n(.*?)^```"  # a block with a training, for instance
LEFT_OUT = ("...", "…")  # lines of an output that stand for lines left out


def all_commands(group: click.Group, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Return every command by its path, subcommands included."""
    found: dict[tuple[str, ...], click.Command] = {}
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found[*prefix, name] = command
            if isinstance(command, click.Group):
                found |= all_commands(command, (*prefix, name))
    return found


EVERY = all_commands(cli)


def blocks(page: str) -> list[tuple[str, str]]:
    """Return language and text of the fenced blocks of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def script(block: str) -> str:
    """Return what is typed in a console block: lines after "$ ", and continuation lines after "> "."""
    return "".join(line[2:] + "\n" for line in block.splitlines() if line[:2] in {"$ ", "> "})


def quick(arguments: list[str]) -> list[str]:
    """Return the command with a very short training."""
    if arguments[0] != "train":
        return arguments
    kept = [a for place, a in enumerate(arguments) if "--time" not in arguments[max(0, place - 1) : place + 1]]
    small = ["--hidden-size", "8", "--embedding-size", "8", "--vocab-size", "300", "--num-layers", "1"]
    return [*kept, "--epochs", "0.05", *(small if "--resume" not in kept and "--init-from" not in kept else [])]


def outputs(block: str) -> list[str]:
    """Return the pieces of output in a console block without white space, since terminals break lines differently."""
    pieces = [""]
    for line in block.splitlines():
        if line[:2] in {"$ ", "> "} or line.strip() in LEFT_OUT:
            pieces.append("")
        else:
            pieces[-1] += "".join(line.split())
    return [piece for piece in pieces if piece]


def differing(block: str, printed: str) -> list[str]:
    """Return the pieces of output in a console block that were not printed."""
    squeezed = "".join(printed.split())
    return [piece for piece in outputs(block) if piece not in squeezed]


def run_page(page: str, folder: Path, monkeypatch, language: str = "en") -> list[str]:
    """Run the console and python blocks of a page in order in one folder; return the outputs of the commands.

    The folder has `corpora`, like a checkout. A block that fails raises an error with its text and stderr. language:
    language of the messages. If the page contains COMPARED, the shown output must be printed.
    """
    skipped = set(re.findall(NOT_COMPARED, page, re.MULTILINE | re.DOTALL))
    shutil.copytree(ROOT / "corpora", folder / "corpora")
    programs = folder / ".bin"
    programs.mkdir()
    (programs / "rnnlm").write_text(SHORT.format(python=sys.executable), encoding="utf-8")
    (programs / "rnnlm").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RNNLM_LANG": language,
    }
    monkeypatch.chdir(folder)
    monkeypatch.setattr(rnnlm, "train", functools.partial(rnnlm.train, epochs=0.05, hidden_size=8, progress=False))
    printed = []
    for kind, text in blocks(page):
        if kind == "python":
            exec(compile(text, "page", "exec"), {})
        elif kind == "console":
            command = ["bash", "-euo", "pipefail", "-c", script(text)]
            done = subprocess.run(command, env=environment, check=False, capture_output=True, encoding="utf-8")
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            assert done.stdout.strip() or " train " in text, text
            if COMPARED in page and text not in skipped:
                assert differing(text, f"{done.stdout}\n{done.stderr}") == [], f"{text}\n{done.stdout}{done.stderr}"
            printed.append(done.stdout)
    return printed
