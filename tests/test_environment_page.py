"""docs/environment.md names every variable that is read, and every option can be set by a variable."""

import os
import re
import subprocess
import sys

import click
import pytest

from rnnlm.cli import cli
from tests.contract import commands
from tests.pages import ROOT

PAGE = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rnnlm").rglob("*.py")))
OF_OPTIONS = tuple(f"RNNLM_{name.split()[0].upper()}_" for name, _ in commands())
OURS = sorted(
    each for each in set(re.findall(r"\b_?RNNLM_[A-Z][A-Z_]*[A-Z]\b", SOURCE)) if not each.startswith(OF_OPTIONS)
)
READ = sorted(set(re.findall(r"""environ(?:\.get\(|\[)\s*["'](\w+)["']""", SOURCE)))
OPTIONS = [
    pytest.param(name, option, id=f"{name} {option.opts[-1]}")
    for name, command in commands()
    for option in command.params
    if isinstance(option, click.Option)
]


def test_variables_are_found_in_the_code():
    assert {"RNNLM_MODEL", "RNNLM_CACHE", "RNNLM_KERNELS"} <= set(OURS)
    assert {"RNNLM_CACHE", "XDG_CACHE_HOME", "RANK"} <= set(READ)


@pytest.mark.parametrize("variable", sorted({*OURS, *READ}))
def test_the_page_names_every_variable_in_the_code(variable):
    assert f"`{variable}`" in PAGE, (
        f"docs/environment.md lacks {variable}; say there what it is and what holds without it"
    )


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"^\| `(RNNLM_\w+)`", PAGE, re.MULTILINE)) - {"RNNLM_DATA"}))
def test_every_variable_on_the_page_is_in_the_code(variable):
    assert variable in OURS


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_can_be_set_by_a_variable_of_its_name(name, option, monkeypatch):
    """The name is that on the command line, which may differ from the parameter in Python."""
    typed = max(option.opts, key=len).lstrip("-")
    monkeypatch.setenv(f"RNNLM {name} {typed}".replace(" ", "_").replace("-", "_").upper(), "given")
    context = click.Context(cli, info_name="rnnlm", **cli.context_settings)
    for word in name.split():
        _, command, _ = context.command.resolve_command(context, [word])
        context = click.Context(command, parent=context, info_name=word)
    assert option.resolve_envvar_value(context) == "given"


def test_the_completion_script_on_the_page_is_printed(tmp_path):
    assert "_RNNLM_COMPLETE" in PAGE
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_RNNLM_COMPLETE": "bash_source"}
    program = [sys.executable, "-c", "from rnnlm.cli import main; main()"]
    done = subprocess.run(program, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert "complete -o nosort -F _rnnlm_completion rnnlm" in done.stdout


def test_json_and_model_can_be_set_by_variables(corpus, tmp_path, monkeypatch, rnnlm):
    model = str(tmp_path / "m.npz")
    rnnlm("train", corpus, "-o", model, "--epochs", "0.1", "--hidden-size", "4")
    monkeypatch.setenv("RNNLM_MODEL", str(tmp_path / "missing.npz"))
    monkeypatch.setenv("RNNLM_PREDICT_MODEL", model)
    monkeypatch.setenv("RNNLM_PREDICT_JSON", "1")
    assert rnnlm("predict", "我").json["context"] == "我"
    monkeypatch.setenv("RNNLM_LAB_PAIRS_JSON", "1")
    assert rnnlm("lab", "pairs", "我 昨天").objects[0].keys() == {"input", "label"}


def test_old_names_of_variables_are_still_read(monkeypatch, rnnlm):
    monkeypatch.setenv("RNNLM_LAB_PAIRS_AS_JSON", "1")
    assert rnnlm("lab", "pairs", "我 昨天").objects[0].keys() == {"input", "label"}
