"""The scorer for decoders: sums, immutable states, candidates, and the penalty for unknown words."""

import copy
import pickle
import sys

import numpy as np
import pytest

import rnnlm
from rnnlm.text.vocabulary import UNK

LINES = ["我 昨天 上学 迟到 了 。", "the cat sat .", "他 明天 请假 。", "the dog said no ."] * 20
HELD_OUT = ["我 明天 迟到 了 。", "the zebra sat", "", "nobody said"]
SMALL = {"epochs": 2, "hidden_size": 12, "progress": False, "threads": 1, "seed": 1}


@pytest.fixture(scope="module")
def models():
    word = rnnlm.train(text=LINES, ngram=0, **SMALL)
    ngram = rnnlm.train_ngram(text=LINES, order=4)
    return {
        "words": word,
        "characters": rnnlm.train(text=LINES, level="char", **SMALL),
        "lines of characters": rnnlm.train(text=LINES, level="char", context="sentence", **SMALL),
        "adaptive": rnnlm.train(text=LINES, softmax="adaptive", ngram=0, **SMALL),
        "n-gram": ngram,
        "with its n-gram": rnnlm.train(text=LINES, ngram=3, **SMALL),
        "mixture": word.mixed_with([ngram.by_line], [0.4]),
        "with a cache": word.with_cache(tokens=4),
    }


KINDS = [
    "words", "characters", "lines of characters", "adaptive", "n-gram", "with its n-gram", "mixture", "with a cache",
]  # fmt: skip


@pytest.fixture(params=KINDS)
def model(models, request):
    return models[request.param]


def test_scores_of_a_line_add_up_to_its_score(model):
    scorer, end = model.scorer(), [] if model.line_end is None else ["</s>"]
    for line in HELD_OUT:
        by_row = by_candidate = by_token = 0.0
        state = scorer.start()
        for token in [*model.tokens(line), *end]:
            by_row += scorer.log_probs([state])[0, scorer.ids([token])[0]]
            by_candidate += scorer.log_probs([state], candidates=["the", token])[0, 1]
            by_token += scorer.score([state], [token])[0]
            (state,) = scorer.steps([state], [token])
        expected = model.score(line).logprob_nats
        assert [by_row, by_candidate, by_token] == pytest.approx([expected] * 3, rel=1e-5, abs=1e-5)


def test_many_states_get_the_scores_of_each_alone(model):
    scorer = model.scorer()
    tokens = model.tokens(LINES[0])[:3] + model.tokens(LINES[1])[:3]
    states = scorer.steps([scorer.start()] * len(tokens), tokens)
    states = [*scorer.steps(states[:2], tokens[1:3]), *states[1:], scorer.start()]  # from several batches
    together, some = scorer.log_probs(states), scorer.log_probs(states, candidates=tokens)
    singly = scorer.score(states, [tokens[0]] * len(states))
    assert together.shape == (len(states), len(model.vocabulary))
    assert some.shape == (len(states), len(tokens))
    for place, state in enumerate(states):
        assert together[place, 1:] == pytest.approx(state.log_probs[1:], abs=1e-5)
        assert some[place] == pytest.approx(together[place, scorer.ids(tokens)], abs=1e-5)
    assert singly == pytest.approx(some[:, 0], abs=1e-5)


def test_states_are_immutable_and_do_not_hold_rows(model):
    scorer = model.scorer()
    state = scorer.step(scorer.start(), model.tokens(LINES[0])[0])[1]
    before = state.memory.copy()
    scorer.steps([state] * 3, ["the", "我", "nobody"])
    assert np.array_equal(state.memory, before)
    with pytest.raises(ValueError, match="read-only"):
        state.memory[...] = 0
    assert copy.copy(state) is copy.deepcopy(state) is state
    again = pickle.loads(pickle.dumps(state))
    assert np.array_equal(scorer.log_probs([again]), scorer.log_probs([state]))
    with pytest.raises(ValueError, match="was pickled"):
        again.log_probs  # noqa: B018 - a property that refuses
    assert not any(hasattr(each, "__len__") and len(each) == len(model.vocabulary) for each in vars_of(state))


def vars_of(state):
    fresh = pickle.loads(pickle.dumps(state))
    return [getattr(fresh, name) for name in type(state).__slots__]


def test_the_size_of_a_state_does_not_depend_on_the_vocabulary():
    sizes = []
    for words in (10, 3000):
        lines = [" ".join(f"w{n}" for n in range(start, start + 5)) for start in range(0, words, 5)]
        scorer = rnnlm.train(text=lines, **SMALL | {"epochs": 0.1}, ngram=0, softmax="full").scorer()
        states = scorer.steps([scorer.start()] * 50, ["w1"] * 50)
        sizes.append(len(pickle.dumps(states[7])) + sum(map(sys.getsizeof, vars_of(states[7]))))
    assert sizes[0] == sizes[1]


def test_candidates_of_an_ngram_are_looked_up_without_computing_rows(models, monkeypatch):
    scorer = models["n-gram"].scorer()
    state = scorer.start()
    expected = scorer.log_probs([state])[0, scorer.ids(["the", "我"])]
    monkeypatch.setattr(type(models["n-gram"].predictor), "rows", None)
    assert scorer.log_probs([state], candidates=["the", "我"])[0] == pytest.approx(expected)
    with pytest.raises(TypeError):
        scorer.log_probs([state])


def test_unknown_words_get_the_given_penalty(model):
    plain, penalised, own = model.scorer(), model.scorer(oov_penalty=-3.5), model.scorer(oov_penalty=None)
    assert (plain.oov_penalty, own.oov_penalty) == (0, model.unknown_word_penalty)
    known, unknown = model.tokens("the")[0], model.tokens("Ж")[0]
    states = [plain.start()]
    for ask in (
        lambda scorer: scorer.score(states * 2, [known, unknown]),
        lambda scorer: scorer.log_probs(states, candidates=[known, unknown])[0],
        lambda scorer: scorer.log_probs(states)[0, scorer.ids([known, unknown])],
        lambda scorer: scorer.start().log_probs[scorer.ids([known, unknown])],
    ):
        before = ask(plain)
        assert ask(penalised) == pytest.approx(before + np.array([0, -3.5]), abs=1e-5)
        assert ask(own) == pytest.approx(before + np.array([0, model.unknown_word_penalty]), abs=1e-5)
    assert np.delete(penalised.log_probs(states), UNK, 1) == pytest.approx(np.delete(plain.log_probs(states), UNK, 1))


def test_empty_requests_get_empty_answers(model):
    scorer = model.scorer()
    assert scorer.steps([], []) == []
    assert scorer.score([], []).shape == (0,)
    assert scorer.log_probs([]).shape == (0, len(model.vocabulary))
    assert scorer.log_probs([scorer.start()], candidates=[]).shape == (1, 0)
    assert scorer.log_probs([], candidates=["the"]).shape == (0, 1)
    with pytest.raises(ValueError, match="1 states and 2 tokens"):
        scorer.score([scorer.start()], ["a", "b"])
