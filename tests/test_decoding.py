"""Decoding finds the texts with the best scores."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import rnnlm
from rnnlm.errors import DirectionError, LatticeError, RnnlmError
from rnnlm.lattices import Arc, Lattice
from tests.sentences import SENTENCES

CORPORA = Path(__file__).parents[1] / "corpora"
POSITIONS = [["我", "握"], ["昨天", "作", ""], ["上学", "商 学"], ["", "迟到 了"], ["龘", "。"]]


@pytest.fixture(scope="module")
def chinese():
    """N-gram models of the Chinese sentences, by level."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLM_CACHE", "")
        return {level: rnnlm.train_ngram(CORPORA / "chinese.txt", level=level, order=4) for level in ("char", "word")}


@pytest.fixture(scope="module")
def models():
    """Models of all kinds of the same few sentences."""
    small = {"hidden_size": 8, "epochs": 2, "progress": False, "threads": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLM_CACHE", "")
        return {
            "word": rnnlm.train(text=SENTENCES * 9, level="word", ngram=0, **small),
            "word with ngram": rnnlm.train(text=SENTENCES * 9, level="word", ngram=3, **small),
            "stream of characters": rnnlm.train(text=SENTENCES * 9, level="char", ngram=3, **small),
            "sentences of characters": rnnlm.train(text=SENTENCES * 9, level="char", context="sentence", **small),
            "tokens": rnnlm.train(text=SENTENCES * 9, level="token", **small),
            "ngram": rnnlm.train_ngram(text=SENTENCES * 9, level="word", order=3),
        }


NAMES = ["word", "word with ngram", "stream of characters", "sentences of characters", "tokens", "ngram"]


@pytest.mark.parametrize("name", NAMES)
def test_the_best_texts_agree_with_scoring_all_of_them(name, models):
    """Every possible text is scored separately; unknown words cost the same as in `rescore`."""
    model = models[name]
    joined = ""
    if name in ("word", "tokens", "word with ngram", "ngram"):
        joined = " "
    penalty = model.unknown_word_penalty
    expected = {}
    for path in itertools.product(*POSITIONS):
        text = joined.join(filter(None, path))
        scored = model.score(text)
        expected[tuple(scored.tokens)] = scored.logprob_nats + penalty * scored.oov
    best = sorted(expected.values(), reverse=True)
    found = model.decode(POSITIONS, k=len(best), beam=10_000)
    assert [each.total_nats for each in found] == pytest.approx(best, rel=1e-4)
    first = model.score(joined.join(found[0].tokens))
    assert found[0].logprob_nats == pytest.approx(first.logprob_nats, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_scores_and_penalties_are_added_to_the_log_probability(name, models):
    model = models[name]
    lattice = Lattice(2, [Arc(0, 1, "我", -0.5), Arc(0, 1, "龘", -0.25), Arc(1, 2, "我", 2.0), Arc(0, 2, "")])
    found = model.decode(lattice, k=9, lm_weight=0.5, word_penalty=0.3, oov_penalty=-2)
    scores = {("我", "我"): 1.5, ("龘", "我"): 1.75, (): 0.0}
    assert {tuple(each.tokens): each.score for each in found} == scores
    for each in found:
        added = 0.3 * len(each.tokens) - 2 * each.tokens.count("龘")
        assert each.total_nats == pytest.approx(0.5 * each.logprob_nats + each.score + added)


@pytest.mark.parametrize("name", NAMES)
def test_given_context_and_the_end_count_as_in_a_whole_line(name, models):
    model = models[name]
    between = "" if "characters" in name else " "
    before, after = SENTENCES[0][:4], ["我", "你"]
    known = len(model.tokens(before))
    for stop, ended in ((None, True), (-1, False)):
        found = model.decode([after], k=2, before=before, ended=ended)
        assert {each.text for each in found} == set(after)
        for each in found:
            whole = model.score(f"{before}{between}{each.text}").log_probabilities
            assert each.logprob_nats == pytest.approx(float(whole[known:stop].sum()), rel=1e-4)


def test_mixtures_and_caches_can_decode(models):
    model, other = models["word"], models["ngram"]
    mixed = model.mixed_with([other.predictor], [0.4])
    for each in (mixed, model.with_cache(tokens=5)):
        (found,) = each.decode([["我", "你"], ["昨天", "上学"]])
        assert found.logprob_nats == pytest.approx(each.score(" ".join(found.tokens)).logprob_nats, rel=1e-4)


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("wozuotianshangxuechidaole", "我昨天上学迟到了"),
        ("wo zuotian shangxue chidao le , laoshi piping le wo", "我昨天上学迟到了,老师批评了我"),
        ("wǒ zuótiān shàngxué chídào le", "我昨天上学迟到了"),
        ("wo3 zuo2tian1 shang4xue2 chi2dao4 le5", "我昨天上学迟到了"),
    ],
)
def test_pinyin_is_converted_to_characters(level, typed, text, chinese):
    pytest.importorskip("pypinyin")
    found = chinese[level].from_pinyin(typed, k=3)
    assert found[0].text == text
    assert len({each.text for each in found}) == 3


@pytest.mark.parametrize("level", ["char", "word"])
def test_wrong_homophones_are_corrected_and_right_ones_kept(level, chinese, tmp_path):
    """As a control, nothing is corrected without an alternative or at a high penalty."""
    pytest.importorskip("pypinyin")
    model = chinese[level]
    wrong, right = "我昨天上学吃到了，老师批评了我。", "我昨天上学迟到了，老师批评了我。"
    assert model.correct(wrong, homophones=True)[0].text == right
    assert model.correct(wrong, homophones=True)[0].score == -6
    assert model.correct(right, homophones=True)[0].text == right
    assert model.correct("我昨天吃了一个苹果。", homophones=True)[0].text == "我昨天吃了一个苹果。"
    assert model.correct(wrong, confusions={"吃": "迟"})[0].text == right
    assert model.correct(wrong, confusions={"迟": "吃"})[0].text == wrong
    assert model.correct(wrong, homophones=True, replacement_penalty=100)[0].text == wrong
    table = tmp_path / "table.txt"
    table.write_text("吃 迟 持\n", encoding="utf-8")
    assert model.correct(wrong, confusions=table)[0].text == right


def test_paths_with_the_same_text_are_merged(chinese):
    """Words of one and of several characters give thousands of paths for the same text."""
    text = "我昨天上学迟到了，老师批评了我，妈妈也批评了我。" * 3
    found = chinese["word"].correct(text, k=9, confusions={"迟": "吃"})
    assert found[0].text == text
    assert 2 <= len({each.text for each in found}) == len(found)


def test_spacing_and_other_text_are_kept(chinese):
    model = chinese["word"]
    found = model.correct("我 昨天 上学 吃到 了 ， OK", confusions={"吃": "迟"})[0]
    assert found.text.startswith("我 昨天 上学 迟到 了 ，")
    assert found.tokens[-1] == "OK"
    assert chinese["char"].correct("", confusions={"a": "b"})[0].text == ""


def test_parts_of_an_english_word_are_not_words():
    model = rnnlm.train_ngram(text=["to get her home", "we stay together now"] * 9, level="word", order=2)
    assert model.correct("together", confusions={"x": "y"}, k=9)[0].tokens == ["together"]
    assert len(model.correct("together", confusions={"x": "y"}, k=9)) == 1
    assert model.correct("we st0y", confusions={"0": "a"}, replacement_penalty=1)[0].text == "we stay"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model: model.decode([["我"]], k=0), "k is 0; expected a whole number from 1 on"),
        (lambda model: model.decode([["我"]], beam=True), "beam is True; expected"),
        (lambda model: model.decode([["我"]], beam=1.5), "beam is 1.5; expected"),
        (lambda model: model.decode([["我"]], lm_weight=float("nan")), "lm_weight is nan; expected a number"),
        (lambda model: model.decode([["我"], []]), "Position 1 has no candidates"),
        (lambda model: model.decode(["我"]), "Position 0 is '我'; expected a list of candidates"),
        (lambda model: model.correct("我"), "Nothing may be replaced"),
        (lambda model: model.correct("我", homophones=True, replacement_penalty=-1), "replacement_penalty is -1"),
        (lambda model: model.correct("我\n我", confusions={"a": "b"}), "line end"),
    ],
)
def test_bad_arguments_are_refused(call, said, models):
    with pytest.raises(RnnlmError, match=said):
        call(models["sentences of characters"])


def test_a_bidirectional_model_is_refused():
    model = rnnlm.train(text=SENTENCES * 9, bidirectional=True, hidden_size=4, epochs=1, progress=False, threads=1)
    with pytest.raises(DirectionError):
        model.decode([["我"]])


def test_candidates_of_probability_zero_are_left_out_or_refused():
    model = rnnlm.train(
        text=SENTENCES * 9, ngram=0, hidden_size=4, epochs=0.1, softmax="full", progress=False, threads=1
    )
    model.network.params["output.bias"][model.vocabulary.encode(["我"])] = -np.inf
    with pytest.raises(LatticeError, match="probability above 0"):
        model.decode([["我"]])
    assert model.decode([["我", "昨天"]], k=2)[0].text == "昨天"
    assert len(model.decode([["我", "昨天"]], k=2)) == 1
