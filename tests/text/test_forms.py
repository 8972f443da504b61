"""Subtitles, HTML and tables are recognised by their content, their text is extracted, and plain text is left alone."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CorpusError
from rnnlm.text import forms, sources
from rnnlm.text.corpus import tokenize_corpus
from rnnlm.text.forms import PLAIN, recognised, text_of
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer

ROOT = Path(__file__).parents[2]

SRT = """1
00:00:01,000 --> 00:00:04,000
<i>我昨天上学</i>迟到了。

2
00:00:05,500 --> 00:00:07,000 X1:100 X2:200
{\\an8}- 1984?
- Tom &amp; Jerry

3
00:00:08,000 --> 00:00:09,000
<font color="#ff0000">a < b</font>
7
"""
SAID = "我昨天上学迟到了。\n- 1984?\n- Tom & Jerry\na < b\n7\n"
VTT = """WEBVTT - a film
Kind: captions

NOTE made by hand
in two lines

STYLE
::cue { color: red }

intro
00:01.000 --> 00:04.000 align:start
<v Nell>The <c.yellow>ferry</c> <00:02.000>came.

00:05.000 --> 00:06.000
She had gone.
"""
PAGE = """<!-- saved --><!DOCTYPE html>
<html><head><title>The ferry</title><style>p { color: red }</style>
<script>if (a < b) { document.write("<p>never</p>"); }</script></head>
<body><h1>One</h1><p>The <b>ferry</b>
   came &amp; went&nbsp;&#8212; late.<br>She had gone.</p><table><tr><td>a</td><td>b</td></tr></table>
<pre>two  spaces
</pre></body></html>
"""
READ = "The ferry\nOne\nThe ferry came & went — late.\nShe had gone.\na b\ntwo spaces\n"
CSV = 'id,text,label\n1,"He said ""go"", and\nwent.",pos\n2,我昨天上学,neg\n3,,pos\n\n4,last,neg\n'
TSV = 'text\tlabel\n"Yes, she said\tpos\nNo\tneg\n'
JSONL = "".join(
    json.dumps(row, ensure_ascii=True) + "\n"
    for row in [{"id": 1, "text": "one\r\ntwo"}, {"id": 2, "text": "迟到"}, {"id": 3, "text": None}, {"id": 4}]
)


@pytest.fixture
def read(tmp_path):
    def read(content, name="text", column=None):
        """Return the text of a file, read as a stream of characters, and its notes; test two sizes of blocks."""
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = []
        for size in (1 << 20, 11):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sources, "BLOCK", size)
                folder = tmp_path / f"cache{size}"
                for _ in range(2):  # made, then found in the cache
                    corpus = tokenize_corpus([path], CharTokenizer(), lines=False, column=column, cache_dir=folder)
                    text = "".join(corpus.tokens[i - 3] for i in corpus.ids.tolist())
                    found.append((text, [note.replace(f"{tmp_path}/", "") for note in corpus.notes]))
        assert found == found[:1] * 4
        return found[0]

    return read


@pytest.mark.parametrize(
    ("content", "expected", "said"),
    [
        (SRT, SAID, "subtitles"),
        ("\ufeff" + SRT.replace("\n", "\r\n"), SAID, "subtitles"),
        (SRT.replace("\n\n", "\n"), SAID, "subtitles"),
        (VTT, "The ferry came.\nShe had gone.\n", "subtitles"),
        (SRT.encode("gb18030"), SAID, "subtitles"),
        (gzip.compress(SRT.encode()), SAID, "subtitles"),
        (PAGE, READ, "HTML"),
        ('<?xml version="1.0"?>\n<html><body>a<br/>b</body></html>', "a\nb\n", "HTML"),
        ("<p>One</p>\n<p class='x'>Two &lt;3</p>\n", "One\nTwo <3\n", "HTML"),
    ],
)
def test_markup_is_removed_with_a_note(read, content, expected, said):
    text, notes = read(content)
    assert text == expected
    assert said in " ".join(notes)
    assert "left out" in notes[-1]


@pytest.mark.parametrize(
    ("content", "column", "expected", "said"),
    [
        (CSV, "text", 'He said "go", and\nwent.\n我昨天上学\nlast\n', "text is read; 1 row has no text"),
        (CSV, "3", "label\npos\nneg\npos\nneg\n", "column 3 is read"),
        (CSV.replace(",", ";"), "text", 'He said "go"; and\nwent.\n我昨天上学\nlast\n', "1 row has"),
        (TSV, "text", '"Yes, she said\nNo\n', "TSV"),
        ("one\tpos\ntwo\tneg\n", "1", "one\ntwo\n", "TSV"),
        (JSONL, "text", "one\ntwo\n迟到\n", "2 rows have no text"),
        ("id,text\n1,Hello, you\n2,Bye, then\n", "text", "Hello\nBye\n", "2 rows have more or fewer"),
        ("1,Hello, you\n2,Bye\n", "2", "Hello\nBye\n", "1 row has more or fewer"),
        ("a line\nof text\n", "text", "a line\nof text\n", "no table"),
        (SRT, "text", SAID, "subtitles"),
    ],
)
def test_a_column_of_a_table_is_read(read, content, column, expected, said):
    text, notes = read(content, column=column)
    assert text == expected
    assert said in " ".join(notes)


@pytest.mark.parametrize(
    ("content", "kind", "columns"),
    [(CSV, "CSV", "id, text, label"), (TSV, "TSV", "text, label"), (JSONL, "JSONL", "id")],
)
def test_a_table_without_column_is_read_as_text_with_a_note(read, content, kind, columns):
    text, notes = read(content)
    assert text == content
    (note,) = notes
    assert all(part in note for part in (f"is {kind}", "--column", columns))


def test_a_missing_column_and_one_without_text_are_refused(read):
    for content, column, message in [
        (CSV, "texts", "no column texts; expected one of id, text, label, or a number"),
        (CSV, "4", "no column 4"),
        (JSONL, "texts", "no column texts; expected one of id, text"),
        (JSONL, "id", "holds int values"),
        (JSONL + "no json\n", "text", "Line 5 of .* is no JSON object"),
    ]:
        with pytest.raises(CorpusError, match=message):
            read(content, column=column)


def test_escapes_of_nul_and_lone_surrogates_are_replaced(read):
    assert read('{"text": "a\\u0000b\\ud800c\\ud83d\\ude00"}\n', column="text")[0] == "a\ufffdb\ufffdc😀\n"
    assert read("<html>a&#0;b&#xd800;c</html>")[0] == "a\ufffdb\ufffdc\n"


POEM = "春眠不觉晓,处处闻啼鸟\n夜来风雨声,花落知多少\n白日依山尽,黄河入海流\n欲穷千里目,更上一层楼\n"
VERSE = (
    "Tyger Tyger, burning bright,\nIn the forests, of the night,\nWhat immortal hand, or eye,\nDare frame, thy form,\n"
)
CODE = "#include <vector>\nstd::vector<int> a;\nfor (int i = 0; i<b && b>c; i++) {\n\tif (x < y) { f(a, b); }\n}\n" * 9
CHAT = "[10:30] <anna> hi, are you there?\n[10:31] <ben> yes, why?\n[10:31] <anna> {joke} 1 < 2, isn't it?\n" * 9
DIALOGUE = '"Yes," he said, "I know."\n"No," she said, "you do not."\n"So," he said, "who does?"\n' * 9
ARROWS = "The time line of a subtitle is like this:\n00:00:01,000 --> 00:00:02,000\nand so on.\n"
INDENTED = "\tOnce upon a time.\n\tThere was a king.\n\tHe had a son.\n" * 9
MARKED = "<s> the <unk> came </s>\n<s> <unk> went </s>\n" * 9


@pytest.mark.parametrize("text", [POEM, VERSE, CODE, CHAT, DIALOGUE, ARROWS, INDENTED, MARKED, "{", "{}", "<", "a,b\n"])
def test_plain_text_is_not_mistaken_for_another_form(read, text):
    assert read(text) == (text, [])


def test_the_corpora_and_source_code_are_plain_text(read):
    code = [path for path in ROOT.glob("rnnlm/**/*.py") if path.name != "bundle.py"]  # which contains HTML
    for path in [*ROOT.glob("corpora/*.txt"), *code, *ROOT.glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        sample = text[: forms.SAMPLE]
        assert recognised(sample, sample == text).kind == forms.PLAIN, path


@given(st.text(st.sampled_from('ab,;\t"<>/p{}:1 \n-')))
def test_any_recognised_form_can_be_read(text):
    form = recognised(text, True)
    assert "".join(forms.text_of(form, [text], "name", None)) is not None


def test_text_with_many_tags_gives_a_warning(read):
    text = '# A title\n\n<div align="center"><img src="a.png"></div>\n\nSome text here.\n<br>\n' * 5
    found, (note,) = read(text)
    assert found == text
    assert "tags of HTML" in note


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "a line of text\nand more\n"), ("b.HTML", "text\n"), ("c.srt", "x\n")]
)
def test_a_file_name_that_contradicts_the_content_gives_a_note(read, name, content):
    text, (note,) = read(content, name)
    assert text == content
    assert "plain text" in note


def test_in_doubt_the_file_name_decides_about_a_table(read):
    assert read(POEM, "poem.txt")[1] == []
    assert "is CSV" in read(POEM, "poem.csv")[1][0]


def test_reading_a_text_in_another_way_changes_its_digest(tmp_path):
    """So a training cannot be resumed on it."""
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "b.txt").write_text("plain\n", encoding="utf-8")

    def digest(name, column):
        return tokenize_corpus([tmp_path / name], WordTokenizer(), lines=True, column=column).digest

    assert len({digest("a.csv", column) for column in (None, "text", "label")}) == 3
    assert digest("b.txt", None) == digest("b.txt", "text")


@pytest.mark.parametrize("kind", ["srt", "html", "csv", "jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(sources, "BLOCK", 1 << 16)
    monkeypatch.setattr(forms, "_PIECE", 1 << 16)

    def peak(number):
        path = tmp_path / f"{number}.{kind}"
        part = {
            "srt": "1\n00:00:01,000 --> 00:00:04,000\nThe ferry came, and she had gone.\n\n",
            "html": "<p>The <b>ferry</b> came, and she had gone.</p>",
            "csv": "1,The ferry came and she had gone.\n",
            "jsonl": '{"text": "The ferry came and she had gone."}\n',
        }[kind]
        path.write_text({"html": "<html>", "csv": "id,text\n"}.get(kind, "") + part * number, encoding="utf-8")
        tracemalloc.start()
        tokenize_corpus([path], CharTokenizer(), lines=True, column="text" if kind in ("csv", "jsonl") else None)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(20_000) < 1.1 * peak(7_000)


@pytest.mark.parametrize(
    "begin", ["<html><!-- ", "<html><script>", '<html><p class="', "WEBVTT\n\n00:01.000 --> 00:02.000\n"]
)
def test_markup_that_never_ends_is_refused_before_it_fills_the_memory(read, monkeypatch, begin):
    monkeypatch.setattr(forms, "LONGEST_PART", 1000)
    with pytest.raises(CorpusError, match="more than 1,000 characters"):
        read(begin + "x" * 3000)


def test_a_table_with_a_single_column_is_recognised_by_its_name():
    sample = 'text\n"The cat, sat"\n"She said ""no"""\n'
    form = recognised(sample, True, "text")
    assert "".join(text_of(form, [sample], "t.csv", "text")) == 'The cat, sat\nShe said "no"\n'
    assert recognised(sample, True, "other").kind == PLAIN


def test_a_fragment_of_html_may_begin_with_a_comment():
    sample = "<!-- saved from x -->\n<div>\n<p>Hello <b>you</b> there</p>\n<p>Second</p>\n</div>\n"
    form = recognised(sample, True)
    assert "".join(text_of(form, [sample], "w.html", None)).split() == ["Hello", "you", "there", "Second"]
