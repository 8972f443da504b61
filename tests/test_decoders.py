"""The adapters of docs/decoders.md, with pyctcdecode and ESPnet themselves where they are installed."""

import importlib.util
import sys
import types

import numpy as np
import pytest

import rnnlm
from tests.pages import ROOT

torch = pytest.importorskip("torch")

PAGE = (ROOT / "docs" / "decoders.md").read_text(encoding="utf-8")
ADAPTERS = [block.partition("```")[0] for block in PAGE.split("```py\n")[1:]]
LINES = ["the cat sat on the mat", "the dog sat on the cat", "a cat saw the dog", "the man saw a mat"] * 30
SETTINGS = {"epochs": 8, "hidden_size": 16, "progress": False, "threads": 1, "seed": 1}
TOKENS = ["<blank>", "<unk>", "the", "cat", "sat", "on", "mat", "dog", "a", "saw", "man", "<sos/eos>"]


def adapter(place: int, name: str):
    """Return a class that a code block of the page defines."""
    namespace: dict = {}
    exec(compile(ADAPTERS[place], f"docs/decoders.md, adapter {place}", "exec"), namespace)
    return namespace[name]


HAS_PYCTCDECODE, HAS_ESPNET = (importlib.util.find_spec(name) is not None for name in ("pyctcdecode", "espnet"))


@pytest.fixture(scope="module")
def model():
    return rnnlm.train(text=LINES, level="token", **SETTINGS)


@pytest.fixture(scope="module")
def ngram():
    return rnnlm.train_ngram(text=LINES, level="token", order=3)


def test_the_adapters_are_short():
    assert [len(ADAPTERS[place].splitlines()) <= 35 for place in (0, 2)] == [True, True]


# --- pyctcdecode --------------------------------------------------------------------------------------------------

LABELS = ["", " ", *"acdehmnostwg"]  # the first label is the blank


@pytest.fixture
def ctc():
    """The package pyctcdecode."""
    if not HAS_PYCTCDECODE:
        pytest.skip("pyctcdecode is not installed: pip install --no-deps pyctcdecode pygtrie")
    import pyctcdecode

    return pyctcdecode


def heard(*texts: str) -> np.ndarray:
    """Return log probabilities (T, labels) that make several texts of equal length equally likely."""
    length = 2 * len(texts[0])
    probabilities = np.full((length, len(LABELS)), 1e-4)
    for text in texts:
        for place, letter in enumerate(text):
            probabilities[2 * place, LABELS.index(letter)] += 1
            probabilities[2 * place + 1, 0] += 1  # a blank after each letter
    return np.log(probabilities / probabilities.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("kind", ["model", "ngram"])
def test_pyctcdecode_chooses_what_the_language_model_prefers(ctc, kind, request):
    model = request.getfixturevalue(kind)
    alphabet = ctc.Alphabet.build_alphabet(LABELS)
    language_model = adapter(0, "RnnlmLanguageModel")(model, alpha=0.7, beta=0.5)
    decoder = ctc.BeamSearchDecoderCTC(alphabet, language_model)
    for texts in (("the cat", "the oat"), ("the oat", "the cat"), ("the dog saw", "the hog wac")):
        known = next(text for text in texts if set(text.split()) <= set(model.vocabulary.tokens))
        logits = heard(*texts)
        beams = decoder.decode_beams(logits, beam_width=50)
        assert beams[0][0] == known
        for text, *_, acoustic, total in beams[:5]:
            score = model.score(text)
            nats = score.logprob_nats + score.oov * model.unknown_word_penalty
            assert total - acoustic == pytest.approx(0.7 * nats + 0.5 * len(text.split()), abs=1e-4)
    by_sound = ctc.BeamSearchDecoderCTC(alphabet).decode_beams(heard("the cat", "the oat"), beam_width=50)
    assert by_sound[0][-1] == pytest.approx(by_sound[1][-1])  # control: without it both are equal


def test_a_prefix_of_no_known_word_gets_a_penalty(ctc, model):
    del ctc
    language_model = adapter(0, "RnnlmLanguageModel")(model)
    assert language_model.score_partial_token("ma") == 0
    expected = 0.5 * model.unknown_word_penalty
    assert language_model.score_partial_token("mx") == expected


# --- ESPnet -------------------------------------------------------------------------------------------------------


class BatchScorerInterface:
    """The interface of espnet.nets.scorer_interface (202511), for use where ESPnet is not installed."""

    def init_state(self, x):
        return None

    def batch_init_state(self, x):
        return self.init_state(x)

    def select_state(self, state, i, new_id=None):
        return None if state is None else state[i]

    def final_score(self, state):
        return 0.0


@pytest.fixture
def scorer_class(monkeypatch):
    """The adapter, derived from ESPnet's class or from its substitute."""
    if not HAS_ESPNET:
        module = types.ModuleType("espnet.nets.scorer_interface")
        module.BatchScorerInterface = BatchScorerInterface
        for name in ("espnet", "espnet.nets"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return adapter(2, "RnnlmScorer")


@pytest.mark.parametrize("kind", ["model", "ngram"])
def test_the_espnet_adapter_gives_the_scores_of_the_model(scorer_class, kind, request):
    model = request.getfixturevalue(kind)
    lines = ["the cat sat", "a dog saw", "mat on oat"]  # of equal length; the last one has an unknown word
    scorer = scorer_class(model, TOKENS)
    sos = TOKENS.index("<sos/eos>")
    ids = [[TOKENS.index(token if token in TOKENS else "<unk>") for token in line.split()] + [sos] for line in lines]
    states, totals = [scorer.batch_init_state(None)] * 3, np.zeros(3)
    before = states
    for place in range(4):
        ys = torch.tensor([[sos, *row[:place]] for row in ids])
        scores, states = scorer.batch_score(ys, states, None)
        assert scores.shape == (3, len(TOKENS))
        assert scores.dtype == torch.float32
        alone, _ = scorer.score(ys[1], before[1], None)
        assert alone.numpy() == pytest.approx(scores[1].numpy(), abs=1e-5)
        totals += [float(scores[b, row[place]]) for b, row in enumerate(ids)]
        before = states
    expected = [model.score(line).logprob_nats + ("oat" in line) * model.unknown_word_penalty for line in lines]
    assert totals == pytest.approx(expected, abs=1e-4)


def test_espnets_beam_search_finds_the_best_line(scorer_class, model):
    if not HAS_ESPNET:
        pytest.skip("ESPnet is not installed: pip install --no-deps espnet (its interface needs torch alone)")
    from espnet.nets.batch_beam_search import BatchBeamSearch

    sos, penalty = TOKENS.index("<sos/eos>"), model.unknown_word_penalty
    search = BatchBeamSearch(
        beam_size=10, vocab_size=len(TOKENS), weights={"lm": 1.0},
        scorers={"lm": scorer_class(model, TOKENS)}, sos=sos, eos=sos, token_list=TOKENS,
    )  # fmt: skip
    with torch.inference_mode():
        found = search(x=torch.zeros(8, 1), maxlenratio=1.0, minlenratio=0.0)
    assert len(found) >= 10
    for each in found:
        words = [TOKENS[i] for i in each.yseq.tolist()[1:-1]]
        scored = model.score(" ".join(words))
        if "<blank>" not in words and len(words) < 8:  # the longest ones get the end added without its score
            assert float(each.score) == pytest.approx(scored.logprob_nats + scored.oov * penalty, abs=1e-3)
    assert float(found[0].score) >= max(each.logprob_nats for each in model.score(LINES[:4]))
