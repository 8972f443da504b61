"""A kind of value reads exactly what its description and its JSON schema say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.schema import (
    ANYTHING,
    FLAG,
    Field,
    Kind,
    WrongValueError,
    any_of,
    choice,
    integer,
    list_of,
    number,
    object_of,
    only,
    text,
)

KINDS = {
    "text": text(4, 1),
    "integer": integer(-3, 5),
    "exact": integer(-3, 5, exact=True),
    "number": number(0, 2),
    "above": number(0, 2, above=True),
    "below": number(0, 2, below=True),
    "flag": FLAG,
    "choice": choice(("gru", "lstm")),
    "list": list_of(integer(0, 3), 3, 1),
    "pair": list_of(FLAG, 2, 2),
    "only": only((0, None), "nothing else is done"),
    "any": any_of(text(4), list_of(integer(0, 3), 3)),
    "anything": ANYTHING,
    "object": object_of({"a": Field(integer(0, 3)), "b": Field(FLAG, None, "Whether."), "c": Field(text(3), "x")}),
}
SCALARS = st.none() | st.booleans() | st.integers(-5, 7) | st.floats(-5, 7) | st.text("ab\n\ud800", max_size=6)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["gru", math.nan, math.inf, 10**400, 2.0]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


def admitted(schema, value) -> bool:
    """Return whether a JSON schema admits a value, for the keywords that are used."""
    if "anyOf" in schema:
        return any(admitted(each, value) for each in schema["anyOf"])
    if "enum" in schema:
        return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in schema["enum"])
    if "type" not in schema:
        return True
    types = schema["type"]
    is_number = type(value) is int or (type(value) is float and math.isfinite(value))
    sound = {
        "null": value is None,
        "boolean": isinstance(value, bool),
        "string": isinstance(value, str) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 0),
        "integer": is_number and value == value // 1,
        "number": is_number,
        "array": isinstance(value, list)
        and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 0)
        and all(admitted(schema["items"], each) for each in value),
        "object": isinstance(value, dict)
        and {*schema.get("required", [])} <= value.keys() <= schema.get("properties", {}).keys()
        and all(admitted(schema["properties"][name], each) for name, each in value.items()),
    }
    if not any(sound[each] for each in (types if isinstance(types, list) else [types])):
        return False
    return not is_number or (
        schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
    )


def read(kind: Kind, value):
    """Return the value as a kind reads it, or the error if it is refused."""
    try:
        return kind.read(value, "the value")
    except WrongValueError as error:
        return error


def has_half_a_character(value) -> bool:
    """Return whether a value contains a lone surrogate, which no JSON schema can exclude."""
    return "\\ud800" in ascii(value)


@given(st.sampled_from(sorted(KINDS)), VALUES)
def test_kinds_read_what_their_json_schema_admits(name, value):
    found = read(KINDS[name], value)
    exact = name == "exact" and isinstance(value, float)
    if name != "anything" and (has_half_a_character(value) or exact):
        assert isinstance(found, WrongValueError)
    else:
        assert isinstance(found, WrongValueError) != admitted(KINDS[name].schema, value)


@given(st.sampled_from(sorted(KINDS)), VALUES)
def test_a_refusal_names_the_place_the_value_and_what_was_expected(name, value):
    error = read(KINDS[name], value)
    if isinstance(error, WrongValueError):
        assert error.code
        assert error.param
        assert len(str(error)) < 500
        assert str(error).endswith(".")
        assert error.param in str(error)
        assert "expected" in str(error) or error.code in ("unknown_parameter", "half_character")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("text", "a\r\nb", "a\nb"),
        ("integer", 2.0, 2),
        ("number", 1, 1.0),
        ("object", {"a": 1, "b": None}, {"a": 1, "b": None, "c": "x"}),
        ("object", {"a": 1, "c": "y"}, {"a": 1, "b": None, "c": "y"}),
    ],
)
def test_equivalent_values_are_converted(name, value, expected):
    found = KINDS[name].read(value, "it")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("text", "", "it has 0 characters; expected a text of 1 to 4 characters."),
        ("exact", 2.0, "it is 2.0; expected a whole number from -3 to 5."),
        ("exact", True, "it is true; expected a whole number from -3 to 5."),
        ("below", 2, "it is 2; expected a number from 0 to below 2."),
        ("above", None, "it is null; expected a number above 0 and up to 2."),
        ("choice", "rnn", "it is 'rnn'; expected one of gru, lstm."),
        ("list", [1, 4], "it[1] is 4; expected a whole number from 0 to 3."),
        ("pair", [True], "it has 1 value; expected 2."),
        ("any", [7], "it[0] is 7; expected a whole number from 0 to 3."),
        ("object", {}, "The field a is missing; expected a whole number from 0 to 3."),
        ("object", {"a": None}, "a is null; expected a whole number from 0 to 3."),
        ("object", {"a": 1, "d": 2}, "There is no field 'd'; the fields here are a, b, c."),
    ],
)
def test_refusals_have_the_expected_sentences(name, value, sentence):
    with pytest.raises(WrongValueError) as refused:
        KINDS[name].read(value, "it")
    assert str(refused.value) == sentence
