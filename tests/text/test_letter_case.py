"""Reading in lower case keeps the length of a text and equals reading the text in lower case."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import CheckpointError, TokenizerError
from rnnlm.model_header import tokenizer_from_header
from rnnlm.text.letter_case import in_lower_case, lower_case
from rnnlm.text.tokenizers import TOKENIZERS, spans
from rnnlm.text.user_dictionary import make_tokenizer

LINES = ["In the BEGINNING God's 1,000 Wells", "ΟΔΟΣ ΣΟΦΟΣ", "İstanbul IĞDIR", "我用iPhone和T恤 OK", "<unk> A</s> B"]


def test_every_character_stays_one_character():
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code <= 0xDFFF:
            assert len(lower_case(chr(code))) == 1, hex(code)
            assert lower_case(lower_case(chr(code))) == lower_case(chr(code)), hex(code)


@given(st.text(max_size=40))
def test_lower_case_keeps_the_length_and_is_idempotent(text):
    assert len(lower_case(text)) == len(text)
    assert lower_case(lower_case(text)) == lower_case(text)
    assert lower_case(text) == text.lower() or "\u0130" in text


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("line", LINES)
def test_a_text_is_read_as_its_lower_case_text(name, line):
    plain, lower = make_tokenizer(name, "auto", False, None)[0], make_tokenizer(name, "auto", False, None, True)[0]
    assert lower.tokenize(line) == plain.tokenize(lower_case(line))
    assert lower.tokenize(line) != plain.tokenize(line)
    tokens = lower.tokenize(line)
    assert [lower_case(line)[start:end] for start, end in spans(lower, line, tokens)] == tokens


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_setting_is_stored_only_for_lower_case(name):
    plain = make_tokenizer(name, "auto", False, None)[0]
    assert "lowercase" not in plain.settings()
    lower = in_lower_case(plain)
    assert not plain.lowercase
    assert lower.settings() == plain.settings() | {"lowercase": True}
    again = tokenizer_from_header({"name": name, "options": lower.options()})
    assert again.lowercase
    assert again.tokenize(LINES[0]) == lower.tokenize(LINES[0])
    assert not tokenizer_from_header({"name": name, "options": plain.options()}).lowercase


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_damaged_setting_is_refused(name):
    options = make_tokenizer(name, "auto", False, None)[0].options()
    with pytest.raises((TokenizerError, CheckpointError), match="damaged"):
        tokenizer_from_header({"name": name, "options": options | {"lowercase": "yes"}})


def test_words_of_a_user_dictionary_are_found_in_lower_case(tmp_path):
    (tmp_path / "words").write_text("T恤衫店\n", encoding="utf-8")
    plain, _ = make_tokenizer("word", "jieba", False, str(tmp_path / "words"))
    lower, _ = make_tokenizer("word", "jieba", False, str(tmp_path / "words"), True)
    assert "T恤衫店" in plain.tokenize("他去了T恤衫店")
    assert "t恤衫店" in lower.tokenize("他去了T恤衫店")
    assert "t恤衫店" not in plain.tokenize("他去了t恤衫店")
