"""Words of a line and their tokens."""

import jieba
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.text.tokenizers import TOKENIZERS, CharTokenizer, TokenTokenizer, WordTokenizer, spans
from rnnlm.text.word_places import joined_tokens, word_spans

LINES = [
    "Well, I never!",
    "  two   spaces ",
    "我昨天上学迟到了。",
    "我 昨天 上学 迟到 了",
    "第一回 甄士隐梦幻识通灵",
    "看 iPhone吧",
    "",
]


def texts_of(line, places):
    return [line[start:end] for start, end in places]


@pytest.mark.parametrize(
    "line", ["Well, I never!", " two\tspaces  here\u3000", "don't -- (stop)", "我 昨天 上学 迟到 了"]
)
def test_words_are_separated_by_spaces(line):
    assert texts_of(line, word_spans(line)) == line.split()


@pytest.mark.parametrize("line", ["我昨天上学迟到了。", "贾宝玉听了，笑道：“好妹妹！”", "南京市长江大桥"])
def test_chinese_without_spaces_is_segmented_by_jieba(line):
    assert texts_of(line, word_spans(line)) == jieba.lcut(line, HMM=False)


def test_only_chinese_is_segmented():
    line = "Hello, 我昨天上学。 (ok!)"
    assert texts_of(line, word_spans(line)) == ["Hello,", "我", "昨天", "上学", "。", "(ok!)"]


def test_a_word_model_segments_chinese_with_its_own_tokenizer():
    own = WordTokenizer(user_dictionary=[("大观园里", None)])
    assert texts_of("他在大观园里。", word_spans("他在大观园里。", own)) == ["他", "在", "大观园里", "。"]
    assert texts_of("他在大观园里。", word_spans("他在大观园里。")) != ["他", "在", "大观园里", "。"]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("level", TOKENIZERS)
def test_every_token_belongs_to_a_word_in_order(level, line):
    tokenizer = TOKENIZERS[level]()
    tokens = spans(tokenizer, line, tokenizer.tokenize(line))
    joined = joined_tokens(word_spans(line), tokens)
    assert [each for _, own in joined for each in tokens[own]] == tokens
    for (start, end), own in joined:
        solid = [each for each in tokens[own] if not line[slice(*each)].isspace()]
        assert (solid[0][0], solid[-1][1]) == (start, end)


def test_a_space_belongs_to_the_word_before_it():
    line = " to  be."
    tokens = [(place, place + 1) for place in range(len(line))]
    found = [
        ("".join(texts_of(line, tokens[own])), line[slice(*span)])
        for span, own in joined_tokens(word_spans(line), tokens)
    ]
    assert found == [(" to  ", "to"), ("be.", "be.")]


def test_words_that_share_a_token_are_merged():
    line = "我昨天 上学去了呢哈 x"
    tokens = spans(TokenTokenizer(), line, TokenTokenizer().tokenize(line))
    assert len(word_spans(line)) > 3
    assert texts_of(line, [span for span, _ in joined_tokens(word_spans(line), tokens)]) == line.split()


def test_marks_that_a_model_does_not_read_are_not_words():
    line = "<s> a b </s>"
    tokens = spans(TokenTokenizer(), line, TokenTokenizer().tokenize(line))
    assert texts_of(line, [span for span, _ in joined_tokens(word_spans(line), tokens)]) == ["a", "b"]


@given(
    st.text(alphabet="ab ，我昨天\u3000\xa0<s>/", max_size=30),
    st.sampled_from([CharTokenizer, WordTokenizer, TokenTokenizer]),
)
def test_tokens_of_any_line_are_assigned_to_words(line, kind):
    tokens = spans(kind(), line, kind().tokenize(line))
    joined = joined_tokens(word_spans(line), tokens)
    if line.split() and joined:
        assert [each for _, own in joined for each in tokens[own]] == tokens
    places = [place for span, _ in joined for place in span]
    assert places == sorted(places)
