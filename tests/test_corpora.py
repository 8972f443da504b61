"""The corpora of rnnlm have the properties that their README states."""

import runpy
import shutil
from pathlib import Path

import pytest

from rnnlm.lab.agreement import pairs, sentences, written
from rnnlm.lab.agreement_words import GRAMMARS

CORPORA = Path(__file__).parents[1] / "corpora"
NAMES = {"zh": "chinese.txt", "en": "english.txt"}


def lines(language):
    return [line for line in (CORPORA / NAMES[language]).read_text(encoding="utf-8").splitlines() if line]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that runs corpora/agreement.py in a folder with copies of the corpora."""
    for path in CORPORA.iterdir():
        shutil.copy(path, tmp_path)

    def run(*options):
        monkeypatch.setattr("sys.argv", ["agreement.py", *options])
        runpy.run_path(str(tmp_path / "agreement.py"), run_name="__main__")
        return {name: (tmp_path / name).read_bytes() for name in NAMES.values()}

    return run


def test_the_program_reproduces_the_corpora(program):
    before = {name: (CORPORA / name).read_bytes() for name in NAMES.values()}
    without = program("--without")
    assert all(len(without[name]) < len(before[name]) for name in before)
    assert program() == before
    assert program() == before


@pytest.mark.parametrize("language", NAMES)
def test_no_held_out_sentence_is_in_a_corpus(language):
    grammar, text = GRAMMARS[language], set(lines(language))
    held_out = pairs(grammar, 2000)
    assert not {written(sentence, grammar.space) for pair in held_out for sentence in pair[:2]} & text
    assert len(text & {written(words, grammar.space) for words in sentences(grammar, 500)}) == 500


def test_the_sentences_of_the_article_are_in_no_corpus():
    words = [("昨天", "上学", "迟到", "老师", "批评"), ("手机", "坏", "打算", "一部", "新")]
    assert not [line for line in lines("zh") for each in words if all(word in line for word in each)]
