"""Write docs/help.md, the help of all commands: `python docs/help.py`; with "-" print it instead.

The texts are those of `rnnlm COMMAND --help` in a terminal of 80 columns, in English.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "help.md"
HEAD = """# All commands and their options

<!-- Made by `python docs/help.py`; what stands here is written in rnnlm/cli and rnnlm/training/options.py. -->

This is what `rnnlm COMMAND --help` says. Each option can also come from a variable of the
[environment](environment.md), and those of `rnnlm train` from a TOML file (`--config`).
"""


def set_environment() -> None:
    """Make the help independent of the terminal, the language and the variables of whoever writes it."""
    for name in [name for name in os.environ if name.startswith(("RNNLM_", "LC_", "LANG"))]:
        del os.environ[name]
    os.environ |= {"COLUMNS": "80", "LANG": "C.UTF-8"}


def calls(group: click.Group, call: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of all calls that have a help text; those of a group come after the group's own."""
    yield call
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                yield from calls(command, (*call, name))
            else:
                yield *call, name


def page() -> str:
    """The whole page."""
    from rnnlm.cli import cli, run

    parts = [HEAD]
    for call in calls(cli):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            if run([*call, "--help"]):
                raise SystemExit(f"rnnlm {' '.join(call)} --help has failed.")
        parts.append(f"## {' '.join(('rnnlm', *call))}\n\n```text\n{printed.getvalue().rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    set_environment()
    if sys.argv[1:] == ["-"]:
        sys.stdout.reconfigure(encoding="utf-8")
        print(page(), end="")
    else:
        PAGE.write_text(page(), encoding="utf-8", newline="\n")
