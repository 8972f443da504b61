"""Modules and functions that docs/architecture.md names exist."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MODULES = sorted(set(re.findall(r"`((?:rnnlm|tests)/[\w/]+)`", PAGE)))
# Rows of the two tables: number, functions, modules.
ROWS = [row.groups() for row in re.finditer(r"^\| (\d+) \| (.+?) \| (.+?) \|", PAGE, re.MULTILINE)]
WAYS = [ROWS[:16], ROWS[16:]]


def sources(module):
    """Return the source of a module, or of all modules of a folder."""
    path = ROOT / module
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_the_page_is_short_and_names_modules():
    assert len(PAGE.splitlines()) < 150
    assert len(MODULES) > 20


@pytest.mark.parametrize("module", MODULES)
def test_every_named_module_exists(module):
    assert sources(module)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_every_function_is_in_the_module_that_the_page_names(row):
    _, functions, modules = row
    text = "\n".join(sources(module) for module in re.findall(r"`([\w/]+)`", modules))
    for name in re.findall(r"`([\w.]+)`", functions):
        assert re.search(rf"(?:def|class) \w*{name.rpartition('.')[2]}\b", text), name


@pytest.mark.parametrize("way", WAYS, ids=["train", "predict"])
def test_the_changes_of_rooms_are_counted_correctly(way):
    rooms = [re.search(r"rnnlm/(\w+)", modules)[1] for _, _, modules in way]
    changes = sum(one != other for one, other in pairwise(rooms))
    assert f"rom 1 to {len(way)} the way changes rooms {changes} times" in PAGE


def test_the_drawing_has_every_subpackage():
    drawing = PAGE.partition("```")[2].partition("```")[0]
    folders = {path.name for path in (ROOT / "rnnlm").iterdir() if (path / "__init__.py").exists()}
    assert folders - set(re.findall(r"\w+", drawing)) == set()
