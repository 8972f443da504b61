import codecs

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CorpusError
from rnnlm.text.encodings import BIG5, GB18030, UTF8, UTF16, decode, detect

TRADITIONAL = """\
我昨天上學遲到了，老師批評了我。
這個週末我們一起去圖書館看書。
他說今天會下雨，所以要帶雨傘。
媽媽在廚房裡做飯，爸爸在看報紙。
請問到火車站應該怎麼走？
臺灣的夜市有很多好吃的東西。
小明對數學很有興趣，每天都練習。
她從來沒有去過那麼遠的地方。
時間過得真快，轉眼又是一年。
我覺得這部電影比上次那部好看。
醫生告訴他要多喝水、多休息。
雖然路很遠，但是大家都不覺得累。
學生們正在教室裡討論環境問題。
你認為科學發展會帶來什麼變化？
春天來了，公園裡的花都開了。
為了準備考試，他整個晚上沒有睡覺。
我們應該尊重不同的意見。
老闆答應下個月給員工加薪。
這條河流經過三個國家，最後進入大海。
如果你有時間，請打電話給我。
歷史告訴我們，戰爭沒有贏家。
他們決定在鄉下買一間舊房子。
網際網路改變了人們的生活方式。
"""
SIMPLIFIED = "我昨天上学迟到了，老师批评了我。\n这个周末我们一起去图书馆看书。\n他说今天会下雨，所以要带伞。\n"


def blocks(content, size):
    return [content[i : i + size] for i in range(0, len(content), size)]


def decoded(content, size=1 << 20, encoding=None):
    """Return the decoded text and the reported codec."""
    found = []
    text = "".join(decode(blocks(content, size), "x.txt", encoding, found.append))
    assert len(found) == 1
    return text, found[0]


def normalised(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


LINES = st.lists(st.sampled_from(["\r", "\n", "\r\n", "a", "é", "我", "😀", "x y"])).map("".join)


@given(st.one_of(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"])), LINES), st.integers(1, 9))
def test_utf8_is_decoded_in_blocks_of_any_size(text, size):
    text = text.removeprefix("\ufeff")
    for mark in ("", "\ufeff"):
        assert decoded((mark + text).encode(), size) == (normalised(text), UTF8)


@given(LINES, st.integers(2, 9), st.sampled_from(["utf-8", "utf-16", "utf-16-be", "gb18030", "utf-32"]))
def test_a_named_encoding_is_decoded_in_blocks_of_any_size(text, size, encoding):
    assert decoded(text.encode(encoding), size, encoding)[0] == normalised(text)


@pytest.mark.parametrize("text", ["plain English\r\nin two lines\n", SIMPLIFIED, "Ünïcödé\n", "一 a\n"])
def test_utf16_is_recognised_with_and_without_a_byte_order_mark(text):
    for mark, codec in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        content = text.encode(codec)
        assert decoded(mark + content) == (normalised(text), UTF16)
        assert decoded(content) == (normalised(text), codec)


def test_big5_and_gb18030_are_distinguished_on_traditional_text():
    assert decoded(TRADITIONAL.encode("big5")) == (TRADITIONAL, BIG5)
    assert decoded(TRADITIONAL.encode("gb18030")) == (TRADITIONAL, GB18030)
    assert decoded(SIMPLIFIED.encode("gbk")) == (SIMPLIFIED, GB18030)
    for line in TRADITIONAL.splitlines():
        assert detect(line.encode("big5")) == BIG5
        assert detect(line.encode("gb18030")) == GB18030


@pytest.mark.real_text
def test_parts_of_a_novel_are_recognised(data_dir):
    text = (data_dir / "hongloumeng.txt").read_text("utf-8")
    for start in np.random.default_rng(0).integers(len(text) - 2000, size=50):
        part = text[start : start + 2000]
        assert detect(part.encode("gb18030")) == GB18030
        assert detect(part.encode("utf-8")) == UTF8
    assert decoded(text.encode("gb18030")) == (text, GB18030)


def test_an_encoding_that_shows_late_is_recognised():
    english = "All work and no play makes Jack a dull boy.\n" * 200
    for codec, text in ((GB18030, SIMPLIFIED), (BIG5, TRADITIONAL), (UTF8, SIMPLIFIED)):
        assert decoded((english + text).encode(codec), size=1000) == (english + text, codec)
    assert decoded(english.encode(), size=1000) == (english, UTF8)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("Le café était fermé, là-bas à côté.", "cp1252"),
        ("Привет, как дела?", "cp1251"),
        ("日本語の文章です。", "euc_jp"),
    ],
)
def test_other_encodings_are_not_mistaken_for_chinese(text, codec):
    with pytest.raises(CorpusError, match=r"x\.txt is not UTF-8: byte 0x.. at offset \d+ .*--encoding"):
        decoded(text.encode(codec) * 20)
    assert decoded(text.encode(codec), encoding=codec) == (text, codec)


# Errors


@given(st.data())
def test_an_error_names_the_first_bad_byte_and_its_offset(data):
    encoding = data.draw(st.sampled_from(["utf-8", "gb18030", "big5", "ascii", "utf-16-le"]))
    text = data.draw(st.lists(st.sampled_from(["a\n", "我", "x", "好"])).map("".join))
    content = bytearray(text.encode(encoding, "ignore") + data.draw(st.sampled_from([b"", b"\xff\xdf", b"\xe6"])))
    if content:
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from([9, 32, *range(128, 256)]))
    size = data.draw(st.integers(1, 8))
    try:
        expected = bytes(content).decode(encoding)
    except UnicodeDecodeError as error:
        # Python's codec finds the place when it decodes all at once.
        with pytest.raises(CorpusError, match=rf"byte 0x{content[error.start]:02x} at offset {error.start} "):
            decoded(bytes(content), size, encoding)
    else:
        assert decoded(bytes(content), size, encoding)[0] == normalised(expected).removeprefix("\ufeff")


def test_a_damaged_byte_does_not_prevent_recognition():
    for codec, label, text in (
        (GB18030, "GB18030", SIMPLIFIED),
        (BIG5, "Big5", TRADITIONAL),
        (UTF8, "UTF-8", SIMPLIFIED),
    ):
        content = (text * 3).encode(codec)
        place = content.index(b"\n") + 1
        damaged = content[:place] + b"\xff" + content[place:]
        with pytest.raises(CorpusError, match=rf"x\.txt is not {label}: byte 0xff at offset {place} cannot"):
            decoded(damaged)


@pytest.mark.parametrize("name", ["no-such-codec", "rot13", "hex", "a\0b", "é"])
def test_unknown_encodings_are_refused(name):
    with pytest.raises(CorpusError, match="There is no encoding"):
        decoded(b"text", encoding=name)


def test_utf16_as_a_named_encoding_needs_its_mark():
    with pytest.raises(CorpusError, match="BOM"):
        decoded("text".encode("utf-16-be"), encoding="utf-16")


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\2\0\0\0",
        b"\x7fELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0>\0\1\0\0\0",
        b"text with a NUL at the end\0",
        bytes(range(1, 32)) * 10,
        np.random.default_rng(0).bytes(5000),
        np.arange(1000, dtype=np.int32).tobytes(),
    ],
)
def test_binary_files_are_refused(content):
    with pytest.raises(CorpusError, match=r"binary file|not text"):
        decoded(content)


def test_a_late_nul_is_refused():
    with pytest.raises(CorpusError, match="NUL"):
        decoded(b"text\n" * 100 + b"\0", size=50)


def test_escape_sequences_of_colours_are_accepted():
    text = "\x1b[31mred\x1b[0m\n" * 5
    assert decoded(text.encode()) == (text, UTF8)


@pytest.mark.parametrize("content", [b"a b\n\0\nc\n", b"the sea\n\0 was calm\n" * 9, "老师\n\0\n".encode() * 9])
def test_utf8_with_a_nul_is_not_mistaken_for_utf16(content):
    assert detect(content) is None
    with pytest.raises(CorpusError, match="NUL"):
        decoded(content)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["a\n", "the sea was calm\n", "我们\n", SIMPLIFIED, TRADITIONAL])
def test_utf16_without_a_mark_is_recognised_for_any_text(text, codec):
    assert decoded(text.encode(codec)) == (text, codec)
