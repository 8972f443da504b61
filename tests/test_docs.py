"""Examples in README and docs/ run, and the options, files and pages that they name exist."""

import re
import shlex

import click
import pytest

from rnnlm.cli import run
from tests.pages import COMPARED, EVERY, ROOT, blocks, quick, run_page, script

FILES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
SHOWN = [name for name, page in PAGES.items() if {"console", "python"} & {language for language, _ in blocks(page)}]
OTHER_PROGRAMS = r"(?:python|pip|uv|make|torchrun|docker) .*?(?=-m rnnlm|`|$)"  # programs with their own options
KNOWN = {
    option
    for command in EVERY.values()
    for parameter in command.params
    for option in parameter.opts + parameter.secondary_opts
}


@pytest.mark.parametrize("name", SHOWN)
def test_examples_of_a_page_run(name, tmp_path, monkeypatch):
    run_page(PAGES[name], tmp_path, monkeypatch, "zh" if name.startswith("docs/zh/") else "en")


@pytest.mark.parametrize("name", PAGES)
def test_commands_on_a_page_use_existing_options(name):
    shown = [script(text) if language == "console" else text for language, text in blocks(PAGES[name])]
    for words in re.findall(r"^rnnlm .*", "\n".join(shown), re.MULTILINE):
        words = shlex.split(words.split("|")[0].rstrip("\\"), comments=True)[1:]
        if words[0] == "--lang":  # the option of rnnlm itself
            del words[:2]
        path = tuple(words[:2]) if tuple(words[:2]) in EVERY else tuple(words[:1])
        options = {option for parameter in EVERY[path].params for option in parameter.opts}
        assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= options, words


@pytest.mark.parametrize("name", PAGES)
def test_options_named_on_a_page_exist(name):
    ours = re.sub(OTHER_PROGRAMS, "", PAGES[name], flags=re.MULTILINE)
    assert set(re.findall(r"`(--[a-z][a-z-]+)", ours)) - KNOWN <= {"--help", "--version"}


@pytest.mark.parametrize("name", PAGES)
def test_files_and_pages_named_on_a_page_exist(name):
    for target in re.findall(r"`((?:rnnlm|tests|benchmarks|corpora|examples)/[\w./-]*)`", PAGES[name]):
        assert (ROOT / target).exists() or (ROOT / f"{target}.py").exists(), target
    prose = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", prose):
        assert (ROOT / name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("name", PAGES)
def test_no_placeholder_is_left(name):
    assert not re.search(r"@[A-Z]+@|TODO|FIXME", PAGES[name])


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_and_every_option_has_a_help_text(path, capsys):
    assert run([*path, "--help"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 3
    for parameter in EVERY[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts}"


@pytest.mark.parametrize("name", PAGES)
def test_names_of_the_code_given_on_a_page_exist(name):
    """They are written like `rnnlm/nn/cells/rnn.py:rnn_step`."""
    for path, what in re.findall(r"`(rnnlm/[\w/]+\.py):(\w+)`", PAGES[name]):
        assert re.search(rf"^(?:def|class) {what}\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), path


def test_the_tutorial_has_the_same_commands_in_both_languages():
    chinese, english = (blocks(PAGES[name]) for name in ("docs/zh/rnn-tutorial.md", "docs/rnn-tutorial.md"))
    kinds = [language for language, _ in chinese]
    assert kinds == [language for language, _ in english]
    for (language, here), (_, there) in zip(chinese, english, strict=True):
        if language == "console":
            called = [re.findall(r"^\$ (rnnlm (?:lab )?\w+)", text, re.MULTILINE) for text in (here, there)]
            assert called[0] == called[1]


def test_a_failing_command_is_reported(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="missing"):
        run_page("```console\n$ rnnlm info -m missing.npz\n```\n", tmp_path, monkeypatch)


@pytest.mark.parametrize("shown", ["sum   84.791", "sum\n84.791", "...\nsoftmax(1, 2, 3, 4) = 0.03 0.09 0.24 0.64"])
def test_a_different_output_is_reported(shown, tmp_path, monkeypatch):
    page = f"{COMPARED}\n```console\n$ rnnlm lab softmax 1 2 3 4\n{shown}\n```\n"
    run_page(page, tmp_path / "right", monkeypatch)
    with pytest.raises(AssertionError, match=r"0\.65|84\.792"):
        run_page(page.replace("84.791", "84.792").replace("0.64", "0.65"), tmp_path / "wrong", monkeypatch)
    for uncompared in (page.replace(COMPARED, ""), page.replace("```c", "<!-- Not compared: for a test. -->\n```c")):
        folder = tmp_path / str(len(uncompared))
        run_page(uncompared.replace("84.791", "84.792"), folder, monkeypatch)


def test_script_joins_continuation_lines_and_quick_shortens_trainings():
    assert script("$ cat > a.txt <<'END'\n> one\n> END\nprinted\n") == "cat > a.txt <<'END'\none\nEND\n"
    assert quick(["train", "a", "--time", "5m"])[:4] == ["train", "a", "--epochs", "0.05"]
