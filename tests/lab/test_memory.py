"""`rnnlm lab memory`: what n-grams cannot know and networks can learn, and reading of the user's pairs."""

import json

import numpy as np
import pytest

from rnnlm.errors import CorpusError
from rnnlm.inference.lines import score_lines
from rnnlm.lab.agreement import pairs, sentences
from rnnlm.lab.agreement_words import DISTANCES, GRAMMARS
from rnnlm.lab.memory import (
    BANDS,
    MinimalPair,
    by_band,
    by_distance,
    by_group,
    chosen_right,
    learners,
    read_pairs,
    spaced_pairs,
    written_pairs,
)
from rnnlm.lab.sentences import flat, vocabulary_of
from rnnlm.text.vocabulary import EOS


def accuracies(model, vocabulary, found):
    """Return the accuracy by distance."""
    ids = [
        [vocabulary.encode([*words]) for words in which] for which in zip(*(pair[:2] for pair in found), strict=True)
    ]
    good, bad = (
        np.array([score.log_probabilities.sum() for score in score_lines(model, [np.append(i, EOS) for i in each])])
        for each in ids
    )
    right = chosen_right(good, bad)
    return {row.distance: row.accuracy(right) for row in by_distance(spaced_pairs(found))}


@pytest.mark.parametrize("language", DISTANCES)
def test_an_ngram_is_at_chance_beyond_its_order(language):
    grammar = DISTANCES[language]
    learnt = sentences(grammar, 4000)
    vocabulary = vocabulary_of(flat(learnt))
    train, found = learners(learnt, vocabulary, 1, 1), pairs(grammar, 1000)
    for order in (2, 3, 5):
        accuracy = accuracies(train[f"{order}-gram"](), vocabulary, found)
        assert {value for distance, value in accuracy.items() if distance >= order} == {0.5}
        if order > 2:
            assert accuracy[2] > 0.9


def test_a_gru_remembers_longer_distances_than_the_basic_cell_after_equal_training():
    learnt = sentences(DISTANCES["zh"], 3000)
    vocabulary = vocabulary_of(flat(learnt))
    train, found = learners(learnt, vocabulary, 10, 1), pairs(DISTANCES["zh"], 600)
    gru, rnn = (accuracies(train[name](), vocabulary, found) for name in ("GRU", "RNN"))
    for distance in (15, 17, 20):
        assert gru[distance] > 0.75
        assert rnn[distance] < 0.65


def test_the_same_seed_gives_the_same_network():
    learnt = sentences(DISTANCES["en"], 100)
    vocabulary = vocabulary_of(flat(learnt))
    first, again, other = (learners(learnt, vocabulary, 1, seed)["LSTM"]() for seed in (1, 1, 2))
    for name, array in first.params.items():
        np.testing.assert_array_equal(array, again.params[name])
    assert any((array != other.params[name]).any() for name, array in first.params.items())


def test_every_network_and_every_n_gram_is_trained():
    learnt = sentences(DISTANCES["en"], 100)
    assert list(learners(learnt, vocabulary_of(flat(learnt)), 1, 1)) == [
        *("2-gram", "3-gram", "4-gram", "5-gram", "RNN", "GRU", "LSTM")
    ]


def test_equal_probabilities_count_as_half_right():
    np.testing.assert_array_equal(chosen_right(np.array([-1, -2, -3]), np.array([-2, -2, -2])), [1, 0.5, 0])


@pytest.mark.parametrize("language", GRAMMARS)
def test_rows_of_written_pairs_count_every_pair_once(language):
    found = written_pairs(pairs(GRAMMARS[language], 600), GRAMMARS[language])
    *groups, far, every = by_group(found)
    assert sorted(np.concatenate([row.places for row in groups])) == list(every.places) == list(range(len(found)))
    assert every.name == "all"
    assert {found[place].distance >= 8 for place in far.places} == {True}
    assert len(far.places) == sum(each.distance >= 8 for each in found)
    for row in groups:
        assert len({found[place].group for place in row.places}) == 1
        bounds = [*BANDS, 100]
        first = next(first for first, name in BANDS.items() if row.name.endswith(f"distance {name}"))
        distances = [found[place].distance for place in row.places]
        assert first <= min(distances) <= row.distance <= max(distances) < bounds[bounds.index(first) + 1]
    bands = by_band(found)
    assert [row.name for row in bands] == [f"distance {name}" for name in BANDS.values()]
    assert sum(len(row.places) for row in bands) == len(found)


# --- the user's pairs


def test_pairs_are_read_from_tabs_and_json_objects():
    blimp = {"sentence_good": "She fell.", "sentence_bad": "Her fell.", "UID": "case", "pairID": "0"}
    lines = ["a b\ta c", "", "  ", "a d \t a e\tnear", json.dumps(blimp), '{"sentence_good": "x", "sentence_bad": "y"}']
    assert read_pairs(lines, "p.tsv") == [
        MinimalPair("a b", "a c"),
        MinimalPair("a d", "a e", "near"),
        MinimalPair("She fell.", "Her fell.", "case"),
        MinimalPair("x", "y"),
    ]


def test_pairs_without_a_group_have_only_the_row_all():
    rows = by_group(read_pairs(["a\tb", "c\td\tx", "e\tf\ty", "g\th\tx"], "p"))
    assert [(row.name, row.distance, row.places.tolist()) for row in rows] == [
        ("x", None, [1, 3]),
        ("y", None, [2]),
        ("all", None, [0, 1, 2, 3]),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("only one sentence", "has no tab: 'only one sentence'"),
        ("a\tb\tc\td", "has 3 tabs"),
        ("a\t", "has an empty sentence"),
        ("a\ta", "has the same sentence twice: 'a'"),
        ('{"sentence_good": "a"}', "is an object without sentence_bad"),
        ('{"sentence_good": "a", "sentence_bad": 3}', "has 3 as sentence_bad"),
        ('{"sentence_good": "a", "sentence_bad": "b"', "begins like a JSON object and is none"),
        ("{" * 100_000, "begins like a JSON object and is none"),
        ('{"a": ' * 100_000, "begins like a JSON object and is none"),
        ('{"sentence_good": "a", "sentence_bad": "a\\nb"}', "has a line end in a sentence"),
        ('{"sentence_good": "a", "sentence_bad": "\\ud800"}', "half a surrogate pair"),
    ],
)
def test_a_bad_line_is_refused_with_what_was_expected(line, said):
    with pytest.raises(CorpusError) as error:
        read_pairs(["x\ty", "", line], "p.tsv")
    assert str(error.value).startswith("Line 3 of p.tsv ")
    assert said in str(error.value)
    assert "expected a right and a wrong sentence with a tab between them" in str(error.value)
    assert len(str(error.value)) < 500


def test_a_text_without_pairs_is_refused():
    with pytest.raises(CorpusError, match=r"p\.tsv has no pairs"):
        read_pairs(["", " "], "p.tsv")
