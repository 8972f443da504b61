"""Pages under docs/: what they show runs, and the options that they name exist."""

import re
import shlex

import pytest

from tests.pages import ROOT, blocks, quick, run_page, script
from tests.test_readme import EVERY

PAGES = {
    str(path.relative_to(ROOT / "docs")): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs").rglob("*.md"))
}
SHOWN = [name for name, page in PAGES.items() if {"console", "python"} & {language for language, _ in blocks(page)}]


@pytest.mark.parametrize("name", SHOWN)
def test_what_a_page_shows_runs(name, tmp_path, monkeypatch):
    run_page(PAGES[name], tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_a_page_have_only_options_that_exist(name):
    shown = [script(text) if language == "console" else text for language, text in blocks(PAGES[name])]
    for words in re.findall(r"^rnnlm .*", "\n".join(shown), re.MULTILINE):
        words = shlex.split(words.split("|")[0].rstrip("\\"), comments=True)[1:]
        path = tuple(words[:2]) if tuple(words[:2]) in EVERY else tuple(words[:1])
        options = {option for parameter in EVERY[path].params for option in parameter.opts}
        assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= options, words


@pytest.mark.parametrize("name", PAGES)
def test_options_that_a_page_names_exist(name):
    known = {option for command in EVERY.values() for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"`(--[a-z][a-z-]+)", PAGES[name]))
    assert named - known <= {"--help", "--version"}


def test_a_command_that_fails_is_seen(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="missing"):
        run_page("```console\n$ rnnlm info -m missing.npz\n```\n", tmp_path, monkeypatch)


def test_a_long_command_is_typed_over_several_lines():
    assert script("$ cat > a.txt <<'END'\n> one\n> END\nprinted\n") == "cat > a.txt <<'END'\none\nEND\n"
    assert quick(["train", "a", "--time", "5m"])[:4] == ["train", "a", "--epochs", "0.05"]
