"""Surprisal rows add up to the line's score, have correct positions, and agree with PyTorch and enumeration."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

import rnnlm
from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.mixture import Mixture
from rnnlm.language_model import LanguageModel
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import CharTokenizer, TokenTokenizer, WordTokenizer
from rnnlm.text.vocabulary import BOS, EOS, FIRST, UNK, Vocabulary

TOKENIZERS = {"char": CharTokenizer, "word": WordTokenizer, "token": TokenTokenizer}
WORDS = ["我", "昨天", "上学", "迟到", "了", "。", "the", "cat", "sat", ","]
CHARACTERS = [*dict.fromkeys("".join(WORDS)), " "]
LINES = ["我昨天上学，迟到了。", "the cat, sat  the dog", "", "   ", "我 昨天 上学", " the ", "cat"]
KINDS = ["word-sentence", "word-stream", "token-sentence", "char-sentence", "char-stream", "char-stream-no-end"]
PREDICTORS = ["network", "ngram", "mixture", "mixed"]


def predictor_of(name, V, cell="gru"):
    rng = np.random.default_rng(1)
    bias = np.r_[-1e4, np.zeros(V - 1)]  # <s> is never predicted
    network = Network.initialize(NetworkConfig(V, cell, "tanh", 8, 1, 5), rng, output_bias=bias)
    for array in network.params.values():
        array *= 3
    ngram = NgramModel.train(np.concatenate([[*rng.integers(UNK, V, 6), EOS] for _ in range(80)]), V, 3)
    return {
        "network": lambda: network,
        "ngram": lambda: ngram,
        "mixture": lambda: Mixture([network, ngram], [0.4, 0.6]),
        "mixed": lambda: NetworkWithNgram(network, ngram, [0.2, 0.5, 0.8]),
    }[name]()


def make_model(kind="word-sentence", predictor="network", cell="gru"):
    level, context, *without = kind.split("-", 2)
    tokens = [*CHARACTERS, *([] if without or context == "sentence" else ["\n"])] if level == "char" else WORDS
    vocabulary = Vocabulary(tokens, list(range(len(tokens), 0, -1)))
    return LanguageModel(TOKENIZERS[level](), vocabulary, predictor_of(predictor, len(vocabulary), cell), context)


def by_line(rows):
    found = defaultdict(list)
    for row in rows:
        found[row.line].append(row)
    return found


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_add_up_to_the_score_of_their_line(kind, words):
    model = make_model(kind)
    found = by_line(rnnlm.surprisals(model, LINES, words=words))
    for number, scored in enumerate(model.score(LINES), 1):
        rows = found[number]
        if model.counted_characters(scored.text) is None:
            assert rows == []
            continue
        assert sum(row.surprisal for row in rows) == pytest.approx(-scored.logprob_nats / math.log(2), abs=1e-4)
        assert sum(row.tokens for row in rows) == len(scored.tokens)
        assert sum(row.oov for row in rows) == scored.oov
        assert [row.position for row in rows] == list(range(1, len(rows) + 1))
        has_end = model.line_end is not None
        assert [scored.text[row.start : row.end] for row in rows] == [
            row.word for row in rows[: len(rows) - has_end]
        ] + [""] * has_end
        if not words:
            assert [row.word for row in rows] == [*scored.tokens[: len(rows) - has_end], *["</s>"] * has_end]


def test_words_are_aligned_with_the_text():
    model = make_model("char-stream")
    rows = by_line(rnnlm.surprisals(model, LINES, words=True))
    assert [row.word for row in rows[1]] == ["我", "昨天", "上学", "，", "迟到", "了", "。", "</s>"]
    assert [row.word for row in rows[2]] == ["the", "cat,", "sat", "the", "dog", "</s>"]
    assert [row.tokens for row in rows[2]] == [4, 5, 5, 4, 3, 1]  # each with the spaces after it
    tokens = by_line(rnnlm.surprisals(model, LINES))[2]
    assert rows[2][1].surprisal == pytest.approx(sum(row.surprisal for row in tokens[4:9]))
    assert (rows[2][1].entropy, rows[2][1].rank) == (tokens[4].entropy, None)
    assert rows[2][1].entropy_reduction == pytest.approx(tokens[4].entropy - tokens[9].entropy)


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("kind", ["word-sentence", "char-stream"])
def test_entropies_and_ranks_agree_with_enumeration(kind, predictor):
    """Put every token in each place, and score each of these lines separately."""
    model = make_model(kind, predictor)
    line = "the cat sat" if kind == "word-sentence" else "the"
    rows = list(rnnlm.surprisals(model, [line]))
    tokens = model.tokens(line)
    space = "" if model.level == "char" else " "
    for place, row in enumerate(rows[:-1]):
        before = space.join(tokens[:place])
        found = {
            token: model.score(space.join([before, token]) if before else token)
            for token in model.vocabulary.tokens
            if token != "\n"
        }
        bits = {token: -each.log_probabilities[place] / math.log(2) for token, each in found.items()}
        ended = -model.score(before).log_probabilities[place] / math.log(2)  # the line ends in this place
        unknown = -model.score(space.join([before, "\x07"]) if before else "\x07").log_probabilities[place] / math.log(
            2
        )
        every = np.array([*bits.values(), ended, unknown])
        if kind == "char-stream":  # </s>, which cannot be written in a text
            every = np.append(every, -np.log2(1 - np.exp2(-every).sum()))
        assert np.exp2(-every).sum() == pytest.approx(1, abs=1e-5)
        assert row.surprisal == pytest.approx(bits[tokens[place]], abs=1e-4)
        assert row.entropy == pytest.approx((np.exp2(-every) * every).sum(), abs=1e-4)
        assert row.rank == 1 + (every < bits[tokens[place]] - 1e-6).sum()
        assert row.entropy_reduction == pytest.approx(row.entropy - rows[place + 1].entropy)
    assert rows[-1].entropy_reduction is None


def test_the_entropy_of_a_uniform_distribution_is_its_logarithm():
    V = FIRST + len(WORDS)
    network = Network.initialize(
        NetworkConfig(V, "rnn"), np.random.default_rng(1), output_bias=np.r_[-1e4, np.zeros(V - 1)]
    )
    network.params["output.weight"][:] = 0
    model = LanguageModel(WordTokenizer(), Vocabulary(WORDS, [1] * len(WORDS)), network, "sentence")
    for row in rnnlm.surprisals(model, LINES):
        assert (row.entropy, row.surprisal) == pytest.approx((math.log2(V - 1),) * 2, abs=1e-5)
        assert row.entropy_reduction in (None, pytest.approx(0, abs=1e-5))


@pytest.mark.parametrize("threads", [1, 2])
def test_without_distributions_the_other_columns_are_the_same(threads):
    model = make_model("word-stream")
    with_them, without = (
        list(rnnlm.surprisals(model, LINES, distributions=each, threads=threads)) for each in (True, False)
    )
    assert [row._replace(surprisal=0, rank=None, entropy=None, entropy_reduction=None) for row in with_them] == [
        row._replace(surprisal=0) for row in without
    ]
    assert [row.surprisal for row in with_them] == pytest.approx([row.surprisal for row in without], abs=1e-5)


def test_frequency_is_the_count_in_the_training_text():
    lines = ["the cat sat", "the dog sat down", "the cat and the cow"]
    model = rnnlm.train_ngram(text=lines, order=2)
    counts = Counter(" ".join(lines).split())
    rows = list(rnnlm.surprisals(model, ["the cat and xyzzy sat."]))
    unknown = dict.fromkeys(["xyzzy", ".", "</s>"])
    assert {row.word: row.frequency for row in rows} == {
        word: counts[word] for word in ["the", "cat", "and", "sat"]
    } | unknown
    assert [row.frequency for row in rnnlm.surprisals(model, ["the cat,"], words=True)] == [counts["the"], None, None]


# --- given context ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_line_after_given_context_obeys_the_chain_rule(kind, predictor):
    """p(A B) = p(A) p(B | A), where p(A) is the probability of A without an end."""
    model = make_model(kind, predictor)
    given, line = ("the cat", " sat the") if model.level == "char" else ("the cat", "sat the")
    whole = model.score(given + " " + line.strip())
    (after,) = model.score([(given, line)])
    beginning = len(model.tokens(given))
    assert after.text == line
    assert after.tokens == whole.tokens[beginning:]
    np.testing.assert_allclose(after.log_probabilities, whole.log_probabilities[beginning:], atol=1e-5)
    assert abs(after.logprob_nats - model.score(line).logprob_nats) > 1e-3  # control: the context matters


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", ["the cat", "我 昨天\nthe cat", "the cat\n", ""])
def test_the_first_probability_agrees_with_predict(kind, given):
    model = make_model(kind)
    if "\n" in given and model.level == "char" and model.line_end is None:
        pytest.skip("this model knows no newline")
    (row, *_) = rnnlm.surprisals(model, [(given, "s")])
    probabilities = {each.token: each.probability for each in model.predict(given, k=100).candidates}
    if "s" in probabilities:
        assert 2**-row.surprisal == pytest.approx(probabilities["s"], rel=1e-4)
    else:
        assert row.oov == 1


def test_lines_with_and_without_context_keep_their_order():
    model = make_model("word-stream")
    lines = ["the cat", ("the", "cat"), "", ("我", ""), ("the", "cat"), "cat"]
    found = list(model.score(lines))
    assert [each.text for each in found] == ["the cat", "cat", "", "", "cat", "cat"]
    assert found[1].logprob_nats == found[4].logprob_nats != found[5].logprob_nats
    for line, each in zip(lines, found, strict=True):
        (alone,) = model.score([line])
        np.testing.assert_allclose(each.log_probabilities, alone.log_probabilities, atol=1e-5)


@pytest.mark.parametrize("kind", ["word-sentence", "word-stream", "char-stream", "char-sentence"])
def test_a_document_is_scored_as_one_text(kind):
    model = make_model(kind)
    lines = [line for line in LINES if line.strip()]
    rows = list(rnnlm.surprisals(model, lines, document=True))
    nats = -np.log(2) * np.array([row.surprisal for row in rows])
    ids = model.encode("".join(line + "\n" for line in lines))
    state, before = model.by_line.zero_state(1), BOS
    expected = []
    for each in ids.tolist():
        found, state = model.by_line.log_probabilities(np.array([[before]]), state)
        expected.append(found[0, 0, each])
        before = each
        if each == EOS and model.context == "sentence":
            state, before = model.by_line.zero_state(1), BOS
    np.testing.assert_allclose(nats, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["word-sentence", "word-stream", "char-stream"])
def test_the_given_context_of_a_document_are_lines_before_it(kind):
    model = make_model(kind)
    given, lines = "the cat sat\n我 昨天", ["the cat", "", "cat sat"]
    whole = by_line(rnnlm.surprisals(model, [*given.split("\n"), *lines], document=True))
    after = by_line(rnnlm.surprisals(model, [(given, lines[0]), *lines[1:]], document=True))
    for number in (1, 3):
        expected = [row._replace(line=number) for row in whole[number + 2]]
        for row, same in zip(after[number], expected, strict=True):
            assert row._replace(surprisal=0, entropy=0, entropy_reduction=0) == same._replace(
                surprisal=0, entropy=0, entropy_reduction=0
            )
            assert (row.surprisal, row.entropy) == pytest.approx((same.surprisal, same.entropy), abs=1e-5)
    alone = by_line(rnnlm.surprisals(model, lines, document=True))
    matters = abs(alone[1][0].surprisal - after[1][0].surprisal) > 1e-4
    assert matters == (model.context == "stream")


# --- PyTorch ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("context", ["sentence", "stream"])
def test_pytorch_gives_the_same_surprisals_for_the_exported_model(cell, context, tmp_path, monkeypatch, rnnlm):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.chdir(tmp_path)
    model = make_model(f"word-{context}", cell=cell)
    model.save("m.npz")
    rnnlm("export", "-m", "m.npz", "--to", "torch", "-o", "m.pt")
    weights = torch.load("m.pt", weights_only=True)
    V, D = weights["embedding.weight"].shape
    embedding, output = torch.nn.Embedding(V, D), torch.nn.Linear(8, V)
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](D, 8)
    for part, name in ((embedding, "embedding."), (layer, "rnn."), (output, "output.")):
        part.load_state_dict({key.removeprefix(name): each for key, each in weights.items() if key.startswith(name)})
    lines = ["我昨天上学，迟到了。", "the cat, sat  the dog", "cat"]
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    table = rnnlm("score", "lines.txt", "-m", "m.npz", "--format", "tsv").out.split("\n")[1:-1]
    rows = iter([dict(zip(["surprisal", "rank", "entropy"], row.split("\t")[5:8], strict=True)) for row in table])
    for line in lines:
        ids = [model.start, *model.line_ids(line).tolist(), EOS]
        with torch.no_grad():
            log_probs = output(layer(embedding(torch.tensor(ids[:-1])))[0]).log_softmax(-1) / math.log(2)
        for log_p, target in zip(log_probs, ids[1:], strict=True):
            row = next(rows)
            assert float(row["surprisal"]) == pytest.approx(-log_p[target].item(), abs=1e-4)
            assert float(row["entropy"]) == pytest.approx(-(log_p.exp2() * log_p).sum().item(), abs=1e-4)
            assert int(row["rank"]) == 1 + (log_p > log_p[target]).sum().item()
    assert next(rows, None) is None


def test_a_str_must_be_one_line_and_a_bidirectional_model_is_refused():
    with pytest.raises(rnnlm.RnnlmError, match="this one has several"):
        next(rnnlm.surprisals(make_model(), "the cat\nsat"))
    config = NetworkConfig(FIRST + len(WORDS), "gru", "tanh", 4, bidirectional=True)
    both = BidirectionalNetwork.initialize(config, np.random.default_rng(1))
    model = LanguageModel(WordTokenizer(), Vocabulary(WORDS, [1] * len(WORDS)), both, "sentence")
    for distributions in (True, False):
        with pytest.raises(rnnlm.RnnlmError, match="no perplexity"):
            next(rnnlm.surprisals(model, ["the cat"], distributions=distributions))


def test_surprisals_accepts_one_str_or_many_lines():
    model = make_model()
    assert list(rnnlm.surprisals(model, "the cat")) == list(rnnlm.surprisals(model, ["the cat"]))
    many = list(rnnlm.surprisals(model, itertools.repeat("the cat", 5000)))
    assert (len(many), many[-1].line) == (15000, 5000)
