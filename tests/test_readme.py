"""The README is complete and the same in both languages; test_docs.py runs its examples."""

import json
import re

import pytest

from rnnlm.cli import COMMANDS, run
from tests.pages import ROOT, blocks

ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
MOST_LINES = 200


def without_comments(page):
    return [(language, re.sub(r" +#.*", "", text)) for language, text in blocks(page)]


def test_both_languages_show_the_same_examples_and_figures():
    assert without_comments(ENGLISH) == without_comments(CHINESE)
    tables = [re.findall(r"^\| .*?[\d`].*", page, re.MULTILINE) for page in (ENGLISH, CHINESE)]
    figures = [re.findall(r"\d[\d.,]*", line) for line in tables[0]]
    assert figures == [re.findall(r"\d[\d.,]*", line) for line in tables[1]]


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_the_table_of_commands_is_complete(page):
    assert set(re.findall(r"^\| `rnnlm (\w+)", page, re.MULTILINE)) == set(COMMANDS)
    assert len(page.splitlines()) <= MOST_LINES


def test_the_first_two_commands_are_targets_of_make():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [line.split("#")[0].strip() for line in blocks(ENGLISH)[0][1].splitlines()] == ["make demo", "make test"]
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


def test_the_pytorch_example_gives_the_probabilities_of_the_model(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    page = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
    (example,) = [block for kind, block in blocks(page) if kind == "python" and "import torch" in block]
    assert "import rnnlm" not in example
    assert "weights_only=True" in example
    monkeypatch.chdir(tmp_path)
    corpus = str(ROOT / "corpora" / "chinese.txt")
    size = ["--epochs", "0.05", "--hidden-size", "8", "--num-layers", "2"]
    assert run(["train", corpus, *size, "--ngram", "0"]) == 0
    assert run(["export", "--to", "torch"]) == 0
    capsys.readouterr()
    exec(compile(example, "exchange.md", "exec"), {})
    printed = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
    assert run(["predict", "我 昨天 上学", "-k", "4", "--json"]) == 0
    candidates = json.loads(capsys.readouterr().out)["candidates"]
    expected = [(each["token"], each["probability"]) for each in candidates]
    assert len(printed) == 3
    shown = [(token, float(probability)) for probability, token in printed if token != "<unk>"]  # never ranked
    assert len(shown) >= 2
    for (token, probability), (its_token, its_probability) in zip(shown, expected, strict=False):
        assert (token, probability) == (its_token, pytest.approx(its_probability, abs=1e-4))


def test_the_page_about_evaluating_names_the_json_keys(tmp_path, capsys):
    page = (ROOT / "docs" / "evaluating.md").read_text(encoding="utf-8")
    text, model = tmp_path / "t.txt", str(tmp_path / "m.npz")
    text.write_text("a b c .\n" * 50, encoding="utf-8")
    assert run(["train", str(text), "-o", model, "--epochs", "1", "--hidden-size", "8"]) == 0
    expected = {
        ("eval", str(text)): {
            *("tokens", "oov", "characters", "logprob_nats", "nats_per_token"),
            *("perplexity", "perplexity_excluding_oov", "bits_per_char"),
        },
        ("predict", "a b"): {"context", "candidates"},
        ("sample",): {"text"},
        ("fill", "a ____ c"): {"text", "candidates"},
        ("score", str(text)): {"text", "tokens", "oov", "logprob_nats"},
        ("info",): {"format", "level", "cell", "vocabulary", "parameters", "training"},
    }
    for arguments, keys in expected.items():
        capsys.readouterr()
        assert run([*arguments, "-m", model, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out.splitlines()[0])
        assert keys <= answer.keys(), arguments
        for key in keys:
            assert f"`{key}`" in page, key
