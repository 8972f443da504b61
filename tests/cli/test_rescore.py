"""`rnnlm rescore` on every format, with good and damaged lists."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rnnlm.cli import run
from rnnlm.language_model import LanguageModel
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.tokenizers import WordTokenizer
from rnnlm.text.vocabulary import Vocabulary

WORDS = ["我", "昨天", "上学", "迟到", "了", "the", "cat", "sat"]
LISTS = [
    ["我 昨天 上学", "我 昨天 迟到", "我 了 the 迟到"],
    ["the cat sat", "cat the sat sat"],
    ["dog 昨天", "sat", "cat cat"],
]
FORMATS = ["plain", "kaldi", "srilm", "mikolov", "moses", "tsv"]  # formats in which a line is a candidate


@pytest.fixture(scope="module")
def made():
    vocabulary = Vocabulary(WORDS, [1] * len(WORDS))
    network = Network.initialize(NetworkConfig(len(vocabulary), "lstm", "tanh", 8, 1, 5), np.random.default_rng(1))
    for array in network.params.values():
        array *= 3
    return LanguageModel(WordTokenizer(), vocabulary, network, "sentence")


@pytest.fixture(scope="module")
def model(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.npz"
    made.save(path)
    return str(path)


@pytest.fixture(scope="module")
def nats(made):
    """Log probability of each candidate."""
    texts = [text for each in LISTS for text in each]
    return {text: scored.logprob_nats for text, scored in zip(texts, made.score(texts), strict=True)}


def acoustic(text: str) -> float:
    """Return the incoming score of a candidate."""
    return -1.5 * len(text)


def lines_of(name: str) -> list[list[str]]:
    """Return the lines of LISTS in a format, without separators."""
    write = {
        "plain": lambda i, n, text: text,
        "kaldi": lambda i, n, text: f"utt-{i}-{n + 1} {text}",
        "srilm": lambda i, n, text: f"{acoustic(text):.2f} -9.5 {len(text.split())} {text}",
        "mikolov": lambda i, n, text: f"{i} {text}",
        "moses": lambda i, n, text: f"{i} ||| {text} ||| LM0= -9.5 ||| {acoustic(text):.2f} ||| 0-0",
        "tsv": lambda i, n, text: f"{text}\t{acoustic(text):.2f}",
    }[name]
    return [[write(i, n, text) for n, text in enumerate(each)] for i, each in enumerate(LISTS)]


def file_of(name: str, path, end: str = "\n") -> str:
    separator = 2 * end if name in ("plain", "srilm", "tsv") else end
    path.write_bytes((separator.join(end.join(each) for each in lines_of(name)) + end).encode())
    return str(path)


@pytest.fixture(params=FORMATS)
def name(request):
    return request.param


def output(capfdbinary, *arguments: str) -> bytes:
    capfdbinary.readouterr()
    assert run(["rescore", *arguments]) == 0
    return capfdbinary.readouterr().out


def total(text: str, name: str, nats: dict[str, float], lm: float, old: float, penalty: float) -> float:
    """Return the total of a candidate by the formula in the help."""
    natural = (1, acoustic(text), 0)
    scores = {"srilm": (math.log(10), acoustic(text), -9.5), "moses": natural, "tsv": natural}
    base, incoming, lscore = scores.get(name, (1 if name != "mikolov" else math.log(10), 0, 0))
    return incoming + old * lscore + lm * nats[text] / base + penalty * len(text.split())


@pytest.mark.parametrize("weights", [(1, 0, 0), (0.3, 0, -2), (8, 0.5, 3), (0, 0, 0)])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_are_ranked_by_the_formula(name, weights, end, model, nats, tmp_path, capfdbinary):
    lm, old, penalty = weights if name == "srilm" else (weights[0], 0, weights[2])
    path = file_of(name, tmp_path / "lists", end)
    options = ["--format", name, "--lm-weight", str(lm), "--word-penalty", str(penalty), "--old-lm-weight", str(old)]
    options += ["--oov-penalty", "0"]
    found = [json.loads(line) for line in output(capfdbinary, path, "-m", model, *options, "--json").splitlines()]
    for each, texts in zip(found, LISTS, strict=True):
        expected = sorted(texts, key=lambda text: -total(text, name, nats, lm, old, penalty))
        assert [candidate["text"] for candidate in each["candidates"]] == expected
        assert each["best"] == expected[0]
        unit = "log10" if name in ("srilm", "mikolov") else "nats"
        for candidate in each["candidates"]:
            expected_total = total(candidate["text"], name, nats, lm, old, penalty)
            assert candidate[f"total_{unit}"] == pytest.approx(expected_total, abs=1e-4)
            parts = [candidate["incoming"], old * candidate["old_lm"], lm * candidate[f"logprob_{unit}"]]
            assert candidate[f"total_{unit}"] == pytest.approx(sum(parts) + penalty * candidate["words"], abs=1e-9)
            assert candidate["logprob_nats"] == pytest.approx(nats[candidate["text"]], abs=1e-5)
            assert candidate["oov"] == candidate["text"].split().count("dog")
            assert texts[candidate["rank"] - 1] == candidate["text"]
    ranked = output(capfdbinary, path, "-m", model, *options).decode()
    bare = [line for line in ranked.split("\n") if line.strip()]
    assert all(line.endswith(end[:-1]) for line in bare)
    for line, text in zip(bare, (c["text"] for each in found for c in each["candidates"]), strict=True):
        assert text in line
    best = output(capfdbinary, path, "-m", model, *options, "--output", "best").decode()
    assert [each["best"] in line for each, line in zip(found, best.splitlines(), strict=True)] == [True] * len(LISTS)


def test_scores_are_printed_in_the_order_of_the_lines(name, model, nats, tmp_path, capfdbinary):
    path = file_of(name, tmp_path / "lists")
    shown = output(capfdbinary, path, "-m", model, "--format", name, "--output", "scores").decode().splitlines()
    given = Path(path).read_text(encoding="utf-8").splitlines()
    assert len(shown) == len(given)
    assert [not line for line in shown] == [not line for line in given]
    texts = [text for each in LISTS for text in each]
    for line, text in zip((line for line in shown if line), texts, strict=True):
        place = {"plain": 0, "mikolov": 0, "kaldi": 1, "srilm": 1}
        number = float(line.split("RNNLM0=")[1].split()[0] if name == "moses" else line.split()[place.get(name, -1)])
        factor = {"kaldi": -1, "srilm": 1 / math.log(10), "mikolov": 1 / math.log(10)}.get(name, 1)
        assert number == pytest.approx(nats[text] * factor, abs=1e-5)


def test_output_can_be_read_as_input(name, model, tmp_path, capfdbinary):
    first = output(capfdbinary, file_of(name, tmp_path / "lists"), "-m", model, "--format", name, "--output", "best")
    (tmp_path / "again").write_bytes(first)
    run(["rescore", str(tmp_path / "again"), "-m", model, "--format", name, "--json"])
    assert capfdbinary.readouterr().out


BAD = {
    "plain": b"0 ||| a ||| b ||| 1\n",
    "kaldi": b"no-id the cat\n",
    "srilm": b"-1 the cat\n",
    "mikolov": b'{"text": "the cat"}\r\n',
    "moses": b"9 ||| the cat\n",
    "tsv": b"the cat -1\n",
}


@pytest.mark.parametrize("damaged", [False, True])
def test_a_bad_line_ends_the_command_or_is_passed_through_byte_for_byte(name, damaged, model, tmp_path, capfdbinary):
    bad = b"the \xff cat\t\r\n" if damaged else BAD[name]
    lines = Path(file_of(name, tmp_path / "lists")).read_bytes().splitlines(keepends=True)
    lines.insert(1, bad)
    path = tmp_path / "bad"
    path.write_bytes(b"".join(lines))
    assert run(["rescore", str(path), "-m", model, "--format", name, "--encoding", "utf-8"]) == 1
    printed = capfdbinary.readouterr()
    assert printed.out == b""
    assert f"Error: Line 2 of {path} ".encode() in printed.err
    assert b"Traceback" not in printed.err
    for kind in ("ranked", "best", "scores"):
        out = output(capfdbinary, str(path), "-m", model, "--format", name, "--lenient", "--output", kind)
        assert out.splitlines(keepends=True)[1] == bad
    run(["rescore", str(path), "-m", model, "--format", name, "--lenient", "--json"])
    printed = capfdbinary.readouterr()
    assert len([json.loads(line) for line in printed.out.splitlines()]) == len(LISTS)
    assert b"Warning: Line 2 of " in printed.err


def test_a_file_of_only_bad_lines_is_passed_through(model, tmp_path, capfdbinary):
    path = tmp_path / "bad"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\n\xff\x1c\n" * 20 + b"x")
    for form in ("kaldi", "srilm", "moses"):
        assert output(capfdbinary, str(path), "-m", model, "--format", form, "--lenient") == path.read_bytes()
    assert run(["rescore", str(path), "-m", model, "--format", "moses", "--lenient"]) == 0
    assert b"bad lines in all" in capfdbinary.readouterr().err


def test_lists_in_other_encodings_are_printed_in_utf8(model, tmp_path, capfdbinary):
    for encoding in ("gb18030", "utf-16"):
        path = tmp_path / encoding
        path.write_bytes("u-1 我 昨天 上学 了\nu-2 我 昨天 迟到 了\n".encode(encoding))
        out = output(capfdbinary, str(path), "-m", model, "--format", "kaldi").decode()
        assert sorted(out.splitlines()) == ["u-1 我 昨天 上学 了", "u-2 我 昨天 迟到 了"]


def test_an_empty_file_gives_no_output(name, model, tmp_path, capfdbinary):
    (tmp_path / "empty").write_bytes(b"")
    for arguments in ([], ["--json"], ["--output", "best"]):
        assert output(capfdbinary, str(tmp_path / "empty"), "-m", model, "--format", name, *arguments) == b""


def test_lists_of_one_candidate_give_a_warning(model, tmp_path, capfdbinary):
    (tmp_path / "lists").write_text("the cat sat\ncat the sat\n")
    assert run(["rescore", str(tmp_path / "lists"), "-m", model, "--format", "mikolov"]) == 0
    assert b"single candidate" in capfdbinary.readouterr().err


def test_a_mixed_in_model_changes_the_scores(made, model, nats, tmp_path, capfdbinary):
    other = LanguageModel(
        made.tokenizer,
        made.vocabulary,
        Network.initialize(NetworkConfig(len(made.vocabulary), "rnn", "tanh", 4), np.random.default_rng(9)),
        "sentence",
    )
    other.save(tmp_path / "other.npz")
    mix = f"{tmp_path / 'other.npz'}:0.999999"
    path = file_of("plain", tmp_path / "lists")
    shown = output(capfdbinary, path, "-m", model, "--mix", mix, "--output", "scores").decode().split()
    texts = [text for each in LISTS for text in each]
    expected = [scored.logprob_nats for scored in other.score(texts)]
    assert [float(number) for number in shown] == pytest.approx(expected, abs=1e-3)
    assert [nats[text] for text in texts] != pytest.approx(expected, abs=0.1)


def test_a_weight_for_a_score_that_the_format_lacks_is_refused(model, tmp_path, capfdbinary):
    path = file_of("kaldi", tmp_path / "lists")
    assert run(["rescore", path, "-m", model, "--format", "kaldi", "--old-lm-weight", "1"]) == 2
    assert b"--old-lm-weight" in capfdbinary.readouterr().err


def test_oov_penalty_makes_unknown_words_expensive(model, tmp_path, capfdbinary):
    (tmp_path / "lists").write_text("dog dog\nthe cat sat the cat sat\n")
    for penalty, best in ((0, b"dog dog\n"), (-100, b"the cat sat the cat sat\n")):
        arguments = [str(tmp_path / "lists"), "-m", model, "--output", "best", "--oov-penalty", str(penalty)]
        assert output(capfdbinary, *arguments) == best


def test_the_default_oov_penalty_shares_unk_among_the_words_seen_once(model, tmp_path, capfdbinary):
    loaded = LanguageModel.load(model)
    singles = loaded.vocabulary.counts.count(1)
    assert loaded.unknown_word_penalty == pytest.approx(-np.log(max(1, singles)))
    (tmp_path / "lists").write_text("dog zebra\nthe cat\n")
    arguments = [str(tmp_path / "lists"), "-m", model, "--json"]
    found = {
        penalty: json.loads(output(capfdbinary, *arguments, *penalty))["candidates"]
        for penalty in ((), ("--oov-penalty", str(loaded.unknown_word_penalty)))
    }
    assert len({json.dumps(each) for each in found.values()}) == 1


def test_sentence_marks_are_not_words_but_unk_is(name, model, tmp_path, capfdbinary):
    bare = ["the cat sat", "cat dog the", "昨天 dog"]
    marked = ["<s> the cat sat </s>", "<s> <s> cat <unk> the </s> </s>", "昨天 <UNK> </s>"]
    scores = []
    for texts in (bare, marked):
        (tmp_path / "list").write_text("".join(line_of(name, n, text) for n, text in enumerate(texts)), "utf-8")
        found = json.loads(output(capfdbinary, str(tmp_path / "list"), "-m", model, "--format", name, "--json"))
        assert sorted(candidate["text"] for candidate in found["candidates"]) == sorted(texts)
        by_text = {candidate.pop("text"): candidate for candidate in found["candidates"]}
        scores.append([by_text[text] for text in texts])
    assert scores[0] == scores[1]


def line_of(name: str, n: int, text: str) -> str:
    """Return a candidate as a line of a file with a single list; all incoming scores are equal."""
    return {
        "plain": f"{text}\n",
        "kaldi": f"u-{n} {text}\n",
        "srilm": f"-1 -2 3 {text}\n",
        "mikolov": f"7 {text}\n",
        "moses": f"7 ||| {text} ||| LM0= -9.5 ||| -1\n",
        "tsv": f"{text}\t-1\n",
    }[name]


@pytest.mark.parametrize("options", [[], ["--lenient"]])
def test_an_empty_candidate_is_scored_and_ranked(name, options, made, model, tmp_path, capfdbinary):
    empty = "<s> </s>" if name == "plain" else ""  # a blank line would end the list
    texts = ["the cat sat", empty, "我"]
    content = "".join(line_of(name, n, text) for n, text in enumerate(texts))
    (tmp_path / "list").write_text(content, "utf-8")
    arguments = [str(tmp_path / "list"), "-m", model, "--format", name, "--oov-penalty", "0", *options]
    found = json.loads(output(capfdbinary, *arguments, "--json"))
    expected = {
        text: scored.logprob_nats for text, scored in zip(texts, made.score(["the cat sat", "", "我"]), strict=True)
    }
    unit, nats = ("log10", math.log(10)) if name in ("srilm", "mikolov") else ("nats", 1)
    assert {each["text"]: each[f"logprob_{unit}"] for each in found["candidates"]} == pytest.approx(
        {text: score / nats for text, score in expected.items()}, abs=1e-5
    )
    assert [each["text"] for each in found["candidates"]] == sorted(texts, key=lambda text: -expected[text])
    for kind in ("ranked", "scores"):
        assert output(capfdbinary, *arguments, "--output", kind).count(b"\n") == len(texts)
    assert capfdbinary.readouterr().err == b""


def said(capfdbinary, *arguments: str) -> list[str]:
    """Return warnings and hints of a command."""
    capfdbinary.readouterr()
    assert run(["rescore", *arguments]) == 0
    return [line for line in capfdbinary.readouterr().err.decode().splitlines() if "single candidate" not in line]


def test_many_unknown_tokens_give_one_warning_and_a_hint_that_helps(model, tmp_path, capfdbinary):
    path = tmp_path / "lists"
    for content, share, hint in [
        ("the cat sat\nthe dog sat\n" * 30, None, None),
        ("the cat\ncat <unk> <unk> <unk>\n" * 30, None, None),  # the list itself contains <unk>
        ("The Cat SAT\nthe CAT\n" * 30, "120 of the 150 tokens", "lower case"),
        ("ｔｈｅ ｃａｔ\n" * 2, "4 of the 4 tokens", "NFKC"),
        ("a b c\n" * 2, "6 of the 6 tokens", None),
    ]:
        path.write_text(content, "utf-8")
        found = said(capfdbinary, str(path), "-m", model)
        assert len(found) == (share is not None) + (hint is not None)
        assert share is None or share in found[0]
        assert hint is None or hint in found[-1]
