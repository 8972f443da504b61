"""--level token in all commands, for text that another program has tokenized."""

import math

import numpy as np
import pytest

from rnnlm.inference.scoring import sequence_nats
from rnnlm.language_model import LanguageModel
from rnnlm.text.vocabulary import UNK

LINES = [
    "mr. <unk> sold u.s. N shares",
    "▁the ▁ferr y ▁cross ed .",
    "M:4/4 K:Cdor =C (3 d2 :|",
    "the/DT dog/NN ran/VBD to/TO it/PRP ./.",
    "[noise] uh-huh <sil> c.e.o. %um &",
    "C1=CC =N(C) @-@ don't 10:30 🇨🇳🇨🇳",
]


@pytest.fixture(params=LINES)
def line(request):
    return request.param


@pytest.fixture
def text(tmp_path, line):
    path = tmp_path / "text.txt"
    path.write_text(f"{line}\n" * 300, encoding="utf-8")
    return path


def test_tokens_are_kept_as_written_in_score_sample_and_predict(rnnlm, text, line, tmp_path):
    bigram = tmp_path / "bigram.npz"
    rnnlm("ngram", "train", text, "--level", "token", "--order", 2, "-o", bigram)
    scored = rnnlm("score", "-m", bigram, "--tokens", "--json", "--text", line).json
    assert [token["token"] for token in scored["tokens"]] == [*line.split(), "</s>"]
    assert scored["oov"] == line.split().count("<unk>")
    assert rnnlm("sample", "-m", bigram, "--temperature", 0).out == f"{line}\n"
    first, second, *_ = line.split()
    candidates = rnnlm("predict", "-m", bigram, "--json", "-k", 1, first).json["candidates"]
    assert candidates[0]["token"] == second


def test_an_arpa_file_has_the_tokens_unescaped(rnnlm, text, line, tmp_path):
    arpa = tmp_path / "bigram.arpa"
    rnnlm("ngram", "train", text, "--level", "token", "--order", 2, "-o", tmp_path / "bigram.npz", "--arpa", arpa)
    content = arpa.read_text("utf-8")
    assert "rnnlm escapes" not in content
    unigrams = content.split("\\1-grams:\n")[1].split("\n\n")[0].split("\n")
    assert {entry.split("\t")[1] for entry in unigrams} == {*line.split(), "<s>", "</s>", "<unk>"}


def test_a_network_learns_tokens_and_counts_unk_as_unknown(rnnlm, text, line, tmp_path):
    model = tmp_path / "model.npz"
    done = rnnlm("train", text, "--level", "token", "--preset", "tiny", "--epochs", 6, "--threads", 1, "-o", model)
    assert "not in the vocabulary" not in done.err
    found = rnnlm("eval", "-m", model, text, "--json").json
    assert found["tokens"] == 300 * (len(line.split()) + 1)
    assert found["oov"] == 300 * line.split().count("<unk>")
    assert found["perplexity"] < 1.5
    assert rnnlm("sample", "-m", model, "--temperature", 0).out == f"{line}\n"
    assert rnnlm("info", "-m", model).out.count("token")


def test_tokens_of_the_penn_treebank_layout_are_words_and_line_ends(rnnlm, tmp_path):
    rng = np.random.default_rng(0)
    words = ["<unk>", "N", "mr.", "'s", "n't", "$", "u.s.", "a&p", "<unk>", "\\*"]
    lines = [" ".join(rng.choice(words, rng.integers(1, 40))) for _ in range(3761)]
    path = tmp_path / "ptb.txt"
    path.write_text("".join(f" {line} \n" for line in lines), encoding="utf-8")
    rnnlm("ngram", "train", path, "--level", "token", "--order", 1, "-o", tmp_path / "ptb.npz")
    found = rnnlm("eval", "-m", tmp_path / "ptb.npz", path, "--json").json
    assert found["tokens"] == sum(len(line.split()) + 1 for line in lines)
    assert found["oov"] == sum(line.split().count("<unk>") for line in lines)
    frequencies = {word: sum(line.split().count(word) for line in lines) for word in words} | {"</s>": len(lines)}
    entropy = -sum(n * math.log(n / found["tokens"]) for n in frequencies.values()) / found["tokens"]
    assert found["nats_per_token"] == pytest.approx(entropy, rel=1e-2)  # of an interpolated unigram


def test_marks_at_the_ends_of_a_line_do_not_change_the_model(rnnlm, tmp_path):
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    plain.write_text("a b c\nb <unk> c\n" * 50, encoding="utf-8")
    marked.write_text("<s> a b c </s>\n<s> b <UNK> c </s>\n" * 50, encoding="utf-8")
    for path in (plain, marked):
        rnnlm("ngram", "train", path, "--level", "token", "-o", path.with_suffix(".npz"))
    models = [LanguageModel.load(path.with_suffix(".npz")) for path in (plain, marked)]
    assert models[0].vocabulary == models[1].vocabulary
    for name, array in models[0].predictor.arrays().items():
        np.testing.assert_array_equal(array, models[1].predictor.arrays()[name])


def test_unk_is_predicted_only_if_the_training_text_contains_it(rnnlm, tmp_path):
    for name, text in (("with", "a <unk> c\n"), ("without", "a b c\n")):
        (tmp_path / name).write_text(text * 50, encoding="utf-8")
        rnnlm("ngram", "train", tmp_path / name, "--level", "token", "-o", tmp_path / f"{name}.npz")
    known, unknown = (LanguageModel.load(tmp_path / f"{name}.npz") for name in ("without", "with"))
    assert unknown.predict("a", 1).candidates[0].token == "<unk>"
    assert "<unk>" not in {each.token for each in known.predict("a", 100).candidates}
    assert unknown.unknown_tokens("a <unk> <UNK> d") == ["d"]
    ids = unknown.encode("a <unk> c <UNK>")
    assert [int(each) for each in ids].count(UNK) == 2
    nats, tokens = sequence_nats(unknown.require_causal(), ids, "sentence")
    assert tokens == 4
    assert np.isfinite(nats)


def test_a_tokenized_text_read_as_words_gets_advice(rnnlm, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("mr. <unk> sold u.s. N shares\n" * 100, encoding="utf-8")
    for command in ("train", "ngram train"):
        options = [] if command == "ngram train" else ["--preset", "tiny", "--epochs", 0.1, "--threads", 1]
        done = rnnlm(*command.split(), path, *options, "-o", tmp_path / f"{len(options)}.npz")
        assert done.err.count("--level token") == 1
        done = rnnlm(*command.split(), path, *options, "--level", "token", "-o", tmp_path / f"{len(options)}t.npz")
        assert "looks tokenised" not in done.err


@pytest.mark.parametrize("option", [["--segmenter", "jieba"], ["--hmm"]])
def test_options_of_the_word_level_are_refused_for_other_levels(rnnlm, tmp_path, option):
    path = tmp_path / "text.txt"
    path.write_text("a b\n" * 100, encoding="utf-8")
    for level in ("token", "char"):
        done = rnnlm("ngram", "train", path, "--level", level, *option, "-o", tmp_path / "m.npz", code=1)
        assert option[0] in done.err


def test_marks_at_the_ends_of_a_line_are_not_counted(rnnlm, tmp_path):
    lines = ["a b c", "b <unk> c", "c </s> a"]
    files = {"plain": lines, "marked": [f" <s> {line} </s> " for line in lines]}
    figures = {}
    for name, text in files.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
        if name == "plain":
            rnnlm("ngram", "train", tmp_path / name, "--level", "token", "--order", 2, "-o", tmp_path / "m.npz")
        evaluated = rnnlm("eval", "-m", tmp_path / "m.npz", tmp_path / name, "--json").json
        scored = rnnlm("score", "-m", tmp_path / "m.npz", tmp_path / name).err
        figures[name] = evaluated["bits_per_char"], evaluated["characters"], scored
    assert figures["plain"] == figures["marked"]
