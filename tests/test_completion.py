"""Completion of half-typed words and several tokens against enumeration; sessions against the whole text."""

import itertools
import math

import numpy as np
import pytest

import rnnlm
from rnnlm.baselines.ngram import NgramModel
from rnnlm.completion import half_typed, is_word_character
from rnnlm.errors import DirectionError, RnnlmError
from rnnlm.language_model import LanguageModel
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.letter_case import in_lower_case
from rnnlm.text.tokenizers import CharTokenizer, TokenTokenizer, WordTokenizer
from rnnlm.text.vocabulary import BOS, EOS, UNK, Vocabulary

WORDS = ["the", "dog", "sat", "said", "satin", "sa", "don't", "don", "'", ".", ",", "我", "昨天", "上学", "上", "cat"]
TOKENIZERS = {"word": WordTokenizer, "token": TokenTokenizer}


def model_of(tokenizer, tokens, context="sentence", kind=Network, **config):
    """Return a model with random weights, all of whose tokens occurred once, so that <unk> is shared among them."""
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    settings = NetworkConfig(len(vocabulary), **{"cell": "gru", "hidden_size": 12} | config)
    network = kind.initialize(settings, np.random.default_rng(1), "normal", np.linspace(1, -1, len(vocabulary)))
    return LanguageModel(tokenizer, vocabulary, network, context)


def next_probabilities(model, text):
    return np.exp(model.scorer().log_probs([state_after(model, text)])[0].astype(float))


def state_after(model, text):
    scorer = model.scorer()
    state = scorer.start()
    for token in model.tokens(text):
        state = scorer.step(state, token)[1]
    return state


# --- half-typed words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", TOKENIZERS)
def test_probabilities_are_conditional_on_the_typed_beginning(level):
    model = model_of(TOKENIZERS[level](), WORDS)
    found = model.predict("the dog sat", k=100, complete=True).candidates
    before, after = next_probabilities(model, "the dog"), next_probabilities(model, "the dog sat")
    sat, satin = (int(each) for each in model.vocabulary.encode(["sat", "satin"]))
    typed = before[sat] + before[satin]
    expected = {model.vocabulary.token(each): before[sat] * after[each] / typed for each in range(1, len(after))}
    del expected["<unk>"]
    completed = [each.probability for each in found if each.token == "satin"]
    assert sorted(completed) == pytest.approx(sorted([expected.pop("satin"), before[satin] / typed]))
    others = {each.token: each.probability for each in found if each.token != "satin"}
    assert others == pytest.approx(expected, rel=1e-4)
    unranked = before[sat] * after[[BOS, UNK]].sum() / typed
    assert sum(each.probability for each in found) + unranked == pytest.approx(1, abs=1e-5)
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)


def test_a_beginning_that_is_not_a_word_is_completed():
    model = model_of(WordTokenizer(), WORDS)
    before = next_probabilities(model, "the")
    after = {each: before[model.vocabulary.encode([each])[0]] for each in ("sat", "satin", "said", "sa")}
    found = model.predict_ahead("the sai", 1, complete=True)
    assert (found[0].tokens, found[0].text, found[0].typed) == (["said"], "d", "sai")
    unknown = before[UNK] * math.exp(model.unknown_word_penalty)
    assert found[0].probability == pytest.approx(after["said"] / (after["said"] + unknown), rel=1e-5)
    assert {each.token for each in model.predict("the s", k=4, complete=True).candidates} == {*after}


def test_after_a_complete_word_the_next_one_is_predicted():
    model = model_of(WordTokenizer(), WORDS)
    for text in ("the sat ", "", "the dog\n", "the satin"):
        plain, completed = model.predict(text, k=5), model.predict(text, k=5, complete=True)
        assert [each.token for each in plain.candidates] == [each.token for each in completed.candidates]
        expected = [each.probability for each in plain.candidates]
        assert [each.probability for each in completed.candidates] == pytest.approx(expected, rel=1e-5)
        assert not half_typed(model, text)


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("don'", {"don't"}), ("the (do", {"dog", "don", "don't"}), ("我昨天上", {"上学"}), ("我 昨", {"昨天"}),
        ("do", {"dog", "don", "don't"}), ("the ca\nthe ca", {"cat"}), ("the sa.", set()), ("xyz", set()),
    ],
)  # fmt: skip
def test_a_half_typed_word_may_start_at_any_of_the_last_tokens(text, completed):
    model = model_of(WordTokenizer(), WORDS)
    found = model.predict_ahead(text, 1, 100, complete=True)
    assert {each.tokens[0] for each in found if each.typed} == completed
    assert half_typed(model, text) == bool(completed)


@pytest.mark.parametrize("level", TOKENIZERS)
@pytest.mark.parametrize("text", ["", "the", "the dog sa", "don", "don'", "我 昨", "我昨天", "the dog sat, do", "xyz"])
@pytest.mark.parametrize("length", [1, 3])
def test_a_text_with_its_continuation_has_the_predicted_tokens(level, text, length):
    model = model_of(TOKENIZERS[level](), WORDS)
    wrong = 0
    for each in model.predict_ahead(text, length, 20, complete=True):
        lines = [line for line in (text + each.text).split("\n") if line.strip()]
        tokens = [token for token in each.tokens if token != "</s>"]
        written = [*itertools.chain.from_iterable(map(model.tokens, lines))]
        wrong += written[len(written) - len(tokens) :] != tokens
    assert wrong <= (0 if length == 1 or level == "token" else 5)  # random words in a row may be tokenized differently


def test_completions_can_be_restricted():
    model = model_of(WordTokenizer(), WORDS)
    found = model.predict("the s", complete=True, allowed=["said", "dog", "nobody"]).candidates
    assert found[0].token == "said"
    assert {each.token for each in found} == {"said", "dog"}  # dog follows s as an unknown word
    assert found[0] in model.predict("the s", 20, complete=True).candidates
    assert [each.token for each in model.predict("the", prefix="sa", allowed=["said", "dog"]).candidates] == ["said"]


@pytest.mark.parametrize(("text", "tokens"), [("don'", 2), ("the sai", 1), ("the sat", 1), ("我昨天上", 1)])
def test_begun_word_agrees_with_the_completions(text, tokens):
    model = model_of(WordTokenizer(), WORDS)
    begun = model.session(text).begun_word()
    assert begun.tokens == tokens
    completed = [each for each in model.predict_ahead(text, 1, 100, complete=True) if each.typed]
    assert sorted(begun.longer) == sorted(completed)
    before = next_probabilities(model, text.removesuffix(completed[0].typed))
    for each in begun.longer:  # p(word) = p(typed beginning) p(word | typed beginning)
        expected = before[model.vocabulary.encode(each.tokens)[0]]
        assert math.exp(-begun.nats) * each.probability == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("text", ["", "the ", "the sa.", "the satin", "xyz"])
def test_a_complete_text_has_no_begun_word(text):
    assert model_of(WordTokenizer(), WORDS).session(text).begun_word() == (0, 0, [])


# --- several ahead ------------------------------------------------------------------------------------------------


def test_continuations_are_the_most_probable_of_all_sequences():
    model = model_of(TokenTokenizer(), ["a", "b", "c"])
    texts = {}
    for tokens in itertools.product(["a", "b", "c", "</s>"], repeat=3):
        cut = tokens[: tokens.index("</s>") + 1] if "</s>" in tokens else tokens
        scorer, state, nats = model.scorer(), state_after(model, "a b"), 0.0
        for token in cut:
            nats += scorer.score([state], [token])[0]
            state = scorer.step(state, token)[1]
        texts[cut] = math.exp(nats)
    expected = sorted(texts.items(), key=lambda item: -item[1])[:8]
    found = model.predict_ahead("a b", 3, 8)
    assert [tuple(each.tokens) for each in found] == [tokens for tokens, _ in expected]
    assert [each.probability for each in found] == pytest.approx([probability for _, probability in expected], rel=1e-4)


def test_a_half_typed_word_is_completed_and_then_continued():
    model = model_of(WordTokenizer(), WORDS)
    (first, *_) = model.predict_ahead("the sai", 2, 5, complete=True)
    alone = model.predict("the sai", 1, complete=True).candidates[0]
    following = model.predict("the said", 1).candidates[0]
    assert first.tokens == ["said", following.token]
    assert first.probability == pytest.approx(alone.probability * following.probability, rel=1e-4)
    assert first.text.startswith("d")


# --- characters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a ", "ab a", "", "b'"])
@pytest.mark.parametrize("context", ["stream", "sentence"])
def test_words_of_a_character_model_are_the_most_probable_of_all(text, context):
    end = "\n" if context == "stream" else "</s>"
    model = model_of(CharTokenizer(), ["a", "b", "'", " ", ",", "我", *end.strip("</s>")], context)
    typed = text[len(text.rstrip("ab'")) :]
    ends = [*model.vocabulary.encode(list(" ,我")).tolist(), model.line_end]
    rows = {
        more: np.exp(model.scorer().log_probs([state_after(model, text + more)])[0].astype(float))
        for n in range(6)
        for more in map("".join, itertools.product("ab'", repeat=n))
    }
    reach = {"": 1.0}
    for more in sorted(rows, key=len)[1:]:
        reach[more] = reach[more[:-1]] * rows[more[:-1]][model.vocabulary.encode([more[-1]])[0]]
    every = {typed + more: reach[more] * rows[more][ends].sum() for more in rows if more}
    for each in ends:
        every["\n" if each == EOS else model.vocabulary.token(each)] = rows[""][each]
    found = model.predict(text, 6, complete=True).candidates
    expected = sorted(every.items(), key=lambda item: -item[1])[:6]
    assert [each.token for each in found] == [token for token, _ in expected]
    assert [each.probability for each in found] == pytest.approx([each for _, each in expected], rel=1e-3)


def test_a_model_of_characters_learns_to_complete_words():
    lines = ["the cat sat on the mat .", "the dog said no .", "a cat saw the dog ."] * 60
    model = rnnlm.train(text=lines, level="char", epochs=12, hidden_size=48, seed=1, threads=1, progress=False)
    assert {each.token for each in model.predict("the cat sa", 3, complete=True).candidates} == {"sat", "saw", "said"}
    assert model.predict("the ", 5, complete=True).candidates[0].token in {"cat", "dog", "mat"}
    only = model.predict("the cat sa", complete=True, allowed=["saw", "said", "mat"]).candidates
    assert {each.token for each in only} == {"saw", "said"}


def test_word_characters_are_letters_digits_and_apostrophes_but_not_chinese():
    assert all(map(is_word_character, "aZé7'’яक"))
    assert not any(map(is_word_character, " .,-我ア\n"))


# --- refusals -----------------------------------------------------------------------------------------------------


def test_impossible_requests_are_refused():
    model = model_of(WordTokenizer(), WORDS)
    with pytest.raises(RnnlmError, match="prefix and complete"):
        model.predict("the s", prefix="s", complete=True)
    with pytest.raises(RnnlmError, match="completes one word"):
        model_of(CharTokenizer(), list("ab ")).predict_ahead("a", 2, complete=True)
    with pytest.raises(RnnlmError, match="expected several tokens"):
        model.predict_ahead("the", 2, allowed="said")
    for wrong in ({"length": 0}, {"k": 0}, {"k": 1.5}):
        with pytest.raises(RnnlmError, match=f"{next(iter(wrong))} is"):
            model.predict_ahead("the", **wrong)
    both = model_of(WordTokenizer(), WORDS, kind=BidirectionalNetwork, bidirectional=True)
    for ask in (both.session, both.predict_ahead, lambda text: both.predict(text, complete=True)):
        with pytest.raises(DirectionError):
            ask("the")


# --- a session ----------------------------------------------------------------------------------------------------


def with_ngram():
    model = model_of(WordTokenizer(), WORDS)
    ngram = NgramModel.train(np.random.default_rng(0).integers(1, len(WORDS), 300), len(model.vocabulary), 3)
    mixed = NetworkWithNgram(model.predictor, ngram, [0.5, 0.3, 0.1])
    return LanguageModel(model.tokenizer, model.vocabulary, mixed, "stream")


MODELS = {
    "sentences": lambda: model_of(WordTokenizer(), WORDS),
    "stream": lambda: model_of(WordTokenizer(), WORDS, "stream", cell="lstm", num_layers=2),
    "tokens": lambda: model_of(TokenTokenizer(), WORDS),
    "characters": lambda: model_of(CharTokenizer(), list("the dogsain'.,我昨\n"), "stream"),
    "lines of characters": lambda: model_of(CharTokenizer(), list("the dogsain'.,我昨"), "sentence"),
    "with an n-gram": with_ngram,
    "with a cache": lambda: model_of(WordTokenizer(), WORDS).with_cache(tokens=6),
}
TEXT = "the dog sat on\nthe satin said, don't.\n\n我昨天上学 the cat sa\nthe dog said the dog sat. " * 3


def assert_equal(session, model, text):
    for options in ({}, {"complete": True}, {"prefix": "s"}):
        ours, whole = session.predict(5, **options), model.predict(text, 5, **options)
        assert ours.context == text
        assert [each.token for each in ours.candidates] == [each.token for each in whole.candidates]
        expected = [each.probability for each in whole.candidates]
        assert [each.probability for each in ours.candidates] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_session_predicts_as_for_the_whole_text(name):
    model, rng = MODELS[name](), np.random.default_rng(2)
    session, text = model.session(), ""
    assert_equal(session, model, text)
    while len(text) < len(TEXT):  # type more text, and change it somewhere from time to time
        more = TEXT[len(text) : len(text) + rng.integers(1, 20)]
        session.read(more)
        text += more
        assert session.text == text
        assert_equal(session, model, text)
        if rng.random() < 0.4:
            place = int(rng.integers(len(text)))
            text = text[:place] + rng.choice(["", "x", " dog", "\n"]) + text[place + 1 :]
            session.text = text
            assert_equal(session, model, text)
    assert session.predict_ahead(3, 4) == model.predict_ahead(text, 3, 4)


@pytest.mark.parametrize("name", MODELS)
def test_a_session_gives_the_surprise_of_its_last_line(name):
    model = MODELS[name]()
    session = model.session()
    typed = [TEXT[:n] for n in range(0, len(TEXT) // 2, 3)]
    for text in [*typed, TEXT[:30], "", "the cat" + TEXT[7:40], TEXT]:
        session.text = text
        count = sum(1 for _ in model.cut(text.rpartition("\n")[2]))
        nats = model.nats(model.encode(model.unfinished(text)))
        assert session.nats() == pytest.approx(nats[len(nats) - count :], abs=1e-4)


def test_a_session_reads_only_the_added_text(monkeypatch):
    model, read = MODELS["stream"](), []
    original = model.predictor.advance
    monkeypatch.setattr(
        model.predictor, "advance", lambda inputs, *state: read.append(inputs.size) or original(inputs, *state)
    )
    session = model.session("the dog sat .\n" * 200)
    session.predict()
    assert 1000 <= sum(read) <= 1100
    read.clear()
    session.read("the cat said")
    session.predict()
    assert sum(read) <= 16 + 3  # tokens since the last whole block, and three words
    read.clear()
    session.predict(complete=True)
    session.predict(k=3)
    assert sum(read) <= 16
    read.clear()
    session.text = session.text.removesuffix("cat said") + "dog"
    session.predict()
    assert sum(read) <= 16 + 1
    session.nats()
    for more in [" sat", " on", " the", " do", "g"]:
        read.clear()
        session.read(more)
        session.nats()
        session.begun_word()
        session.predict_ahead(1, complete=True)
        assert sum(read) <= 16 + 1


# --- lower case ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{"complete": True}, {"prefix": "SA"}, {"allowed": ["Sat", "DOG"]}])
def test_a_model_of_lower_case_text_completes_any_letter_case(asked):
    cased = model_of(WordTokenizer(), WORDS)
    model = model_of(in_lower_case(WordTokenizer()), WORDS)
    lower = {key: [each.lower() for each in value] if key == "allowed" else value for key, value in asked.items()}
    lower = {key: value.lower() if key == "prefix" else value for key, value in lower.items()}
    found = model.predict("The Dog SA", k=5, **asked).candidates
    assert found == cased.predict("the dog sa", k=5, **lower).candidates
    assert cased.predict("The Dog SA", k=5, **asked).candidates != found
