"""A draft gives the same results while a line is typed as the model gives for the whole line."""

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
def test_results_after_every_key_are_those_of_the_whole_line(name, models):
    """Lines are typed, deleted and retyped, with unrelated lines in between."""
    typed, line = Draft(models[name]), line_of(name)
    for text in [line[:n] for n in range(len(line) + 1)] + [line[:3], "", line[:-2], line[::-1], line]:
        reading, anew = typed.read(text), Draft(models[name]).read(text)
        assert "".join(piece.text for piece in reading.pieces) == text
        assert reading.bits == pytest.approx(anew.bits, abs=1e-4)
        assert [each.tokens for each in reading.continuations] == [each.tokens for each in anew.continuations]
        np.testing.assert_allclose(
            [each.probability for each in reading.continuations],
            [each.probability for each in anew.continuations],
            rtol=1e-4,
        )


@pytest.mark.parametrize("name", NAMES)
def test_surprise_agrees_with_score_and_candidates_with_predict(name, models):
    model, line = models[name], line_of(name)
    for text in (line, line[:-1], f"{line} "):
        reading = Draft(model).read(text, k=5)
        nats = model.score(text.rstrip()).log_probabilities
        ours = [piece.bits for piece in reading.pieces][: len(model.tokens(text.rstrip()))]
        np.testing.assert_allclose(ours, -nats[: len(ours)] / math.log(2), atol=1e-3)
        assert reading.continuations == model.predict_ahead(text, 1, 5, complete=True)


def test_a_half_typed_word_has_the_surprise_of_its_beginning(models):
    model = models["en"]
    before = {each.token: each.probability for each in model.predict("She said the ", k=10**6).candidates}
    begun = [probability for token, probability in before.items() if token.startswith("bo")]
    assert len(begun) > 3
    *said, piece = Draft(model).read("She said the bo").as_typed
    assert piece.text == " bo"
    unknown = 2 ** -Draft(model).read("She said the bo").pieces[-1].bits * math.exp(model.unknown_word_penalty)
    assert piece.bits == pytest.approx(-math.log2(sum(begun) + unknown), abs=1e-3)
    whole = Draft(model).read("She said the bo ")
    assert whole.as_typed == whole.pieces
    assert whole.pieces[:-1] == said


def test_a_stream_remembers_earlier_lines_but_a_sentence_does_not(models):
    for name, remembers in (("en", True), ("char", True), ("zh", False)):
        draft, line = Draft(models[name]), line_of(name)
        first = draft.read(line).bits
        draft.end_line(line[::-1])
        assert (abs(draft.read(line).bits - first) > 1e-3) == remembers
        again = Draft(models[name])
        again.end_line(line[::-1])
        assert again.read(line).bits == pytest.approx(draft.read(line).bits, abs=1e-3)


def test_the_remembered_text_is_bounded(models, monkeypatch):
    monkeypatch.setattr("rnnlm.draft.MOST_CHARACTERS", 100)
    draft = Draft(models["en"])
    for _ in range(20):
        draft.read(LINES["en"])
        draft.end_line(LINES["en"])
        assert len(draft._before) <= 100
    assert len(draft.read(LINES["en"]).pieces) == len(models["en"].tokens(LINES["en"]))


@pytest.mark.parametrize("name", NAMES)
def test_a_continuation_is_one_line_and_depends_on_the_seed(name, models):
    draft, line = Draft(models[name]), line_of(name)
    written = draft.goes_on(line, seed=3)
    assert written == Draft(models[name]).goes_on(line, seed=3)
    assert "\n" not in written
    assert len({draft.goes_on(line, seed=seed) for seed in range(5)}) > 1
    assert draft.goes_on("", seed=3) is not None


def test_a_half_typed_word_is_completed_in_a_continuation(models):
    known = set(models["en"].vocabulary.tokens)
    for seed in range(10):
        written = Draft(models["en"]).goes_on("She said the bo", seed=seed)
        assert models["en"].tokens("She said the bo" + written)[3] in known


def test_a_bidirectional_model_is_refused():
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
