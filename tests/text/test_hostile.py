"""Strange texts, from bytes to a trained model; tests/stress/hostile_texts.py has the large ones."""

import json
import random
import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnlm import LanguageModel
from rnnlm.cli import run
from rnnlm.errors import CorpusError
from rnnlm.text.corpus import sequence, tokenize_corpus
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import EOS, FIRST, UNK, Vocabulary

SMALL = ["--hidden-size", "4", "--embedding-size", "3", "--epochs", "0.1", "--threads", "1"]
COMMANDS = [
    ["eval", "TEXT"],
    ["score", "TEXT"],
    ["score", "--tokens", "--json", "TEXT"],
    ["rescore", "--lenient", "TEXT"],
    ["predict", "--each", "-k", "3", "LINE"],
    ["sample", "--length", "9", "--prompt", "LINE"],
    ["fill", "LINE ____"],
    ["info"],
]

GOOD = {
    "one character": "a",
    "cr only": "老师 批评 了 我\rthe sea\rwas calm\r" * 9,
    "bidi controls": "\u202eevil\u202c \u2066x\u2069 \u200f\u061c\n" * 9,
    "combining": "e" + "\u0301" * 500 + "\n" + "\u0301\n" * 9,
    "emoji": "👩\u200d🔬👩\u200d🔬 🇨🇭🇨🇭 ❤\ufe0f\n" * 9,
    "specials": "<s> </s> <unk>\n</s>\n<s></s>\n" * 9,
    "terminal": "\x1b[31mred\x1b[0m \x1b]0;title\x07\n\x1b\n" * 9,
    "separators": "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n" * 9,
    "no line end": "a b",
    "empty lines": "\n" * 500 + "a\n" + "\n" * 500 + "b\n",
    "white space": " \t\u3000\u00a0\n" * 50 + "a\n",
    "marks of order": "\ufeff\ufeffa\ufeff b\n\ufeff\n" * 9,
    "blanks": "____ ________ _\n" * 9,
    "noncharacters": "\ufffe\uffff\U0010ffff \ue000 \ufffd\n" * 9,
    "formats": "a ||| b ||| c ||| 1\n\\data\\\n\\end\\\n# x\nnan inf -1e400\n" * 9,
    "a long word": "ab" * 1000 + "\nb\n",
    "different characters": "".join(map(chr, range(0xAC00, 0xAE00))) + "\nb\n",
}
REFUSED = {
    "nothing": b"",
    "blank lines only": b"\n \n\t\n",
    "random bytes": random.Random(1).randbytes(3000),
    "nul": b"a b\n\0\nc\n",
    "mixed encodings": "老师批评了我。\n".encode() * 9 + "老师批评了我。\n".encode("gb18030"),
    "mixed the other way": "老师批评了我。\n".encode("gb18030") * 9 + "é ö ü ñ ã\n".encode() * 9 + b"\xff\xff",
    "surrogates": b"a \xed\xa0\x80 b\n",
    "overlong": b"a \xc0\x80 b\n",
    "half a character": "a 我".encode()[:-1],
    "half of utf-16": "a 我\n".encode("utf-16")[:-1],
    "controls": b"\x01\x02\x03\x04 a\n" * 9,
}


@pytest.mark.parametrize("level", ["word", "char"])
@pytest.mark.parametrize("name", GOOD)
def test_every_command_works_on_a_strange_text(name, level, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_bytes(GOOD[name].encode())
    line = next(line for line in GOOD[name].replace("\r", "\n").split("\n") if line.strip())[:200]
    (tmp_path / "text2.txt").write_bytes(GOOD[name].encode())
    # Two files, since the border between them could cause errors.
    arguments = ["train", "text.txt", "text2.txt", "--valid-fraction", "0", "--level", level, *SMALL]
    assert run(arguments) == 0, capfd.readouterr().err
    for command in COMMANDS:
        filled_in = [each.replace("TEXT", "text.txt").replace("LINE", line) for each in command]
        code = run(filled_in)
        said = capfd.readouterr().err
        assert "Traceback" not in said
        assert code == 0 or (code == 1 and said.rstrip().split("\n")[-1].startswith("Error: ")), (command, said)


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_not_text_are_refused_in_a_sentence(name, tmp_path, capfd):
    path = tmp_path / "text.txt"
    path.write_bytes(REFUSED[name])
    assert run(["train", str(path), "-o", str(tmp_path / "out.npz"), *SMALL]) == 1
    said = capfd.readouterr().err
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert "text.txt" in said
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("tokenizer", [CharTokenizer(), WordTokenizer("spaces")], ids=lambda each: each.name)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_tokenized_or_refused_in_a_sentence(tokenizer, content, tmp_path):
    path = tmp_path / "any.txt"
    path.write_bytes(content)
    try:
        corpus, message = tokenize_corpus([path], tokenizer, lines=True), ""
    except CorpusError as error:
        corpus, message = None, str(error)
    if corpus is None:
        assert str(path) in message
        return
    assert len(corpus.ids)
    assert corpus.ids[-1] == EOS
    assert len(set(corpus.tokens)) == len(corpus.tokens)
    vocabulary = Vocabulary.build(corpus.tokens, corpus.counts()[FIRST:]) if corpus.tokens else None
    if vocabulary is not None:
        ids = sequence(corpus, vocabulary)[:]
        assert UNK not in ids
        assert [vocabulary.token(each) for each in ids if each >= FIRST] == [
            corpus.tokens[each - FIRST] for each in corpus.ids if each >= FIRST
        ]


def test_special_tokens_in_a_text_are_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a </s> b <s> <unk>\n" * 5)
    for tokenizer, ends in ((CharTokenizer(), 5), (WordTokenizer(), 5)):
        corpus = tokenize_corpus([path], tokenizer, lines=True)
        assert int((corpus.ids == EOS).sum()) == ends
        assert not ((corpus.ids == 0) | (corpus.ids == UNK)).any()


def test_a_spelled_out_end_is_read_as_text(tmp_path, monkeypatch, capfd):
    """</s> in a text is read as < / s >."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("</s> </s> </s>\n" * 40)
    assert run(["train", "text.txt", *SMALL]) == 0
    capfd.readouterr()
    assert run(["score", "--json", "--tokens", "--text", "</s>"]) == 0
    tokens = [each["token"] for each in json.loads(capfd.readouterr().out)["tokens"]]
    assert tokens == ["<", "/", "s", ">", "</s>"]


def test_any_character_can_be_learnt_and_written(tmp_path, monkeypatch, rnnlm):
    """All characters but NUL, surrogates and line ends are possible; the text has each of a sample twice."""
    monkeypatch.chdir(tmp_path)
    characters = [
        chr(code)
        for code in range(0x20, 0x30000, 41)
        if not 0xD800 <= code < 0xE000 and unicodedata.category(chr(code)) != "Cc"
    ]
    (tmp_path / "text.txt").write_text("".join(characters) * 2, encoding="utf-8")
    arguments = ["--level", "char", "--valid-fraction", "0", "--softmax", "adaptive"]
    rnnlm("train", "text.txt", *arguments, *SMALL)
    model = LanguageModel.load("rnnlm.npz")
    assert sorted(model.vocabulary.tokens) == sorted(characters)
    text = "".join(characters[::9])
    assert model.render(model.encode(text)) == text
    probabilities, _ = model.network.log_probabilities(np.array([[0]]), model.network.zero_state(1))
    assert np.exp(probabilities.astype(float)).sum() == pytest.approx(1, abs=1e-4)


def test_huge_words_are_abbreviated_in_output(tmp_path, monkeypatch, capfd):
    """This holds wherever tokens are shown to people."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(f"{'x' * 100_000} {'y' * 100_000}\n" * 9)
    assert run(["train", "text.txt", *SMALL]) == 0
    commands = [["info"], ["predict", "z" * 100_000], ["lab", "pairs", "z" * 100_000]]
    said = capfd.readouterr().err
    for command in commands:
        assert run(command) == 0
        printed = capfd.readouterr()
        said += printed.out + printed.err
    assert "x" * 50 in said
    assert max(map(len, said.split("\n"))) < 3000
