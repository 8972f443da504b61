"""Formats of n-best lists: reading, errors with line numbers, and writing."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.errors import CorpusError
from rnnlm.inference.list_formats import FORMATS as ALL_FORMATS
from rnnlm.inference.list_formats import BadLineError
from rnnlm.inference.nbest import best_lines, ranked_lines, read_lists, scored_lines, with_ends
from rnnlm.text.lines import damage, read_lines
from rnnlm.text.sources import Source

GOOD = {
    "plain": ["a b\n", "c\n", "\n", "d e f\n"],
    "kaldi": ["u-1-1 a b\n", "u-1-2 c\n", "u-2-1 d e f\n"],
    "srilm": ["-3.5 -2 2 a b\n", "-4 -1e1 1 c\n", "\n", "-1 0 3 d e f\n"],
    "mikolov": ["1 a b\n", "1 c\n", "2 d e f\n"],
    "tsv": ["a b\t-3.5\n", " c \t-4e0\n", "\n", "d e f\t-1\n"],
    "moses": ["0 ||| a b ||| LM0= -1 ||| -3.5\n", "0 ||| c ||| ||| -4\n", "1 ||| d e f ||| d: 0 lm: 1 ||| -1\n"],
}

FORMATS = {name: ALL_FORMATS[name] for name in GOOD}  # formats in which a line is a candidate

JSON_LINES = [
    '{"text": "the cat", "score": -3.25}\n',
    '  {"text": "the cat"},\n',
    '["the cat", -3.25],\n',
    '[{"text": "the cat"}]\r\n',
    '    "text": "the cat",\n',
]


def lists_of(lines, name, warn=None):
    return list(read_lists(lines, name, "file", warn))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_format_is_read(name, end, mark):
    lines = [line.replace("\n", end) for line in GOOD[name]]
    lines[0] = mark + lines[0]
    lists = lists_of(lines, name)
    assert [[candidate.text for candidate in each.candidates] for each in lists] == [["a b", "c"], ["d e f"]]
    assert len({each.list_id for each in lists}) == 2


def test_incoming_scores_and_word_counts_are_read():
    (first, _), (third,) = (each.candidates for each in lists_of(GOOD["srilm"], "srilm"))
    assert (first.incoming, first.old_language_model, first.words) == (-3.5, -2, 2)
    assert (third.incoming, third.old_language_model, third.words) == (-1, 0, 3)
    assert [c.incoming for each in lists_of(GOOD["moses"], "moses") for c in each.candidates] == [-3.5, -4, -1]


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("kaldi", "utt a b\n", "begins with 'utt'"),
        ("kaldi", "\n", "blank"),
        ("kaldi", "\u3000\n", "blank"),
        ("kaldi", "0 ||| a ||| x ||| 1\n", "--format moses"),
        ("mikolov", "\r\n", "blank"),
        ("srilm", "-1 -2\n", "2 fields"),
        ("srilm", "-1 -2 x a\n", "'x'"),
        ("srilm", "-1 nan 2 a b\n", "'nan'"),
        ("srilm", "-1 1_0 2 a b\n", "'1_0'"),
        ("srilm", "-1 1e999 2 a b\n", "'1e999'"),
        ("srilm", "-1 -2 2.5 a b\n", "whole number"),
        ("srilm", "the words alone\n", "'the'"),
        ("moses", "0 ||| a ||| x\n", "3 fields"),
        ("moses", "a b\n", "1 fields"),
        ("moses", " ||| a ||| x ||| 1\n", "no id"),
        ("moses", "0 ||| a ||| x ||| one\n", "'one'"),
        ("moses", "0 ||| a ||| x ||| \n", "''"),
        ("plain", "0 ||| a ||| x ||| 1\n", "--format moses"),
        ("tsv", "a b\n", "has 0 tabs"),
        ("tsv", "a\tb\t-1\n", "has 2 tabs"),
        ("tsv", "text\tscore\n", "'score'"),
        *((name, "a\udcff\n", "0xff") for name in FORMATS),
        *((name, line, "is JSON") for name in FORMATS for line in JSON_LINES),
        *((name, "the cat\t-3.25\n", "has a tab between") for name in ("plain", "kaldi", "srilm", "mikolov")),
        ("plain", "-3.25\tthe cat\r\n", "has a tab between"),
        ("plain", "the cat\t-3.25\t1\n", "--format moses"),
        ("kaldi", "utt-7 the cat\t-3.25\n", "--format srilm"),
    ],
)
def test_a_bad_line_is_refused_or_passed_through(name, line, words):
    for place in (0, 1, len(GOOD[name])):
        lines = [*GOOD[name][:place], line, *GOOD[name][place:]]
        with pytest.raises(BadLineError) as raised:
            lists_of(lines, name)
        assert f"Line {place + 1} of file " in str(raised.value)
        assert words in str(raised.value)
        warnings = []
        lists = lists_of(lines, name, warnings.append)
        assert len(warnings) == 1
        assert f"Line {place + 1} of file " in warnings[0]
        assert [entry for each in lists for entry in each.entries if isinstance(entry, str) and entry != "\n"] == (
            [line] if line != "\n" else []
        )
        assert [c.text for each in lists for c in each.candidates] == ["a b", "c", "d e f"]


@pytest.mark.parametrize("name", ["kaldi", "mikolov", "moses"])
def test_a_list_id_that_occurs_again_is_refused(name):
    lines = [*GOOD[name], GOOD[name][0]]
    with pytest.raises(BadLineError, match="Line 4 of file has the id"):
        lists_of(lines, name)
    warnings = []
    assert lists_of(lines, name, warnings.append)[-1].entries[-1] == lines[-1]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("name", "line", "text"),
    [
        ("kaldi", "utt-1", ""),
        ("kaldi", "utt-1 \t", ""),
        ("mikolov", "1", ""),
        ("srilm", "-1 -2 0", ""),
        ("srilm", "-1\t-2\t0\t", ""),
        ("moses", "0 ||| ||| x ||| 1", ""),
        ("moses", "0 |||  ||| x ||| 1", ""),
        # Numbers, brackets and quotes that form neither a table nor JSON are words.
        ("kaldi", "utt-1\t5", "5"),
        ("mikolov", "1\tthe cat", "the cat"),
        ("plain", "[1] {2} 3", "[1] {2} 3"),
        ("plain", "1\t2\t3", "1\t2\t3"),
        ("plain", '"no"', '"no"'),
        ("plain", '{"the cat', '{"the cat'),
        ("plain", '"he said": nothing', '"he said": nothing'),
        ("plain", '[[[[[["' * 1000, '[[[[[["' * 1000),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_unusual_lines_are_candidates(name, line, text, end):
    (found,) = lists_of([line + end], name)
    assert [candidate.text for candidate in found.candidates] == [text]


def test_lists_are_returned_as_soon_as_they_end():
    def lines(name):
        yield from GOOD[name]
        raise AssertionError("the first list should have been given out before this is read")

    for name in FORMATS:
        assert next(read_lists(lines(name), name, "file")).list_id


def test_a_blank_line_ends_a_list_at_once_and_a_pause_is_passed_on():
    lines = iter(["a\n", None, "b\n", "\n", None, "\n", "bad\udcff\n", "c\n"])
    found = read_lists(lines, "plain", "file", lambda message: None)
    assert next(found) is None
    assert [candidate.text for candidate in next(found).candidates] == ["a", "b"]
    assert next(lines) is None
    (last,) = found
    assert [entry if isinstance(entry, str) else entry.text for entry in last.entries] == ["\n", "bad\udcff\n", "c"]


# --- writing --------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=12)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60)
@given(data=st.data())
def test_lenient_reading_loses_and_changes_no_line(name, data):
    bad = TEXT.map(lambda text: text + "\n")
    lines = data.draw(st.lists(st.one_of(bad, st.sampled_from(GOOD[name])), max_size=12))
    warnings = []
    lists = lists_of(lines, name, warnings.append)
    entries = [entry if isinstance(entry, str) else entry.line for each in lists for entry in each.entries]
    assert [entry.removeprefix("\ufeff") for entry in entries] == [line.removeprefix("\ufeff") for line in lines]
    for each in lists:
        count = len(each.candidates)
        written = [candidate.line for candidate in each.candidates]
        order = list(reversed(range(count)))
        ranked = list(ranked_lines(each, order, written))
        assert sorted(ranked) == sorted(scored_lines(each, order, written))
        assert len(ranked) == len(each.entries)
        for entry, line in zip(each.entries, ranked, strict=True):
            assert not isinstance(entry, str) or entry == line
        passed = [entry for entry in each.entries if isinstance(entry, str) and entry.removeprefix("\ufeff").strip()]
        assert sorted(best_lines(each, order, written)) == sorted([*written[-1:], *passed])


@pytest.mark.parametrize("name", ["srilm", "moses"])
def test_written_scores_can_be_read_again(name):
    form = FORMATS[name]
    for line in GOOD[name]:
        if line == "\n":
            continue
        again = form.parse(form.rescored(form.parse(line), -12.25, -99.5))
        assert again.text == form.parse(line).text
        if name == "srilm":
            assert (again.incoming, again.old_language_model) == (form.parse(line).incoming, -12.25)
        else:
            assert again.incoming == -99.5
            assert again.line.count("RNNLM0= -12.25") == 1
            twice = form.rescored(again, -1.0, -2.0)
            assert twice.count("RNNLM0=") == 1


def test_the_rest_of_a_rescored_line_does_not_change():
    srilm = FORMATS["srilm"]
    assert srilm.rescored(srilm.parse(" -1\t-2  2 a  b\r\n"), -3, 0) == " -1\t-3.000000  2 a  b\r\n"
    moses = FORMATS["moses"]
    assert (
        moses.rescored(moses.parse("3 ||| a b ||| LM0= -1 T= 2 3 ||| -4 ||| 0-0 1-1\r\n"), -5, -6)
        == "3 ||| a b ||| LM0= -1 T= 2 3 RNNLM0= -5.000000 ||| -6.000000 ||| 0-0 1-1\r\n"
    )


def test_scores_are_written_with_the_sign_and_id_of_the_format():
    expected = {"plain": "-2.500000\n", "mikolov": "-2.500000\n", "kaldi": "u-1-1 2.500000\n"}
    for name, line in expected.items():
        form = FORMATS[name]
        assert form.score_line(form.parse(GOOD[name][0]), -2.5, 0) == line


def test_a_last_line_without_a_newline_gets_one_if_it_moves():
    assert "".join(with_ends(["b", "a\n"])) == "b\na\n"
    assert "".join(with_ends(["b\n", "a"])) == "b\na"


# --- lines of files -------------------------------------------------------------------------------------------------


def lines_of(content, encoding=None):
    return list(read_lines(Source("file", io.BytesIO(content)), encoding))


# Beginnings of files that are not read as text: gzip is decompressed, others are refused (see test_sources).
OTHER_FORMS = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"%PDF-")


@settings(max_examples=100)
@given(st.binary(max_size=60).filter(lambda content: not content.startswith(OTHER_FORMS)))
def test_lines_read_as_utf8_give_back_the_bytes(content):
    lines = lines_of(content, "utf-8")
    assert "".join(lines).encode("utf-8", "surrogateescape") == content
    assert len(lines) == content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
    assert any(map(damage, lines)) == (content.decode("utf-8", "replace") != "".join(lines))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "big5", "utf-16"])
def test_encodings_are_detected(encoding):
    text = "老師說他在這裡。\n\n我們的人\r\n"
    lines = lines_of(text.encode(encoding))
    assert "".join(lines).removeprefix("\ufeff") == text
    assert len(lines) == 3


def test_only_a_newline_ends_a_line():
    assert lines_of("a\x0bb\x85c\u2028d\re\n\n\nf".encode()) == ["a\x0bb\x85c\u2028d\re\n", "\n", "\n", "f"]


def test_binary_files_and_wrong_encodings_are_refused():
    with pytest.raises(CorpusError, match="binary"):
        lines_of(b"\x00\xff\x00\xfe" * 20)
    with pytest.raises(CorpusError, match="no encoding"):
        lines_of(b"a", "klingon")
    with pytest.raises(CorpusError, match="utf-16"):
        lines_of(b"abc", "utf-16-le")
