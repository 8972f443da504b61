"""User dictionaries are read in jieba's format, and entries without effect are named with their line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import TokenizerError
from rnnlm.language_model import LanguageModel
from rnnlm.text import user_dictionary
from rnnlm.text.segmentation import is_user_word
from rnnlm.text.tokenizers import WordTokenizer
from rnnlm.text.user_dictionary import parse_user_dictionary, read_user_dictionary

CHINESE = "他坐银河号渡轮去《云咖啡馆》"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("云计算", ("云计算", None)),
        ("云计算 5", ("云计算", 5)),
        ("云计算 5 n", ("云计算", 5)),
        ("云计算 n", ("云计算", None)),
        ("云计算\t 5\tnz", ("云计算", 5)),
        ("云计算\u30005\u3000nz", ("云计算", 5)),
        ("云计算 NZ", ("云计算", None)),
        ("云计算 nr2", ("云计算", None)),
        ("云计算 Nz", ("云计算", None)),
        ("云计算 3 Noun", ("云计算", 3)),
        ("云计算 3 x_1", ("云计算", 3)),
        ("银河号渡轮,300,n", ("银河号渡轮", 300)),
        ("银河号渡轮, 300, n", ("银河号渡轮", 300)),
        ("银河号渡轮，300", ("银河号渡轮", 300)),
        ("银河号渡轮,,n", ("银河号渡轮", None)),
        ("银河号渡轮,", ("银河号渡轮", None)),
        ("C# 3", ("C#", 3)),
        ("#标签", ("#标签", None)),
        ("3.5万 8", ("3.5万", 8)),
    ],
)
def test_lines_of_a_user_dictionary_are_parsed(tmp_path: Path, line: str, expected: tuple):
    path = tmp_path / "words.txt"
    for start, end in (("", ""), ("\ufeff", "\r\n\r\n"), ("", "\n")):
        path.write_bytes((start + line + end).encode())
        assert read_user_dictionary(path)[0] == [expected]


JIEBA_SAMPLE = """\
云计算 5
李小福 2 nr
创新办 3 i
easy_install 3 eng
好用 300
韩玉赏鉴 3 nz
八一双鹿 3 nz
台中
凱特琳 nz
Edu Trust认证 2000
"""


def test_jiebas_sample_is_read_and_its_entry_with_a_space_is_reported():
    words, (warning,) = parse_user_dictionary(JIEBA_SAMPLE.encode(), "userdict.txt")
    assert [word for word, _ in words] == [line.split()[0] for line in JIEBA_SAMPLE.splitlines()[:-1]]
    assert "1 entry of userdict.txt" in warning
    assert "line 10 ('Edu Trust认证 2000')" in warning


# Entries with marks, spaces, or characters that are never passed to jieba.
USELESS = [
    *(
        "《云咖啡馆》 300",
        "Edge Trust认证 2000",
        "约翰·史密斯",
        "二〇二四年 5",
        "云 n 5",
        "云 1.5",
        "云 ５",
        "C++ 语言",
    ),
    *("小米 Note", "词;300", "词|300|n", '"词",300,n', "北京,上海", "㐀中", "# 一个注释"),
]


@pytest.mark.parametrize("line", USELESS)
def test_an_entry_that_can_never_match_is_reported_and_ignored(line: str):
    words, (warning,) = parse_user_dictionary(f"好\n\n{line}\n云咖啡 9\n".encode(), "words.txt")
    assert words == [("好", None), ("云咖啡", 9)]
    assert f"line 3 ({line!r})" in warning


def test_several_entries_without_effect_give_one_warning():
    content = "\n".join(["云计算", *USELESS])
    _, (warning,) = parse_user_dictionary(content.encode(), "words.txt")
    assert f"{len(USELESS)} entries of words.txt" in warning
    assert f"and {len(USELESS) - 3} more" in warning
    assert ["line 2 " in warning, "line 4 " in warning, "line 5 " in warning] == [True, True, False]


def test_a_word_less_frequent_than_its_parts_is_reported():
    words, (warning,) = parse_user_dictionary("的了 1\n的是\n云计算 1".encode(), "words.txt")
    assert "line 1 ('的了 1')" in warning
    assert "line 2" not in warning
    assert "line 3" not in warning
    tokenizer = WordTokenizer(user_dictionary=words)
    assert "的了" not in tokenizer.tokenize("我的了是的了")
    assert "的是" in tokenizer.tokenize("我的是")  # without a frequency, jieba chooses a sufficient one


PIECES = st.sampled_from([*"的了云计算中国人我㐀〇a#C+9.-_·《》，。 、éß", "\u200d", "😀", "\u0301"])


@given(st.lists(PIECES, min_size=1, max_size=6).map("".join), st.sampled_from(["", " 1", " 100000"]))
def test_an_entry_is_reported_if_and_only_if_it_never_matches(word: str, frequency: str):
    """An entry that is not reported is a token of some text, alone or among Chinese."""
    entry = f"{word}{frequency}"
    if not entry.strip(" ，"):
        return
    words, warnings = parse_user_dictionary(entry.encode(), "words.txt")
    read = words[0].word if words else word.strip()
    tokenizer = WordTokenizer("jieba", user_dictionary=[(read, words[0].frequency if words else 100000)])
    texts = [f"{before}{read}{after}" for before in ("", "我", "龘", "我说", "《") for after in ("", "。", "龘", "们")]
    matches = any(read in tokenizer.tokenize(text) for text in texts)
    assert matches is not bool(warnings)


def test_words_that_are_read_can_be_stored_in_a_checkpoint():
    words, _ = parse_user_dictionary("\n".join([*JIEBA_SAMPLE.splitlines(), *USELESS]).encode(), "words.txt")
    assert all(is_user_word(json.loads(json.dumps(word))) for word in words)


@pytest.mark.parametrize("line", ["云 0", "云 0 n", "云 " + "9" * 13, "云 " + "9" * 5000, "云" * 1001, "云" * 65])
def test_bad_lines_are_refused(line: str):
    with pytest.raises(TokenizerError, match=r"words\.txt, line 3 "):
        parse_user_dictionary(f"好 1\n\n{line}\n".encode(), "words.txt")


def test_missing_and_undecodable_files_are_refused(tmp_path: Path):
    with pytest.raises(TokenizerError, match="cannot be read: No such file"):
        read_user_dictionary(tmp_path / "none.txt")
    (tmp_path / "gbk.txt").write_bytes("好 1\n云计算 5".encode("gbk"))
    with pytest.raises(TokenizerError, match=r"gbk\.txt, line 1 is not UTF-8"):
        read_user_dictionary(tmp_path / "gbk.txt")


def test_an_endless_dictionary_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(user_dictionary, "LARGEST_DICTIONARY", 1 << 20)
    with pytest.raises(TokenizerError, match="larger than 1 MiB"):
        read_user_dictionary("/dev/zero")


# On the command line


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "c.txt"
    path.write_text(f"{CHINESE}\n" * 30, encoding="utf-8")
    return path


SMALL = ["--preset", "tiny", "--epochs", "1", "--threads", "1"]


@pytest.mark.parametrize("command", [["ngram", "train", "--order", "1"], ["train", *SMALL]])
@pytest.mark.parametrize("line", ["银河号渡轮 300 n", "银河号渡轮 3 NZ", "银河号渡轮,300,n", "银河号渡轮\t300"])
def test_a_dictionary_is_used_and_entries_without_effect_are_reported_once(
    text: Path, tmp_path: Path, command: list[str], line: str, rnnlm
):
    (tmp_path / "u.dict").write_text(f"{line}\nEdge Trust认证 2000\n《云咖啡馆》 300\n", encoding="utf-8")
    model, held_out = tmp_path / "m.npz", tmp_path / "valid.txt"
    held_out.write_text(f"{CHINESE}\n", encoding="utf-8")
    valid = ["--valid", str(held_out)] if command[0] == "train" else []
    arguments = [*command, str(text), *valid, "--user-dict", str(tmp_path / "u.dict"), "-o", str(model)]
    said = rnnlm(*arguments).err
    assert said.count("can never match") == 1
    assert "line 2 ('Edge Trust认证 2000')" in said
    assert "line 3 ('《云咖啡馆》 300')" in said
    loaded = LanguageModel.load(model)
    assert loaded.tokens(CHINESE) == ["他", "坐", "银河号渡轮", "去", "《", "云", "咖啡馆", "》"]
    assert [word for word, _ in loaded.tokenizer.settings()["user_dictionary"]] == ["银河号渡轮"]
    if command[0] == "train":  # the same file is accepted when resuming, another one is not
        again = ["train", str(text), *valid, "--resume", "-o", str(model), "--epochs", "2"]
        rnnlm(*again, "--user-dict", tmp_path / "u.dict")
        (tmp_path / "u.dict").write_text("咖啡馆 3\n", encoding="utf-8")
        rnnlm(*again, "--user-dict", tmp_path / "u.dict", code=1)


def test_a_dictionary_that_is_not_used_gives_a_warning_or_an_error(text: Path, tmp_path: Path, rnnlm):
    (tmp_path / "u.dict").write_text("银河号渡轮\n", encoding="utf-8")
    arguments = ["ngram", "train", str(text), "--user-dict", str(tmp_path / "u.dict"), "-o", str(tmp_path / "m.npz")]
    assert "has no effect" in rnnlm(*arguments, "--segmenter", "spaces").err
    rnnlm(*arguments, "--level", "char", code=1)


def test_a_checkpoint_with_ineffective_words_can_be_resumed_with_its_dictionary(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rnnlm
):
    """Earlier versions wrote such checkpoints."""
    path, model = tmp_path / "u.dict", tmp_path / "m.npz"
    path.write_text("《云咖啡馆》 300\n银河号渡轮 3\n", encoding="utf-8")
    old = [("《云咖啡馆》", 300), ("银河号渡轮", 3)]
    with monkeypatch.context() as patch:
        patch.setattr(user_dictionary, "read_user_dictionary", lambda path, hmm: (old, []))
        rnnlm("train", text, "--user-dict", path, "-o", model, *SMALL)
    assert LanguageModel.load(model).tokenizer.settings()["user_dictionary"] == [list(each) for each in old]
    again = ["train", str(text), "--resume", "-o", str(model), "--epochs", "2"]
    rnnlm(*again, "--user-dict", path)


def test_too_many_words_are_refused(monkeypatch):
    content = "云计算 5\n人工智能 5\n机器学习 5\n".encode()
    monkeypatch.setattr("rnnlm.text.segmentation.MOST_USER_WORDS", 3)
    assert len(parse_user_dictionary(content, "words.txt")[0]) == 3
    monkeypatch.setattr("rnnlm.text.segmentation.MOST_USER_WORDS", 2)
    with pytest.raises(TokenizerError, match="3 words"):
        parse_user_dictionary(content, "words.txt")
