"""rnnlm predict --complete, --ahead, --prefix and --allowed."""

import json

import pytest

import rnnlm
from rnnlm.cli import run

LINES = ["the cat sat on the mat .", "the dog said no .", "a cat saw the dog .", "the satin is red ."] * 40
SETTINGS = {"epochs": 6, "hidden_size": 24, "seed": 1, "threads": 1, "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    rnnlm.train(text=LINES, **SETTINGS).save(folder / "words.npz")
    rnnlm.train(text=LINES, level="char", **SETTINGS).save(folder / "characters.npz")
    return folder


@pytest.fixture
def predict(folder, capsys):
    def ask(*arguments: str, model: str = "words", code: int = 0):
        assert run(["predict", "-m", str(folder / f"{model}.npz"), *arguments]) == code
        return capsys.readouterr()

    return ask


@pytest.fixture(scope="module")
def words(folder):
    return rnnlm.load(folder / "words.npz")


def test_a_half_typed_last_word_is_completed(predict, words):
    shown = predict("--complete", "-k", "3", "the cat sa")
    assert {line.split()[1] for line in shown.out.splitlines()} <= {"sat", "saw", "said", "satin"}
    assert shown.err == ""  # "sa" is the beginning of a word, not an unknown one
    answer = json.loads(predict("--complete", "-k", "3", "--json", "the cat sa").out)
    expected = words.predict_ahead("the cat sa", 1, 3, complete=True)
    assert answer["context"] == "the cat sa"
    assert [(each["token"], each["probability"], each["text"], each["typed"]) for each in answer["candidates"]] == [
        (each.tokens[0], each.probability, each.text, each.typed) for each in expected
    ]
    assert "the cat sa" + answer["candidates"][0]["text"] == "the cat " + answer["candidates"][0]["token"]


def test_after_a_finished_word_the_next_one_is_predicted(predict):
    assert predict("--complete", "the cat ").out == predict("the cat").out
    unknown = predict("--complete", "the zebra sa")
    assert "zebra" in unknown.err


def test_ahead_predicts_several_tokens(predict, words):
    expected = words.predict_ahead("the cat", 3, 4)
    lines = predict("--ahead", "3", "-k", "4", "the", "cat").out.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [
        [f"{each.probability:.4f}", each.text.strip(" ").replace("\n", "\\n")] for each in expected
    ]
    answer = json.loads(predict("--ahead", "3", "-k", "4", "--json", "the cat").out)
    assert [each["tokens"] for each in answer["candidates"]] == [each.tokens for each in expected]
    both = json.loads(predict("--ahead", "2", "--complete", "-k", "1", "--json", "the cat sa").out)["candidates"][0]
    assert both["tokens"][0] == both["typed"] + both["text"].split()[0]


def test_candidates_can_be_restricted(predict, words):
    assert [line.split()[1] for line in predict("--prefix", "sai", "the dog").out.splitlines()] == ["said"]
    some = predict("--allowed", "mat", "--allowed", "dog", "--allowed", "nobody", "the").out
    assert {line.split()[1] for line in some.splitlines()} == {"mat", "dog"}
    nothing = predict("--prefix", "xyz", "the")
    assert nothing.out == ""
    assert nothing.err == "No token matches --prefix, --allowed or the letters to complete.\n"
    assert json.loads(predict("--prefix", "xyz", "--json", "the").out)["candidates"] == []
    ahead = json.loads(predict("--prefix", "sa", "--ahead", "2", "--json", "the dog").out)["candidates"]
    assert {each["tokens"][0][:2] for each in ahead} == {"sa"}


def test_a_character_model_completes_one_word(predict):
    shown = predict("--complete", "-k", "3", "the cat sa", model="characters").out
    assert all(line.split()[1].startswith("sa") for line in shown.splitlines())
    refused = predict("--complete", "--ahead", "2", "the cat sa", model="characters", code=2)
    assert "completes one word" in refused.err
    ahead = json.loads(predict("--ahead", "4", "-k", "2", "--json", "the c", model="characters").out)["candidates"]
    assert all(len(each["text"]) == 4 for each in ahead)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--complete", "--prefix", "s"], "leave out --prefix"), (["--each", "--complete"], "--each ranks all"),
        (["--why", "--ahead", "2"], "--why ranks all"), (["--each", "--allowed", "a"], "--each ranks all"),
        (["--ahead", "0"], "x>=1"),
    ],
)  # fmt: skip
def test_incompatible_options_are_a_usage_error(predict, options, said):
    refused = predict(*options, "the cat", code=2)
    assert said in " ".join(refused.err.split())
    assert refused.out == ""
