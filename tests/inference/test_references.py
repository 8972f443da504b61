"""References: matching them with lists, and errors if they do not match."""

import pytest

from rnnlm.errors import CorpusError
from rnnlm.inference.references import References, read_references


def written(tmp_path, text):
    path = tmp_path / "ref"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_lines_are_references_in_the_order_of_the_lists(tmp_path):
    references = read_references(written(tmp_path, "\ufeffa b\r\n\nc"), "srilm")
    assert [references.of(None).words for _ in range(3)] == [["a", "b"], [], ["c"]]
    assert references.finish() is None


def test_references_in_kaldis_format_are_matched_by_id(tmp_path):
    references = read_references(written(tmp_path, "u2 c d\nu1\tb\nu3\n"), "kaldi")
    assert references.of("u1").words == ["b"]
    assert references.of("u3").words == []
    assert "1 of the 3 references" in references.finish()


def test_a_line_of_json_has_list_and_reference(tmp_path):
    by_id = read_references(written(tmp_path, '{"id": 7, "text": "a"}\n{"id": "x", "text": "b c"}\n'), "json")
    assert by_id.of("x").words == ["b", "c"]
    assert by_id.of("7").words == ["a"]
    in_order = read_references(written(tmp_path, "a\nb c\n"), "json")
    assert [in_order.of("x").words, in_order.of("7").words] == [["a"], ["b", "c"]]


def test_too_few_and_too_many_references_are_refused():
    references = References(["a", "b"], "ref.txt")
    for _ in range(2):
        references.of(None)
    assert references.finish() is None
    with pytest.raises(CorpusError, match=r"ref.txt has 2 references, and there are more lists"):
        references.of(None)
    references = References(["a", "b"], "ref.txt")
    references.of(None)
    with pytest.raises(CorpusError, match=r"ref.txt has 2 references for 1 list;"):
        references.finish()


def test_an_unknown_id_is_refused():
    with pytest.raises(CorpusError, match=r"no reference with the id 'u9', which a list has"):
        References({"u1": "a"}, "ref.txt").of("u9")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("kaldi", "u1 a\n\nu2 b\n", "Line 2 of .* is blank"),
        ("kaldi", "u1 a\nu1 b\n", "the id 'u1' twice"),
        ("json", '{"id": "a", "text": "b"}\nwords\n', "Line 2 of .* is 'words'; expected an object"),
        ("json", '{"id": "a"}\n', "Line 1 of .* expected an object with id and text"),
        ("plain", b"a \xff b\n", "Line 1 of .* is not text: byte 0xff"),
    ],
)
def test_bad_lines_are_refused_with_their_number(tmp_path, name, text, message):
    with pytest.raises(CorpusError, match=message):
        read_references(written(tmp_path, text), name, "utf-8")


def test_chinese_is_counted_in_characters():
    assert References(["我昨天上学"]).counts_characters
    assert not References({"a": "the cat"}).counts_characters
