"""Shell completion: the scripts are valid, and offer commands, options, choices and files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from rnnlm.cli import COMMANDS
from rnnlm.cli.completion import SHELLS

ROOT = Path(__file__).parents[2]
# (what is typed, what must be offered, what must not be offered)
ASKED = [
    ("rnnlm ", {"train", "predict", "completion"}, {"--help"}),
    ("rnnlm pre", {"predict"}, {"train"}),
    ("rnnlm train --hid", {"--hidden-size"}, {"--level"}),
    ("rnnlm train --level ", {"char", "word", "token"}, set()),
    ("rnnlm train cor", {"corpus.txt"}, set()),
    ("rnnlm train @", {"@chinese", "@english"}, set()),
    ("rnnlm predict -m ", {"corpus.txt", "mine.npz"}, set()),
    ("rnnlm ngram ", {"train"}, {"predict"}),
]


@pytest.fixture
def environment(tmp_path):
    """A folder with files and a program called rnnlm."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "rnnlm"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m rnnlm "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    for name in ("corpus.txt", "mine.npz"):
        (tmp_path / name).touch()
    return os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def said_by(shell, program, environment, folder):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = [shell, *({"bash": ["--norc"], "zsh": ["-f"], "fish": ["-N"]}[shell]), "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(done.stdout.split())


IN_BASH = """
eval "$(rnnlm completion bash)"
read -ra COMP_WORDS <<< "$1"; [[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { [ "$2" = default ] && compgen -f -- "${COMP_WORDS[COMP_CWORD]}"; }
_rnnlm_completion rnnlm
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(("typed", "offered", "others"), ASKED)
def test_bash_offers_what_fits(typed, offered, others, environment, tmp_path):
    found = said_by("bash", f"set -- '{typed}'\n{IN_BASH}", environment, tmp_path)
    assert offered <= found
    assert not others & found


@pytest.mark.parametrize(("typed", "offered", "others"), ASKED)
def test_fish_offers_what_fits(typed, offered, others, environment, tmp_path):
    found = said_by("fish", f"rnnlm completion fish | source; complete -C '{typed}'", environment, tmp_path)
    assert offered <= found
    assert not others & found


def test_zsh_accepts_the_script(environment, tmp_path):
    program = 'autoload -Uz compinit; compinit -u; eval "$(rnnlm completion zsh)"; print $_comps[rnnlm]'
    assert said_by("zsh", program, environment | {"HOME": str(tmp_path)}, tmp_path) == {"_rnnlm_completion"}


@pytest.mark.parametrize("shell", ["zsh", "powershell"])
@pytest.mark.parametrize(("typed", "offered", "others"), ASKED[:4])
def test_requests_of_the_script_are_answered(shell, typed, offered, others, environment):
    """Speak the protocol of the script, for shells that cannot be driven without a person."""
    if get_completion_class(shell) is None:
        pytest.skip(f"this click knows nothing of {shell}")
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1), "_RNNLM_COMPLETE": f"{shell}_complete"}
    done = subprocess.run(["rnnlm"], env=environment | words, capture_output=True, encoding="utf-8", check=True)
    found = set(done.stdout.split("\n"))
    assert offered <= found
    assert not others & found


def test_every_command_is_offered_with_its_help(environment):
    words = {"COMP_WORDS": "rnnlm ", "COMP_CWORD": "1", "_RNNLM_COMPLETE": "zsh_complete"}
    done = subprocess.run(["rnnlm"], env=environment | words, capture_output=True, encoding="utf-8", check=True)
    lines = done.stdout.splitlines()
    assert lines[1::3] == list(COMMANDS)
    assert lines[2::3] == [text.replace(":", "\\:") for _, text in COMMANDS.values()] or lines[2::3] == [
        text for _, text in COMMANDS.values()
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell, rnnlm):
    if get_completion_class(shell) is None:
        assert "newer one" in rnnlm("completion", shell, code=1).last
        return
    printed = rnnlm("completion", shell)
    assert "_RNNLM_COMPLETE" in printed.out
    assert printed.err == ""


def test_a_shell_that_this_click_does_not_support_is_named(monkeypatch, rnnlm):
    monkeypatch.setattr("click.shell_completion.get_completion_class", lambda shell: None)
    assert "pip install -U click" in rnnlm("completion", "powershell", code=1).last
