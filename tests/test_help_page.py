"""docs/help.md has the help of all commands, and mkdocs.yml names every page."""

import os
import re
import subprocess
import sys

import pytest

from tests.contract import commands
from tests.pages import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
NAV = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
NAMED = re.findall(r"^ +- .*?(\S+\.md)$", NAV, re.MULTILINE)


def made(**environment):
    """Return the output of docs/help.py."""
    command = [sys.executable, str(DOCS / "help.py"), "-"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, encoding="utf-8", check=True)
    return done.stdout


def test_the_help_page_is_up_to_date():
    page = (DOCS / "help.md").read_text(encoding="utf-8")
    assert page == made(), "docs/help.md is not what the commands say now. Write it anew: python docs/help.py"


def test_the_help_page_does_not_depend_on_the_environment():
    other = made(COLUMNS="133", LANG="zh_CN.UTF-8", LC_ALL="zh_CN.UTF-8", RNNLM_TRAIN_HIDDEN_SIZE="7")
    assert other == (DOCS / "help.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_the_help_page_has_every_command(name):
    assert f"\n## rnnlm {name}\n" in (DOCS / "help.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_site_names_every_page(page):
    title = (DOCS / page).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    assert page in NAMED, f"docs/{page} is missing. Add it to mkdocs.yml under nav:, such as\n  - {title}: {page}"


def test_every_page_of_the_site_exists():
    assert set(NAMED) <= set(PAGES)
    assert len(NAMED) == len(set(NAMED))
