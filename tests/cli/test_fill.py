"""`rnnlm fill` with models of one direction and two, and what two-sided models refuse."""

import json

import pytest

from rnnlm.cli import run

SENTENCES = [
    "我 的 手机 坏 了 ， 我 打算 买 一部 手机 。",
    "我 的 书包 坏 了 ， 我 打算 换 一个 书包 。",
    "我 的 电脑 坏 了 ， 我 打算 修 一台 电脑 。",
]
SMALL = ["--hidden-size", "24", "--embedding-size", "12", "--bptt", "32", "--batch-size", "4", "--dropout", "0"]
LONG = ["--epochs", "40", "--lr", "0.01", "--threads", "1"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models that know three sentences by heart."""
    folder = tmp_path_factory.mktemp("models")
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    for name, more in {"forward": [], "both": ["--bidirectional"]}.items():
        assert run(["train", str(corpus), "-o", str(folder / f"{name}.npz"), *SMALL, *LONG, *more]) == 0
    return {name: str(folder / f"{name}.npz") for name in ("forward", "both")} | {"corpus": str(corpus)}


def answers(capsys, *arguments: str) -> dict:
    capsys.readouterr()
    assert run(["fill", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize(("noun", "verb"), [("一部 手机", "买"), ("一个 书包", "换"), ("一台 电脑", "修")])
def test_what_stands_after_the_blank_decides(direction, noun, verb, models, capsys):
    text = f"我 的 东西 坏 了 ， 我 打算 ____ {noun} 。"
    answer = answers(capsys, text, "-m", models[direction])
    best = answer["candidates"][0]
    assert answer["text"] == text
    assert best["tokens"] == [verb]
    assert best["text"] == text.replace("____", verb)
    assert sum(candidate["probability"] for candidate in answer["candidates"]) <= 1 + 1e-6


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_several_blanks_and_blanks_of_several_tokens(direction, models, capsys):
    text = "我 的 ____ 坏 了 ， 我 打算 ____ 手机 。"
    answer = answers(capsys, text, "-m", models[direction], "--blank-tokens", "2", "-k", "3")
    assert answer["candidates"][0]["tokens"][1] == "买一部"
    assert len({tuple(candidate["tokens"]) for candidate in answer["candidates"]}) == 3


def test_a_table_for_people(models, capsys):
    capsys.readouterr()
    assert run(["fill", "我 的 ____ 坏 了", "-m", models["both"], "-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert 0 < float(lines[0].split()[0]) <= 1


@pytest.mark.parametrize("text", ["我 的 手机", "", "我 ____ 了\n我 ____ 了"])
def test_a_text_without_a_blank_or_of_two_lines_is_refused(text, models, capsys):
    capsys.readouterr()
    assert run(["fill", text, "-m", models["both"]]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "____" in printed.err


@pytest.mark.parametrize("command", [["predict", "我"], ["sample"], ["eval", "CORPUS"], ["score", "CORPUS"]])
def test_a_two_sided_model_refuses_what_has_no_meaning_for_it(command, models, capsys):
    arguments = [models["corpus"] if part == "CORPUS" else part for part in command]
    capsys.readouterr()
    assert run([*arguments, "-m", models["both"]]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "bidirectional" in printed.err


def test_training_calls_its_figure_pseudo_perplexity_and_resumes(models, tmp_path, capsys):
    path = str(tmp_path / "m.npz")
    arguments = ["train", models["corpus"], "-o", path, "--bidirectional", *SMALL, "--threads", "1"]
    assert run([*arguments, "--epochs", "2"]) == 0
    assert "pseudo-perplexity" in capsys.readouterr().err
    assert run([*arguments, "--epochs", "3", "--resume"]) == 0
    assert run([*arguments, "--context", "stream", "--force"]) == 1
    assert "--context sentence" in capsys.readouterr().err
