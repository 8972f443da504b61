"""<s>, </s> and <unk> between the words of texts and n-best lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.text.marks import hypothesis_tokens, marks_in, without_marks
from rnnlm.text.tokenizers import CharTokenizer, TokenTokenizer, WordTokenizer

TOKENIZERS = [CharTokenizer(), TokenTokenizer(), WordTokenizer(), WordTokenizer("jieba"), WordTokenizer(rules=1)]
WORDS = st.lists(
    st.sampled_from(
        ["我", "昨天", "迟到了", "the", "don't", "<", ">", "s", "unk", "<s", "x<s>", "。", "👍🏽", "\ue000", "<S>"]
    ),
    min_size=1,
)
MARKS = st.lists(st.sampled_from(["<s>", "</s>"]), max_size=3)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["char", "token", "word", "jieba", "rules 1"])
@given(WORDS, MARKS, MARKS, st.sampled_from([" ", "  ", "\t"]))
def test_marks_at_the_ends_are_not_tokens(tokenizer, words, before, after, space):
    bare = " ".join(words)
    marked = space.join([*before, bare, *after])
    assert hypothesis_tokens(tokenizer, marked) == tokenizer.tokenize(bare)
    assert hypothesis_tokens(tokenizer, space.join([*before, *after])) == []


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["char", "token", "word", "jieba", "rules 1"])
@pytest.mark.parametrize("written", ["<unk>", "<UNK>"])
@given(WORDS, st.lists(st.integers(0, 20), min_size=1, max_size=3))
def test_unk_between_spaces_is_one_token_and_leaves_the_others_unchanged(tokenizer, written, words, places):
    words = [word for word in words if word != "\ue000"]
    for place in places:
        words.insert(place, "☃")
    found = hypothesis_tokens(tokenizer, " ".join(words).replace("☃", written))
    expected = tokenizer.tokenize(" ".join(words))
    assert [token.lower() if token in ("<unk>", "<UNK>") else token for token in found] == [
        "<unk>" if token == "☃" else token for token in expected
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("<s> a </s>\n<s> b </s>", ["<s>", "</s>"]),
        ("a <unk>, <UNK> b\u3000<unk>", ["<UNK>", "<unk>"]),
        ("<s>a</s> x<unk> <unk>. <u> <S> < s >", []),
    ],
)
def test_only_marks_between_spaces_count(text, expected):
    assert marks_in(text) == expected
    assert marks_in(without_marks(text)) == []
    if not expected:
        assert without_marks(text) == text
