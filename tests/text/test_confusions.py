"""Tables of characters that can be mistaken for each other."""

import pytest

from rnnlm.errors import CorpusError
from rnnlm.text.confusions import Spellings, joined, read_confusions


@pytest.mark.parametrize(
    ("written", "table"),
    [
        ("吃迟持\n", {"吃": "迟持"}),
        ("吃 迟 持", {"吃": "迟持"}),
        ("吃\t迟,持\r\n", {"吃": "迟持"}),
        ("\ufeff吃：迟、持\n\n# look-alikes\n未末\n", {"吃": "迟持", "未": "末"}),
        ("吃迟\n吃持迟吃\n", {"吃": "迟持"}),
        ("##O\n", {"#": "O"}),
        ("0O\n", {"0": "O"}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_are_read(written, table, encoding, tmp_path):
    path = tmp_path / "table.txt"
    path.write_bytes(written.encode(encoding))
    assert read_confusions(path) == table


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("吃迟\n持\n".encode(), "Line 2 of .* is '持'; expected a character and the characters that may replace it"),
        (b"\n# nothing\n", "is empty; expected"),
        (b"a\xff\n", "Line 1 of .*: byte 0xff"),
        (None, "does not exist"),
    ],
)
def test_other_files_are_refused(content, said, tmp_path):
    path = tmp_path / "table.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=said):
        read_confusions(path)


def test_joined_tables_have_the_characters_of_both():
    assert joined([{"a": "bca"}, {"a": "bd", "b": "a"}]) == {"a": "bcd", "b": "a"}


def test_spellings_finds_the_words_that_may_have_been_meant():
    spellings = Spellings(["迟到", "吃到", "吃", "到了", "道", "迟"])
    found = set(spellings.meant("我吃到了", 1, {"吃": "迟持", "到": "道"}))
    assert found == {("迟到", 1), ("吃到", 0), ("吃", 0), ("迟", 1)}
    assert set(spellings.meant("我吃到了", 2, {"到": "道"})) == {("到了", 0), ("道", 1)}
    assert list(spellings.meant("我吃到了", 0, {"我": "你"})) == []
