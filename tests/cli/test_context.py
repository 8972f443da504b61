"""The context of lines (sentence or stream) is detected, reported, stored, and used when single lines are read."""

import random
from pathlib import Path

import numpy as np
import pytest

import rnnlm as library
from rnnlm.errors import CheckpointError, RnnlmError
from rnnlm.language_model import LanguageModel
from rnnlm.storage import checkpoint
from rnnlm.text.vocabulary import BOS, UNK

SMALL = ["--hidden-size", "16", "--embedding-size", "8", "--threads", "1", "--epochs", "1"]


def book(lines: int = 900, seed: int = 1) -> list[str]:
    """Return lines about a person and a thing that change every ten lines."""
    rng = random.Random(seed)
    names = [f"name{i}" for i in range(40)]
    things = [f"thing{i}" for i in range(40)]
    verbs = ["sees", "takes", "wants", "finds", "sells", "keeps"]
    found = []
    for line in range(lines):
        if line % 10 == 0:
            name, thing = rng.choice(names), rng.choice(things)
        found.append(f"{name} {rng.choice(verbs)} the {thing} and {rng.choice(verbs)} it .")
    return found


@pytest.fixture
def running(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("\n".join(book()) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def shuffled(running: Path) -> Path:
    path = running.with_name("list.txt")
    lines = running.read_text(encoding="utf-8").splitlines()
    random.Random(2).shuffle(lines)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_book_is_detected_as_a_stream_and_its_shuffled_lines_as_sentences(running, shuffled, rnnlm):
    for path, context in ((running, "stream"), (shuffled, "sentence")):
        model = path.with_suffix(".npz")
        said = rnnlm("train", path, "-o", model, *SMALL).err
        assert f"Context     {context}: " in said
        assert f"--context {context} " in said.replace("\n", " ")
        assert LanguageModel.load(model).context == context
        assert rnnlm("info", model, "--json").json["context"] == context


@pytest.mark.parametrize("options", [["--context", "sentence"], ["--level", "char"], ["--bidirectional"]])
def test_the_context_is_not_detected_where_it_is_given_or_fixed(running, options, rnnlm):
    said = rnnlm("train", running, "-o", running.with_suffix(".npz"), *SMALL, *options).err
    assert "Context  " not in said
    expected = "stream" if "char" in options else "sentence"
    assert LanguageModel.load(running.with_suffix(".npz")).context == expected


def test_both_contexts_are_validated_on_the_same_lines(running, rnnlm):
    said = [
        rnnlm("train", running, "-o", running.with_suffix(".npz"), *SMALL, "--context", context, "--force").err
        for context in ("stream", "sentence")
    ]
    lines = [[line for line in text.splitlines() if line.startswith(("Text", "Held out"))] for text in said]
    assert lines[0] == lines[1]
    assert "blocks spread over the text" in said[0]


def test_the_python_api_detects_the_same_context(running):
    model = library.train(running, hidden_size=8, epochs=0.1, progress=False)
    assert (model.context, model.line_resets) == ("stream", True)


def test_line_resets_survive_saving_and_resuming(running, rnnlm, tmp_path):
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    options = ["--hidden-size", "8", "--embedding-size", "4", "--threads", "1", "--ngram", "0"]
    rnnlm("train", running, "-o", whole, *options, "--epochs", "2")
    model = LanguageModel.load(whole)
    assert (model.line_resets, model.start, model.line_before) == (True, BOS, [])
    assert checkpoint.read_header(whole)["training"]["options"]["line_resets"] == 0.2
    stopped = library.train(
        running, hidden_size=8, embedding_size=4, threads=1, ngram=0, epochs=2, progress=lambda r: r.step < 3
    )
    stopped.save(parts)
    rnnlm("train", running, "-o", parts, "--resume", "--threads", "1")
    assert whole.read_bytes() == parts.read_bytes()
    weights, back = tmp_path / "w.safetensors", tmp_path / "back.npz"
    rnnlm("export", "-m", whole, "--to", "safetensors", "-o", weights)
    rnnlm("import", weights, "-o", back)
    assert LanguageModel.load(back).line_resets


@pytest.mark.parametrize("options", [["--line-resets", "0"], ["--context", "sentence"]])
def test_without_line_resets_single_lines_start_as_before(running, options, rnnlm):
    path = running.with_suffix(".npz")
    rnnlm("train", running, "-o", path, *SMALL, *options)
    model = LanguageModel.load(path)
    assert not model.line_resets
    assert (model.start == BOS) == ("sentence" in options)


def test_line_resets_are_refused_where_they_have_no_meaning(running, rnnlm):
    for options in (["--context", "sentence"], ["--level", "char"]):
        said = rnnlm("train", running, "-o", "x.npz", *SMALL, *options, "--line-resets", "0.2", code=1).err
        assert said.startswith("Error: --line-resets is for")


def test_line_resets_improve_the_scores_of_single_lines(tmp_path, rnnlm):
    """The second word of a line depends on the first, which depends on the line before."""
    rng, word, lines = random.Random(1), 0, []
    for _ in range(3000):
        word = (word + rng.choice([1, 1, 1, 2])) % 12
        lines.append(f"a{word} b{word} .")
    text, nats = tmp_path / "text.txt", {}
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for share in ("0", "0.2"):
        path = tmp_path / f"{share}.npz"
        options = ["--hidden-size", "24", "--threads", "1", "--epochs", "3", "--ngram", "0", "--context", "stream"]
        rnnlm("train", text, "-o", path, *options, "--line-resets", share)
        alone = LanguageModel.load(path).score(lines[:500])
        nats[share] = -np.mean([score.log_probabilities[0] for score in alone])
    assert nats["0.2"] < np.log(12) + 0.1, "alone, a line begins with any of twelve words"
    assert nats["0"] > nats["0.2"] + 0.1


# Lines as one document


def test_a_document_has_the_score_that_eval_reports(running, rnnlm):
    path, text = running.with_suffix(".npz"), running.with_name("some.txt")
    text.write_text("\n".join(book(60, seed=9)) + "\n", encoding="utf-8")
    rnnlm("train", running, "-o", path, *SMALL)
    expected = rnnlm("eval", text, "-m", path, "--json").json["logprob_nats"]
    lines = rnnlm("score", text, "-m", path, "--context", "document", "--json").objects
    assert sum(line["logprob_nats"] for line in lines) == pytest.approx(expected, rel=1e-6)
    alone = rnnlm("score", text, "-m", path, "--json").objects
    assert sum(line["logprob_nats"] for line in alone) != pytest.approx(expected, rel=1e-3)


def test_eval_measures_a_cache_beside_the_model_and_score_uses_it(running, rnnlm):
    path, text, other = running.with_suffix(".npz"), running.with_name("some.txt"), running.with_name("other.txt")
    text.write_text("\n".join(book(120, seed=9)) + "\n", encoding="utf-8")
    other.write_text("\n".join(book(120, seed=8)) + "\n", encoding="utf-8")
    rnnlm("train", running, "-o", path, *SMALL)
    found = rnnlm("eval", text, "-m", path, "--cache", "100", "--json").json
    (cache,) = found["cache"]
    assert (cache["remembered"], cache["weight"], cache["theta"]) == (100, 0.2, 15.0)
    assert cache["perplexity"] < 0.98 * found["perplexity"], "names and things come again"
    lines = rnnlm("score", text, "-m", path, "--context", "document", "--cache", "100", "--json").objects
    assert sum(line["logprob_nats"] for line in lines) == pytest.approx(cache["logprob_nats"], rel=1e-6)
    tuned = rnnlm("eval", text, "-m", path, "--cache", "100", "--tune", other, "--json").json["cache"][0]
    assert tuned["weight"] != 0.2
    assert tuned["perplexity"] < cache["perplexity"] * 1.02
    other_model = running.with_name("2gram.npz")
    rnnlm("ngram", "train", running, "-o", other_model, "--order", "2")
    mixed = [text, "-m", path, "--mix", f"{other_model}:0.3", "--cache", "100", "--json"]
    expected = rnnlm("eval", *mixed).json["cache"][0]["logprob_nats"]
    lines = rnnlm("score", *mixed, "--context", "document").objects
    assert sum(line["logprob_nats"] for line in lines) == pytest.approx(expected, rel=1e-6)
    shown = rnnlm("eval", text, "-m", path, "--cache", "100").out
    assert "neural cache: part of the probability" in shown


def test_a_cache_makes_words_that_were_read_more_probable(running, rnnlm):
    """As a control, a word that was not read does not become more probable."""
    path = running.with_suffix(".npz")
    rnnlm("train", running, "-o", path, *SMALL, "--epochs", "3")
    model = LanguageModel.load(path)
    remembering = model.with_cache(tokens=50, weight=0.3)

    def probability(which: LanguageModel, text: str, word: str) -> float:
        return which.predict(text, allowed=[word]).candidates[0].probability

    read = "\n".join(["name7 sees the thing9 and keeps it ."] * 3) + "\nname7 takes the"
    assert probability(remembering, read, "thing9") > probability(model, read, "thing9") + 0.05
    assert probability(remembering, read, "thing3") < probability(model, read, "thing3")
    total = sum(each.probability for each in remembering.predict(read, k=999).candidates)
    assert total == pytest.approx(1, abs=0.02)
    said = rnnlm("predict", read, "-m", path, "--cache", "50", "--cache-weight", "0.3", "-k", "99", "--json").json
    found = {each["token"]: each["probability"] for each in said["candidates"]}
    assert found["thing9"] == pytest.approx(probability(remembering, read, "thing9"), rel=1e-4)


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("eval", ["--cache-weight", "0.1"], "--cache-weight needs --cache"),
        ("eval", ["--cache", "9", "--cache-weight", "0.1", "--tune", "x"], "leave out --cache-weight"),
        ("eval", ["--cache", "-1"], "--cache"),
        ("eval", ["--cache", "9", "--cache-weight", "1"], "--cache-weight"),
        ("score", ["--cache", "9"], "--context document"),
        ("predict", ["--cache-theta", "2"], "--cache-theta needs --cache"),
    ],
)
def test_cache_and_document_options_that_make_no_sense_are_refused(command, options, said, rnnlm, corpus):
    assert said in rnnlm(command, corpus, *options, code=2).err


def test_a_sentence_model_warns_that_a_cache_is_of_little_use(corpus, rnnlm):
    path = corpus.with_name("m.npz")
    rnnlm("train", corpus, "-o", path, *SMALL, "--context", "sentence")
    assert "of the same line only" in rnnlm("predict", "我", "-m", path, "--cache", "9").err
    said = rnnlm("score", corpus, "-m", path, "--cache", "9", "--context", "document").err
    assert "of the same line only" not in said


def test_a_cache_is_refused_for_ngram_models(corpus, rnnlm):
    path = corpus.with_name("2gram.npz")
    rnnlm("ngram", "train", corpus, "-o", path, "--order", "2")
    for command in ("eval", "predict"):
        said = rnnlm(command, corpus, "-m", path, "--cache", "9", code=1).err
        assert said.startswith("Error: --cache compares the states of a recurrent network, and ")


def test_a_model_with_a_cache_describes_itself(running, rnnlm):
    path = running.with_suffix(".npz")
    rnnlm("train", running, "-o", path, *SMALL)
    model = LanguageModel.load(path).with_cache(tokens=30)
    assert "with a cache of 30 tokens" in repr(model)
    assert model.kind == "rnn"
    assert model.network.config.hidden_size == 16
    assert "with a cache of 7 tokens" in repr(model.with_cache(tokens=7)), "another one takes its place"
    with pytest.raises(CheckpointError, match="cache is not saved"):
        model.save(running.with_name("x.npz"))
    for wrong in ({"tokens": 0}, {"weight": 1.0}, {"weight": 0.0}, {"theta": -1.0}):
        with pytest.raises(RnnlmError):
            model.with_cache(**wrong)


def test_a_cache_does_not_repeat_unknown_words(running):
    model = library.train(running, hidden_size=8, epochs=0.1, progress=False)
    lines, remembering = ["never heard of these words"] * 5, model.with_cache(tokens=100, weight=0.5)
    scored = [list(each.score(lines, document=True))[1:] for each in (model, remembering)]  # the cache is still empty
    for line, other in zip(*scored, strict=True):
        assert line.oov > 3
        of_unknown = line.ids == UNK
        assert (other.log_probabilities[of_unknown] < line.log_probabilities[of_unknown] + np.log(0.51)).sum() >= 3
