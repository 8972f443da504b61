"""`rnnlm fill` with one-directional and bidirectional models, and commands that refuse the latter."""

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


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize(("noun", "verb"), [("一部 手机", "买"), ("一个 书包", "换"), ("一台 电脑", "修")])
def test_the_words_after_the_blank_decide(direction, noun, verb, models, rnnlm):
    text = f"我 的 东西 坏 了 ， 我 打算 ____ {noun} 。"
    answer = rnnlm("fill", text, "-m", models[direction], "--json").json
    best = answer["candidates"][0]
    assert answer["text"] == text
    assert best["tokens"] == [verb]
    assert best["text"] == text.replace("____", verb)
    assert sum(candidate["probability"] for candidate in answer["candidates"]) <= 1 + 1e-6


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_a_text_may_have_several_blanks_and_blanks_of_several_tokens(direction, models, rnnlm):
    text = "我 的 ____ 坏 了 ， 我 打算 ____ 手机 。"
    answer = rnnlm("fill", text, "-m", models[direction], "--blank-tokens", "2", "-k", "3", "--json").json
    assert answer["candidates"][0]["tokens"][1] == "买一部"
    assert len({tuple(candidate["tokens"]) for candidate in answer["candidates"]}) == 3


def test_fillings_are_shown_in_a_table(models, rnnlm):
    lines = rnnlm("fill", "我 的 ____ 坏 了", "-m", models["both"], "-k", "2").out.splitlines()
    assert len(lines) == 2
    assert 0 < float(lines[0].split()[0]) <= 1


@pytest.mark.parametrize("blank", ["__", "___", "____", "_______", "＿", "＿＿", "＿＿＿＿"])
def test_blanks_can_be_written_in_several_ways(blank, models, rnnlm):
    text = f"我 的 东西 坏 了 ， 我 打算 {blank} 一部 手机 。"
    best = rnnlm("fill", text, "-m", models["forward"], "--json").json["candidates"][0]
    assert best["text"] == text.replace(blank, "买")
    joined = rnnlm("fill", text.replace(" ", ""), "-m", models["forward"], "--json").json["candidates"][0]
    assert joined["tokens"] == ["买"]


@pytest.mark.parametrize("text", ["snake_case", "snake__case", "__init__", "a _ b", "_", "self.__dict__ 我", "x__ 1"])
def test_underscores_within_words_are_not_blanks(text, models, rnnlm):
    assert "____" in rnnlm("fill", text, "-m", models["forward"], code=1).err
    assert "blank" not in rnnlm("predict", text, "-m", models["forward"]).err
    (best, *_) = rnnlm("fill", f"{text} ____", "-m", models["forward"], "--json").json["candidates"]
    assert best["text"].startswith(f"{text} ")
    assert len(best["tokens"]) == 1


def test_several_arguments_are_one_text(models, rnnlm):
    text = "我 的 东西 坏 了 ， 我 打算 ____ 一部 手机 。"
    first, *rest = text.split()
    assert (
        rnnlm("fill", first, "-k", "3", *rest, "-m", models["forward"], "--json").json
        == rnnlm("fill", text, "-m", models["forward"], "-k", "3", "--json").json
    )


@pytest.mark.parametrize("space", [False, True])
def test_only_words_around_a_blank_are_reported_as_unknown(space, models, tmp_path, rnnlm):
    corpus, model = tmp_path / "corpus.txt", str(tmp_path / "m.npz")
    corpus.write_text("我的手机坏了\n" * 30, encoding="utf-8")
    rnnlm("train", corpus, "--level", "char", "-o", model, *SMALL, "--epochs", "1", "--threads", "1")
    for text in ("我的__坏了____", "＿的手机＿＿了", "____"):
        warned = space and "的" in text
        assert (
            rnnlm("fill", text.replace("的", " " * space + "的"), "-m", model).err
            == "Warning: not in the vocabulary, read as <unk>: ␣\n" * warned
        )


@pytest.mark.parametrize("text", ["我 的 手机 ____", "我 的 手机____", "我 的 手机 ＿＿", "我 的 手机 __  "])
def test_predict_takes_a_blank_at_the_end_as_the_next_token(text, models, rnnlm):
    def predicted(asked: str) -> tuple[list, str]:
        printed = rnnlm("predict", asked, "-m", models["forward"], "--json")
        return json.loads(printed.out)["candidates"], printed.err

    candidates, said = predicted("我 的 手机")
    assert said == ""
    with_blank, said = predicted(text)
    assert with_blank == candidates
    assert "blank at the end" in said
    assert said.count("\n") == 1
    assert rnnlm("fill", text, "-m", models["forward"], "--json").json[
        "candidates"
    ]  # fill still compares whole sentences


@pytest.mark.parametrize("text", ["我 的 手机", "", "我 ____ 了\n我 ____ 了"])
def test_a_text_without_a_blank_or_of_two_lines_is_refused(text, models, rnnlm):
    printed = rnnlm("fill", text, "-m", models["both"], code=1)
    assert printed.out == ""
    assert "____" in printed.err


@pytest.mark.parametrize("command", [["predict", "我"], ["sample"], ["eval", "CORPUS"], ["score", "CORPUS"]])
def test_a_bidirectional_model_refuses_commands_that_need_a_next_token(command, models, rnnlm):
    arguments = [models["corpus"] if part == "CORPUS" else part for part in command]
    printed = rnnlm(*arguments, "-m", models["both"], code=1)
    assert printed.out == ""
    assert "bidirectional" in printed.err


def test_training_calls_its_figure_pseudo_perplexity_and_resumes(models, tmp_path, rnnlm):
    path = str(tmp_path / "m.npz")
    arguments = ["train", models["corpus"], "-o", path, "--bidirectional", *SMALL, "--threads", "1"]
    assert "pseudo-perplexity" in rnnlm(*arguments, "--epochs", "2").err
    rnnlm(*arguments, "--epochs", "3", "--resume")
    assert "--context sentence" in rnnlm(*arguments, "--context", "stream", "--force", code=1).err
