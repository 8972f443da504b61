"""One way to check what comes from a stranger: the requests of the server, the headers of checkpoints.

What may be there is declared once, as kinds of JSON values. A kind says in words what it expects, describes itself as
a JSON schema, and reads a value or refuses it.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rnnlm.errors import RnnlmError, shown

JsonSchema = dict[str, Any]
MOST_NAMED, LONGEST_NAMED = 5, 60  # unknown fields that a message names, and characters of one
_REQUIRED = object()
_SURROGATE = re.compile("[\ud800-\udfff]")
_TYPES = {"string": str, "array": list, "integer": int, "number": float, "object": dict}


class WrongValueError(RnnlmError):
    """A value is not what was declared: what was found, what was expected.

    code and details: which mistake it is and the values in its sentence. param: the field that it is about.
    """

    def __init__(self, message: str, param: str, *, code: str = "wrong_value", **details: Any) -> None:
        super().__init__(message)
        self.code, self.param, self.details = code, param, details


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        expected: What it is, in words.
        schema: What it is, as a JSON schema.
        read: Called with a JSON value and its name; what the value stands for. Raises WrongValueError if it is of
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
    """A text of so many characters, without halves of surrogate pairs; line ends become newlines.

    pattern: what a text that is accepted looks like, for the JSON schema alone.
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
    """A whole number within bounds; 2.0 is 2, unless `exact`."""

    def admits(value: Any) -> bool:
        whole = type(value) is int or (not exact and type(value) is float and value.is_integer())
        return whole and low <= value <= high

    expected = f"a whole number from {low:,} to {high:,}"
    return _plain(expected, {"type": "integer", "minimum": low, "maximum": high}, admits, int)


def number(low: float, high: float, above: bool = False, below: bool = False) -> Kind:
    """A number within bounds; the lower one is excluded if `above`, else the upper one if `below`."""

    def admits(value: Any) -> bool:
        inside = type(value) in (int, float) and low <= value <= high
        return inside and not (above and value == low) and not (below and value == high)

    bounds = f"above {low:g} and up to {high:g}" if above else f"from {low:g} to {'below ' * below}{high:g}"
    schema = {"exclusiveMinimum" if above else "minimum": low, "exclusiveMaximum" if below else "maximum": high}
    return _plain(f"a number {bounds}", {"type": "number"} | schema, admits, float)


def choice(values: Collection[str]) -> Kind:
    """One of the names of a family."""
    expected, schema = f"one of {', '.join(values)}", {"type": "string", "enum": list(values)}
    return _plain(expected, schema, lambda value: isinstance(value, str) and value in values, str)


FLAG = _plain("true or false", {"type": "boolean"}, lambda value: isinstance(value, bool), bool)
# What changes no answer, such as who asks: it is taken whatever it is.
ANYTHING = Kind("anything", {}, lambda value, name: value)


def list_of(kind: Kind, most: int, least: int = 0) -> Kind:
    """A list of values of one kind."""
    size = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    expected = f"a list of {size} values, each {kind.expected}"

    def read(value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            raise wrong(value, name, expected)
        _check_size(value, name, "value", least, most, size)
        return [kind.read(each, f"{name}[{place}]") for place, each in enumerate(value)]

    return Kind(expected, {"type": "array", "items": kind.schema, "minItems": least, "maxItems": most}, read)


def any_of(*kinds: Kind) -> Kind:
    """A value of one of several kinds, told apart by what they are in JSON."""

    def read(value: Any, name: str) -> Any:
        """Read as the first kind that the value can be; what is said of one that is none is the likeliest."""
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
    """How far a value is of the type that a schema names."""
    if isinstance(value, list) and schema["type"] == "array":
        return 1 + (_alike(schema["items"], value[0]) if value else 0)
    return int(isinstance(value, _TYPES.get(schema["type"], ())))


def only(values: tuple[Any, ...], why: str) -> Kind:
    """A value that other programs know and this one does not: only what changes nothing is taken."""
    expected = f"{' or '.join(map(_json_like, values))}: {why}"

    def read(value: Any, name: str) -> Any:
        if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in values):
            message = f"{name} is {_json_like(value)}, which is not supported; expected {expected}."
            raise WrongValueError(message, name, code="unsupported")
        return value

    return Kind(expected, {"enum": list(values)}, read)


@dataclass(frozen=True)
class Field:
    """A field of an object: its kind, what stands for it where it is missing or null, and a description."""

    kind: Kind
    default: Any = _REQUIRED
    says: str = ""

    @property
    def required(self) -> bool:
        """Whether it must be there."""
        return self.default is _REQUIRED

    def schema(self) -> JsonSchema:
        """Return it as a JSON schema."""
        schema = self.kind.schema | ({"description": self.says} if self.says else {})
        if not self.required:
            nullable = {"type": lambda found: [found, "null"], "enum": lambda found: [*found, None]}
            nullable["anyOf"] = lambda found: [*found, {"type": "null"}]
            schema |= {key: nullable[key](schema[key]) for key in nullable if key in schema}
        return schema


def object_of(fields: Mapping[str, Field], expected: str = "a JSON object") -> Kind:
    """An object with these fields and no others: what is asked for in others would not be done."""

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
