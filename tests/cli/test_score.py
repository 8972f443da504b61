"""`rnnlm score`: one result per line, consistent sums, and formats of other programs."""

import io
import math
import re
import sys
import unicodedata
from functools import partial

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import network_of
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import CharTokenizer, TokenTokenizer, WordTokenizer
from rnnlm.text.vocabulary import BOS, EOS, UNK, Vocabulary

WORDS = ["我", "昨天", "上学", "迟到", "了", "。", "the", "cat", "sat", "</s>"]
LINES = [
    "我 昨天 上学 。",
    "",
    "the  dog\tsat",
    "   ",
    "the cat sat",
    "我 昨天 上学 。",
    "</s> <s>",
    "\u3000\x0b\x85\u2028",
]
NOT_BLANK = [line for line in LINES if line.strip()]
KINDS = ["word-sentence", "word-stream", "char-sentence", "char-stream", "char-stream-no-newline", "ngram"]


def make_model(kind: str) -> LanguageModel:
    """Return a model of a kind, untrained, but with weights that distinguish the words."""
    rng = np.random.default_rng(1)
    if kind == "ngram":
        vocabulary = Vocabulary(WORDS, [1] * len(WORDS))
        ids = [[*rng.integers(UNK, len(vocabulary), 6), EOS] for _ in range(100)]
        return LanguageModel(
            WordTokenizer(), vocabulary, NgramModel.train(np.concatenate(ids), len(vocabulary), 2), "sentence"
        )
    level, context, *without = kind.split("-", 2)
    tokens = WORDS if level == "word" else [*"我昨天。 thecas", *([] if without else ["\n"])]
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    network = Network.initialize(NetworkConfig(len(vocabulary), "gru", "tanh", 8, 1, 5), rng)
    for array in network.params.values():
        array *= 3
    return LanguageModel({"char": CharTokenizer, "word": WordTokenizer}[level](), vocabulary, network, context)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model(kind, tmp_path):
    path = tmp_path / "model.npz"
    make_model(kind).save(path)
    return str(path)


@pytest.fixture
def word_model(tmp_path):
    path = tmp_path / "word.npz"
    make_model("word-sentence").save(path)
    return str(path)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\n".join(LINES).encode())
    return str(path)


# --- one result per line --------------------------------------------------------------------------------------------


def test_every_line_has_its_result_in_order(model, text, rnnlm):
    plain = rnnlm("score", text, "-m", model).out.split("\n")
    numbers = rnnlm("score", text, "-m", model, "--format", "mikolov").out.split("\n")
    found = rnnlm("score", text, "-m", model, "--json").objects
    assert len(plain) == len(numbers) == len(LINES) + 1
    assert plain[-1] == numbers[-1] == ""
    assert [each["text"] for each in found] == LINES
    for each, line, number in zip(found, plain, numbers, strict=False):
        assert float(line.split()[0]) == pytest.approx(each["logprob_nats"], abs=1e-4)
        assert float(number) == pytest.approx(each["logprob_nats"] / math.log(10), abs=1e-5)
    assert plain[0].split()[0] == plain[5].split()[0]
    assert numbers[0] == numbers[5]
    assert found[0]["logprob_nats"] == found[5]["logprob_nats"]


@pytest.mark.parametrize(
    ("content", "count"),
    [("", 0), ("\n", 1), ("a", 1), ("a\n", 1), ("a\n\n\n", 3), ("\r\n\r\n", 2), ("a\rb\r\n", 1), ("\ufeffa\n", 1)],
)
def test_the_number_of_results_equals_the_number_of_newlines(word_model, tmp_path, content, count, rnnlm):
    path = tmp_path / "lines.txt"
    path.write_bytes(content.encode())
    for arguments in ([], ["--json"], ["--format", "mikolov"]):
        assert rnnlm("score", path, "-m", word_model, *arguments).out.count("\n") == count
    assert rnnlm("score", path, "-m", word_model, "--format", "kenlm").out.count("\n") == count + 4


def test_many_lines_are_scored_in_several_blocks(word_model, tmp_path, rnnlm):
    path = tmp_path / "many.txt"
    lines = [" ".join(WORDS[i] for i in np.random.default_rng(seed).integers(0, 9, seed % 6)) for seed in range(5000)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = rnnlm("score", path, "-m", word_model, "--json").objects
    assert [each["text"] for each in found] == lines
    scores: dict[str, set[float]] = {}
    for each in found:
        scores.setdefault(each["text"], set()).add(each["logprob_nats"])
    assert {len(each) for each in scores.values()} == {1}


def test_texts_can_be_given_as_options_or_on_stdin(word_model, monkeypatch, rnnlm):
    given = rnnlm("score", "--text", "the cat", "--text", "我 昨天\nsat", "-m", word_model).out
    stdin = io.TextIOWrapper(io.BytesIO("the cat\n我 昨天\nsat\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert rnnlm("score", "-", "-m", word_model).out == given
    assert given.count("\n") == 3


def test_files_in_other_encodings_are_read(word_model, tmp_path, rnnlm):
    expected = [
        each["logprob_nats"]
        for each in rnnlm("score", "--text", LINES[0], "--text", "x", "-m", word_model, "--json").objects
    ]
    for encoding in ("gb18030", "utf-16", "utf-8-sig"):
        path = tmp_path / encoding
        path.write_bytes(f"{LINES[0]}\r\nx\r\n".encode(encoding))
        assert [each["logprob_nats"] for each in rnnlm("score", path, "-m", word_model, "--json").objects] == expected


# --- values ---------------------------------------------------------------------------------------------------------


def test_a_score_is_the_sum_of_the_models_log_probabilities(kind, model, text, rnnlm):
    made = make_model(kind)
    for each in rnnlm("score", text, "-m", model, "--json").objects:
        ids = made.encode(each["text"].replace("\n", ""))
        if made.line_end is not None:
            ids = np.append(ids, made.line_end)
        assert each["tokens"] == len(ids)
        assert each["oov"] == (ids == UNK).sum()
        total = 0.0
        if len(ids):
            inputs = np.concatenate([[made.start], ids[:-1]])[:, None]
            total = -made.predictor.nats(inputs, ids[:, None], made.predictor.zero_state(1))[0].sum()
        assert each["logprob_nats"] == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(
    ("base", "unit", "factor"), [("e", "nats", 1), ("10", "log10", math.log(10)), ("2", "bits", math.log(2))]
)
def test_scores_of_tokens_add_up_to_their_line_in_every_base(model, text, base, unit, factor, rnnlm):
    nats = rnnlm("score", text, "-m", model, "--json").objects
    for each, line in zip(
        rnnlm("score", text, "-m", model, "--base", base, "--tokens", "--json").objects, nats, strict=True
    ):
        assert set(each) == {"text", "tokens", "oov", f"logprob_{unit}"}
        assert each[f"logprob_{unit}"] * factor == pytest.approx(line["logprob_nats"], abs=1e-5)
        assert sum(token[f"logprob_{unit}"] for token in each["tokens"]) == pytest.approx(each[f"logprob_{unit}"])
        assert len(each["tokens"]) == line["tokens"]
        assert sum(token["oov"] for token in each["tokens"]) == each["oov"]
        keys = {"token", f"logprob_{unit}", "rank", "oov", "start", "end"}
        assert all(set(token) == keys for token in each["tokens"])


def test_tokens_have_positions_and_are_marked_if_unknown(kind, model, text, rnnlm):
    made = make_model(kind)
    for each, line in zip(rnnlm("score", text, "-m", model, "--tokens", "--json").objects, LINES, strict=True):
        *tokens, last = each["tokens"] or [None]
        if made.line_end is None:
            tokens += [last] if last else []
        else:
            assert last["start"] == last["end"] == len(line)
            assert not last["oov"]
        assert [line[token["start"] : token["end"]] for token in tokens] == [token["token"] for token in tokens]
        assert "".join(line.split()) == "".join("".join(token["token"] for token in tokens).split())
        assert [token["oov"] for token in tokens] == [token["token"] not in made.vocabulary.tokens for token in tokens]


def test_ranks_agree_with_predict(word_model, rnnlm):
    made = make_model("word-sentence")
    (found,) = rnnlm("score", "--text", "the cat sat", "-m", word_model, "--tokens", "--json").objects
    for place, token in enumerate(found["tokens"]):
        rows, _ = made.predictor.next_log_probabilities(
            np.concatenate([[BOS], made.encode("the cat sat")[:place]])[:, None], made.predictor.zero_state(1)
        )
        order = np.argsort(-rows[0])
        target = EOS if token["token"] == "</s>" else made.vocabulary.encode([token["token"]])[0]
        assert order[token["rank"] - 1] == target


def test_the_table_of_tokens_shows_probability_rank_and_bits(word_model, rnnlm):
    shown = rnnlm("score", "--text", "the dog", "-m", word_model, "--tokens").out.splitlines()
    assert shown[1].split() == ["token", "probability", "rank", "bits"]
    assert [row.split()[0] for row in shown[2:]] == ["the", "dog", "</s>"]
    for row in shown[2:]:
        probability, _, bits = map(float, row.split()[-3:])
        assert -math.log2(probability) == pytest.approx(bits, abs=0.01)
    assert "(unknown)" in shown[3]


def test_a_line_that_spells_special_tokens_is_read_as_text():
    for kind in KINDS:
        (scored,) = make_model(kind).score(["</s> <s>"])
        text = scored.ids[:-1] if kind != "char-stream-no-newline" else scored.ids
        assert len(text) > 2
        assert text.min() >= UNK


@pytest.mark.parametrize("kind", [each for each in KINDS if each != "char-stream-no-newline"])
def test_eval_score_and_srilm_count_the_same_lines(kind, model, tmp_path, rnnlm):
    path = tmp_path / "blank.txt"
    lines = ["the cat", "", " \t", "\u3000", "我 昨天  上学", "", "", " sat ", *[""] * 20]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    evaluated = rnnlm("eval", path, "-m", model, "--json").json
    srilm = [
        int(number)
        for number in re.findall(
            r"(\d+) (?:sent|words|OOVs)", rnnlm("score", path, "-m", model, "--format", "srilm").out
        )
    ]
    sentences = len(lines) if kind == "char-stream" else 3
    assert srilm[-3] == sum(srilm[:-3:3]) == sentences
    assert srilm[-3] + srilm[-2] == evaluated["tokens"]
    assert srilm[-1] == evaluated["oov"]
    printed = rnnlm("score", path, "-m", model)
    assert printed.out.count("\n") == len(lines)
    assert f"{sentences} lines, {evaluated['tokens']} tokens" in printed.err
    assert ("blank lines, in none of these figures: 25" in printed.err) == (kind != "char-stream")


def test_counted_characters_do_not_include_redundant_spaces(word_model, tmp_path, rnnlm):
    words = ["the cat", "我 昨天 上学", "sat"]
    wide = [f"  {line.replace(' ', '   ')}\t" for line in words]
    shown = []
    for name, lines in (("narrow", words), ("wide", wide), ("blank", [f"{line}\n\n" for line in words])):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        shown.append(
            [row for row in rnnlm("score", tmp_path / name, "-m", word_model).err.split("\n") if "blank" not in row]
        )
    assert shown[0] == shown[1] == shown[2]
    assert f"{sum(map(len, words)) + len(words)} characters" in shown[0][0]


@pytest.mark.parametrize("kind", ["word-sentence", "char-sentence"])
def test_eval_of_a_single_line_agrees_with_its_score(model, tmp_path, rnnlm):
    path = tmp_path / "line.txt"
    path.write_text("the cat sat\n")
    evaluated = rnnlm("eval", path, "-m", model, "--json").json
    (found,) = rnnlm("score", path, "-m", model, "--json").objects
    assert evaluated["logprob_nats"] == pytest.approx(found["logprob_nats"], abs=1e-5)
    assert evaluated["tokens"] == found["tokens"]


def test_the_summary_on_stderr_has_the_right_sums(word_model, text, rnnlm):
    found = [each for each in rnnlm("score", text, "-m", word_model, "--json").objects if each["text"].strip()]
    summary = rnnlm("score", text, "-m", word_model).err
    total = sum(each["logprob_nats"] for each in found)
    tokens, oov = sum(each["tokens"] for each in found), sum(each["oov"] for each in found)
    characters = sum(len(" ".join(line.split())) + 1 for line in NOT_BLANK)
    assert f"{tokens} tokens" in summary
    assert f"{oov} unknown" in summary
    assert f"{characters} characters" in summary
    rows = {line.split("  ")[0]: re.findall(r"-?\d+\.\d+", line) for line in summary.splitlines()}
    assert float(rows["logprob_nats"][0]) == pytest.approx(total, abs=1e-3)
    assert float(rows["ppl"][0]) == pytest.approx(math.exp(-total / tokens), rel=1e-3)
    assert float(rows["ppl1"][0]) == pytest.approx(math.exp(-total / (tokens - len(NOT_BLANK))), rel=1e-3)
    assert float(rows["bits per char"][0]) == pytest.approx(-total / math.log(2) / characters, rel=1e-3)


def test_a_mixture_averages_the_probabilities_of_its_models(word_model, tmp_path, rnnlm):
    other = tmp_path / "ngram.npz"
    make_model("ngram").save(other)
    scores = [
        rnnlm("score", "--text", "the cat sat", "-m", word_model, "--tokens", *arguments, "--json").objects[0]["tokens"]
        for arguments in ([], ["--mix", f"{other}:0.3"])
    ]
    (ngram,) = rnnlm("score", "--text", "the cat sat", "-m", other, "--tokens", "--json").objects
    for first, mixed, second in zip(*scores, ngram["tokens"], strict=True):
        expected = 0.7 * math.exp(first["logprob_nats"]) + 0.3 * math.exp(second["logprob_nats"])
        assert math.exp(mixed["logprob_nats"]) == pytest.approx(expected, rel=1e-5)


# --- formats of other programs --------------------------------------------------------------------------------------


def test_the_srilm_format_with_debug_2_has_a_line_per_token(word_model, text, rnnlm):
    found = rnnlm("score", text, "-m", word_model, "--base", "10", "--tokens", "--json").objects
    found = [each for each in found if each["text"].strip()]
    shown = rnnlm("score", text, "-m", word_model, "--format", "srilm", "--debug", "2").out
    whole = shown.split("\n\n")[-1]
    assert shown.count("1 sentences,") == len(NOT_BLANK)
    logprob = sum(token["logprob_log10"] for each in found for token in each["tokens"])
    unknown = sum(token["logprob_log10"] for each in found for token in each["tokens"] if token["token"] not in WORDS)
    words = sum(len(each["tokens"]) - 1 for each in found)
    oov = sum(each["oov"] for each in found)
    assert f"file {text}: {len(NOT_BLANK)} sentences, {words} words, {oov} OOVs\n" in whole
    figures = [float(number) for number in re.findall(r"= (\S+)", whole)]
    known = logprob - unknown
    expected = [known, 10 ** (-known / (words - oov + len(NOT_BLANK))), 10 ** (-known / (words - oov))]
    assert figures == pytest.approx(expected, rel=1e-5)
    pattern = re.compile(r"^\tp\( (\S+) \| (\S+) (?:\.\.\.)?\) \t= \[(\d+gram|OOV)\] (\S+) \[ (\S+) \]$", re.M)
    entries = pattern.findall(shown)
    assert len(entries) == sum(len(each["tokens"]) for each in found)
    for (word, _, tag, probability, log10), token in zip(
        entries, (token for each in found for token in each["tokens"]), strict=True
    ):
        if tag == "OOV":
            assert (word, probability, log10) == ("<unk>", "0", "-inf")
        else:
            assert float(log10) == pytest.approx(token["logprob_log10"], rel=1e-5)
            assert 10 ** float(log10) == pytest.approx(float(probability), rel=1e-4)
    assert "\tp( the | <s> ) \t= [2gram] " in shown
    assert "\tp( sat | <unk> ...) \t= [4gram] " in shown


def test_the_srilm_format_with_debug_0_has_totals_only(word_model, text, rnnlm):
    shown = rnnlm("score", text, "-m", word_model, "--format", "srilm", "--debug", "0").out
    assert shown == "".join(rnnlm("score", text, "-m", word_model, "--format", "srilm").out.splitlines(True)[-2:])
    assert shown.startswith(f"file {text}: {sum(bool(line.split()) for line in LINES)} sentences, ")


def test_the_srilm_format_with_debug_1_has_lines_without_tokens(word_model, rnnlm):
    shown = rnnlm("score", "--text", "the cat", "-m", word_model, "--format", "srilm").out.split("\n")
    assert shown[0] == "the cat"
    assert shown[1] == "1 sentences, 2 words, 0 OOVs"
    assert shown[2].startswith("0 zeroprobs, logprob= -")
    assert shown[3] == ""
    assert shown[4] == "file --text: 1 sentences, 2 words, 0 OOVs"


def test_the_kenlm_format_has_tokens_and_totals(model, kind, text, rnnlm):
    found = rnnlm("score", text, "-m", model, "--base", "10", "--tokens", "--json").objects
    *lines, including, excluding, oovs, tokens, _ = rnnlm("score", text, "-m", model, "--format", "kenlm").out.split(
        "\n"
    )
    assert len(lines) == len(LINES)
    for line, each in zip(lines, found, strict=True):
        *words, total = line.split("\t")
        assert total.split() == ["Total:", total.split()[1], "OOV:", str(each["oov"])]
        assert float(total.split()[1]) == pytest.approx(each["logprob_log10"], rel=1e-5, abs=1e-6)
        entries = [re.fullmatch(r"(\S+)=(\d+) (\d+) (\S+)", word) for word in words]
        assert [float(entry[4]) for entry in entries] == pytest.approx(
            [token["logprob_log10"] for token in each["tokens"]], rel=1e-5
        )
        assert sum(entry[2] == "0" for entry in entries) == each["oov"]
        limit = 2 if kind == "ngram" else 1000
        assert [int(entry[3]) for entry in entries] == [min(place + 2, limit) for place in range(len(entries))]
    found = [each for each in found if kind.startswith("char-stream") or each["text"].strip()]
    count, unknown = sum(len(each["tokens"]) for each in found), sum(each["oov"] for each in found)
    assert (oovs, tokens) == (f"OOVs:\t{unknown}", f"Tokens:\t{count}")
    total = sum(each["logprob_log10"] for each in found)
    assert float(including.split("\t")[1]) == pytest.approx(10 ** (-total / count), rel=1e-5)
    assert excluding.startswith("Perplexity excluding OOVs:\t")


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["FILE", "--text", "a"],
        ["FILE", "--format", "srilm", "--json"],
        ["FILE", "--format", "kenlm", "--base", "2"],
        ["FILE", "--format", "mikolov", "--base", "e"],
        ["FILE", "--format", "mikolov", "--tokens"],
        ["FILE", "--debug", "2"],
        ["FILE", "--mix", "other.npz"],
    ],
)
def test_incompatible_options_are_refused(word_model, text, arguments, rnnlm):
    assert rnnlm("score", *[text if each == "FILE" else each for each in arguments], "-m", word_model, code=2).err


def test_missing_and_damaged_files_are_refused(word_model, tmp_path, rnnlm):
    assert "does not exist" in rnnlm("score", tmp_path / "none", "-m", word_model, code=1).err
    bad = tmp_path / "bad"
    bad.write_bytes("我\n昨天\n".encode() + b"ab\xff\n")
    assert f"Line 3 of {bad}: byte 0xff" in rnnlm("score", bad, "-m", word_model, code=1).err
    assert "--text" in rnnlm("score", "--text", "a\udcff", "-m", word_model, code=2).err
    assert "no encoding" in rnnlm("score", bad, "--encoding", "klingon", "-m", word_model, code=1).err


def test_a_bidirectional_model_is_refused(tmp_path, rnnlm):
    vocabulary = Vocabulary(WORDS, [1] * len(WORDS))
    config = NetworkConfig(len(vocabulary), "gru", "tanh", 4, bidirectional=True)
    network = network_of(config, BidirectionalNetwork.initialize(config, np.random.default_rng(0)).params)
    LanguageModel(WordTokenizer(), vocabulary, network, "sentence").save(tmp_path / "both.npz")
    assert "bidirectional" in rnnlm("score", "--text", "the cat", "-m", tmp_path / "both.npz", code=1).err


def test_base_10_may_be_given_for_formats_that_use_it(word_model, text, rnnlm):
    with_base = rnnlm("score", text, "-m", word_model, "--format", "kenlm", "--base", "10").out
    assert with_base == rnnlm("score", text, "-m", word_model, "--format", "kenlm").out


# --- warnings and hints about the text ------------------------------------------------------------------------------


def said(rnnlm, *arguments: str) -> list[str]:
    """Return the lines on stderr that warn or advise."""
    return [line for line in rnnlm(*arguments).err.splitlines() if re.search("Warning|More of|already", line)]


COMMANDS = ["score", "eval", "predict"]


def asked(command: str, text: str, tmp_path) -> list[str]:
    """Return arguments of a command that reads a text."""
    if command == "predict":  # predict reads the last line only
        return [command, text.strip().replace("\n", " ")]
    (tmp_path / "asked.txt").write_text(text * 2, encoding="utf-8")
    return [command, str(tmp_path / "asked.txt")]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["word-sentence", "word-stream", "char-sentence", "ngram"])
def test_marks_that_a_model_reads_as_text_give_one_warning(command, kind, model, tmp_path, rnnlm):
    (warning,) = said(rnnlm, *asked(command, "<s> the cat </s>\n<unk> sat\n", tmp_path), "-m", model)
    assert "<s> as < s >" in warning or command == "eval"
    assert "--level token" in warning
    assert said(rnnlm, *asked(command, "the cat <s>sat\n", tmp_path), "-m", model)[:1] != [warning]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("tokens", [["<", ">", "/", "s", "unk", "the"], ["the", "cat"]])
def test_marks_that_a_model_knows_give_no_warning(command, tokens, tmp_path, rnnlm):
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    network = Network.initialize(NetworkConfig(len(vocabulary), "gru", "tanh", 4), np.random.default_rng(0))
    tokenizer = WordTokenizer() if "<" in tokens else TokenTokenizer()
    LanguageModel(tokenizer, vocabulary, network, "sentence").save(tmp_path / "model.npz")
    text = "<s> the <unk> the </s>\n"
    assert said(rnnlm, *asked(command, text, tmp_path), "-m", str(tmp_path / "model.npz")) == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("known", "given", "hint"),
    [
        ("NFC", "NFD", "form NFC"),
        ("NFD", "NFC", "form NFD"),
        ("lower", "upper", "lower case"),
        ("upper", "lower", "upper case"),
        ("lower", "lower", None),
    ],
)
@pytest.mark.parametrize("level", ["char", "word", "token"])
def test_a_hint_names_the_letter_case_or_unicode_form_with_fewer_unknown_tokens(
    command, known, given, hint, level, tmp_path, rnnlm
):
    change = {"lower": str.lower, "upper": str.upper} | {
        form: partial(unicodedata.normalize, form) for form in ("NFC", "NFD")
    }
    text = "hôm qua tôi đến trường muộn thầy giáo phê bình\n"
    tokenizer = {"char": CharTokenizer, "word": WordTokenizer, "token": TokenTokenizer}[level]()
    tokens = list(dict.fromkeys(tokenizer.tokenize(change[known](text).strip())))
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    network = Network.initialize(NetworkConfig(len(vocabulary), "gru", "tanh", 4), np.random.default_rng(0))
    LanguageModel(tokenizer, vocabulary, network, "sentence").save(tmp_path / "model.npz")
    found = said(rnnlm, *asked(command, change[given](text), tmp_path), "-m", str(tmp_path / "model.npz"))
    hints = [line for line in found if "More of" in line]
    assert len(hints) == (hint is not None)
    assert hint is None or hint in hints[0]
