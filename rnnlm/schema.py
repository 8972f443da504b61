"""Validation of untrusted JSON: requests to the server and headers of checkpoints.

Expected values are declared as kinds. A kind has a description in words, a JSON schema, and a function that reads a
value or raises WrongValueError.
"""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rnnlm.errors import RnnlmError, shown

JsonSchema = dict[str, Any]
MOST_NAMED, LONGEST_NAMED = 5, 60  # in a message: maximum number of unknown fields, and characters of each
_REQUIRED = object()
_SURROGATE = re.compile("[\ud800-\udfff]")
_TYPES = {"string": str, "array": list, "integer": int, "number": float, "object": dict}


class WrongValueError(RnnlmError):
    """A value is not of the declared kind.

    code: machine-readable type of the error. details: values in the message. param: name of the field.
    """

    def __init__(self, message: str, param: str, *, code: str = "wrong_value", **details: Any) -> None:
        super().__init__(message)
        self.code, self.param, self.details = code, param, details


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        expected: Description for error messages.
        schema: JSON schema.
        read: Takes a JSON value and its name, and returns the converted value. Raises WrongValueError if it is of
            another kind.
    """

    expected: str
    schema: JsonSchema
    read: Callable[[Any, str], Any]


def wrong(value: Any, name: str, expected: str) -> WrongValueError:
    """Return the error that says what a field holds and what was expected."""
    return WrongValueError(f"{name} is {_json_like(value)}; expected {expected}.", name)


def _json_like(value: Any) -> str:
    return {None: "null", True: "true", False: "false"}[value] if type(value) in (bool, type(None)) else shown(value)


def _plain(expected: str, schema: JsonSchema, admits: Callable[[Any], bool], made: Callable[[Any], Any]) -> Kind:
    def read(value: Any, name: str) -> Any:
        if not admits(value):
            raise wrong(value, name, expected)
        return made(value)

    return Kind(expected, schema, read)


def _check_size(value: str | list[Any], name: str, unit: str, least: int, most: int, expected: str) -> None:
    if not least <= len(value) <= most:
        message = f"{name} has {len(value):,} {unit}{'s' * (len(value) != 1)}; expected {expected}."
        more, fewer = ("too_long", "too_short") if unit == "character" else ("too_many", "too_few")
        code = more if len(value) > most else fewer
        raise WrongValueError(message, name, code=code, count=len(value), most=most, least=least)


def text(most: int, least: int = 0, pattern: str | None = None) -> Kind:
    """Return the kind of strings of `least` to `most` characters, without lone surrogates; line ends become "\\n".

    pattern: regular expression for the JSON schema; not checked here.
    """
    expected = f"a text of {f'{least} to' if least else 'at most'} {most:,} characters"

    def read(value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise wrong(value, name, expected)
        _check_size(value, name, "character", least, most, expected)
        if (found := _SURROGATE.search(value)) is not None:
            message = f"{name} holds U+{ord(found[0]):04X}, half a surrogate pair, which is no character."
            raise WrongValueError(message, name, code="half_character")
        return value.replace("\r\n", "\n").replace("\r", "\n")

    bounds = {"maxLength": most} | ({"minLength": least} if least else {})
    return Kind(expected, {"type": "string"} | bounds | ({"pattern": pattern} if pattern else {}), read)


def integer(low: int, high: int, exact: bool = False) -> Kind:
    """Return the kind of integers within bounds; 2.0 is read as 2, unless `exact`."""

    def admits(value: Any) -> bool:
        whole = type(value) is int or (not exact and type(value) is float and value.is_integer())
        return whole and low <= value <= high

    expected = f"a whole number from {low:,} to {high:,}"
    return _plain(expected, {"type": "integer", "minimum": low, "maximum": high}, admits, int)


def whole_number(value: Any) -> int | None:
    """Return a Python or NumPy integer as an int, and None for anything else, such as True or 2.0."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def number(low: float, high: float, above: bool = False, below: bool = False) -> Kind:
    """Return the kind of numbers within bounds; `above` excludes the lower bound, `below` the upper one."""

    def admits(value: Any) -> bool:
        inside = type(value) in (int, float) and low <= value <= high
        return inside and not (above and value == low) and not (below and value == high)

    start = f"above {low:g} and {'below' if below else 'up to'}" if above else f"from {low:g} to{' below' * below}"
    bounds = f"{start} {high:g}"
    schema = {"exclusiveMinimum" if above else "minimum": low, "exclusiveMaximum" if below else "maximum": high}
    return _plain(f"a number {bounds}", {"type": "number"} | schema, admits, float)


def choice(values: Collection[str]) -> Kind:
    """Return the kind of strings that are one of `values`."""
    expected, schema = f"one of {', '.join(values)}", {"type": "string", "enum": list(values)}
    return _plain(expected, schema, lambda value: isinstance(value, str) and value in values, str)


FLAG = _plain("true or false", {"type": "boolean"}, lambda value: isinstance(value, bool), bool)
# For fields without effect on the answer, such as the name of the user.
ANYTHING = Kind("anything", {}, lambda value, name: value)


def list_of(kind: Kind, most: int, least: int = 0) -> Kind:
    """Return the kind of lists of `least` to `most` values of one kind."""
    size = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    expected = f"a list of {size} values, each {kind.expected}"

    def read(value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            raise wrong(value, name, expected)
        _check_size(value, name, "value", least, most, size)
        return [kind.read(each, f"{name}[{place}]") for place, each in enumerate(value)]

    return Kind(expected, {"type": "array", "items": kind.schema, "minItems": least, "maxItems": most}, read)


def any_of(*kinds: Kind) -> Kind:
    """Return the kind of values of any of several kinds."""

    def read(value: Any, name: str) -> Any:
        """Read as the first kind that fits; if none does, raise the error of the kind most like the value."""
        errors = []
        for kind in kinds:
            try:
                return kind.read(value, name)
            except WrongValueError as error:
                errors.append((_alike(kind.schema, value), error))
        raise max(errors, key=lambda each: each[0])[1]

    expected = "; or ".join(kind.expected for kind in kinds)
    return Kind(expected, {"anyOf": [kind.schema for kind in kinds]}, read)


def _alike(schema: JsonSchema, value: Any) -> int:
    """Return how many levels of a value, list and items, have the types of a schema."""
    if isinstance(value, list) and schema["type"] == "array":
        return 1 + (_alike(schema["items"], value[0]) if value else 0)
    return int(isinstance(value, _TYPES.get(schema["type"], ())))


def only(values: tuple[Any, ...], why: str) -> Kind:
    """Return the kind of an unsupported parameter: only `values`, which have no effect, are accepted."""
    expected = f"{' or '.join(map(_json_like, values))}: {why}"

    def read(value: Any, name: str) -> Any:
        if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in values):
            message = f"{name} is {_json_like(value)}, which is not supported; expected {expected}."
            raise WrongValueError(message, name, code="unsupported")
        return value

    return Kind(expected, {"enum": list(values)}, read)


@dataclass(frozen=True)
class Field:
    """A field of an object: its kind, its default if missing or null, and its description."""

    kind: Kind
    default: Any = _REQUIRED
    says: str = ""

    @property
    def required(self) -> bool:
        """Whether the field must be present."""
        return self.default is _REQUIRED

    def schema(self) -> JsonSchema:
        """Return the JSON schema of the field."""
        schema = self.kind.schema | ({"description": self.says} if self.says else {})
        if not self.required:
            nullable = {"type": lambda found: [found, "null"], "enum": lambda found: [*found, None]}
            nullable["anyOf"] = lambda found: [*found, {"type": "null"}]
            schema |= {key: nullable[key](schema[key]) for key in nullable if key in schema}
        return schema


def object_of(fields: Mapping[str, Field], expected: str = "a JSON object") -> Kind:
    """Return the kind of objects with these fields and no others, because others would have no effect."""

    def read(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong(value, name, expected)
        if unknown := [each for each in value if each not in fields]:
            raise _unknown(unknown, fields)
        return {each: _read_field(value, each, field) for each, field in fields.items()}

    schema = {
        "type": "object",
        "properties": {name: field.schema() for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }
    return Kind(expected, schema, read)


def _read_field(found: Mapping[str, Any], name: str, field: Field) -> Any:
    if found.get(name) is not None or (field.required and name in found):
        return field.kind.read(found[name], name)
    if field.required:
        message = f"The field {name} is missing; expected {field.kind.expected}."
        raise WrongValueError(message, name, code="missing_parameter")
    return field.default


def _unknown(names: list[str], fields: Mapping[str, Field]) -> WrongValueError:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    named = ", nor ".join(map(shown, names[:MOST_NAMED])) + more
    message = f"There is no field {named}; the fields here are {', '.join(fields)}."
    return WrongValueError(message, names[0][:LONGEST_NAMED], code="unknown_parameter")
