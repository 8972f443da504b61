"""Write the help of all commands to docs/help.md: `python docs/help.py`; with "-" print it instead.

The texts are those of `rnnlm COMMAND --help` in English, in a terminal of 80 columns.
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
    """Make the help independent of the user's terminal, language and environment variables."""
    for name in [name for name in os.environ if name.startswith(("RNNLM_", "LC_", "LANG"))]:
        del os.environ[name]
    os.environ |= {"COLUMNS": "80", "LANG": "C.UTF-8"}


def calls(group: click.Group, call: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of all commands that have a help text; a group comes before its subcommands."""
    yield call
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                yield from calls(command, (*call, name))
            else:
                yield *call, name


def page() -> str:
    """Return the whole page."""
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
