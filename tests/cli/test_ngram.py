"""`rnnlm ngram train`, and mixtures and baselines in `rnnlm eval`."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from rnnlm.baselines.arpa import read_arpa
from rnnlm.baselines.ngram import NgramModel
from rnnlm.cli import run
from rnnlm.cli.ngram_orders import LARGEST_ORDER
from rnnlm.language_model import LanguageModel
from rnnlm.mixing import mixed
from rnnlm.storage import checkpoint
from tests.sentences import SENTENCES, SMALL

HELD_OUT = ["我 昨天 迟到 了 。", "弟弟 的 手机 坏 了 ， 妈妈 打算 换 一部 新 手机 。", "他 昨天 唱歌 。"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts and models; tests must not change them."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "train.txt").write_text("\n".join(SENTENCES * 15) + "\n", encoding="utf-8")
    (folder / "test.txt").write_text("\n".join(HELD_OUT) + "\n", encoding="utf-8")
    (folder / "valid.txt").write_text("\n".join([*SENTENCES[1:3], HELD_OUT[1]]) + "\n", encoding="utf-8")
    (folder / "other.txt").write_text("\n".join([*HELD_OUT, *SENTENCES]) + "\n", encoding="utf-8")
    text = str(folder / "train.txt")
    for n in (2, 3):
        arpa = ["--arpa", str(folder / f"{n}.arpa")]
        assert run(["ngram", "train", text, "--order", str(n), "-o", str(folder / f"{n}.npz"), *arpa]) == 0
    assert run(["ngram", "train", str(folder / "other.txt"), "-o", str(folder / "other.npz")]) == 0
    chars = ["--level", "char", "-o", str(folder / "char.npz")]
    assert run(["ngram", "train", text, *chars]) == 0
    model = ["-o", str(folder / "rnn.npz"), "--epochs", "4", *SMALL, "--ngram", "0"]
    assert run(["train", text, *model]) == 0
    return folder


# --- ngram train --------------------------------------------------------------------------------------------------


def test_training_reports_and_writes_a_model(folder, tmp_path, rnnlm):
    path = tmp_path / "n.npz"
    printed = rnnlm("ngram", "train", folder / "train.txt", "--order", "2", "-o", path)
    assert printed.out == ""
    for word in ("tokens", "100.00 %", "order 2", "contexts seen", str(path)):
        assert word in printed.err
    header = checkpoint.read_header(path)
    assert (header["kind"], header["order"]) == ("ngram", 2)
    assert str(tmp_path) not in json.dumps(header)


def test_the_help_states_the_largest_order_of_the_model():
    from rnnlm.baselines import ngram

    assert ngram.LARGEST_ORDER == LARGEST_ORDER


def test_rare_words_become_unknown(folder, tmp_path, rnnlm):
    path = tmp_path / "n.npz"
    assert "covering 100.00 %" not in rnnlm("ngram", "train", folder / "other.txt", "--min-count", "2", "-o", path).err
    assert LanguageModel.load(path).unknown_tokens("我 唱歌") == ["唱歌"]


def test_a_model_of_characters_reads_a_stream(folder, rnnlm):
    model = LanguageModel.load(folder / "char.npz")
    assert (model.level, model.context) == ("char", "stream")
    assert rnnlm("eval", folder / "test.txt", "-m", folder / "char.npz", "--json").json["perplexity"] < len(
        model.vocabulary
    )
    assert "这" not in rnnlm("sample", "-m", folder / "char.npz", "--length", 20, "--seed", 1).out


@pytest.mark.parametrize("name", ["n.arpa", "n.arpa.gz", "-"])
def test_an_arpa_file_holds_the_same_model(folder, tmp_path, capfdbinary, name):
    path = tmp_path / name if name != "-" else Path("-")
    arguments = ["ngram", "train", folder / "train.txt", "-o", tmp_path / "n.npz", "--arpa", path]
    assert run(list(map(str, arguments))) == 0
    content = capfdbinary.readouterr().out if name == "-" else path.read_bytes()
    assert (content[:2] == b"\x1f\x8b") == name.endswith(".gz")
    written = tmp_path / "written.arpa"
    written.write_bytes(gzip.decompress(content) if name.endswith(".gz") else content)
    model, (ngram, tokens) = LanguageModel.load(tmp_path / "n.npz"), read_arpa(written)
    assert tokens == model.vocabulary.tokens
    for each, array in ngram.arrays().items():
        assert (array == model.predictor.arrays()[each]).all()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_an_arpa_file_of_characters_needs_sentence_context(folder, tmp_path, rnnlm):
    arguments = ["ngram", "train", folder / "train.txt", "--level", "char", "--arpa", tmp_path / "a", "-o"]
    assert "--context sentence" in rnnlm(*arguments, tmp_path / "n.npz", code=1).err
    rnnlm(*arguments, tmp_path / "n.npz", "--context", "sentence")
    assert " " in read_arpa(tmp_path / "a")[1]


@pytest.mark.parametrize(
    ("code", "arguments", "sentence"),
    [
        (2, ["{}/train.txt", "--order", "7"], "--order"),
        (1, ["{}/none.txt"], "does not exist"),
        (1, ["{}/train.txt", "-o", "{}/none/n.npz"], "--output"),
        (1, ["{}/train.txt", "--arpa", "{}/none/n.arpa"], "--arpa"),
        (1, ["{}/train.txt", "--min-count", "1000"], "--min-count"),
        (1, ["{}/train.txt", "--user-dict", "{}/none.txt"], "none.txt"),
    ],
)
def test_errors_of_training_are_one_sentence(folder, tmp_path, monkeypatch, code, arguments, sentence, rnnlm):
    monkeypatch.chdir(tmp_path)
    assert sentence in rnnlm("ngram", "train", *(each.format(folder) for each in arguments), code=code).err
    assert list(tmp_path.glob("*.npz")) == []


# --- other commands on n-gram models ------------------------------------------------------------------------------


def test_predict_ranks_the_words_that_followed(folder, rnnlm):
    answer = rnnlm("predict", "我 昨天 上学", "-m", folder / "3.npz", "--json", "-k", 50).json
    candidates = answer["candidates"]
    assert candidates[0]["token"] == "迟到"
    assert 0.9 < sum(each["probability"] for each in candidates) <= 1
    assert candidates == sorted(candidates, key=lambda each: -each["probability"])
    each = rnnlm("predict", "我 昨天 上学", "-m", folder / "3.npz", "--each").out.splitlines()
    assert [line.split(" ")[0] for line in each] == ["<s>", "我", "昨天", "上学"]


def test_sample_writes_sentences_of_the_text(folder, rnnlm):
    arguments = ["sample", "-m", folder / "3.npz", "--seed", 3, "--temperature", 0.1]
    text = rnnlm(*arguments, "--prompt", "弟弟 的 书包").out
    assert text.replace(" ", "").startswith("弟弟的书包坏了")
    assert text == rnnlm(*arguments, "--prompt", "弟弟 的 书包").out
    beams = rnnlm("sample", "-m", folder / "3.npz", "--beam", 5, "--count", 3).out.splitlines()
    assert len(set(beams)) == 3


def test_info_shows_order_and_sizes(folder, rnnlm):
    facts = rnnlm("info", folder / "3.npz", "--json").json
    model = LanguageModel.load(folder / "3.npz")
    assert (facts["kind"], facts["order"], facts["level"], facts["context"]) == ("ngram", 3, "word", "sentence")
    assert facts["ngrams"] == model.predictor.ngram_counts()
    assert facts["vocabulary"] == facts["ngrams"][0] == len(model.vocabulary)
    assert "ngrams" in rnnlm("info", folder / "3.npz").out
    assert rnnlm("info", folder / "rnn.npz", "--json").json["kind"] == "rnn"


def test_eval_agrees_with_predict(folder, rnnlm):
    """Compare -ln p of a sentence with the probabilities that predict gives token by token."""
    model = LanguageModel.load(folder / "3.npz")
    words, nats = HELD_OUT[0].split(), 0.0
    for place, word in enumerate([*words, "</s>"]):
        ranked = model.predict(" ".join(words[:place]), k=len(model.vocabulary))
        nats -= math.log(dict(ranked.candidates)[word])
    text = folder / "sentence.txt"
    text.write_text(HELD_OUT[0] + "\n", encoding="utf-8")
    found = rnnlm("eval", text, "-m", folder / "3.npz", "--json").json
    assert (found["tokens"], found["oov"]) == (len(words) + 1, 0)
    assert -found["logprob_nats"] == pytest.approx(nats, rel=1e-6)


def test_a_network_cannot_start_from_an_ngram_model(folder, rnnlm):
    arguments = [folder / "train.txt", "--init-from", folder / "3.npz", "-o", folder / "never.npz"]
    rnnlm("train", *arguments, code=1)


# --- eval: mixtures -----------------------------------------------------------------------------------------------


def test_a_mixture_is_at_least_as_good_as_its_worse_part(folder, rnnlm):
    found = rnnlm("eval", folder / "test.txt", "-m", folder / "rnn.npz", "--mix", f"{folder}/3.npz:0.3", "--json").json
    parts = found["mixture"]
    assert [part["weight"] for part in parts] == [pytest.approx(0.7), 0.3]
    for part, name in zip(parts, ("rnn.npz", "3.npz"), strict=True):
        alone = rnnlm("eval", folder / "test.txt", "-m", folder / name, "--json").json
        if name == "rnn.npz":
            assert part["logprob_nats"] == pytest.approx(alone["logprob_nats"], rel=1e-5)
    assert found["logprob_nats"] >= sum(part["weight"] * part["logprob_nats"] for part in parts)  # Jensen's inequality


def test_an_arpa_file_in_a_mixture_equals_its_checkpoint(folder, rnnlm):
    model = ["-m", folder / "rnn.npz", folder / "test.txt"]
    by_checkpoint = rnnlm("eval", *model, "--mix", f"{folder}/3.npz:0.4", "--mix", f"{folder}/2.npz:0.2", "--json").json
    by_arpa = rnnlm("eval", *model, "--mix", f"{folder}/3.arpa:0.4", "--mix", f"{folder}/2.arpa:0.2", "--json").json
    assert by_arpa["logprob_nats"] == pytest.approx(by_checkpoint["logprob_nats"], rel=1e-6)


def test_tune_finds_the_best_weight_for_the_held_out_text(folder, rnnlm):
    """No weight of a grid is better on the text that the weight was tuned on."""
    model, valid = ["-m", folder / "rnn.npz"], folder / "valid.txt"
    tuned = rnnlm("eval", valid, *model, "--mix", folder / "2.npz", "--tune", valid, "--json").json
    for weight in np.linspace(0.02, 0.98, 25):
        fixed = rnnlm("eval", valid, *model, "--mix", f"{folder}/2.npz:{weight}", "--json").json
        assert tuned["logprob_nats"] >= fixed["logprob_nats"] - 1e-5
    elsewhere = rnnlm("eval", folder / "test.txt", *model, "--mix", folder / "2.npz", "--tune", valid, "--json").json
    weights = [part["weight"] for part in elsewhere["mixture"]]
    assert weights == pytest.approx([part["weight"] for part in tuned["mixture"]])
    shown = rnnlm("eval", folder / "test.txt", *model, "--mix", folder / "2.npz", "--tune", valid).out
    assert f"{weights[1]:.4f}" in shown
    assert "found by EM" in shown


def test_models_with_different_vocabularies_are_mixed_by_words(folder):
    """The probabilities sum to at most one; words known to the second model only share its <unk>."""
    main = LanguageModel.load(folder / "rnn.npz")
    both = mixed(main, [(folder / "other.npz", 0.5)])
    other = LanguageModel.load(folder / "other.npz")
    assert both.vocabulary is main.vocabulary
    row, _ = both.require_causal().next_log_probabilities(np.array([[0]]), both.require_causal().zero_state(1))
    own, _ = main.require_causal().next_log_probabilities(np.array([[0]]), main.require_causal().zero_state(1))
    theirs, _ = other.require_causal().next_log_probabilities(np.array([[0]]), other.require_causal().zero_state(1))
    assert 0.9 < np.exp(row).sum() <= 1 + 1e-6
    for word in ("我", "弟弟", "。"):
        expected = 0.5 * np.exp(own[0, main.vocabulary.encode([word])]) + 0.5 * np.exp(
            theirs[0, other.vocabulary.encode([word])]
        )
        assert np.exp(row[0, main.vocabulary.encode([word])]) == pytest.approx(expected, rel=1e-5)


def test_a_mixture_can_predict_and_sample_but_not_be_saved(folder, tmp_path):
    from rnnlm.errors import CheckpointError

    both = mixed(LanguageModel.load(folder / "rnn.npz"), [(folder / "3.npz", 0.9)])
    assert both.kind == "mixture"
    assert both.predict("我 昨天 上学").candidates[0].token == "迟到"
    assert len(both.beam("我", 10, 4, 2)) == 2
    with pytest.raises(CheckpointError, match="mixture"):
        both.save(tmp_path / "mixture.npz")
    assert mixed(both, []) is both


@pytest.mark.parametrize(
    ("code", "arguments", "sentence"),
    [
        (2, ["--mix", "{}/3.npz"], "no weight"),
        (2, ["--mix", "{}/3.npz:1.5"], "between 0 and 1"),
        (2, ["--mix", "{}/3.npz:0"], "between 0 and 1"),
        (2, ["--mix", "{}/3.npz:nan"], "between 0 and 1"),
        (2, ["--mix", "{}/3.npz:0.5", "--mix", "{}/2.npz:0.5"], "sum to 1"),
        (2, ["--tune", "{}/valid.txt"], "--mix FILE"),
        (2, ["--mix", "{}/3.npz:0.5", "--tune", "{}/valid.txt"], "without a weight"),
        (2, ["--mix", "{}/3.npz:0.5", "--dynamic"], "leave out --mix"),
        (2, ["--dynamic-lr", "0.1"], "--dynamic"),
        (2, ["--baseline", "3"], "--baseline-corpus"),
        (2, ["--baseline", "7", "--baseline-corpus", "{}/train.txt"], "1 to 6"),
        (2, ["--baseline", "0", "--baseline-corpus", "{}/train.txt"], "1 to 6"),
        (2, ["--baseline-corpus", "{}/train.txt"], "--baseline N"),
        (1, ["--mix", "{}/none.npz:0.5"], "none.npz does not exist"),
        (1, ["--mix", "{}/none.arpa:0.5"], "none.arpa does not exist"),
        (1, ["--mix", "{}/train.txt:0.5"], "train.txt is not a checkpoint, but a text"),
        (1, ["--mix", "{}/char.npz:0.5"], "level 'char' instead of 'word'"),
        (1, ["--mix", "{}/char.npz", "--tune", "{}/valid.txt"], "same tokens"),
        (1, ["--mix", "{}/3.npz", "--tune", "{}/none.txt"], "none.txt does not exist"),
        (1, ["--baseline", "{}/none.npz"], "none.npz does not exist"),
        (1, ["--baseline", "2", "--baseline-corpus", "{}/none.txt"], "none.txt does not exist"),
    ],
)
def test_errors_of_eval_are_one_sentence(folder, code, arguments, sentence, rnnlm):
    given = [each.format(folder) for each in arguments]
    assert sentence in rnnlm("eval", folder / "test.txt", "-m", folder / "rnn.npz", *given, code=code).err


def test_models_of_other_tokens_cannot_be_mixed(folder, tmp_path, rnnlm):
    characters = ["--level", "char", "--context", "sentence", "-o", tmp_path / "c.npz", "--arpa", tmp_path / "c.arpa"]
    rnnlm("ngram", "train", folder / "train.txt", *characters)
    main = ["eval", folder / "test.txt", "-m"]
    assert "model of characters" in rnnlm(*main, folder / "rnn.npz", "--mix", f"{tmp_path}/c.arpa:0.5", code=1).err
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("In the beginning\n" * 3, encoding="utf-8")
    rnnlm("ngram", "train", foreign, "-o", tmp_path / "f.npz")
    assert "% of the tokens" in rnnlm(*main, folder / "rnn.npz", "--mix", f"{tmp_path}/f.npz:0.5", code=1).err
    assert "one stream" in rnnlm(*main, folder / "char.npz", "--mix", f"{tmp_path}/c.arpa:0.5", code=1).err


# --- eval: baselines ----------------------------------------------------------------------------------------------


def test_baselines_are_shown_beside_the_model(folder, rnnlm):
    arguments = [folder / "test.txt", "-m", folder / "rnn.npz", "--baseline", 3]
    found = rnnlm("eval", *arguments, "--baseline-corpus", folder / "train.txt", "--json").json
    rows = found["baselines"]
    assert [row["order"] for row in rows] == [1, 2, 3]
    assert all(row["tokens"] == found["tokens"] and row["oov"] == found["oov"] for row in rows)
    assert [len(row["ngrams"]) for row in rows] == [1, 2, 3]
    assert [row["bytes"] for row in rows] == sorted(row["bytes"] for row in rows)
    network = LanguageModel.load(folder / "rnn.npz").network
    assert found["bytes"] == 4 * network.parameter_count
    shown = rnnlm("eval", *arguments, "--baseline-corpus", folder / "train.txt").out
    for row in rows:
        assert f"{row['order']}-gram" in shown
        assert f"{row['perplexity']:.4g}" in shown


def test_a_baseline_is_trained_on_the_training_part_of_the_model(folder, rnnlm):
    """The last tenth, on which the network was validated, is left out. A different text gives a warning."""
    model = LanguageModel.load(folder / "rnn.npz")
    tokens = model.training["corpus"]["train_tokens"]
    lines = (folder / "train.txt").read_text(encoding="utf-8").splitlines()
    ids = np.concatenate([[*model.encode(line), 1] for line in lines])
    assert 0 < tokens < len(ids)
    arguments = [folder / "test.txt", "-m", folder / "rnn.npz", "--baseline", "2", "--baseline-corpus"]
    printed = rnnlm("eval", *arguments, folder / "train.txt", "--json")
    found = printed.json["baselines"][1]
    assert printed.err == ""
    expected = NgramModel.train(ids[:tokens], len(model.vocabulary), 2)
    assert found["ngrams"] == expected.ngram_counts()
    assert "another text" in rnnlm("eval", *arguments, folder / "other.txt").err


@pytest.mark.parametrize("name", ["2.npz", "2.arpa", "char.npz"])
def test_a_model_file_can_be_the_baseline(folder, name, rnnlm):
    arguments = ["eval", folder / "test.txt", "-m", folder / "3.npz", "--baseline", folder / name, "--json"]
    printed = rnnlm(*arguments)
    (row,) = json.loads(printed.out)["baselines"]
    alone = rnnlm("eval", folder / "test.txt", "-m", folder / name.replace("arpa", "npz"), "--json").json
    assert row["logprob_nats"] == pytest.approx(alone["logprob_nats"], rel=1e-6)
    assert ("bits per character" in printed.err) == (name == "char.npz")


# --- eval: dynamic evaluation -------------------------------------------------------------------------------------


def test_dynamic_evaluation_is_labelled_and_does_not_change_the_file(folder, tmp_path, rnnlm):
    text = tmp_path / "repetitive.txt"
    text.write_text("老师 批评 了 手机 。\n" * 40, encoding="utf-8")
    before = (folder / "rnn.npz").read_bytes()
    arguments = [text, "-m", folder / "rnn.npz", "--dynamic", "--dynamic-lr", 1]
    found = rnnlm("eval", *arguments, "--json").json
    plain = rnnlm("eval", text, "-m", folder / "rnn.npz", "--json").json
    assert all(found[key] == value for key, value in plain.items())  # the figures of the model itself do not change
    (row,) = found["dynamic"]
    assert row["perplexity"] < 0.7 * found["perplexity"]
    assert (row["lr"], row["window"], row["tokens"]) == (1, 20, found["tokens"])
    assert "learns" in rnnlm("eval", *arguments).out
    assert (folder / "rnn.npz").read_bytes() == before


def test_dynamic_evaluation_is_refused_for_ngram_models(folder, rnnlm):
    assert "n-gram" in rnnlm("eval", folder / "test.txt", "-m", folder / "3.npz", "--dynamic", code=1).err
