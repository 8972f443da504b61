"""ARPA files survive a round trip, agree with KenLM, and are refused with a line number if broken."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.baselines.arpa import LONGEST_LINE, read_arpa, write_arpa
from rnnlm.baselines.levels import LOG_ZERO
from rnnlm.baselines.ngram import LARGEST_ORDER, NgramModel
from rnnlm.errors import CheckpointError
from rnnlm.language_model import LanguageModel
from rnnlm.text.corpus import sequence, tokenize_corpus
from rnnlm.text.tokenizers import WordTokenizer
from rnnlm.text.vocabulary import BOS, EOS, FIRST, SPECIALS, UNK, Vocabulary

LINES = [["the", "cat", "sat", "."], ["the", "cat", "saw", "the", "dog", "."], ["我", "的", "the", "."], ["cat"], []]


def trained(lines: list[list[str]], order: int) -> tuple[NgramModel, list[str]]:
    tokens = list(dict.fromkeys(token for line in lines for token in line))
    ids = [each for line in lines for each in [*(FIRST + tokens.index(token) for token in line), EOS]]
    return NgramModel.train(np.array(ids), FIRST + len(tokens), order), tokens


def written(model: NgramModel, tokens: list[str]) -> bytes:
    file = io.BytesIO()
    write_arpa(model, tokens, file)
    return file.getvalue()


def read(content: bytes, folder: Path) -> tuple[NgramModel, list[str]]:
    path = folder / "model.arpa"
    path.write_bytes(content)
    return read_arpa(path)


def assert_same(model: NgramModel, other: NgramModel) -> None:
    assert other.order == model.order
    for ours, theirs in zip(model.levels, other.levels, strict=True):
        for name in ("keys", "log_probability", "backoff"):
            assert (getattr(ours, name) == getattr(theirs, name)).all()
            assert getattr(ours, name).dtype == getattr(theirs, name).dtype


# --- round trips --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("lines", [LINES, LINES[:1], [["a"]], [["a"] * 9]])
def test_a_written_model_is_read_back_bit_by_bit(lines: list[list[str]], order: int, tmp_path: Path):
    model, tokens = trained(lines, order)
    again, names = read(written(model, tokens), tmp_path)
    assert names == tokens
    assert_same(model, again)


HARD = [
    *(" ", "\n", "\t", "\u3000", "\xa0", "\u2028", "\x85", "\0", "\x1c", "\ud800"),
    *("<s>", "</s>", "<unk>", "<UNK>", "\\", "\\data\\", "\\u0020;", "# x", "a b"),
]


def test_tokens_that_arpa_cannot_spell_survive_a_round_trip(tmp_path: Path):
    model, tokens = trained([HARD, ["plain", *HARD[::2]]], 3)
    content = written(model, tokens)
    assert content.startswith(b"# rnnlm escapes")
    again, names = read(content, tmp_path)
    assert names == tokens
    assert_same(model, again)


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=6, unique=True))
def test_any_tokens_survive_a_round_trip(tmp_path_factory: pytest.TempPathFactory, tokens: list[str]):
    model, _ = trained([tokens], 2)
    assert read(written(model, tokens), tmp_path_factory.mktemp("arpa"))[1] == tokens


def test_plain_tokens_are_written_as_they_are():
    content = written(*trained([["a\\b", "c"]], 2)).decode()
    assert content.startswith("\\data\\\nngram 1=5\nngram 2=3\n\n\\1-grams:\n-99\t<s>\t")
    assert "\ta\\b c\n" in content
    assert content.endswith("\n\\end\\\n")


def test_gzip_is_recognised_whatever_the_file_is_called(tmp_path: Path):
    model, tokens = trained(LINES, 3)
    again, names = read(gzip.compress(written(model, tokens)), tmp_path)
    assert names == tokens
    assert_same(model, again)


# --- files of other programs --------------------------------------------------------------------------------------

FOREIGN = """\
A comment of another program

\\data\\
ngram 1=6
ngram  2 = 3
ngram 3=2

\\1-grams:
-1.0 <unk>
-99\t<s>\t-0.5
-0.5\t</s>
-0.7\tb\t-0.25
-0.6\ta\t-0.125
-inf\tc

\\2-grams:
-0.3\t<s> a\t-0.2
-0.2 a b
-0.4\tb </s>

\\3-grams:
-0.1\t<s> a b
-0.15\t<s> a </s>

\\end\\
what follows is not read
"""


# Ways in which writers of the format differ.
SPELLINGS = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "a byte order mark": lambda text: "\ufeff" + text,
    "a byte order mark before \\data\\": lambda text: "\ufeff" + text[text.index("\\data\\") :],
    "SRILM's counts": lambda text: text.replace("ngram 1=6", "ngram 1= 6").replace("ngram 3=2", "ngram  3 =2 "),
    "spaces for tabs": lambda text: text.replace("\t", "  "),
    "tabs for spaces in n-grams": lambda text: text.replace("a b", "a\tb"),
    "white space at the ends of lines": lambda text: text.replace("\n", " \t\n"),
    "no blank lines": lambda text: text.replace("\n\n", "\n"),
    "<UNK>": lambda text: text.replace("<unk>", "<UNK>"),
    "-99 for zero": lambda text: text.replace("-inf", "-99"),
    "weights of nothing": lambda text: text.replace("-0.2 a b\n", "-0.2 a b 0\n"),
    "an order without n-grams": lambda text: text.replace("ngram 3=2", "ngram 3=2\nngram 4=0").replace(
        "\\end\\", "\\4-grams:\n\n\\end\\"
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_probabilities_of_files_of_other_programs_follow_the_format(tmp_path: Path, spelling: str):
    """Compare with log10 probabilities by hand: the longest listed n-gram, or a shorter one with back-off weights."""
    model, tokens = read(SPELLINGS[spelling](FOREIGN).encode(), tmp_path)
    assert tokens == ["b", "a", "c"]
    b, a, c = 3, 4, 5
    expected = {
        (BOS, a): -0.3,
        (BOS, b): -0.5 - 0.7,
        (BOS, a, b): -0.1,
        (BOS, a, a): -0.2 - 0.125 - 0.6,
        (BOS, a, EOS): -0.15,
        (BOS, a, b, EOS): -0.4,  # the context "a b" is listed without a weight
        (BOS, b, a): -0.25 - 0.6,
        (BOS, a, UNK): -0.2 - 0.125 - 1.0,
        (BOS, UNK, a): -0.6,
    }
    for (*context, word), log10 in expected.items():
        row, _ = model.next_log_probabilities(np.array([context]).T, model.zero_state(1))
        assert row[0, word] / np.log(10) == pytest.approx(log10, abs=1e-6)
        nats, _ = model.nats(np.array([context]).T, np.array([[*context[1:], word]]).T, model.zero_state(1))
        assert -nats[-1, 0] / np.log(10) == pytest.approx(log10, abs=1e-6)
    assert model.levels[0].log_probability[[BOS, c]] == pytest.approx(LOG_ZERO)


PRUNED = """\
\\data\\
ngram 1=6
ngram 2=2
ngram 3=1
ngram 4=1

\\1-grams:
-99\t<s>
-1\t</s>
-1\t<unk>
-1\ta\t-0.5
-1\tb\t-0.25
-1\tc\t-0.125

\\2-grams:
-0.5\ta b\t-0.2
-0.5\tc a

\\3-grams:
-0.3\ta b c\t-0.1

\\4-grams:
-0.01\ta b c a

\\end\\
"""


def test_a_context_whose_suffix_was_pruned_is_still_used(tmp_path: Path):
    """SRILM prunes single n-grams: here `a b c` is listed, but its suffix `b c` is not."""
    model, tokens = read(PRUNED.encode(), tmp_path)
    a, b, c = (FIRST + tokens.index(token) for token in "abc")
    row, _ = model.next_log_probabilities(np.array([[a, b, c]]).T, model.zero_state(1))
    nats, _ = model.nats(np.array([[a, b, c]] * 2).T, np.array([[b, c, a], [b, c, b]]).T, model.zero_state(2))
    assert row[0, a] / np.log(10) == pytest.approx(-0.01, abs=1e-6)
    assert row[0, b] / np.log(10) == pytest.approx(-0.1 - 0.125 - 1, abs=1e-6)
    assert -nats[2] == pytest.approx(row[0, [a, b]])


BROKEN = {
    "nothing": ("", 1, "ends here"),
    "no n-gram model": ("In the beginning\n", 2, "ends here"),
    "binary": ("PK\0\0\n" * 5, 1, r"\\data\\"),
    "much text": ("In the beginning\n" * 2000, 1001, r"\\data\\"),
    "no counts": ("\\data\\\n\n\\1-grams:\n", 3, "order 0"),
    "order seven": ("\\data\\\n" + "".join(f"ngram {k}=1\n" for k in range(1, 8)) + "\\1-grams:\n", 9, "order 7"),
    "counts out of order": (FOREIGN.replace("ngram 1=6", "ngram 2=6"), 4, "ngram 1="),
    "a count that is none": (FOREIGN.replace("ngram 1=6", "ngram 1=six"), 4, "'ngram 1=six'"),
    "a count as large as the world": (FOREIGN.replace("1=6", "1=999999999999999"), 15, "999,999,999,999,999 1-grams"),
    "a number with too many digits": (FOREIGN.replace("1=6", "1=" + "9" * 5000), 4, "a number"),
    "too many n-grams": (FOREIGN.replace("1=6", "1=5"), 14, r"\\2-grams: was expected"),
    "too few n-grams": (FOREIGN.replace("1=6", "1=7"), 15, "says 7 1-grams"),
    "a section missing": (FOREIGN.replace("\\2-grams:", "\\3-grams:"), 16, r"\\2-grams: was expected"),
    "a word that was not listed": (FOREIGN.replace("<s> a b", "<s> a d"), 22, "'d' is not among the 1-grams"),
    "a word listed twice": (FOREIGN.replace("\ta\t", "\tb\t"), 13, "'b' is listed twice"),
    "<unk> in two spellings": (FOREIGN.replace("\tc\n", "\t<UNK>\n"), 14, "'<UNK>' is listed twice"),
    "an n-gram listed twice": (FOREIGN.replace("-0.2 a b", "-0.2 <s> a"), 18, "2-gram is listed twice"),
    "a context that was not listed": (FOREIGN.replace("<s> a </s>", "b a </s>"), 23, "not listed among the 2-grams"),
    "a field too few": (FOREIGN.replace("-0.2 a b", "-0.2 a"), 18, "2 words"),
    "a field too many": (FOREIGN.replace("-0.2 a b", "-0.2 a b -1 -1"), 18, "2 words"),
    "a word for a number": (FOREIGN.replace("-0.2 a b", "zero a b"), 18, "should be numbers"),
    "a word for a weight": (FOREIGN.replace("<s> a\t-0.2", "<s> a\tb"), 17, "should be numbers"),
    "a probability above one": (FOREIGN.replace("-0.2 a b", "0.2 a b"), 18, "at most 0"),
    "no number": (FOREIGN.replace("-0.2 a b", "nan a b"), 18, "at most 0"),
    "an infinite weight": (FOREIGN.replace("<s> a\t-0.2", "<s> a\tinf"), 17, "at most 0"),
    "no </s>": (FOREIGN.replace("-0.5\t</s>", "-0.5\td"), 14, "without </s>"),
    "no <s>": (FOREIGN.replace("-99\t<s>", "-9\td"), 14, "without <s>"),
    "no word": ("\\data\\\nngram 1=2\n\n\\1-grams:\n-99\t<s>\n-1\t</s>\n\n\\end\\\n", 6, "without any word"),
    "no end": (FOREIGN.partition("\\end\\")[0], 25, "cut off"),
    "cut off in the middle": (FOREIGN.partition("-0.15")[0], 23, "ends here"),
    "an endless line": ("\\data\\" + "x" * (LONGEST_LINE + 1), 1, "bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_the_line_number(name: str, tmp_path: Path):
    content, line, what = BROKEN[name]
    with pytest.raises(CheckpointError, match=what) as caught:
        read(content.encode(), tmp_path)
    assert f"model.arpa, line {line}: " in str(caught.value)


def test_words_that_are_not_utf8_are_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"line 12: .* not UTF-8"):
        read(FOREIGN.replace("\tb\t", "\t昨天\t").encode("gb18030"), tmp_path)


def test_missing_and_damaged_files_are_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="does not exist"):
        read_arpa(tmp_path / "none.arpa")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_arpa(tmp_path)
    packed = gzip.compress(written(*trained(LINES, 2)))
    for damaged in (packed[:-30], packed[:30] + b"\xff" * 20 + packed[50:], packed[:12]):
        with pytest.raises(CheckpointError):
            read(damaged, tmp_path)


@given(st.data())
def test_random_damage_raises_nothing_but_checkpoint_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    content = bytearray(FOREIGN.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=3))
    try:
        model, tokens = read(bytes(content), tmp_path_factory.mktemp("arpa"))
    except CheckpointError:
        return
    assert model.vocabulary_size == FIRST + len(tokens)
    model.log_probabilities(np.full((3, 1), 3), model.zero_state(1))


# --- KenLM --------------------------------------------------------------------------------------------------------


@pytest.mark.real_text
@pytest.mark.parametrize("order", [2, 3, 6])
def test_kenlm_gives_every_token_of_a_real_text_the_same_probability(data_dir: Path, tmp_path: Path, order: int):
    kenlm = pytest.importorskip("kenlm")
    tokenizer = WordTokenizer()
    text = tokenize_corpus([data_dir / "kjv" / "train.txt"], tokenizer, lines=True)
    vocabulary = Vocabulary.build(text.tokens, text.counts()[FIRST:])
    model = NgramModel.train(sequence(text, vocabulary)[:], len(vocabulary), order)
    path = tmp_path / "kjv.arpa"
    with open(path, "wb") as file:
        write_arpa(model, vocabulary.tokens, file)
    config = kenlm.Config()
    config.show_progress = False
    theirs = kenlm.Model(str(path), config)
    test = (data_dir / "kjv" / "test.txt").read_text(encoding="utf-8").splitlines()
    expected, inputs, targets = [], [], []
    for line in filter(None, map(tokenizer.tokenize, test)):
        expected += [log10 for log10, _, _ in theirs.full_scores(" ".join(line))]
        ids = vocabulary.encode(line).tolist()
        inputs += [BOS, *ids]
        targets += [*ids, EOS]
    nats, _ = model.nats(np.array(inputs)[:, None], np.array(targets)[:, None], model.zero_state(1))
    assert len(expected) == len(targets) > 90_000
    assert UNK in targets
    assert np.abs(-nats[:, 0] / np.log(10) - expected).max() < 1e-4


def test_kenlm_reads_escaped_tokens(tmp_path: Path):
    kenlm = pytest.importorskip("kenlm")
    model, tokens = trained([[*"a b c"], [*"b a"], ["<unk>", " ", "a"]], 3)
    path = tmp_path / "characters.arpa"
    path.write_bytes(written(model, tokens))
    config = kenlm.Config()
    config.show_progress = False
    theirs = kenlm.Model(str(path), config)
    scores = [log10 for log10, _, _ in theirs.full_scores("a \\u0020; b \\u003c;unk>")]
    ids = [FIRST + tokens.index(token) for token in ("a", " ", "b", "<unk>")]
    nats, _ = model.nats(np.array([[BOS, *ids]]).T, np.array([[*ids, EOS]]).T, model.zero_state(1))
    assert -nats[:, 0] / np.log(10) == pytest.approx(scores, abs=1e-5)
    assert not any(oov for _, _, oov in theirs.full_scores("\\u003c;unk>"))
    assert set(SPECIALS) & set(tokens) == {"<unk>"}


def random_arpa(rng: np.random.Generator, order: int, unknown: bool) -> str:
    """Return a random ARPA file with some back-off weights above one. Every context is listed, but not every suffix."""
    words = ["<s>", "</s>", *"abcde", *(["<unk>"] if unknown else [])]
    levels = [[(word,) for word in words]]
    for _ in range(order - 1):
        longer = [(*each, word) for each in levels[-1] if each[-1] != "</s>" for word in words if word != "<s>"]
        rng.shuffle(longer)
        known = set(levels[-1])
        whole = [each for each in longer if each[1:] in known][:40]
        levels.append([*whole, *[each for each in longer if each[1:] not in known][:2]])  # KenLM allows few
    lines = ["\\data\\", *(f"ngram {k}={len(level)}" for k, level in enumerate(levels, 1))]
    for k, level in enumerate(levels, 1):
        lines += ["", f"\\{k}-grams:"]
        for each in level:
            probability = -99 if each == ("<s>",) else -rng.uniform(0.6, 3)
            backoff = f"\t{rng.uniform(-1, 0.1):.6f}" if k < order and each[-1] != "</s>" else ""
            lines.append(f"{probability:.6f}\t{' '.join(each)}{backoff}")
    return "\n".join([*lines, "", "\\end\\", ""])


@pytest.mark.parametrize("unknown", [True, False])
@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
def test_kenlm_gives_every_token_of_a_random_model_the_same_probability(tmp_path: Path, order: int, unknown: bool):
    """This holds for the model read from the ARPA file and for its checkpoint."""
    kenlm = pytest.importorskip("kenlm")
    rng = np.random.default_rng([order, unknown])
    path = tmp_path / "random.arpa"
    path.write_text(random_arpa(rng, order, unknown))
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    theirs = kenlm.Model(str(path), config)
    ours = LanguageModel.load(path)
    ours.save(tmp_path / "random.npz")
    lines = [" ".join(rng.choice([*"abcdex"], rng.integers(0, 12))) for _ in range(200)]
    expected = [[log10 for log10, _, _ in theirs.full_scores(line)] for line in lines]
    for model in (ours, LanguageModel.load(tmp_path / "random.npz")):
        found = [each.log_probabilities / np.log(10) for each in model.score(lines)]
        assert np.concatenate(found) == pytest.approx(np.concatenate(expected), abs=1e-5)


# Rows that are not probabilities


def arpa(path, unigram, bigram, backoff):
    """Write a model of the words a and b that lists the bigram `a b`, with the given numbers (log10)."""
    words = "".join(f"{unigram}\t{word}\t{backoff}\n" for word in ("<s>", "</s>", "<unk>", "a", "b"))
    path.write_text(
        f"\\data\\\nngram 1=5\nngram 2=1\n\n\\1-grams:\n{words}\n\\2-grams:\n{bigram}\ta b\n\n\\end\\\n",
        encoding="utf-8",
    )
    return path


def test_rows_that_sum_to_one_give_no_note(tmp_path):
    p = np.log10(0.25)  # of all tokens but <s>
    assert LanguageModel.load(arpa(tmp_path / "m.arpa", p, p, 0)).notes == []


@pytest.mark.parametrize(("unigram", "bigram", "backoff"), [(-0.3, -0.1, 0.9), (-0.3, -0.1, 20), (-0.1, -0.1, 0.2)])
def test_back_off_weights_that_give_probabilities_above_one_are_refused(tmp_path, unigram, bigram, backoff):
    with pytest.raises(CheckpointError, match=r"m\.arpa: .* has the probability .* after .*more than 1"):
        LanguageModel.load(arpa(tmp_path / "m.arpa", unigram, bigram, backoff))


def test_sums_far_from_one_give_a_note_with_the_context(tmp_path):
    natural = np.log(0.2)  # natural logarithms, where log10 is expected
    model = LanguageModel.load(arpa(tmp_path / "m.arpa", natural, np.log(0.4), 0))
    assert len(model.notes) == 1
    assert "sum to 0.0" in model.notes[0]
    assert "base 10" in model.notes[0]


def test_a_probability_above_one_that_loading_misses_is_refused_in_scoring(tmp_path, monkeypatch):
    monkeypatch.setattr("rnnlm.baselines.ngram.NgramModel.check_rows", lambda model, token: [])
    model = LanguageModel.load(arpa(tmp_path / "m.arpa", -0.3, -0.1, 0.9))
    with pytest.raises(CheckpointError, match="more than 1"):
        list(model.score(["a a"]))


def test_rows_of_trained_models_sum_to_one(tmp_path):
    rng = np.random.default_rng(1)
    for order in range(1, LARGEST_ORDER + 1):
        ids = np.concatenate([[*rng.integers(UNK, 30, 9), EOS] for _ in range(300)])
        model = NgramModel.train(ids, 30, order)
        assert model.check_rows(str) == []
