"""Lines of pinyin are cut into syllables, and readings of words agree with pypinyin."""

import builtins
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pypinyin")

from pypinyin import Style, lazy_pinyin

from rnnlm.errors import TokenizerError
from rnnlm.text import pinyin
from rnnlm.text.pinyin import Homophones, Readings, shares, spelling, usual_character, word_readings


def ways(line):
    """Return all ways to cut a line, each as syllables and texts with dashes between."""
    spelt = spelling(line)
    arcs = [(each.start, each.end, each.base) for each in spelt.syllables]
    arcs += [(each.start, each.end, f"[{each.text}]") for each in spelt.texts]

    def from_place(place):
        if place == spelt.length:
            return [""]
        return [
            f"{shown}-{rest}" if rest else shown
            for start, end, shown in arcs
            if start == place
            for rest in from_place(end)
        ]

    return set(from_place(0))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("xian", {"xian", "xi-an"}),
        ("xi'an", {"xi-an"}),
        ("xi an", {"xi-an"}),
        ("xi’an", {"xi-an"}),
        ("xian1", {"xian", "xi-an"}),
        ("xi1an1", {"xi-an"}),
        ("fangan", {"fang-an", "fan-gan"}),
        ("wozuotian", {"wo-zuo-tian", "wo-zuo-ti-an"}),
        ("nü lüan NV lve", {"nv-lv-an-[NV]-lve", "nv-lv-an-[NV]-lv-e"}),
        ("Wo hao", {"wo-hao"}),
        ("haoo", {"[haoo]"}),
        ("hao'o", {"hao-o"}),
        ("wǒ hǎo", {"wo-hao"}),
        ("xīān", {"xi-an"}),
        ("wo2019nian", {"wo-[2019]-ni-an", "wo-[2019]-nian"}),
        ("wo3，hao!", {"wo-[，]-hao-[!]"}),
        ("wo yong GitHub hao", {"wo-yong-[GitHub]-hao"}),
        ("zai New York ,hao", {"zai-[New]-[ ]-[York]-[ ,]-hao"}),
        ("DNA hao", {"[DNA]-hao"}),
        ("我hao  ", {"[我]-hao"}),
        ("", {""}),
        ("  ", {""}),
        ("123", {"[123]"}),
    ],
)
def test_lines_are_cut_in_all_possible_ways(line, expected):
    assert ways(line) == expected


def test_tones_are_read_from_digits_and_accents():
    found = [(each.base, each.tone) for each in spelling("wo3 nǚ lv4 de ma5").syllables]
    assert found == [("wo", 3), ("nv", 3), ("lv", 4), ("de", 0), ("ma", 5)]
    assert spelling("wo3 nǚ") == spelling("wo3 nu\u0308\u030c")


@settings(max_examples=200)
@given(st.text(alphabet="wozuxian'1 ，ǚ3Gü\u0301", max_size=12))
def test_arcs_of_any_line_are_connected(line):
    """Every syllable and text is on a path from the first place to the last."""
    spelt = spelling(line)
    arcs = [(each.start, each.end) for each in (*spelt.syllables, *spelt.texts)]
    starts, ends = {start for start, _ in arcs}, {end for _, end in arcs}
    assert all(start in ends or start == 0 for start in starts)
    assert all(end in starts or end == spelt.length for end in ends)
    assert all(start < end for start, end in arcs)
    assert spelt.length == 0 or 0 in starts


@pytest.mark.parametrize("text", ["我昨天上学迟到了", "老师批评了我", "音乐会很长，绿茶也好。", "女儿略懂一会儿"])
@pytest.mark.parametrize("style", [Style.NORMAL, Style.TONE, Style.TONE3])
@pytest.mark.parametrize("between", ["", " ", "'"])
def test_output_of_pypinyin_is_read_back(text, style, between):
    readings = Readings(text)  # readings of single characters
    typed = between.join(lazy_pinyin(text, style=style))
    spelt = spelling(typed.replace("'，", "，").replace("，'", "，").replace("'。", "。"))
    at = {}
    for start, end, word in readings.matches(spelt):
        at.setdefault(start, []).append((end, word.text))
    for each in spelt.texts:
        at.setdefault(each.start, []).extend([(each.end, each.text)])

    def reaches(place, rest):
        return rest == "" if place == spelt.length else any(
            rest.startswith(word) and reaches(end, rest[len(word) :]) for end, word in at.get(place, ())
        )  # fmt: skip

    assert reaches(0, text)
    assert not reaches(0, text[:-1] + "们")


def test_shares_of_the_readings_of_a_character_sum_to_one():
    for character in "我的了得着不行长重嗯":
        assert math.fsum(shares(character).values()) == pytest.approx(1)
    assert shares("不")["bu"] > 0.9
    assert min(shares("行")["xing"], shares("行")["hang"]) > 0.05
    assert shares("a") == {}


def test_words_are_read_as_in_the_phrase_dictionary():
    assert word_readings("长大") == [(("zhang", "da"), 0.0)]
    assert dict(word_readings("长"))[("chang",)] < 0
    assert {way for way, _ in word_readings("绿")} == {("lv",), ("lu",)}
    assert word_readings("C罗") == []
    shared = word_readings("行不行行不行行不行行")  # not in the dictionary, and with very many readings
    assert 1 <= len(shared) <= pinyin.MOST_READINGS


def test_words_match_several_syllables_and_their_tones():
    readings = Readings(["西安", "先", "现", "安", "西"])
    found = {(start, end, word.text) for start, end, word in readings.matches(spelling("xian"))}
    assert found == {(0, 4, "西安"), (0, 4, "先"), (0, 4, "现"), (0, 2, "西"), (2, 4, "安")}
    found = {(start, end, word.text) for start, end, word in readings.matches(spelling("xian4"))}
    assert found == {(0, 4, "现"), (0, 2, "西"), (2, 4, "安")}, "an4 is no reading of 安, and nothing else is there"


def test_a_syllable_without_known_words_has_a_usual_character():
    found = [(word.text, word.log_share) for _, _, word in Readings(["我"]).matches(spelling("hao"))]
    assert found == [(usual_character("hao"), 0.0)]


def test_homophones_do_not_depend_on_the_tone():
    homophones = Homophones("迟吃持尺我池了")
    assert set(homophones.of("吃")["吃"]) == set("迟吃持尺池")
    assert homophones.of("a，") == {"a": "", "，": ""}
    assert set(homophones.of("齿")["齿"]) == set("迟吃持尺池"), "a character that is none of them"


def test_without_pypinyin_the_remedy_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.partition(".")[0] == "pypinyin":
            raise ImportError("No module named 'pypinyin'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(TokenizerError, match=r"pip install 'rnnlm-cli\[pinyin\]'"):
        pinyin.require_pypinyin()
