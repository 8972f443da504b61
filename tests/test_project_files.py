"""Files for maintainers agree with the project in versions, Pythons and paths."""

import re
import subprocess
import sys
import tomllib

import pytest

from tests.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOR_READERS = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/contract.md", "docs/environment.md")
PYTHONS = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FOR_READERS)
def test_named_paths_exist(name):
    named = set(re.findall(r"`((?:rnnlm|tests|docs|benchmarks|corpora)/[\w./-]+)`", text(name)))
    links = set(re.findall(r"\]\(([^)#:]+)\)", text(name)))
    missing = [path for path in named if not (ROOT / path).exists()]
    missing += [path for path in links if not (ROOT / name).parent.joinpath(path).exists()]
    assert missing == []


def test_hooks_and_project_have_the_same_linter_versions():
    hooks = re.findall(r"[\w-]+==[\w.]+", text(".pre-commit-config.yaml"))
    assert len(hooks) >= 4
    assert set(hooks) == set(PROJECT["optional-dependencies"]["lint"])


def test_the_lowest_python_is_the_first_classifier():
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert PYTHONS == ["3.11", "3.12", "3.13", "3.14"]


def test_workflows_and_make_try_every_python():
    listed = ", ".join(f'"{python}"' for python in PYTHONS)
    assert re.findall(r"python: \[(.*)\]", text(".github/workflows/tests.yml")) == [listed, listed]
    assert f"PYTHONS ?= {' '.join(PYTHONS)}\n" in text("Makefile")
    wheels = tomllib.loads(text("pyproject.toml"))["tool"]["cibuildwheel"]["build"]
    assert wheels == " ".join(f"cp{python.replace('.', '')}-*" for python in PYTHONS)


def test_tests_named_in_workflows_exist():
    for name in ("tests.yml", "wheels.yml"):
        for path in re.findall(r"(?<![\w/])tests/[\w./]+", text(f".github/workflows/{name}")):
            assert (ROOT / path).exists(), path


def test_named_targets_of_make_exist():
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    for name in ("CONTRIBUTING.md", ".ci/run", ".github/workflows/tests.yml", ".github/PULL_REQUEST_TEMPLATE.md"):
        called = set(re.findall(r"(?:^|run: |`)make ([a-z]+)\b", text(name), re.MULTILINE))
        assert called
        assert called <= targets, name


def test_the_changelog_follows_its_format():
    headings = re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    dates = [re.fullmatch(r"\d+\.\d+\.\d+ - (\d{4}-\d\d-\d\d)", heading)[1] for heading in headings[1:]]
    assert dates == sorted(dates, reverse=True)
    kinds = set(re.findall(r"^### (.*)$", text("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_smoke_test_refuses_a_checkout():
    """Run tests/smoke.py here, where rnnlm is that of the checkout."""
    command = [sys.executable, str(ROOT / "tests" / "smoke.py")]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    assert "Not so: it is an installed one" in done.stderr


def test_click_types_are_not_subscripted():
    """click.ParamType can be subscripted since 8.4; pyproject.toml promises 8.1. `make package` tests that version."""
    subscripted = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "rnnlm").rglob("*.py")
        if re.search(r"(?<!\")click\.ParamType\[", path.read_text(encoding="utf-8"))
    ]
    assert subscripted == [], "write click.ParamType without [...] and # type: ignore[type-arg]"
