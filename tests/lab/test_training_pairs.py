from hypothesis import given
from hypothesis import strategies as st

from rnnlm.lab.sentences import sentences, vocabulary_of
from rnnlm.lab.training_pairs import training_pairs
from rnnlm.text.tokenizers import tokenizer_class
from rnnlm.text.vocabulary import FIRST

ARTICLE = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。"


@given(st.lists(st.text(max_size=3), max_size=20))
def test_a_sentence_of_n_tokens_makes_n_plus_1_pairs(tokens):
    pairs = training_pairs(tokens)
    assert len(pairs) == len(tokens) + 1
    assert [pair.label for pair in pairs] == [*tokens, "</s>"]
    assert [pair.input for pair in pairs] == ["<s>", *tokens]


def test_every_line_is_a_sentence_and_empty_lines_are_skipped():
    words = tokenizer_class("word")()
    assert sentences("我 昨天\r\n\n了 。\n", words) == [["我", "昨天"], ["了", "。"]]
    assert sentences("\n \n", words) == []


def test_a_line_end_is_not_a_character_of_a_sentence():
    assert sentences("ab\nc", tokenizer_class("char")()) == [["a", "b"], ["c"]]


def test_the_vocabulary_has_every_token_once_by_frequency():
    tokens = sentences(ARTICLE, tokenizer_class("word")())[0]
    vocabulary = vocabulary_of(tokens)
    listed = [vocabulary.token(i) for i in range(FIRST, len(vocabulary))]
    assert sorted(listed) == sorted(set(tokens))
    assert set(listed[:2]) == {"我", "了"}
    assert [vocabulary.token(i) for i in vocabulary.encode(tokens)] == tokens
