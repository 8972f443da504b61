"""Lattices in the formats that users write."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.errors import LatticeError
from rnnlm.lattices import Arc, Lattice, json_lattice, plain_lattice


def candidates(lattice):
    """Return texts and scores of each position."""
    found = [[] for _ in range(lattice.length)]
    for arc in lattice.arcs:
        assert arc.end == arc.start + 1
        found[arc.start].append((arc.text, arc.score))
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a|b c", [["a", "b"], ["c"]]),
        ("a| |b |", [["a", ""], ["", "b"], ["", ""]]),
        (r"a\|b a\ b \\|c", [["a|b"], ["a b"], ["\\", "c"]]),
        ("10:30|a", [["10:30", "a"]]),
        ("  a \t b  ", [["a"], ["b"]]),
        ("||", [["", "", ""]]),
        ("", []),
    ],
)
def test_plain_lines_are_read(line, expected):
    lattice = plain_lattice(line)
    assert [[text for text, _ in position] for position in candidates(lattice)] == expected


def test_plain_lines_with_scores_are_read():
    lattice = plain_lattice(r"10:30:-1.5|a\|:2 :0|b\::-1e-3", scores=True)
    assert candidates(lattice) == [[("10:30", -1.5), ("a|", 2)], [("", 0), ("b:", -0.001)]]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=4)
POSITIONS = st.lists(st.lists(st.tuples(TEXT, st.floats(-99, 99)), min_size=1, max_size=3), max_size=3)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
KEYS = st.sampled_from(["positions", "arcs", "start", "end", "text", "score"])
ANYTHING = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))


@settings(max_examples=200)
@given(POSITIONS)
def test_escaped_text_survives_a_round_trip(positions):
    def escaped(text):
        return "".join(f"\\{each}" if each in "\\|" or each.isspace() else each for each in text)

    line = " ".join("|".join(f"{escaped(text)}:{score!r}" for text, score in position) for position in positions)
    assert candidates(plain_lattice(line, scores=True)) == positions
    objects = [[{"text": text, "score": score} for text, score in position] for position in positions]
    assert candidates(json_lattice(json.dumps({"positions": objects}))[0]) == positions


@pytest.mark.parametrize(
    ("line", "scores", "said"),
    [
        ("a|b\\", False, "ends with a backslash"),
        ("a:1|b", True, "'b' has no score"),
        ("a:1|:", True, "':' has no score"),
        ("a:nan", True, "'a:nan' has no score"),
        ("a:1e999", True, "has no score"),
        ("a:1e99", True, "has the score 1e\\+99"),
    ],
)
def test_bad_plain_lines_are_refused(line, scores, said):
    with pytest.raises(LatticeError, match=said):
        plain_lattice(line, scores)


def test_json_lines_are_read():
    lattice, rest = json_lattice(
        '{"id": 7, "positions": [["a", {"text": "b", "score": -1}], [["c", 2], {"text": ""}]]}'
    )
    assert candidates(lattice) == [[("a", 0), ("b", -1)], [("c", 2), ("", 0)]]
    assert rest == {"id": 7}
    lattice, rest = json_lattice('{"arcs": [{"start": 0, "end": 2, "text": "ab", "score": -1}]}')
    assert (lattice.length, lattice.arcs, rest) == (2, [Arc(0, 2, "ab", -1.0)], {})
    assert json_lattice('{"positions": []}')[0].length == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "expected a JSON object"),
        ("[" * 100_000, "expected a JSON object"),
        ("[1]", "expected an object with a list of positions, or of arcs"),
        ('{"positions": 3}', "expected an object with a list"),
        ('{"positions": [], "arcs": []}', "expected an object with a list"),
        ('{"positions": ["ab"]}', "Position 0 is 'ab'; expected a list of candidates"),
        ('{"positions": [["a"], []]}', "Position 1 has no candidates"),
        ('{"positions": [[3]]}', "A candidate is 3"),
        ('{"positions": [[null]]}', "A candidate is None"),
        ('{"positions": [[{"txt": "a"}]]}', "A candidate is"),
        ('{"positions": [[{"text": "a", "score": "1"}]]}', "has the score '1'"),
        ('{"positions": [[{"text": "a", "score": NaN}]]}', "has the score nan"),
        ('{"positions": [[{"text": "a", "score": true}]]}', "has the score True"),
        ('{"positions": [[{"text": "a", "score": 1' + "0" * 400 + "}]]}", "has the score 1000"),
        ('{"positions": [["a\\nb"]]}', "holds a line end"),
        ('{"positions": [["\\ud800"]]}', "half a surrogate pair"),
        ('{"arcs": [3]}', "An arc is 3"),
        ('{"arcs": [{"start": 1, "end": 1, "text": "a"}]}', "An arc is"),
        ('{"arcs": [{"start": 0, "end": 1.0, "text": "a"}]}', "An arc is"),
        ('{"arcs": [{"start": 0, "end": 99999999, "text": "a"}]}', "An arc is"),
        ('{"arcs": [{"start": 1, "end": 2, "text": "a"}]}', "No path of candidates leads from 0 to 2"),
    ],
)
def test_bad_json_lines_are_refused(line, said):
    with pytest.raises(LatticeError, match=said):
        json_lattice(line)


@settings(max_examples=300)
@given(ANYTHING)
def test_any_json_is_a_lattice_or_refused(value):
    for line in (json.dumps(value), json.dumps({"positions": value}), json.dumps({"arcs": value})):
        try:
            lattice, _ = json_lattice(line)
        except LatticeError:
            continue
        assert all(0 <= arc.start < arc.end <= lattice.length for arc in lattice.arcs)


@pytest.mark.parametrize("arc", [Arc(1, 0, "a"), Arc(0, 3, "a"), Arc(-1, 1, "a")])
def test_arcs_must_lead_forward(arc):
    with pytest.raises(LatticeError, match="expected it to go forward"):
        Lattice(2, [arc])
