"""Models with a given vocabulary, and models of pieces (SentencePiece, Hugging Face tokenizers)."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

import rnnlm as api
from rnnlm.language_model import LanguageModel
from rnnlm.text.tokenizers import TokenTokenizer
from tests.pages import ROOT

LINES = ["b a c", "a b", "c c a b", "b b b a"] * 30
GIVEN = ["<blk>", "c", "<unk>", "zz", "a", "b", "<s>"]
SMALL = ["--hidden-size", 8, "--embedding-size", 8, "--epochs", 2, "--threads", 1]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("\n".join(LINES), encoding="utf-8")
    Path("tokens.txt").write_text("".join(f"{token} {i}\n" for i, token in enumerate(GIVEN)), encoding="utf-8")


# --- a given vocabulary -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["train", *SMALL], ["ngram", "train", "--order", 2]], ids=["network", "n-gram"])
def test_given_tokens_are_the_vocabulary_in_the_order_of_the_file(command, rnnlm):
    said = rnnlm(*command, "text.txt", "--level", "token", "--vocabulary", "tokens.txt", "-o", "m.npz").err
    assert "tokens.txt gives 5 tokens, of which the training text lacks 2." in said
    model = api.load("m.npz")
    assert model.vocabulary.tokens == ["<blk>", "c", "zz", "a", "b"]
    assert model.vocabulary.counts[0] == model.vocabulary.counts[2] == 0
    step = model.scorer().start().log_probs
    assert np.exp(step.astype(float)).sum() == pytest.approx(1, abs=1e-5)
    assert math.isfinite(model.score("zz <blk> a").logprob_nats)
    assert model.score("zz q a").oov == 1
    assert str(Path.cwd()) not in Path("m.npz").read_bytes().decode("latin-1")


def test_tokens_missing_from_a_given_vocabulary_are_unknown_and_named(rnnlm):
    Path("few.json").write_text(json.dumps(["b", "x"]), encoding="utf-8")
    said = rnnlm("train", "text.txt", "--level", "token", "--vocabulary", "few.json", *SMALL).err
    assert "2 tokens of the text are unknown" in said
    assert "'a'" in said
    assert api.load("rnnlm.npz").score("a b x").oov == 1


def test_the_adaptive_softmax_sorts_tokens_by_frequency(rnnlm):
    for softmax, expected in (("auto", GIVEN), ("adaptive", ["b", "a", "c", "<blk>", "zz"])):
        model = api.train(
            "text.txt", level="token", vocabulary="tokens.txt", softmax=softmax, hidden_size=8, epochs=1, progress=False
        )
        specials = ("<s>", "</s>", "<unk>")
        assert model.vocabulary.tokens == [token for token in expected if token not in specials]


def test_a_large_vocabulary_that_is_not_sorted_by_frequency_gets_the_full_softmax(rnnlm):
    Path("large.txt").write_text("\n".join(["a", "b", "c", *(f"w{i}" for i in range(8_000))]), encoding="utf-8")
    given = {"level": "token", "vocabulary": "large.txt", "hidden_size": 4, "epochs": 0.1, "progress": False}
    model = api.train("text.txt", ngram=0, **given)
    assert model.network.config.output == "softmax"
    assert model.vocabulary.token(4) == "b"


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        (None, [], "tokens.json is not there"),
        (b"\x00\xff\xfe", [], "is not JSON in UTF-8, and no list of words"),
        (b"a a a\n", [], "line 1 is 'a a a'"),
        (b"a\nb\na\n", [], "'a' is there twice"),
        (b"x\ny\n", [], "none of them is in the text ('b' 'a' 'c')"),
        (b"<s>\n</s>\n<unk>\n", [], "expected at least one token"),
        (b"<s>\n</s>\n<unk>\n<UNK>\n", [], "has no token but"),
        (b"a\nb\n", ["--min-count", 2], "--min-count leaves tokens out"),
        (b"a\nb\n", ["--vocab-size", 5], "--vocab-size leaves tokens out"),
    ],
)
def test_a_bad_vocabulary_is_refused_in_a_sentence(content, more, words, rnnlm):
    path = Path("tokens.json" if content is None else "list.txt")
    if content is not None:
        path.write_bytes(content)
    said = rnnlm("train", "text.txt", "--level", "token", "--vocabulary", path, *SMALL, *more, code=1)
    assert words in said.last
    assert not Path("rnnlm.npz").exists()


def test_a_resumed_training_keeps_its_vocabulary_and_refuses_another(rnnlm):
    given = ["train", "text.txt", "--level", "token", *SMALL]
    rnnlm(*given, "--vocabulary", "tokens.txt")
    rnnlm(*given, "--vocabulary", "tokens.txt")  # the same command may replace its own file
    Path("other.txt").write_text("a\nb\nc\nd\n", encoding="utf-8")
    assert "--vocabulary: another file then" in rnnlm(*given, "--vocabulary", "other.txt", code=1).last
    more = ["train", "text.txt", "--resume", "--epochs", 3, "--threads", 1]
    assert "not the 5 of the checkpoint" in rnnlm(*more, "--vocabulary", "other.txt", code=1).last
    rnnlm(*more, "--vocabulary", "tokens.txt")
    Path("tokens.txt").unlink()
    rnnlm(*more[:3], "--epochs", 4, "--threads", 1)
    assert len(api.load("rnnlm.npz").vocabulary) == 8


# --- pieces -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sentencepiece", "tokenizers"])
def pieces(request):
    """The option for a file of pieces, and a function that tokenizes a line with the other program."""
    package = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    lines = (ROOT / "corpora" / "english.txt").read_text(encoding="utf-8").splitlines()[:300]
    Path("text.txt").write_text("\n".join(lines), encoding="utf-8")
    if request.param == "sentencepiece":
        written = io.BytesIO()
        package.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=written, vocab_size=150, minloglevel=2
        )
        Path("pieces").write_bytes(written.getvalue())
        model = package.SentencePieceProcessor(model_proto=written.getvalue())
        return "--sentencepiece", lambda line: model.encode(line, out_type=str)
    tokenizer = package.Tokenizer(package.models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = package.pre_tokenizers.ByteLevel(), package.decoders.ByteLevel()
    alphabet = package.pre_tokenizers.ByteLevel.alphabet()
    trainer = package.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.save("pieces")
    return "--tokenizer", lambda line: tokenizer.encode(line, add_special_tokens=False).tokens


def test_a_model_of_pieces_reads_plain_text_without_the_file_of_pieces(pieces, rnnlm):
    option, cut = pieces
    said = rnnlm("train", "text.txt", option, "pieces", "-o", "m.npz", *SMALL).err
    assert "The tokenizer gives" in said
    Path("pieces").unlink()
    lines = ["The letters were wet.", "A lamp, and the fish; qx", ""]
    model = api.load("m.npz")
    apart = LanguageModel(TokenTokenizer(), model.vocabulary, model.predictor, model.context)
    for line in lines:
        scored, expected = model.score(line), apart.score(" ".join(cut(line)))
        assert scored.tokens == expected.tokens
        assert scored.logprob_nats == pytest.approx(expected.logprob_nats, rel=1e-6)
    shown = rnnlm("score", "-m", "m.npz", "--tokens", "--json", "--text", lines[1]).json["tokens"]
    starts = [token["start"] for token in shown]
    assert starts == sorted(starts)
    assert lines[1][shown[-2]["start"] : shown[-2]["end"]] in lines[1][-2:]
    assert rnnlm("sample", "-m", "m.npz", "--length", 20, "--seed", 1).out
    info = rnnlm("info", "-m", "m.npz", "--json").json
    assert info["level"] == "token"
    assert info["tokenizer"].keys() == {"pieces", "sha256"}


def test_the_vocabulary_has_all_pieces_unless_its_size_is_limited(pieces, rnnlm):
    option, _ = pieces
    rnnlm("ngram", "train", "text.txt", option, "pieces", "-o", "all.npz", "--order", 2)
    rnnlm("ngram", "train", "text.txt", option, "pieces", "-o", "few.npz", "--order", 2, "--vocab-size", 40)
    model = api.load("all.npz")
    assert model.vocabulary.tokens == model.tokenizer.inventory()
    assert len(api.load("few.npz").vocabulary) == 40


def test_bits_per_character_and_byte_refer_to_the_plain_text(pieces, rnnlm):
    option, _ = pieces
    rnnlm("train", "text.txt", option, "pieces", "-o", "pieces.npz", *SMALL)
    rnnlm("train", "text.txt", "--level", "word", "-o", "words.npz", *SMALL)
    Path("test.txt").write_text("A café on the pier.\n\nThe 我 lamp\n", encoding="utf-8")
    found = {name: rnnlm("eval", "test.txt", "-m", f"{name}.npz", "--json").json for name in ("pieces", "words")}
    text = "A café on the pier.\nThe 我 lamp\n"
    for each in found.values():
        assert (each["characters"], each["text_bytes"]) == (len(text), len(text.encode("utf-8")))
        bits = -each["logprob_nats"] / math.log(2)
        assert each["bits_per_char"] == pytest.approx(bits / len(text))
        assert each["bits_per_byte"] == pytest.approx(bits / len(text.encode("utf-8")))
    assert "bits per byte" in rnnlm("eval", "test.txt", "-m", "pieces.npz").out


def test_completions_and_stop_texts_are_plain_text(pieces, rnnlm):
    from rnnlm.cli.stop_texts import can_write
    from rnnlm.completion import following_texts

    option, _ = pieces
    rnnlm("ngram", "train", "text.txt", option, "pieces", "-o", "m.npz", "--order", 3)
    model = api.load("m.npz")
    assert can_write(model, " the ")
    for text in ("", "The letters", "The letters ", "The"):
        ids = model.best(model.scorer().start().log_probs, 20)
        for candidate in following_texts(model, text, ids):
            assert not {"▁", "Ġ"} & set(candidate)
            assert "  " not in text + candidate


def test_incompatible_options_and_wrong_files_are_refused(pieces, rnnlm):
    option, _ = pieces
    other = {"--sentencepiece": "--tokenizer", "--tokenizer": "--sentencepiece"}[option]
    for more in (["--level", "word"], ["--level", "char"], ["--hmm"], ["--segmenter", "jieba"]):
        said = rnnlm("train", "text.txt", option, "pieces", *more, *SMALL, code=1).last
        assert f"so does {more[0]}" in said
    assert "Give it as" in rnnlm("train", "text.txt", other, "pieces", *SMALL, code=1).last
    rnnlm("train", "text.txt", "--level", "token", *SMALL)
    more = ["train", "text.txt", "--resume", "--epochs", 3]
    assert "not what the checkpoint was trained with" in rnnlm(*more, option, "pieces", code=1).last


def test_a_resumed_training_on_pieces_ends_like_an_uninterrupted_one(pieces, rnnlm):
    option, _ = pieces
    size = ["--hidden-size", 8, "--embedding-size", 8, "--threads", 1, "--ngram", 0, "--schedule", "constant"]
    size += ["--warm-up", 0, "--dropout", 0]
    rnnlm("train", "text.txt", option, "pieces", "-o", "whole.npz", "--epochs", 2, *size)
    rnnlm("train", "text.txt", option, "pieces", "-o", "parts.npz", "--epochs", 1, *size)
    rnnlm("train", "text.txt", option, "pieces", "-o", "parts.npz", "--epochs", 2, "--resume", "--threads", 1)
    whole, parts = (api.load(f"{name}.npz").network.params for name in ("whole", "parts"))
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_a_model_of_pieces_survives_export_and_import(pieces, rnnlm):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    option, _ = pieces
    rnnlm("train", "text.txt", option, "pieces", "-o", "m.npz", "--ngram", 0, *SMALL)
    Path("pieces").unlink()
    rnnlm("export", "--to", "safetensors", "-m", "m.npz")
    rnnlm("import", "m.safetensors", "-o", "again.npz")
    first, again = (api.load(name).score("The lamp").logprob_nats for name in ("m.npz", "again.npz"))
    assert first == again


def test_decode_refuses_pieces_and_complete_offers_whole_pieces(pieces, rnnlm):
    option, _ = pieces
    rnnlm("ngram", "train", "text.txt", option, "pieces", "-o", "m.npz", "--order", 3)
    assert "pieces of words" in rnnlm("decode", "-m", "m.npz", "--text", "the|a letters", code=1).last
    model = api.load("m.npz")
    found = model.predict("The letters", k=5, complete=True).candidates
    expected = model.predict("The letters", k=5).candidates
    assert [each.token for each in found] == [each.token for each in expected]
    assert [each.probability for each in found] == pytest.approx([each.probability for each in expected])
