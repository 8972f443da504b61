"""What is said of a line while it is typed is what the model says of the same text at once."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnlm as api
from rnnlm.draft import Draft
from rnnlm.errors import DirectionError

SMALL = {"hidden_size": 16, "embedding_size": 8, "threads": 1, "epochs": 2, "progress": False}
CORPORA = Path(__file__).parents[1] / "corpora"
CHINESE = (CORPORA / "chinese.txt").read_text(encoding="utf-8").splitlines()[:400]
ENGLISH = (CORPORA / "english.txt").read_text(encoding="utf-8").splitlines()[:400]
LINES = {"zh": "我昨天上学迟到了", "en": "The ferry was late and the harbour"}


@pytest.fixture(scope="module")
def models():
    return {
        "zh": api.train(text=CHINESE, **SMALL),
        "en": api.train(text=ENGLISH, context="stream", **SMALL),
        "char": api.train(text=ENGLISH, level="char", **SMALL),
        "counted": api.train_ngram(text=CHINESE, order=3),
    }


NAMES = ["zh", "en", "char", "counted"]


def line_of(name):
    return LINES["zh" if name in ("zh", "counted") else "en"]


@pytest.mark.parametrize("name", NAMES)
def test_every_key_says_what_the_whole_line_would(name, models):
    """Typed, taken back and typed anew, with lines that have nothing to do with each other between."""
    typed, line = Draft(models[name]), line_of(name)
    for text in [line[:n] for n in range(len(line) + 1)] + [line[:3], "", line[:-2], line[::-1], line]:
        reading, anew = typed.read(text), Draft(models[name]).read(text)
        assert "".join(piece.text for piece in reading.pieces) == text
        assert reading.bits == pytest.approx(anew.bits, abs=1e-4)
        assert [each.token for each in reading.continuations] == [each.token for each in anew.continuations]
        np.testing.assert_allclose(
            [each.probability for each in reading.continuations],
            [each.probability for each in anew.continuations],
            rtol=1e-4,
        )


@pytest.mark.parametrize("name", NAMES)
def test_surprise_is_that_of_score_and_candidates_are_those_of_predict(name, models):
    model, line = models[name], line_of(name)
    reading = Draft(model).read(f"{line} ", k=5)
    nats = model.score(line).log_probabilities
    ours = [piece.bits for piece in Draft(model).read(line).pieces]
    np.testing.assert_allclose(ours, -nats[: len(ours)] / math.log(2), atol=1e-3)
    expected = model.predict(f"{line} ", k=5).candidates
    assert [(each.token, pytest.approx(each.probability, rel=1e-3)) for each in reading.continuations] == expected


@pytest.mark.parametrize("name", NAMES)
def test_what_may_come_next_sums_to_one(name, models):
    draft, line = Draft(models[name]), line_of(name)
    never = [each for each in models[name].never_generated() if each != 1]
    for n in range(len(line)):
        total = sum(each.probability for each in draft.read(line[:n], 10**6).continuations)
        rows = draft._rows[len(draft._ids) - 1]
        assert 1 - float(np.exp(rows[never]).sum()) - 1e-3 <= total <= 1 + 1e-5


def test_a_word_that_was_begun_is_finished_by_the_rules_of_probability(models):
    """p(longer) against p(begun) p(next | begun), each given the text before; computed without a draft."""
    model = models["en"]
    before = {each.token: each.probability for each in model.predict("She said the ", k=10**6).candidates}
    begun = {token: p for token, p in before.items() if token.startswith("bo")}
    assert len(begun) > 3
    found = {each.token: each for each in Draft(model).read("She said the bo", 10**6).continuations}
    for token, probability in begun.items():
        assert token != "bo"
        assert found[token].probability == pytest.approx(probability / sum(begun.values()), rel=1e-3)
        assert "bo" + found[token].text == token
    assert found.keys() == begun.keys()  # "bo" is no word, so nothing comes after it
    assert Draft(model).read("She said the bo").begun_bits == pytest.approx(-math.log2(sum(begun.values())), abs=1e-3)
    assert Draft(model).read("She said the bo ").begun_bits is None


def test_a_word_that_may_be_whole_is_followed_by_longer_words_and_by_next_ones(models):
    model = models["en"]
    tokens = set(model.vocabulary.tokens)
    word = next(each for each in sorted(tokens) if f"{each}s" in tokens and len(each) > 3)
    before = {each.token: each.probability for each in model.predict("She said the ", k=10**6).candidates}
    after = {each.token: each.probability for each in model.predict(f"She said the {word} ", k=10**6).candidates}
    all_that_begin_so = sum(p for token, p in before.items() if token.startswith(word))
    found = {each.text: each for each in Draft(model).read(f"She said the {word}", 10**6).continuations}
    assert found["s"].token == f"{word}s"
    assert found["s"].probability == pytest.approx(before[f"{word}s"] / all_that_begin_so, rel=1e-3)
    assert found[" was"].token == "was"
    assert found[" was"].probability == pytest.approx(before[word] / all_that_begin_so * after["was"], rel=1e-3)


@pytest.mark.parametrize("line", ["我 昨天", "我 昨天 ", "昨天 上", "The fer", "The ferry", "The ferry ", ""])
def test_what_is_taken_is_read_as_the_token_that_it_is(line, models):
    model = models["en" if line[:1] in ("T", "") else "zh"]
    for each in Draft(model).read(line, 20).continuations:
        if not each.ends_line:
            assert model.tokens(line + each.text)[-1] == each.token


def test_a_stream_remembers_the_lines_before_and_a_sentence_does_not(models):
    for name, remembers in (("en", True), ("char", True), ("zh", False)):
        draft, line = Draft(models[name]), line_of(name)
        first = draft.read(line).bits
        draft.end_line(line[::-1])
        assert (abs(draft.read(line).bits - first) > 1e-3) == remembers
        again = Draft(models[name])
        again.end_line(line[::-1])
        assert again.read(line).bits == pytest.approx(draft.read(line).bits, abs=1e-3)


def test_what_a_long_text_leaves_in_memory_is_bounded(models, monkeypatch):
    monkeypatch.setattr("rnnlm.draft.MOST_TOKENS", 40)
    draft = Draft(models["en"])
    for _ in range(20):
        draft.read(LINES["en"])
        draft.end_line(LINES["en"])
        assert len(draft._before) <= 40
        assert len(draft._rows) <= 2
    assert len(draft.read(LINES["en"]).pieces) == len(models["en"].tokens(LINES["en"]))


@pytest.mark.parametrize("name", NAMES)
def test_what_it_writes_is_one_line_and_the_same_for_a_seed(name, models):
    draft, line = Draft(models[name]), line_of(name)
    written = draft.goes_on(line, seed=3)
    assert written == Draft(models[name]).goes_on(line, seed=3)
    assert "\n" not in written
    assert len({draft.goes_on(line, seed=seed) for seed in range(5)}) > 1
    assert draft.goes_on("", seed=3) is not None


def test_a_word_that_was_begun_is_written_to_its_end(models):
    known = set(models["en"].vocabulary.tokens)
    for seed in range(10):
        written = Draft(models["en"]).goes_on("She said the bo", seed=seed)
        assert models["en"].tokens("She said the bo" + written)[3] in known


def test_a_bidirectional_model_has_no_next_word():
    model = api.train(text=CHINESE[:50], bidirectional=True, **SMALL)
    with pytest.raises(DirectionError, match="fills blanks"):
        Draft(model)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=12).filter(lambda text: "\n" not in text and "\r" not in text), max_size=5))
def test_any_text_can_be_typed(models, texts):
    draft = Draft(models["zh"])
    for text in texts:
        reading = draft.read(text)
        assert "".join(piece.text for piece in reading.pieces) in (text, "")
        assert all(piece.bits >= 0 for piece in reading.pieces)
