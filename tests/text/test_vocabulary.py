import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import VocabularyError
from rnnlm.text.vocabulary import EOS, FIRST, SPECIALS, UNK, Vocabulary

TOKENS = st.lists(st.text(min_size=1, max_size=3), min_size=1)


def built(tokens, **options):
    """Return the vocabulary of running text, and the counts it was built from."""
    counts = Counter(tokens)
    array = np.array(list(counts.values()), dtype=np.int64)
    return Vocabulary.build(list(counts), array, **options), array


@given(TOKENS)
def test_ids_are_contiguous_and_map_back_to_their_tokens(tokens):
    vocabulary, counts = built(tokens)
    ids = vocabulary.encode(tokens)
    assert ids.dtype == np.int32
    assert [vocabulary.token(i) for i in ids] == tokens
    assert set(ids.tolist()) == set(range(FIRST, len(vocabulary)))
    assert vocabulary.coverage(counts) == 1


@given(TOKENS)
def test_tokens_are_sorted_by_frequency_then_by_appearance(tokens):
    vocabulary, _ = built(tokens)
    # Counter.most_common promises this order.
    assert list(zip(vocabulary.tokens, vocabulary.counts, strict=True)) == Counter(tokens).most_common()


@given(TOKENS, st.integers(1, 3), st.integers(FIRST + 1, 8))
def test_tokens_left_out_are_unknown_and_lower_the_coverage(tokens, min_count, max_size):
    most_common = Counter(tokens).most_common()
    kept = [token for token, count in most_common if count >= min_count][: max_size - FIRST]
    if not kept:
        with pytest.raises(VocabularyError, match="--min-count"):
            built(tokens, min_count=min_count, max_size=max_size)
        return
    vocabulary, counts = built(tokens, min_count=min_count, max_size=max_size)
    assert vocabulary.tokens == kept
    assert len(vocabulary) == len(kept) + FIRST <= max_size
    known = vocabulary.encode(tokens) != UNK
    assert known.tolist() == [token in kept for token in tokens]
    assert vocabulary.coverage(counts) == pytest.approx(known.mean())


def test_tokens_with_a_count_of_zero_are_left_out():
    assert Vocabulary.build(["a", "b", "c"], np.array([1, 0, 2])).tokens == ["c", "a"]


@pytest.mark.parametrize("options", [{"min_count": 3}, {"max_size": 3}, {"max_size": 0}])
def test_an_empty_vocabulary_is_refused_with_a_remedy(options):
    with pytest.raises(VocabularyError, match=r"most frequent of 2 is there 2 times.*smaller --min-count"):
        built(["a", "a", "b"], **options)


def test_text_that_spells_a_special_token_is_not_special():
    seen = Vocabulary(["a", *SPECIALS], [1, 1, 1, 1])
    assert seen.encode(SPECIALS).tolist() == [4, 5, 6]
    assert Vocabulary(["a"], [1]).encode([*SPECIALS, "a"]).tolist() == [UNK, UNK, UNK, 3]
    assert [seen.token(i) for i in range(FIRST)] == list(SPECIALS)
    assert EOS not in seen.encode(["</s>"])


@given(st.text(), st.text(min_size=1))
def test_a_string_is_encoded_by_character(text, known):
    vocabulary, _ = built([*known, "two", "words"])
    assert vocabulary.encode(text).tolist() == vocabulary.encode(list(text)).tolist()
    assert vocabulary.encode(text).dtype == np.int32
    no_characters = Vocabulary(["two"], [1])
    assert no_characters.encode(text).tolist() == [UNK] * len(text)


def test_lone_surrogates_are_unknown():
    assert Vocabulary(["a"], [1]).encode("a\udc80").tolist() == [3, UNK]


@given(TOKENS)
def test_a_vocabulary_survives_a_round_trip_through_json(tokens):
    vocabulary, _ = built(tokens)
    restored = Vocabulary.from_header(json.loads(json.dumps(vocabulary.to_header())))
    assert restored == vocabulary
    assert restored.encode(tokens).tolist() == vocabulary.encode(tokens).tolist()


def test_equality_compares_tokens_order_and_counts():
    one = Vocabulary(["a", "b"], [2, 1])
    assert one == Vocabulary(["a", "b"], [2, 1])
    assert one != Vocabulary(["b", "a"], [2, 1])
    assert one != Vocabulary(["a", "b"], [2, 2])
    assert one != Vocabulary(["a"], [2])
    assert one != ["a", "b"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        [],
        {},
        {"tokens": ["a"]},
        {"counts": [1]},
        {"tokens": "a", "counts": [1]},
        {"tokens": [], "counts": []},
        {"tokens": ["a", "a"], "counts": [1, 1]},
        {"tokens": ["a"], "counts": [1, 1]},
        {"tokens": [""], "counts": [1]},
        {"tokens": [1], "counts": [1]},
        {"tokens": [["a"]], "counts": [1]},
        {"tokens": ["a"], "counts": [-1]},
        {"tokens": ["a"], "counts": [1.0]},
        {"tokens": ["a"], "counts": [True]},
        {"tokens": ["a"], "counts": {"a": 1}},
    ],
)
def test_damaged_headers_are_refused(header):
    with pytest.raises(VocabularyError):
        Vocabulary.from_header(header)
