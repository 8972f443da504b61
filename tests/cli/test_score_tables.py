"""`rnnlm score` with tables as input and output, and lines filtered by perplexity."""

import csv
import io
import math
import os

import pytest

import rnnlm as api
from tests.cli.test_pipes import talk  # noqa: F401 - a fixture
from tests.test_surprisal import LINES, make_model

COLUMNS = ["line", "word", "position", "start", "end", "surprisal", "rank"]
COLUMNS += ["entropy", "entropy_reduction", "frequency", "oov"]
SENTENCES = ["the cat, sat", 'the "dog" sat', "我昨天上学，迟到了。", "cat"]


def read(printed, delimiter="\t"):
    return list(csv.DictReader(io.StringIO(printed), delimiter=delimiter, strict=True))


@pytest.fixture(params=["word-sentence", "char-stream"])
def model(request, tmp_path):
    path = tmp_path / f"{request.param}.npz"
    make_model(request.param).save(path)
    return str(path)


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.npz"
    make_model("word-sentence").save(path)
    return str(path)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(line + "\n" for line in [*LINES, *SENTENCES]), encoding="utf-8")
    return str(path)


def stimuli(tmp_path, rows, name="stimuli.csv", delimiter=",", encoding="utf-8"):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    (tmp_path / name).write_bytes(out.getvalue().encode(encoding))
    return str(tmp_path / name)


# --- rows of tokens and words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["tsv", "csv"])
@pytest.mark.parametrize("arguments", [[], ["--words"], ["--context", "document"], ["--threads", "2"]])
def test_the_table_has_the_rows_of_the_python_api(model, text, layout, arguments, rnnlm):
    printed = rnnlm("score", text, "-m", model, "--format", layout, *arguments)
    found = read(printed.out, {"tsv": "\t", "csv": ","}[layout])
    options = {"words": "--words" in arguments, "document": "document" in arguments}
    rows = list(api.surprisals(api.load(model), [*LINES, *SENTENCES], **options))
    assert len(found) == len(rows)
    for row, expected in zip(found, rows, strict=True):
        assert list(row) == COLUMNS
        for name, cell in row.items():
            value = getattr(expected, name)
            if isinstance(value, float):
                assert float(cell) == pytest.approx(value, abs=1e-4)
                assert len(cell.partition(".")[2]) == 6
            else:
                assert cell == ("" if value is None else str(value))
    assert "logprob_bits" in printed.err
    assert "perplexity per token" in printed.err


@pytest.mark.parametrize("words", [[], ["--words"]])
def test_surprisals_add_up_to_their_line_and_positions_point_to_words(model, text, words, rnnlm):
    lines = rnnlm("score", text, "-m", model, "--json", "--base", "2").objects
    sums = [0.0] * len(lines)
    for row in read(rnnlm("score", text, "-m", model, "--format", "tsv", *words).out):
        number = int(row["line"]) - 1
        sums[number] += float(row["surprisal"])
        piece = lines[number]["text"][int(row["start"]) : int(row["end"])]
        assert piece == row["word"] or (row["word"], piece) == ("</s>", "")
    counted = [place for place, each in enumerate(sums) if each]
    assert len(counted) >= len(lines) - 2
    assert [sums[place] for place in counted] == pytest.approx(
        [-lines[place]["logprob_bits"] for place in counted], abs=1e-4
    )


def test_columns_selects_columns_in_the_given_order(words, text, rnnlm):
    table = read(rnnlm("score", text, "-m", words, "--format", "tsv").out)
    some = rnnlm("score", text, "-m", words, "--format", "tsv", "--columns", "surprisal, word,perplexity")
    found = read(some.out)
    assert list(found[0]) == ["surprisal", "word", "perplexity"]
    assert [row["word"] for row in found] == [row["word"] for row in table]
    assert [float(row["surprisal"]) for row in found] == pytest.approx(
        [float(row["surprisal"]) for row in table], abs=1e-4
    )


def test_a_row_is_a_line_if_no_column_is_about_words(model, text, rnnlm):
    columns = ["line", "surprisal", "oov", "tokens", "perplexity", "bits_per_char", "text"]
    found = read(rnnlm("score", text, "-m", model, "--format", "csv", "--columns", ",".join(columns)).out, ",")
    scored = list(api.load(model).score([*LINES, *SENTENCES]))
    assert [list(row) for row in found] == [columns] * len(scored)
    for number, (row, each) in enumerate(zip(found, scored, strict=True), 1):
        assert (row["line"], row["text"], row["oov"]) == (str(number), each.text, str(each.oov))
        assert float(row["surprisal"]) == pytest.approx(-each.logprob_nats / math.log(2), abs=1e-5)
        assert int(row["tokens"]) == len(each.tokens)
        characters = api.load(model).counted_characters(each.text)
        if characters is None:
            assert row["perplexity"] == row["bits_per_char"] == ""
        else:
            assert float(row["perplexity"]) == pytest.approx(math.exp(-each.logprob_nats / len(each.tokens)), rel=1e-5)
            assert float(row["bits_per_char"]) == pytest.approx(float(row["surprisal"]) / characters, abs=1e-5)


def test_words_makes_a_row_for_each_word(words, rnnlm):
    options = ["-m", words, "--format", "tsv", "--columns", "line,surprisal"]
    printed = rnnlm("score", "--text", "the cat, sat", *options, "--words").out
    assert [row["line"] for row in read(printed)] == ["1"] * 4
    assert [row["line"] for row in read(rnnlm("score", "--text", "the cat, sat", *options).out)] == ["1"]


def test_an_empty_text_gives_only_a_header(words, tmp_path, rnnlm):
    (tmp_path / "none").write_text("")
    assert rnnlm("score", tmp_path / "none", "-m", words, "--format", "tsv").out == "\t".join(COLUMNS) + "\n"


def test_a_model_without_counts_leaves_the_frequency_empty(words, tmp_path, rnnlm):
    (tmp_path / "a.txt").write_text("the cat sat\nthe dog sat\n")
    rnnlm("ngram", "train", tmp_path / "a.txt", "-o", tmp_path / "n.npz", "--arpa", tmp_path / "n.arpa")
    for name, known in (("n.npz", True), ("n.arpa", False)):
        printed = rnnlm("score", "--text", "the cat sat", "-m", tmp_path / name, "--format", "tsv")
        assert [row["frequency"] for row in read(printed.out)] == (["2", "1", "2", ""] if known else [""] * 4)
        assert ("holds no counts" in printed.err) != known


# --- tables as input ------------------------------------------------------------------------------------------------

ROWS = [
    ["item", "sentence", "condition, as named"],
    ["1", "the cat, sat", 'a "b"'],
    ["2", 'the "dog" sat', ""],
    ["3", "我昨天上学，迟到了。", "x\ty\nz"],
    ["4", "cat\nsat", "4"],
]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_other_columns_are_passed_through(words, tmp_path, delimiter, encoding, rnnlm):
    path = stimuli(tmp_path, ROWS, delimiter=delimiter, encoding=encoding)
    printed = rnnlm("score", path, "-m", words, "--format", "csv", "--column", "sentence", "--words")
    found = read(printed.out, ",")
    sentences = [row[1].replace("\n", " ") for row in ROWS[1:]]
    expected = list(api.surprisals(api.load(words), sentences, words=True))
    assert list(found[0]) == ["item", "condition, as named", *COLUMNS]
    assert [(int(row["line"]), row["word"]) for row in found] == [(row.line, row.word) for row in expected]
    for row in found:
        item, _, condition = ROWS[int(row["line"])]
        assert (row["item"], row["condition, as named"]) == (item, condition)


def test_rows_of_a_long_table_keep_their_order(words, tmp_path, rnnlm):
    rows = [["a", "text", "b"], *([str(n), SENTENCES[n % 4] * (n % 3), f"{n}'"] for n in range(9000))]
    path = stimuli(tmp_path, rows, "many.tsv", "\t")
    table = rnnlm("score", path, "-m", words, "--format", "tsv", "--column", "text", "--columns", "perplexity,text").out
    assert [[row["a"], row["text"], row["b"]] for row in read(table)] == rows[1:]
    picked = rnnlm(
        "score", path, "-m", words, "--format", "tsv", "--column", "text", "--columns", "text", "--max-perplexity", "18"
    ).out
    fits = [row["a"] for row in read(table) if row["perplexity"] and float(row["perplexity"]) <= 18]
    assert [row["a"] for row in read(picked)] == fits
    assert 0 < len(fits) < 9000


def test_a_written_table_can_be_read_again(words, tmp_path, text, rnnlm):
    (tmp_path / "table.tsv").write_text(
        rnnlm("score", text, "-m", words, "--format", "tsv", "--columns", "line,perplexity,text").out, encoding="utf-8"
    )
    again = rnnlm(
        "score",
        tmp_path / "table.tsv",
        "-m",
        words,
        "--format",
        "tsv",
        "--column",
        "text",
        "--columns",
        "surprisal,text",
    )
    found = read(again.out)
    assert [row["text"] for row in found] == [*LINES, *SENTENCES]


def test_a_row_is_answered_before_the_next_one_comes(words, talk):  # noqa: F811
    talking = talk("score", "-", "-m", words, "--format", "csv", "--column", "s", "--columns", "tokens,text")
    talking.say("n,s\n")
    for number, sentence in enumerate(["the cat", "cat, sat", "two\nlines"]):
        talking.say(f'{number},"{sentence}"\n')
        heard = talking.hear(2 if number == 0 else 1)
        assert heard.split("\n")[-2].startswith(f"{number},")
    talking.end()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "the column 's' is not there in the first row"),
        ("a,b\n1,2\n", "the column 's' is not among 'a', 'b' in the first row"),
        ("s,s\n1,2\n", "the column 's' is twice or more in the first row"),
        ("a,s\n1,the cat, sat\n", "row 2 of"),
        ("a,s\n1,2\n\n3\n", "row 3 of"),
        ('a,s\n1,"the cat\n2,the dog\n', "row 2 of"),
        ('a,s\n1,"the" cat\n', "row 2 of"),
        ("word,s\n1,the cat\n", "the column 'word' of"),
    ],
)
def test_a_bad_table_is_refused_in_a_sentence(words, tmp_path, content, sentence, rnnlm):
    (tmp_path / "bad.csv").write_text(content)
    found = rnnlm(
        "score", tmp_path / "bad.csv", "-m", words, "--format", "csv", "--column", "s", "--columns", "word", code=1
    )
    assert sentence in found.last.lower()
    assert "bad.csv" in found.last


# --- context given before the line ----------------------------------------------------------------------------------


def test_given_text_is_context_of_each_line(words, tmp_path, rnnlm):
    after = rnnlm("score", "--text", "sat", "--text", "dog", "-m", words, "--given", "the cat", "--json").objects
    expected = list(api.load(words).score([("the cat", "sat"), ("the cat", "dog")]))
    assert [each["logprob_nats"] for each in after] == [each.logprob_nats for each in expected]
    assert [each["text"] for each in after] == ["sat", "dog"]
    assert after[0] != rnnlm("score", "--text", "sat", "-m", words, "--json").objects[0]
    path = stimuli(tmp_path, [["before", "s"], ["the cat", "sat"], ["", "sat"], ["我 昨天", "sat"]])
    found = read(
        rnnlm("score", path, "-m", words, "--format", "csv", "--column", "s", "--given-column", "before").out, ","
    )
    rows = list(api.surprisals(api.load(words), [("the cat", "sat"), "sat", ("我 昨天", "sat")]))
    assert [(row["before"], row["word"]) for row in found][::2] == [("the cat", "sat"), ("", "sat"), ("我 昨天", "sat")]
    assert [float(row["surprisal"]) for row in found] == pytest.approx([row.surprisal for row in rows], abs=1e-5)


def test_given_text_is_context_of_a_document(tmp_path, text, rnnlm):
    path = tmp_path / "stream.npz"
    make_model("word-stream").save(path)
    after = rnnlm("score", text, "-m", path, "--context", "document", "--given", "the cat\nsat", "--json").objects
    (tmp_path / "whole.txt").write_text(
        "".join(f"{line}\n" for line in ["the cat", "sat", *LINES, *SENTENCES]), encoding="utf-8"
    )
    whole = rnnlm("score", tmp_path / "whole.txt", "-m", path, "--context", "document", "--json").objects
    assert [each["logprob_nats"] for each in after] == pytest.approx(
        [each["logprob_nats"] for each in whole[2:]], abs=1e-4
    )


def test_unknown_words_of_the_given_text_are_reported(words, rnnlm):
    assert "xyzzy" in rnnlm("score", "--text", "cat", "-m", words, "--given", "the xyzzy").err


# --- lines by perplexity --------------------------------------------------------------------------------------------


def test_lines_are_filtered_by_perplexity_and_printed_unchanged(model, text, tmp_path, rnnlm):
    every = list(api.load(model).score([*LINES, *SENTENCES]))
    scored = [each for each in every if each.text.strip()]
    middle = sorted(each.perplexity for each in scored)[len(scored) // 2] + 1e-6
    for options, fits in (
        (["--max-perplexity", middle], lambda each: each.perplexity <= middle),
        (["--min-perplexity", middle], lambda each: each.perplexity >= middle),
        (
            ["--min-perplexity", middle - 2, "--max-perplexity", middle + 2],
            lambda each: abs(each.perplexity - middle) <= 2,
        ),
        (["--max-perplexity", "1"], lambda each: False),
    ):
        expected = [each.text for each in scored if fits(each)]
        numbers = [number for number, each in enumerate(every, 1) if each.text.strip() and fits(each)]
        printed = rnnlm("score", text, "-m", model, *options)
        assert [line for line in printed.out.split("\n")[:-1] if line.strip()] == expected
        assert f"{printed.out.count(chr(10))} of {len(LINES) + len(SENTENCES)} lines printed" in printed.err
        objects = rnnlm("score", text, "-m", model, *options, "--json").objects
        assert [each["text"] for each in objects if each["text"].strip()] == expected
        table = read(rnnlm("score", text, "-m", model, *options, "--format", "tsv", "--columns", "line,text").out)
        assert [row["text"] for row in table if row["text"].strip()] == expected
        assert [int(row["line"]) for row in table if row["text"].strip()] == numbers


def test_filters_drop_blank_lines(words, text, rnnlm):
    assert "" not in rnnlm("score", text, "-m", words, "--min-perplexity", "0").out.split("\n")[:-1]


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--columns", "perplexity"], "--columns is for tables; add --format tsv or csv"),
        (["--words", "--json"], "--words is for tables"),
        (["--column", "a"], "--column is for tables"),
        (["--format", "tsv", "--columns", "ppl"], "there is no column 'ppl'; there are line, word,"),
        (["--format", "tsv", "--columns", "line,line"], "line is named twice"),
        (["--format", "tsv", "--columns", ""], "there is no column ''"),
        (["--format", "tsv", "--tokens"], "--tokens is not for --format tsv"),
        (["--format", "tsv", "--json"], "two layouts"),
        (["--format", "csv", "--base", "10"], "--format csv has logarithms to base 2"),
        (["--format", "csv", "--given-column", "a"], "--given-column needs --column"),
        (["--format", "csv", "--column", "s", "--given-column", "a", "--given", "b"], "leave one out"),
        (["--max-perplexity", "9", "--format", "kenlm"], "leave out --format kenlm"),
        (["--max-perplexity", "9", "--tokens"], "leave out --tokens"),
        (["--max-perplexity", "9", "--min-perplexity", "10"], "no line can be between them"),
        (["--max-perplexity", "0", "--min-perplexity", "10"], "no line can be between them"),
        (["--max-perplexity", "nan"], "nan is out of range"),
        (["--max-perplexity", "-1"], "not in the range"),
    ],
)
def test_incompatible_options_are_refused(words, text, arguments, sentence, rnnlm):
    assert sentence in " ".join(rnnlm("score", text, "-m", words, *arguments, code=2).err.split())


def test_column_needs_a_file(words, rnnlm):
    found = rnnlm("score", "--text", "a", "-m", words, "--format", "csv", "--column", "s", code=2)
    assert "leave out --text" in found.err


def test_base_2_may_be_given_for_tables(words, text, rnnlm):
    plain = rnnlm("score", text, "-m", words, "--format", "csv").out
    assert rnnlm("score", text, "-m", words, "--format", "csv", "--base", "2").out == plain


def test_cells_are_escaped_in_a_terminal_and_unchanged_in_a_file(words, tmp_path, monkeypatch, rnnlm):
    (tmp_path / "odd.txt").write_bytes(b"the\x1b[31m cat\rsat\n")
    for columns in (["--columns", "word"], ["--columns", "text"], None):
        options = ["--min-perplexity", "0"] if columns is None else ["--format", "csv", *columns]
        plain = rnnlm("score", tmp_path / "odd.txt", "-m", words, *options).out
        assert "\x1b" in plain
        if columns and "text" in columns:
            assert read(plain, ",") == [{"text": "the\x1b[31m cat\rsat"}]
        monkeypatch.setattr("rnnlm.cli.score.width_of", lambda stream: 80)
        assert "\x1b" not in rnnlm("score", tmp_path / "odd.txt", "-m", words, *options).out
        monkeypatch.undo()
        monkeypatch.setenv("RNNLM_CACHE", os.fspath(tmp_path / "cache"))
