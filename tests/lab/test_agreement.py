"""The agreement grammar keeps held-out fillings out of the training sentences, and makes minimal, balanced pairs."""

from collections import Counter

import pytest

from rnnlm.lab.agreement import pairs, sentences, written
from rnnlm.lab.agreement_words import CHINESE_DISTANCES, DISTANCES, ENGLISH_DISTANCES, GRAMMARS

EVERY = [*(pytest.param(each, id=f"corpora {name}") for name, each in GRAMMARS.items())]
EVERY += [*(pytest.param(each, id=f"distances {name}") for name, each in DISTANCES.items())]
every_grammar = pytest.mark.parametrize("grammar", EVERY)
of_distances = pytest.mark.parametrize("grammar", [CHINESE_DISTANCES, ENGLISH_DISTANCES], ids=["zh", "en"])


def difference(pair):
    """Return the place of the only word in which the two sentences differ."""
    assert len(pair.good) == len(pair.bad)
    (place,) = [place for place, (good, bad) in enumerate(zip(pair.good, pair.bad, strict=True)) if good != bad]
    return place


def deciding(grammar, pair, decided):
    """Yield start and end of the deciding words in the good sentence, if they decide for the form `decided`."""
    end = difference(pair) - pair.distance + 1
    for form, its_form in grammar.forms[pair.kind]:
        start = end - len(form.split())
        if its_form == decided and list(pair.good[max(0, start) : end]) == form.split():
            yield start, end


@every_grammar
def test_held_out_fillings_never_occur_in_training_sentences(grammar):
    """This holds for any deciding form in its place."""
    seen = {each for seed in (1, 2) for each in sentences(grammar, 4000, seed)}
    for pair in pairs(grammar, 300):
        place = difference(pair)
        ((start, end),) = deciding(grammar, pair, pair.good[place])
        for form, decided in grammar.forms[pair.kind]:
            words = (*pair.good[:start], *form.split(), *pair.good[end:place], decided, *pair.good[place + 1 :])
            assert words not in seen


@every_grammar
def test_a_pair_differs_in_one_word_and_only_the_right_form_agrees(grammar):
    for pair in pairs(grammar, 300):
        place = difference(pair)
        assert pair.distance > 0
        assert len([*deciding(grammar, pair, pair.good[place])]) == 1
        assert not [*deciding(grammar, pair, pair.bad[place])]
        assert pair.bad[place] in [decided for _, decided in grammar.forms[pair.kind]]


@pytest.mark.parametrize("number", [100, 101, 599, 600])
@every_grammar
def test_every_pair_has_a_mirrored_pair_unless_another_person_is_in_between(grammar, number):
    found = pairs(grammar, number)
    assert number <= len(found) <= number + 1
    twins = {(each.good, each.bad) for each in found}
    assert len(twins) == len(found)
    for pair in found:
        place = difference(pair)
        right, wrong = pair.good[place], pair.bad[place]
        ((start, end),) = deciding(grammar, pair, right)
        others = [form for form, decided in grammar.forms[pair.kind] if decided == wrong]
        if {wrong, *others} & set(pair.good[end:place]):
            continue
        possible = {
            (
                (*pair.bad[:start], *other.split(), *pair.bad[end:]),
                (*pair.good[:start], *other.split(), *pair.good[end:]),
            )
            for other in others
        }
        assert possible & twins


@of_distances
def test_right_and_wrong_forms_are_balanced(grammar):
    found = pairs(grammar, 1000)
    right, wrong = (Counter(getattr(pair, which)[difference(pair)] for pair in found) for which in ("good", "bad"))
    assert right == wrong


@of_distances
def test_all_distances_from_2_to_20_occur(grammar):
    assert {each.distance for each in pairs(grammar, 600)} == set(range(2, 21))
    lengths = {name: {len(filler.split()) for filler in fillers} for name, fillers in grammar.fillers.items()}
    slots = ("one", "two", "three", "five", "seven")
    assert [lengths[name] for name in slots] == [{1}, {2}, {3}, {5}, {7}]


def test_the_sentence_of_the_article_is_never_made():
    grammar = GRAMMARS["zh"]
    excluded = {"上学", "迟到", "老师", "批评"}
    assert excluded in grammar.excluded
    made = [*sentences(grammar, 4000), *(pair.good for pair in pairs(grammar, 600))]
    assert not [each for each in made if excluded <= set(each)]
    assert [each for each in made if excluded - {"批评"} <= set(each)], "the rest of its words do stand together"


@every_grammar
def test_the_same_seed_makes_the_same_sentences(grammar):
    assert sentences(grammar, 50, 3) == sentences(grammar, 50, 3) != sentences(grammar, 50, 4)
    made = sentences(grammar, 1000)
    assert len(set(made)) == len(made) == 1000


@pytest.mark.parametrize(
    ("words", "space", "expected"),
    [
        ("I lost my bag , and “ they ” helped .", " ", "I lost my bag, and “they” helped."),
        ("although she fell , nobody came !", " ", "Although she fell, nobody came!"),
        ("我 昨天 上学 迟到 了 ， 老师 批评 了 我 。", "", "我昨天上学迟到了，老师批评了我。"),
    ],
)
def test_words_are_joined_as_in_ordinary_text(words, space, expected):
    assert written(words.split(), space) == expected
