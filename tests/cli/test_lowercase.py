"""--lowercase is stored in the checkpoint and applies to all text that the model reads."""

import json

import numpy as np
import pytest

import rnnlm
from rnnlm.cli import run
from rnnlm.storage.checkpoint import load

LINES = [
    "The Ferry To The Island leaves at Noon .",
    "the LORD said unto Moses , Go up .",
    "IN THE BEGINNING was the Word ,",
    "Moses went up , and the ferry left at noon .",
] * 30
TRAINING = ["--epochs", "1", "--threads", "1", "--hidden-size", "12", "--embedding-size", "8", "--ngram", "2"]


@pytest.fixture(scope="module", params=["word", "char", "token"])
def made(request, tmp_path_factory):
    """Models a, b, c: of a text with --lowercase, of the lower-case text, and of the text as it is."""
    folder = tmp_path_factory.mktemp("case")
    (folder / "text").write_text("\n".join(LINES))
    (folder / "lower").write_text("\n".join(LINES).lower())
    for name, text, more in [("a", "text", ["--lowercase"]), ("b", "lower", []), ("c", "text", [])]:
        arguments = [str(folder / text), "-o", str(folder / f"{name}.npz"), "--level", request.param, *TRAINING, *more]
        assert run(["train", *arguments]) == 0
    return folder


def test_training_with_lowercase_equals_training_on_a_text_in_lower_case(made):
    (header, one), (_, other), (_, cased) = (load(made / f"{name}.npz") for name in "abc")
    assert header["tokenizer"]["options"]["lowercase"] is True
    assert one.keys() == other.keys()
    for name, array in one.items():
        if not name.startswith("cohesion"):
            np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert cased["embedding.weight"].shape != one["embedding.weight"].shape


def printed(capfdbinary, *arguments):
    capfdbinary.readouterr()
    assert run([str(each) for each in arguments]) == 0
    return capfdbinary.readouterr().out.decode()


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "--json", "The FERRY to"],
        ["predict", "--each", "The FERRY"],
        ["eval", "FILE", "--json"],
        ["score", "FILE", "--json"],
        ["sample", "--prompt", "THE LORD", "--seed", "1", "--length", "5"],
        ["fill", "The ____ said", "--json"],
        ["rescore", "FILE", "--json"],
    ],
)
def test_every_command_reads_in_lower_case(command, made, capfdbinary):
    (made / "new").write_text("The LORD went up .\nMOSES said\n")
    (made / "new-lower").write_text("the lord went up .\nmoses said\n")

    def asked(model, name, lower):
        words = [word.replace("FILE", str(made / name)) if word == "FILE" else word for word in command]
        words = [word.lower() if lower and not word.startswith(("-", str(made))) else word for word in words]
        return printed(capfdbinary, *words, "-m", made / f"{model}.npz").lower().replace("new-lower", "new")

    assert asked("a", "new", False) == asked("b", "new-lower", True)
    assert asked("b", "new", False) != asked("b", "new-lower", True)  # without --lowercase, case matters


def test_lowercase_can_be_given_for_a_model_of_lower_case_text(made, capfdbinary):
    text = ["--text", "The LORD said", "--json"]
    told = json.loads(printed(capfdbinary, "score", *text, "-m", made / "b.npz", "--lowercase"))
    assert told == json.loads(printed(capfdbinary, "score", *text, "-m", made / "a.npz"))
    untold = json.loads(printed(capfdbinary, "score", *text, "-m", made / "b.npz"))
    assert untold["oov"] > told["oov"] == 0
    assert told["text"] == "The LORD said"
    assert rnnlm.load(made / "b.npz", lowercase=True).score("The LORD said").logprob_nats == told["logprob_nats"]
    run(["score", *text, "-m", str(made / "c.npz"), "--lowercase"])
    assert b"have capital letters, so they are never read" in capfdbinary.readouterr().err


def test_single_tokens_are_read_in_lower_case(made):
    model = rnnlm.load(made / "a.npz")
    token = "L" if model.level == "char" else "LORD"
    found = model.predict("the", allowed=[token]).candidates
    assert found == model.predict("the", allowed=[token.lower()]).candidates != []
    assert model.predict("the", prefix="L").candidates == model.predict("the", prefix="l").candidates != []
    scorer = model.scorer()
    assert list(scorer.ids([token, "</s>", "<unk>"])) == list(scorer.ids([token.lower(), "</s>", "<unk>"]))
    assert scorer.ids([token])[0] > 2


def test_positions_of_tokens_refer_to_the_original_text(made, capfdbinary):
    text = "The LORD Said"
    found = json.loads(printed(capfdbinary, "score", "--tokens", "--text", text, "--json", "-m", made / "a.npz"))
    parts = [text[each["start"] : each["end"]] for each in found["tokens"]]
    assert [part.lower() for part in parts if part] == [each["token"] for each in found["tokens"] if each["start"] < 13]
    assert any(part != part.lower() for part in parts)


def test_lowercase_survives_resuming(made, capfdbinary):
    more = ["--epochs", "2", "-o", str(made / "a.npz"), "--resume", "--threads", "1"]
    assert run(["train", str(made / "lower"), *more]) == 1  # this is another text
    assert run(["train", str(made / "text"), *more]) == 0
    assert load(made / "a.npz")[0]["tokenizer"]["options"]["lowercase"] is True
    other = [str(made / "text"), "-o", str(made / "d.npz"), "--init-from", str(made / "b.npz"), "--lowercase"]
    assert run(["train", *other]) == 1
    assert b"--lowercase contradicts" in capfdbinary.readouterr().err


def test_models_of_a_mixture_must_agree_on_lower_case(made, capfdbinary):
    mix = ["--mix", f"{made / 'b.npz'}:0.5", "--text", "The LORD", "--json"]
    assert json.loads(printed(capfdbinary, "score", *mix, "-m", made / "a.npz"))["oov"] == 0
    capfdbinary.readouterr()
    arguments = ["score", "-m", str(made / "b.npz"), "--mix", f"{made / 'a.npz'}:0.5", "--text", "The LORD"]
    assert run(arguments) == 1
    assert b"reads its text in lower case, and the model does not. Add --lowercase" in capfdbinary.readouterr().err
    assert run([*arguments, "--lowercase"]) == 0


def test_lowercase_survives_export_and_import(made, tmp_path, capfdbinary):
    pytest.importorskip("torch")
    assert run(["export", "-m", str(made / "a.npz"), "--to", "torch", "-o", str(tmp_path / "w.pt")]) == 0
    assert run(["import", str(tmp_path / "w.pt"), "-o", str(tmp_path / "again.npz")]) == 0
    assert rnnlm.load(tmp_path / "again.npz").tokenizer.lowercase


def test_ngram_models_support_lowercase(made, tmp_path, capfdbinary):
    asked = ["ngram", "train", str(made / "text"), "-o", str(tmp_path / "n.npz"), "--lowercase"]
    assert run(asked) == 0
    model = rnnlm.load(tmp_path / "n.npz")
    assert model.score("THE LORD").logprob_nats == model.score("the lord").logprob_nats
    assert run(asked) == 0  # the same command may replace its own file
    assert run(asked[:-1]) == 1
