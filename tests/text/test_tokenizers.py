import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnlm.errors import TokenizerError
from rnnlm.text import tokenizers
from rnnlm.text.tokenizers import (
    TOKENIZERS,
    CharTokenizer,
    TokenTokenizer,
    WordTokenizer,
    is_separated,
    spans,
    tokenizer_class,
)
from rnnlm.text.word_rules import token_pattern

HAN = re.compile("[\u4e00-\u9fd5]")

# Arbitrary text, text with the characters of the rules, and runs of words with spaces.
PIECES = """
don't well-known God’s n't s 3.14 1,000 1 ... -- —— …… – - _ ( ) [ ] “ ” ‘ ’ " ' . , ; ! ? % $
é e\u0301 ã ကို カタ の ー は 。 ， 《 》 「 」 ❤\ufe0f ａ １
"""
TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="ab3 .,'’\"-—…()“”$%!\u0301\u200d\ufe0f\n。，「」か"),
    st.lists(st.sampled_from([*PIECES.split(), " ", " ", " "])).map("".join),
)
WITHOUT_HAN = TEXTS.filter(lambda text: not HAN.search(text))
CHINESE = st.lists(
    st.sampled_from([*PIECES.split(), " ", "我", "昨天", "上学", "迟到了", "，", "。", "GPT-4", "𠀀", "〇"])
)


@pytest.fixture(scope="module")
def words():
    return WordTokenizer()


# Characters


@given(st.text())
def test_characters_survive_a_round_trip(text):
    tokens = CharTokenizer().tokenize(text)
    assert all(len(token) == 1 for token in tokens)
    assert CharTokenizer().join(tokens) == text


# Positions of tokens

SPACES = " \t\x0b\x0c\r\x1c\x1f\x85\xa0\u2003\u2028\u3000"
EMOJI = [
    "👩\u200d👩\u200d👧",
    "👍🏽",
    "🇨🇳",
    "🏴\U000e0067\U000e0062\U000e007f",
    "e\u0301",
    "\u0301",
    "<s>",
    "</s>",
    "<unk>",
]


@pytest.mark.parametrize(
    "tokenizer",
    [CharTokenizer(), TokenTokenizer(), WordTokenizer(), WordTokenizer("jieba"), WordTokenizer(rules=1)],
    ids=["char", "token", "word", "jieba", "rules 1"],
)
@given(st.one_of(TEXTS, CHINESE.map("".join), st.lists(st.sampled_from([*EMOJI, *SPACES, "s", "我们"])).map("".join)))
def test_spans_are_the_tokens_in_order_with_white_space_between(tokenizer, text):
    tokens = tokenizer.tokenize(text)
    found = spans(tokenizer, text, tokens)
    assert [text[start:end] for start, end in found] == tokens
    ends, starts = [0, *(end for _, end in found)], [*(start for start, _ in found), len(text)]
    before, *between = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    if tokenizer.reads_marks:
        after = between.pop() if between else ""
        before, between = before.replace("<s>", "", 1), [*between, after.replace("</s>", "", 1)]
        before = before if found else before.replace("</s>", "", 1)
    assert "".join([before, *between]).strip() == ""


# Tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't stop", "don't stop"),
        ("God’s well-known co‐op", "God’s well-known co‐op"),
        ("3.14 1,000,000 1.2.3 2020-11-23 3rd", "3.14 1,000,000 1.2.3 2020-11-23 3rd"),
        ("It is 3.", "It is 3 ."),
        ("a.b a,b", "a . b a , b"),
        ("'tis the dogs' 'bone'", "' tis the dogs ' ' bone '"),
        ("rock-'n'-roll -x y-", "rock - ' n ' - roll - x y -"),
        ("well... so -- yes--no —— 好…… .…", "well ... so -- yes -- no —— 好 …… . …"),
        ("!!! (a [b]{c})", "! ! ! ( a [ b ] { c } )"),
        ("10:30 12:18:11 9:05pm 3:1 a:1 1:a :30", "10:30 12:18:11 9:05pm 3:1 a : 1 1 : a : 30"),
        ("range(10) f(x)[0] a[0] f() (g)", "range( 10 ) f( x ) [ 0 ] a[ 0 ] f( ) ( g )"),
        ("👍🏽👍 👨\u200d👩\u200d👧\u200d👦 🤷\u200d♀\ufe0f", "👍🏽 👍 👨\u200d👩\u200d👧\u200d👦 🤷\u200d♀\ufe0f"),
        ("🇨🇳🇯🇵🇬 x🏴\U000e0067\U000e0062\U000e007f", "🇨🇳 🇯🇵 🇬 x 🏴\U000e0067\U000e0062\U000e007f"),
        ("1\ufe0f\u20e32\ufe0f\u20e3 11", "1\ufe0f\u20e3 2\ufe0f\u20e3 11"),
        ("1\ufe0f\u20e3 #\ufe0f\u20e3 👩\u200dx", "1\ufe0f\u20e3 #\ufe0f\u20e3 👩\u200d x"),
        ("snake_case ____ $5 50% C++", "snake_case ____ $ 5 50 % C + +"),
        ("नमस्ते दुनिया။ မြန်မာ", "नमस्ते दुनिया ။ မြန်မာ"),
        ("cafe\u0301 می\u200cخواهم", "cafe\u0301 می\u200cخواهم"),
        ("שָׁלוֹם привет 안녕 ไทย", "שָׁלוֹם привет 안녕 ไทย"),
        ("I ❤\ufe0f you👍", "I ❤\ufe0f you 👍"),
        ("a\tb\u3000c\x85d\ne", "a b c d e"),
        ("</s> <unk>", "< / s > < unk >"),
        ("", ""),
    ],
)
def test_tokens_without_segmentation_follow_the_rules(text, expected):
    assert WordTokenizer("spaces").tokenize(text) == expected.split()


@given(st.one_of(TEXTS, CHINESE.map("".join)))
def test_tokens_contain_all_characters_but_white_space(text):
    for segmenter in ("auto", "spaces"):
        tokens = WordTokenizer(segmenter).tokenize(text)
        assert all(token.split() == [token] for token in tokens)
        assert "".join(tokens) == "".join(text.split())


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="the marks are listed for Unicode 14")
def test_words_include_all_marks_and_no_punctuation():
    for category, character in ((unicodedata.category(c), c) for c in map(chr, range(0x110000))):
        is_word = token_pattern().fullmatch(f"a{character}") is not None
        if category[0] == "M":
            assert is_word, hex(ord(character))
        elif character in "([":
            assert is_word  # as in range(10)
        elif category[0] in "PSZ":
            assert is_word == (character == "_" or bool(re.match(r"\w", character))), hex(ord(character))


def test_time_is_linear_in_the_length_of_a_run(words):
    # This would take minutes if the pattern for blocks of Chinese were tried at every place.
    assert words.tokenize("a" * 300_000 + " 我") == ["a" * 300_000, "我"]
    assert words.tokenize("a" * 300_000 + "。我们") == ["a" * 300_000, "。", "我们"]


@pytest.mark.real_text
def test_separated_text_keeps_its_tokens(words, data_dir):
    for line in (data_dir / "kjv" / "train.txt").read_text("utf-8").split("\n"):
        assert words.tokenize(line) == line.split()


# Chinese


@pytest.mark.parametrize(
    ("line", "separated"),
    [
        ("我 昨天 上学 迟到 了 ， 老师 批评 了", True),
        ("我 love 你", True),
        ("我们 go", True),
        ("T恤 衫", True),
        ("我", False),
        ("昨天", False),
        ("我昨天上学迟到了", False),
        ("我昨天上学 迟到了", False),  # longer than words on average
        ("昨天， 上学", False),  # a comma without a space before it
        ("《红楼梦》 好", False),
        ("一 二 三 四 五 六 七 中华人民共和国万岁", False),  # longer than 8 characters
        ("一 二 三 四 五 中华人民共和国万", True),
        ("no Chinese here", False),
        ("", False),
    ],
)
def test_separated_lines_are_recognised(line, separated):
    assert is_separated(line) == separated


def test_segmenters_treat_separated_chinese_differently():
    line = "我 喜欢 自然语言处理。"
    assert WordTokenizer("spaces").tokenize(line) == ["我", "喜欢", "自然语言处理", "。"]
    assert WordTokenizer("auto").tokenize(line) == ["我", "喜欢", "自然语言", "处理", "。"]
    separated = "我 喜欢 自然语言处理 的 书"
    assert WordTokenizer("auto").tokenize(separated) == separated.split()
    assert WordTokenizer("jieba").tokenize(separated) == ["我", "喜欢", "自然语言", "处理", "的", "书"]


def test_chinese_and_english_can_be_mixed(words):
    text = "他在GPT-4出来以后说：“It's well-known.” Zoë 用户——不懂……"
    expected = "他 在 GPT-4 出来 以后 说 ： “ It's well-known . ” Zoë 用户 —— 不 懂 ……"
    assert words.tokenize(text) == expected.split()


# Joining


@given(WITHOUT_HAN)
def test_joined_tokens_are_tokenized_into_the_same_tokens(text):
    words = WordTokenizer()
    tokens = words.tokenize(text)
    assert words.tokenize(words.join(tokens)) == tokens


@given(st.one_of(st.lists(st.text(min_size=1)), CHINESE, WITHOUT_HAN.map(str.split)))
def test_joining_more_tokens_only_appends_text(tokens):
    words = WordTokenizer()
    for n in range(len(tokens)):
        assert words.join(tokens[: n + 1]).startswith(words.join(tokens[:n]))
    assert "".join(words.join(tokens).split()) == "".join("".join(tokens).split())


@pytest.mark.parametrize(
    "text",
    [
        "And God said, Let there be light: and there was light.",
        "“Yes!” she said (twice), “it’s 50% of $1,000...”",
        '"Yes," he said, "and no."',
        "a well-known 'quoted' word -- and [another] one",
        "我昨天上学迟到了，老师批评了我。",
        "他说：“好……”《红楼梦》——书",
        '因借"通灵"之说，撰此《石头记》一书也．',
        "今天GPT来了",
        "see you at 10:30 or 12:18:11, for 9:05pm is too late",
        "for i in range(10): print(i, a[i])",
        "我10:30起床，用Wi-Fi和GPT-4算range(10)约等于3.14或1,000",
        "see you 👨\u200d👩\u200d👧\u200d👦 👍🏽👍🏽 🇨🇳 🇯🇵 🤷\u200d♀\ufe0f!",
        "好👍🏽👍🏽，走🇨🇳",
        "안녕 세계!",
    ],
)
def test_natural_text_survives_tokenizing_and_joining(text, words):
    assert words.join(words.tokenize(text)) == text


def test_separated_words_are_joined_naturally(words):
    assert (
        words.join(["我", "昨天", "上学", "迟到", "了", "，", "老师", "批评", "了"]) == "我昨天上学迟到了，老师批评了"
    )
    assert words.join(["do", "n't", "<unk>", "3", ".", "14"]) == "do n't <unk> 3. 14"


# Latin words and numbers that jieba splits

LATIN = "GPT-4 3.14 1,000 10:30 f(x) a[0] ( [ . : , - x 1 T恤 don't"
LATIN_IN_CHINESE = st.lists(st.sampled_from([" ", *LATIN.split(), *"我，昨天上学。"]), max_size=12)


@given(LATIN_IN_CHINESE.map("".join), st.sampled_from(["jieba", "auto"]))
def test_latin_words_and_numbers_in_chinese_follow_the_usual_rules(text, segmenter):
    tokens = WordTokenizer(segmenter).tokenize(text)
    assert "".join(tokens) == "".join(text.split())
    for token in tokens:
        if not HAN.search(token):
            assert token_pattern().fullmatch(token)


def test_jieba_and_rjieba_rejoin_the_same_tokens(monkeypatch):
    text = "我10:30（约）用GPT-4算f(x)，得3.14；“Wi-Fi”好(不好)"
    fast = WordTokenizer("jieba").tokenize(text)
    monkeypatch.setattr("rnnlm.text.segmentation._load_rjieba", lambda: None)
    slow = WordTokenizer("jieba").tokenize(text)
    assert fast == slow
    assert {"10:30", "GPT-4", "f(", "3.14", "Wi-Fi"} <= set(fast)
    assert "好(" not in fast


# Rules of older checkpoints


def test_a_tokenizer_of_an_older_version_keeps_its_rules():
    text = "range(10) at 10:30 👍🏽 🇨🇳 我用GPT-4算3.14"
    older = WordTokenizer.from_options({"segmenter": "auto", "hmm": False, "user_dictionary": [], "jieba": None})
    expected = "range ( 10 ) at 10 : 30 👍 🏽 🇨 🇳 我用 GPT - 4 算 3 . 14".replace("我用", "我 用")
    assert older.tokenize(text) == expected.split()
    assert older.options()["rules"] == 1
    assert older.settings() != WordTokenizer().settings()  # so that the cache distinguishes them


# Ready-made tokens

TOKEN = st.text(st.characters(codec="utf-8", exclude_characters=" \t\n\r\v\f"), min_size=1)


@example(["\x1f"])
@given(st.lists(TOKEN).filter(lambda tokens: tokens[:1] != ["<s>"] and tokens[-1:] != ["</s>"]))
def test_a_line_with_single_spaces_survives_a_round_trip(tokens):
    line = " ".join(tokens)
    made = TokenTokenizer()
    assert made.tokenize(line) == tokens
    assert made.join(made.tokenize(line)) == line
    assert "".join(made.pieces(tokens)) == line
    assert made.tokenize(f"  {line.replace(' ', '  ')}\t") == tokens


def test_marks_at_the_ends_of_a_line_are_not_tokens():
    made = TokenTokenizer()
    assert made.tokenize("<s> a <s> </s> b </s>") == ["a", "<s>", "</s>", "b"]
    assert made.tokenize("<s> </s>") == made.tokenize("</s>") == made.tokenize("") == []


@pytest.mark.real_text
def test_most_lines_of_a_novel_survive_a_round_trip(words, data_dir):
    lines = (data_dir / "hongloumeng.txt").read_text("utf-8").split("\n")[:150]
    same = [words.join(words.tokenize(line)) == "".join(line.split()) for line in lines]
    assert sum(same) > 0.95 * len(same)  # in others a run of _ or - was split, and the parts are joined with a space


# Options


@pytest.mark.parametrize("name", TOKENIZERS)
def test_options_restore_the_tokenizer(name):
    tokenizer = TOKENIZERS[name]()
    restored = TOKENIZERS[name].from_options(tokenizer.options())
    assert restored.name == name
    assert restored.options() == tokenizer.options()
    assert restored.settings() == tokenizer.settings()
    assert restored.adopt(tokenizer.options())
    text = "我 昨天 don't"
    assert restored.tokenize(text) == tokenizer.tokenize(text)


GOOD = {"segmenter": "auto", "hmm": False, "user_dictionary": [["云", 1], ["计", None]], "rules": 1, "jieba": None}
JIEBA = {"version": "0.42.1", "dictionary_sha256": "0" * 64}


def test_the_options_used_below_are_valid():
    assert WordTokenizer.from_options(GOOD).options() == GOOD
    assert WordTokenizer.from_options(GOOD | {"jieba": JIEBA}).options()["jieba"] == JIEBA


@pytest.mark.parametrize(
    "wrong",
    [
        {"segmenter": "other"},
        {"segmenter": None},
        {"segmenter": []},
        {"hmm": 0},
        {"user_dictionary": None},
        {"user_dictionary": [["云"]]},
        {"user_dictionary": [["云", 0]]},
        {"user_dictionary": [["云", 1.5]]},
        {"user_dictionary": [["云", True]]},
        {"user_dictionary": [["云 计", 1]]},
        {"user_dictionary": [["", 1]]},
        {"user_dictionary": ["云"]},
        {"jieba": {}},
        {"jieba": {"version": "0.42.1"}},
        {"jieba": JIEBA | {"version": "0.42.1; rm -rf ~"}},
        {"jieba": JIEBA | {"dictionary_sha256": "\x1b[2J"}},
        {"jieba": JIEBA | {"more": ""}},
        {"rules": 3},
        {"rules": 1.0},
        {"rules": None},
    ],
)
def test_damaged_options_are_refused(wrong):
    with pytest.raises(TokenizerError):
        WordTokenizer.from_options(GOOD | wrong)
    assert not WordTokenizer().adopt(GOOD | wrong)


def test_levels_and_segmenters_are_found_by_name():
    assert tokenizer_class("auto") is tokenizer_class("word") is WordTokenizer
    assert tokenizer_class("char") is CharTokenizer
    assert tokenizer_class("token") is TokenTokenizer
    with pytest.raises(TokenizerError, match=r"'syllable'.*auto, char, word, token"):
        tokenizer_class("syllable")
    with pytest.raises(TokenizerError, match=r"'other'.*auto, jieba, spaces"):
        WordTokenizer("other")


def test_the_range_of_han_characters_is_that_of_jieba():
    assert re.findall(tokenizers._BLOCK, "a-b我c+#&._% é我 我é x-我") == ["a-b我c+#&._%", "我", "我", "x-我"]
