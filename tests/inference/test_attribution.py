"""`why`: influences agree with predictions for changed texts, and are zero where tokens cannot matter."""

import math

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.errors import DirectionError, VocabularyError
from rnnlm.inference.attribution import EXAMINED, SUBSTITUTES, substitutes
from rnnlm.inference.mixture import Mixture
from rnnlm.language_model import LanguageModel
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import CharTokenizer, TokenTokenizer
from rnnlm.text.vocabulary import FIRST, Vocabulary

WORDS = [f"w{number}" for number in range(30)]
V = FIRST + len(WORDS)
IDS = np.random.default_rng(0).integers(1, V, 2000)
TEXT = "w3 w1 w4 w1 w5 w9"


def network(kind: type[Network] = Network, size: int = V) -> Network:
    config = NetworkConfig(size, "lstm", hidden_size=8, bidirectional=kind is BidirectionalNetwork)
    made = kind.initialize(config, np.random.default_rng(1))
    made.params["output.weight"] *= 20  # so that the tokens read have an influence
    return made


def ngram(order: int) -> NgramModel:
    return NgramModel.train(IDS, V, order)


def model_of(predictor, context="sentence", tokenizer=None, tokens=WORDS) -> LanguageModel:
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    return LanguageModel(tokenizer or TokenTokenizer(), vocabulary, predictor, context)


def after_a_line() -> LanguageModel:
    model = model_of(network(), "stream")
    model.line_before = [5, 6, 7]
    return model


MODELS = {
    "network": lambda: model_of(network()),
    "3-gram": lambda: model_of(ngram(3)),
    "mixture": lambda: model_of(Mixture([network(), ngram(3)], [0.5, 0.5])),
    "stream": lambda: model_of(network(), "stream"),
    "stream after a line": after_a_line,
    "stream of a mixture": lambda: model_of(Mixture([network(), ngram(2)], [0.3, 0.7]), "stream"),
}


@pytest.fixture(params=MODELS)
def model(request) -> LanguageModel:
    return MODELS[request.param]()


def all_of(prediction):
    return dict(prediction.candidates)


@pytest.mark.parametrize("text", [TEXT, "w7", "w1 unseen w2", "w8 w8\nw2 w3"])
def test_bits_agree_with_predictions_for_changed_texts(model, text):
    explanation = model.why(text)
    lines = text.split("\n")
    read = lines[-1] if model.context == "sentence" else text
    tokens = [token for line in read.split("\n") for token in [*line.split(), "\n"]][:-1]
    assert [word.token for word in explanation.words] == [each.replace("\n", "</s>") for each in tokens]
    answer = model.predict(text, 1).candidates[0].token
    assert explanation.token == answer
    whole = all_of(model.predict(text, V))[answer]
    for place, word in enumerate(explanation.words):
        # The most probable other tokens in this place.
        before = model.predict(" ".join(tokens[:place]).replace(" \n", "\n"), V).candidates
        others = [each for each, _ in before if each in WORDS and each != tokens[place]][:SUBSTITUTES]
        changed = {
            other: model.predict(" ".join([*tokens[:place], other, *tokens[place + 1 :]]), V) for other in others
        }
        bits = {other: math.log2(whole / all_of(then)[answer]) for other, then in changed.items()}
        assert word.bits == pytest.approx(sum(bits.values()) / SUBSTITUTES, abs=1e-4)
        assert abs(bits[word.substitute]) == pytest.approx(max(map(abs, bits.values())), abs=1e-4)
        then = changed[word.substitute].candidates[0]
        assert (word.answer, word.probability) == (then.token, pytest.approx(then.probability, rel=1e-4))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_only_tokens_within_an_ngrams_order_have_an_influence(order):
    words = model_of(ngram(order)).why(TEXT).words
    assert len(words) == 6
    assert all(word.bits == 0 for word in words[: len(words) - (order - 1)])
    if order > 1:
        assert words[-1].bits != 0


def test_the_last_tokens_of_a_long_text_are_examined():
    text = " ".join(WORDS[number % 7] for number in range(EXAMINED + 40))
    long = model_of(network()).why(text)
    assert (len(long.words), long.left_out) == (EXAMINED, 40)
    assert [word.token for word in long.words] == text.split()[40:]
    assert model_of(network()).why("w0\n" + TEXT).left_out == 0  # the last line is a sentence by itself


def test_an_empty_text_has_no_influences():
    explanation = model_of(network()).why("")
    assert (explanation.words, explanation.left_out) == ([], 0)


def test_a_line_end_in_a_stream_of_characters_is_a_token():
    tokens = [*"abc \n"]
    model = model_of(network(size=FIRST + len(tokens)), "stream", CharTokenizer(), tokens)
    explanation = model.why("ab\nc")
    assert [word.token for word in explanation.words] == [*"ab\nc"]
    assert explanation.token == model.predict("ab\nc", 1).candidates[0].token


def test_substitutes_are_the_most_probable_ids_of_text():
    log_probabilities = np.log(np.random.default_rng(2).dirichlet(np.ones(100)))
    found = substitutes(log_probabilities, 50).tolist()
    allowed = [each for each in range(FIRST, 100) if each != 50]
    assert found == sorted(allowed, key=lambda each: -log_probabilities[each])[:SUBSTITUTES]
    assert substitutes(np.zeros(6), 4).tolist() == [3, 5]


def test_bidirectional_models_and_models_of_one_token_are_refused():
    with pytest.raises(DirectionError, match="bidirectional"):
        model_of(network(BidirectionalNetwork)).why(TEXT)
    with pytest.raises(VocabularyError, match="one token"):
        model_of(network(size=FIRST + 1), tokens=["a"]).why("a a")
