import functools
import marshal
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import TokenizerError
from rnnlm.text import segmentation
from rnnlm.text.segmentation import UserWord, installed_jieba
from rnnlm.text.tokenizers import WordTokenizer

SENTENCE = "我昨天上学迟到了，老师批评了我。"
WORDS = ["我", "昨天", "上学", "迟到", "了", "，", "老师", "批评", "了", "我", "。"]


def run(code, tmp_path, *options, **environment):
    """Run code in a new interpreter and return its stdout and stderr together."""
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return done.stdout


@pytest.fixture(scope="module")
def jieba(tmp_path_factory):
    """jieba's own tokenizer, initialized by jieba itself."""
    WordTokenizer().tokenize(SENTENCE)  # imports jieba without its warnings
    import jieba

    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = str(tmp_path_factory.mktemp("jieba"))
    tokenizer.initialize()
    return tokenizer


def test_the_dictionary_is_that_of_jieba(jieba):
    assert segmentation._read_dictionary() == (jieba.FREQ, jieba.total)


@pytest.mark.real_text
@pytest.mark.parametrize("hmm", [False, True])
def test_a_novel_is_segmented_as_by_jieba(jieba, data_dir, hmm):
    tokenizer = WordTokenizer("jieba", hmm=hmm)
    lines = (data_dir / "hongloumeng.txt").read_text("utf-8").split("\n")[:120]
    compared = [line for line in lines if not any(run in line for run in ("——", "……", "．．"))]
    assert len(compared) > 100
    for line in compared:
        assert tokenizer.tokenize(line) == [word for word in jieba.lcut(line, HMM=hmm) if not word.isspace()]


@pytest.mark.parametrize(
    "block", ["GPT4模型", "C++语言314元50%", "U.S.A.的x_1", "A&B公司#1", "江南style的T恤", "㐀中〇国"]
)
def test_mixed_blocks_are_segmented_as_by_jieba(jieba, block):
    assert WordTokenizer("jieba").tokenize(block) == jieba.lcut(block, HMM=False)


def test_hmm_is_off_by_default(jieba):
    name = "他来到了网易杭研大厦"
    assert WordTokenizer().tokenize(name) == jieba.lcut(name, HMM=False)
    assert WordTokenizer(hmm=True).tokenize(name) == jieba.lcut(name, HMM=True) != jieba.lcut(name, HMM=False)


# Side effects


def test_a_planted_jieba_cache_is_neither_read_nor_changed(tmp_path):
    planted = tmp_path / "jieba.cache"
    planted.write_bytes(marshal.dumps(({"昨天上学迟到": 10**6, "昨": 0, "昨天": 0}, 10**6)))
    before = planted.read_bytes(), planted.stat().st_mtime_ns
    code = (
        "import tempfile; from rnnlm.text.tokenizers import WordTokenizer\n"
        f"print(tempfile.gettempdir()); print(*WordTokenizer().tokenize({SENTENCE!r}))"
    )
    assert run(code, tmp_path, "-X", "utf8").split() == [str(tmp_path), *WORDS]
    assert (planted.read_bytes(), planted.stat().st_mtime_ns) == before
    assert list(tmp_path.iterdir()) == [planted]


def test_compiling_jieba_prints_no_warnings(tmp_path):
    code = f"from rnnlm.text.tokenizers import WordTokenizer; WordTokenizer().tokenize({SENTENCE!r})"
    fresh = {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    assert run(code, tmp_path, "-W", "error", "-X", "utf8", **fresh) == ""


def test_jieba_is_imported_only_when_needed(tmp_path):
    code = """
import sys
from rnnlm.text.segmentation import installed_jieba
from rnnlm.text.tokenizers import WordTokenizer
tokenizer = WordTokenizer()
for text in ("Don't panic.", "我 昨天 上学 迟到 了 ，", "我", "我，你", ""):
    tokenizer.tokenize(text)
installed_jieba()
WordTokenizer("spaces").tokenize("我昨天上学")
segmenters = {"jieba", "rjieba"}
print(bool(segmenters & set(sys.modules)), tokenizer.options()["jieba"])
tokenizer.tokenize("我昨天上学")
print(bool(segmenters & set(sys.modules)))
"""
    assert run(code, tmp_path, "-X", "utf8").split() == ["False", "None", "True"]


# The jieba of the training


def test_options_name_the_jieba_that_was_used():
    tokenizer = WordTokenizer()
    tokenizer.tokenize("我 昨天 上学")
    assert tokenizer.options()["jieba"] is None
    tokenizer.tokenize(SENTENCE)
    found = tokenizer.options()["jieba"]
    assert found == installed_jieba()._asdict()
    assert len(found["dictionary_sha256"]) == 64
    assert WordTokenizer.from_options(tokenizer.options()).tokenize(SENTENCE) == WORDS


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"version": "0.39"}, "pip install jieba==0.39"),
        ({"dictionary_sha256": "f" * 64}, "pip install --force-reinstall jieba=="),
    ],
)
def test_another_jieba_is_refused_when_it_is_needed(change, remedy):
    options = WordTokenizer().options() | {"jieba": installed_jieba()._asdict() | change}
    tokenizer = WordTokenizer.from_options(options)
    assert tokenizer.tokenize("don't 我 昨天 上学") == ["don't", "我", "昨天", "上学"]
    with pytest.raises(TokenizerError, match=remedy):
        tokenizer.tokenize(SENTENCE)
    assert tokenizer.options() == options


def test_a_tokenizer_adopts_options_of_the_same_jieba():
    fresh, here = WordTokenizer(), installed_jieba()._asdict()
    options = fresh.options()
    assert fresh.adopt(options | {"jieba": None})
    assert not fresh.adopt(options | {"jieba": here | {"version": "0.39"}})
    assert fresh.options() == options
    assert fresh.adopt(options | {"jieba": here})
    assert fresh.options()["jieba"] == here
    old = WordTokenizer.from_options(options | {"jieba": here | {"version": "0.39"}})
    assert not old.adopt(options | {"jieba": here})
    assert old.adopt(options | {"jieba": here | {"version": "0.39"}})  # such a text is not segmented again


def test_a_missing_jieba_is_an_error_with_a_remedy(monkeypatch):
    installed_jieba.cache_clear()
    monkeypatch.setattr(segmentation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TokenizerError, match="pip install jieba"):
        WordTokenizer().tokenize(SENTENCE)


# User dictionaries


def test_user_words_are_kept_whole_by_their_own_tokenizer_only():
    text = "他研究云计算平台"
    plain = WordTokenizer().tokenize(text)
    assert "云计算" not in plain
    for frequency in (1000, None):
        tokenizer = WordTokenizer(user_dictionary=[UserWord("云计算", frequency)])
        assert "云计算" in tokenizer.tokenize(text)
        restored = WordTokenizer.from_options(tokenizer.options())
        assert restored.tokenize(text) == tokenizer.tokenize(text)
        assert tokenizer.settings() != WordTokenizer().settings()
    assert WordTokenizer().tokenize(text) == plain


def test_user_words_get_jiebas_frequencies(jieba):
    text = "他研究云计算平台和自然语言处理"
    words = [UserWord("云计算", 3), UserWord("语言处理", None)]
    other = type(jieba)()
    other.FREQ, other.total, other.initialized = dict(jieba.FREQ), jieba.total, True
    other.add_word("云计算", 3)
    other.add_word("语言处理")
    assert WordTokenizer(user_dictionary=words).tokenize(text) == other.lcut(text, HMM=False)


# rjieba instead of jieba

HAN = st.sampled_from(
    "我的一是了不在有人中华民共和国南京市长江大桥研究生命起源结婚尚未宝玉黛贾母道笑云计算工智能〇㐀龘"
)
OTHER = st.sampled_from(
    ["a", "Z", "9", "+", "#", "&", ".", "_", "%", "-", "，", "。", "．", "—", "·", " ", "\u3000", "é", "😀"]
)
MIXED = st.lists(st.one_of(HAN, HAN, HAN, OTHER), max_size=30).map("".join)


@pytest.fixture(scope="module")
def fast():
    """A tokenizer that uses rjieba."""
    pytest.importorskip("rjieba", reason="rjieba is not installed: pip install 'rnnlm-cli[fast]'")
    tokenizer = WordTokenizer("jieba")
    tokenizer.tokenize(SENTENCE)
    assert tokenizer._words.fast, "rjieba is installed, but does not cut as jieba does"
    return tokenizer


def in_python(**options):
    """Return a tokenizer that uses jieba."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_load_rjieba", lambda: None)
        tokenizer = WordTokenizer("jieba", **options)
        tokenizer.tokenize(SENTENCE)
    assert not tokenizer._words.fast
    return tokenizer


@pytest.mark.real_text
def test_rjieba_segments_a_novel_as_jieba_does(fast, data_dir):
    slow = in_python()
    lines = (data_dir / "hongloumeng.txt").read_text("utf-8").split("\n")
    part = lines[:: max(1, len(lines) // 900)]  # the whole novel takes 4 s; benchmarks/text_speed.py compares all of it
    assert sum(map(len, part)) > 100_000
    for line in part:
        assert fast.tokenize(line) == slow.tokenize(line)


@given(MIXED)
def test_rjieba_segments_any_text_as_jieba_does(fast, text):
    assert fast.tokenize(text) == in_python_once().tokenize(text)


@functools.cache
def in_python_once():
    return in_python()


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40), place=st.integers(0, 40))
def test_rjieba_segments_chinese_among_any_characters_as_jieba_does(fast, text, place):
    mixed = text[:place] + "南京市长江大桥" + text[place:]
    assert fast.tokenize(mixed) == in_python_once().tokenize(mixed)


@pytest.mark.parametrize("options", [{"hmm": True}, {"user_dictionary": [("云计算", 5)]}])
def test_rjieba_is_not_used_where_it_differs_from_jieba(options):
    tokenizer = WordTokenizer("jieba", **options)
    tokenizer.tokenize(SENTENCE)
    assert not tokenizer._words.fast


def imitation(cut):
    """Return a substitute for the module rjieba that segments with the given function."""
    return SimpleNamespace(Jieba=lambda: SimpleNamespace(cut=lambda text, hmm: cut(text)))


def fails(text):
    raise RuntimeError("panicked")


@pytest.mark.parametrize(
    ("version", "cut", "used"),
    [
        ("0.2.2", None, True),
        ("0.3.0", None, False),
        ("0.2.2", list, False),
        ("0.2.2", lambda text: [text], False),
        ("0.2.2", fails, False),
    ],
)
def test_an_unknown_or_different_rjieba_is_not_used(monkeypatch, version, cut, used):
    found = metadata.version
    monkeypatch.setitem(sys.modules, "rjieba", imitation(cut or in_python_once()._words.cut))
    monkeypatch.setattr(metadata, "version", lambda name: version if name == "rjieba" else found(name))
    segmentation._load_rjieba.cache_clear()
    try:
        tokenizer = WordTokenizer()
        assert tokenizer.tokenize(SENTENCE) == WORDS
        assert tokenizer._words.fast is used
        assert tokenizer.is_slow(SENTENCE) is not used
    finally:
        segmentation._load_rjieba.cache_clear()


def test_options_do_not_depend_on_jieba_or_rjieba(fast):
    """So cached results and checkpoints of one of them can be used with the other."""
    slow = in_python()
    assert fast.options() == slow.options()
    assert WordTokenizer.from_options(slow.options()).tokenize(SENTENCE) == WORDS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_load_rjieba", lambda: None)
        assert WordTokenizer.from_options(fast.options()).tokenize(SENTENCE) == WORDS


def test_a_checkpoint_of_one_of_them_can_be_loaded_with_the_other(fast, tmp_path, monkeypatch):
    from rnnlm.cli import run as run_command
    from rnnlm.language_model import LanguageModel

    (tmp_path / "text.txt").write_text((SENTENCE + "\n") * 30, encoding="utf-8")
    scores = {}
    for made_with in ("rjieba", "jieba"):
        for used_with in ("rjieba", "jieba"):
            model = tmp_path / f"{made_with}.npz"
            monkeypatch.setenv("RNNLM_CACHE", str(tmp_path / f"{made_with}-{used_with}"))
            with monkeypatch.context() as patch:
                if made_with == "jieba":
                    patch.setattr(segmentation, "_load_rjieba", lambda: None)
                options = ["--hidden-size", "8", "--embedding-size", "8", "--epochs", "1", "--threads", "1"]
                assert run_command(["train", str(tmp_path / "text.txt"), "-o", str(model), *options]) == 0
            with monkeypatch.context() as patch:
                if used_with == "jieba":
                    patch.setattr(segmentation, "_load_rjieba", lambda: None)
                scores[made_with, used_with] = [*LanguageModel.load(model).score([SENTENCE])]
    assert len(set(map(repr, scores.values()))) == 1
