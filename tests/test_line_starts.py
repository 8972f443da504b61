r"""A line starts after <s> in a model of sentences, and after the end of another line in a model of a stream.

In the text of the n-gram tests, lines start with a and b equally often. Its first line starts with b, so a model that
started every line like the text would know only b.
"""

from pathlib import Path

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.cli import run
from rnnlm.errors import CheckpointError, TokenizerError
from rnnlm.inference.generation import SamplingOptions
from rnnlm.inference.line_starts import line_before
from rnnlm.inference.model import read_prefix
from rnnlm.inference.scoring import token_nats
from rnnlm.language_model import LanguageModel
from rnnlm.mixing import mixed
from rnnlm.text.corpus import tokenize_corpus
from rnnlm.text.id_sequence import IdSequence
from rnnlm.text.sources import lines_as_source
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import BOS, EOS, UNK, Vocabulary

LINES = ["b x y .", *["a x y .", "b y x .", "a y .", "b x ."] * 12]
EVEN = pytest.approx(0.5, abs=0.08)


def ngram(level: str, context: str, order: int = 2, newline: bool = True) -> LanguageModel:
    words = level == "word"
    lines = [line if words else line.replace(" ", "") for line in LINES]
    tokens = [*"abxy.", *(["\n"] if newline and not words else [])]
    model = LanguageModel(
        WordTokenizer() if words else CharTokenizer(),
        Vocabulary(tokens, [2] * len(tokens)),
        NgramModel.train(np.array([3]), 3 + len(tokens), 1),
        context,
    )
    end = model.line_end
    ids = np.concatenate([[*model.encode(line), *([] if end is None else [end])] for line in lines])
    model.predictor = NgramModel.train(ids, 3 + len(tokens), order, context)
    return model


@pytest.fixture(params=["word", "char"])
def stream(request) -> LanguageModel:
    return ngram(request.param, "stream")


def spaced(model: LanguageModel, text: str) -> str:
    return " ".join(text) if model.level == "word" else text


@pytest.mark.parametrize(
    ("level", "context", "newline", "expected"),
    [
        ("word", "sentence", False, BOS),
        ("char", "sentence", False, BOS),
        ("char", "sentence", True, BOS),
        ("word", "stream", False, EOS),
        ("char", "stream", True, 8),
        ("char", "stream", False, BOS),  # without a line end in its text, no line can start after one
    ],
)
def test_start_is_what_a_line_is_read_after(level, context, newline, expected):
    assert ngram(level, context, newline=newline).start == expected


def test_predictions_for_an_empty_line_are_the_starts_of_lines(stream):
    candidates = {each.token: each.probability for each in stream.predict("", k=2).candidates}
    assert candidates == {"a": EVEN, "b": EVEN}
    first, *_ = stream.predict_each(spaced(stream, "ax"), k=2)
    assert first.context == "<s>"
    assert dict(first.candidates) == candidates


def test_probabilities_of_a_first_token_sum_to_one(stream):
    total = sum(each.probability for each in stream.predict("", k=99).candidates)
    row = read_prefix(stream.predictor, [stream.start])[0][0]
    assert total + np.exp(row[UNK]) == pytest.approx(1, abs=1e-5)
    for token, nats in zip(stream.vocabulary.tokens, row[3:], strict=True):
        assert next(stream.score([token])).log_probabilities[0] == pytest.approx(nats, rel=1e-6)


def test_samples_start_like_lines(stream):
    steps = stream.sample("", SamplingOptions(1), np.random.default_rng(1), count=400)
    (drawn,) = steps
    share = {each: drawn.count(int(stream.encode(each)[0])) / 400 for each in "ab"}
    assert share == {"a": EVEN, "b": EVEN}


def test_the_line_end_before_a_text_gets_no_repetition_penalty(stream):
    greedy = SamplingOptions(4, temperature=0, repetition_penalty=1e3)
    written = [step[0] for step in stream.sample(spaced(stream, "bxy."), greedy, np.random.default_rng(1))]
    assert written[0] == stream.line_end


def test_a_beam_starts_like_lines(stream):
    found = stream.beam("", length=1, width=4, count=2)
    assert {stream.render(ids) for ids, _ in found} == {"a", "b"}
    assert [np.exp(nats) for _, nats in found] == [EVEN, EVEN]


def test_a_blank_at_the_start_is_filled_like_the_start_of_a_line(stream):
    best, second = stream.fill(spaced(stream, "_xy.").replace("_", "____"), k=2)
    assert {best.tokens[0], second.tokens[0]} == {"a", "b"}
    assert second.probability > 0.2


@pytest.mark.parametrize("level", ["word", "char"])
def test_scores_of_lines_of_a_bigram_add_up_to_that_of_the_text(level, tmp_path, rnnlm):
    """A bigram depends on one token, so a line has the same probability anywhere but at the start of the text."""
    model = ngram(level, "stream")
    lines = [line if level == "word" else line.replace(" ", "") for line in LINES]
    (tmp_path / "text.txt").write_text("".join(f"{line}\n" for line in lines))
    model.save(tmp_path / "m.npz")
    evaluated = rnnlm("eval", tmp_path / "text.txt", "-m", tmp_path / "m.npz", "--json").json
    scored = list(model.score(lines))
    of_first = {each: read_prefix(model.predictor, [each])[0][0][scored[0].ids[0]] for each in (BOS, model.start)}
    total = sum(each.logprob_nats for each in scored) - of_first[model.start] + of_first[BOS]
    assert total == pytest.approx(evaluated["logprob_nats"])
    assert sum(len(each.ids) for each in scored) == evaluated["tokens"]


@pytest.mark.parametrize(("level", "context"), [("word", "sentence"), ("char", "sentence"), ("char", "stream")])
def test_models_of_sentences_and_streams_cannot_be_mixed(level, context, tmp_path):
    other = "stream" if context == "sentence" else "sentence"
    ngram(level, other).save(tmp_path / "other.npz")
    with pytest.raises(TokenizerError, match="Exchange the two" if level == "word" else "context"):
        mixed(ngram(level, context), [(tmp_path / "other.npz", 0.5)])


def test_a_stream_of_lines_can_be_mixed_with_a_model_of_sentences(tmp_path):
    """The latter reads the lines one by one, and the mixture averages the probabilities."""
    stream, sentences = ngram("word", "stream"), ngram("word", "sentence", 3)
    sentences.save(tmp_path / "other.npz")
    model = mixed(stream, [(tmp_path / "other.npz", 0.5)])
    text = lines_as_source(LINES[:20])
    corpus = tokenize_corpus([text], WordTokenizer(), lines=True)
    ids = model.sequence(corpus)
    parts = [token_nats(each.predictor, ids, each.context) for each in (stream, sentences)]
    expected = -np.log(np.exp(-np.array(parts)).mean(axis=0))
    np.testing.assert_allclose(token_nats(model.predictor, ids, "stream"), expected, rtol=1e-6)
    predicted = {each.token: each.probability for each in model.predict("a x y .\nb", 9).candidates}
    alone = [
        {each.token: each.probability for each in each_model.predict("a x y .\nb", 9).candidates}
        for each_model in (stream, sentences)
    ]
    assert predicted == pytest.approx({token: (alone[0][token] + alone[1][token]) / 2 for token in predicted}, rel=1e-4)


def test_a_mixture_of_streams_starts_lines_like_each_of_them(tmp_path):
    ngram("char", "stream", 4).save(tmp_path / "other.npz")
    model = mixed(ngram("char", "stream"), [(tmp_path / "other.npz", 0.5)])
    parts = [next(ngram("char", "stream", order).score(["ax."])).log_probabilities for order in (2, 4)]
    (mixture,) = model.score(["ax."])
    np.testing.assert_allclose(np.exp(mixture.log_probabilities), np.exp(parts).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_score_of_a_stream_of_independent_lines_is_close_to_eval(cell, tmp_path, rnnlm):
    """For such lines it hardly matters what was read before."""
    corpus = Path(__file__).parents[1] / "corpora" / "chinese.txt"
    lines = corpus.read_text(encoding="utf-8").splitlines()[:1000]
    text, model = tmp_path / "text.txt", str(tmp_path / "m.npz")
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    size = ["--cell", cell, "--preset", "tiny", "--epochs", "4", "--threads", "1", "--ngram", "0"]
    rnnlm("train", text, "--level", "char", *size, "-o", model)
    expected = rnnlm("eval", text, "-m", model, "--json").json["nats_per_token"]
    scored = list(LanguageModel.load(model).score(lines))
    nats = -sum(each.logprob_nats for each in scored) / sum(len(each.ids) for each in scored)
    assert abs(nats - expected) < 0.1


# A line that is read before every line


def sentences(rng: np.random.Generator) -> str:
    """Return lines whose last character is their first one; lines are independent of each other."""
    return "".join(f"{c}{'xyz'[rng.integers(3)]}{'uvw'[rng.integers(3)]}{c}.\n" for c in rng.choice([*"abcd"], 3000))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    (folder / "text.txt").write_text(sentences(np.random.default_rng(1)))
    options = ["--level", "char", "--hidden-size", "24", "--epochs", "4", "--threads", "1", "--ngram", "0"]
    options += ["-o", str(folder / "m.npz")]
    assert run(["train", str(folder / "text.txt"), *options]) == 0
    return folder / "m.npz"


def perplexities(path: Path, rnnlm) -> tuple[float, float]:
    text = path.with_name("text.txt")
    evaluated = rnnlm("eval", text, "-m", path, "--json").json["perplexity"]
    lines = LanguageModel.load(path).score(text.read_text().splitlines())
    nats, tokens = np.sum([(each.logprob_nats, len(each.tokens)) for each in lines], axis=0)
    return evaluated, float(np.exp(-nats / tokens))


def test_scores_of_lines_agree_with_the_stream(trained, tmp_path, rnnlm):
    model = LanguageModel.load(trained)
    assert 1 < len(model.line_before) < 10
    evaluated, scored = perplexities(trained, rnnlm)
    assert scored == pytest.approx(evaluated, rel=0.01)
    model.line_before = []  # control: without the line read before, they are worse
    model.save(tmp_path / "m.npz")
    (tmp_path / "text.txt").write_text(trained.with_name("text.txt").read_text())
    assert perplexities(tmp_path / "m.npz", rnnlm)[1] > 1.02 * evaluated


def test_all_functions_on_lines_read_that_line_first(trained):
    model = LanguageModel.load(trained)
    end = model.line_end
    assert end is not None
    row = read_prefix(model.require_causal(), [end, *model.line_before, end])[0][0]
    found = {each.token: each.probability for each in model.predict("", 99).candidates}
    assert found["a"] == pytest.approx(np.exp(row[model.encode("a")[0]]), rel=1e-5)
    each, *_ = model.predict_each("ax", 99)
    assert dict(each.candidates) == {token: pytest.approx(found[token], rel=1e-4) for token in found}
    line = next(model.score(["a"]))
    assert line.log_probabilities[0] == pytest.approx(row[model.encode("a")[0]], rel=1e-4)
    beam = model.beam("", 1, 99, 99)
    assert {ids[0]: pytest.approx(nats, rel=1e-4) for ids, nats in beam} == {ids[0]: row[ids[0]] for ids, _ in beam}
    total = sum(each.probability for each in model.predict("axu", 99).candidates)
    assert total == pytest.approx(1, abs=1e-3)


def test_a_line_that_does_not_help_is_not_read():
    model = ngram("char", "stream", order=2)  # which depends on one token only
    assert model.line_end is not None
    ids = np.concatenate([[*model.encode(line.replace(" ", "")), model.line_end] for line in LINES])
    text = IdSequence(ids)
    assert line_before(model.predictor, text, text, model.line_end) == []
    assert line_before(model.predictor, IdSequence(ids[:2]), text, model.line_end) == []


@pytest.mark.parametrize("wrong", [[0], [3, "a"], [99], "abc", {"a": 1}, [3] * 1000, [True], [-1]])
def test_a_damaged_line_before_is_refused(wrong, tmp_path):
    model = ngram("char", "stream")
    model.line_before = wrong
    with pytest.raises(CheckpointError, match="line that is read before"):
        model.check_savable()
