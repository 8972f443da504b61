"""What a request may hold: declared once, for reading it and for describing it in the OpenAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rnnlm.errors import RnnlmError, shown
from rnnlm.text.encodings import SURROGATE

Schema = dict[str, Any]
MOST_NAMED, LONGEST_NAMED = 5, 60  # unknown fields that a message names, and characters of one
_REQUIRED = object()


class RequestError(RnnlmError):
    """A request that is refused: the HTTP status, and what kind of mistake it is in OpenAI's words.

    code and details: which mistake it is and the values in its sentence, for a page that has sentences of its own.
    param: the field that it is about. headers: of the answer.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        kind: str = "invalid_request_error",
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        **details: Any,
    ) -> None:
        """Say why."""
        super().__init__(message)
        self.status, self.kind, self.code, self.param, self.details = status, kind, code, param, details
        self.headers = dict(headers or {})


class Kind(Protocol):
    """A kind of value."""

    @property
    def expected(self) -> str:
        """What it is, for messages."""

    def schema(self) -> Schema:
        """What it is, as a JSON schema."""

    def read(self, value: Any, name: str) -> Any:
        """The value that a JSON value stands for.

        Raises:
            RequestError: it stands for none.
        """


def refuse(value: Any, name: str, expected: str) -> RequestError:
    """The error that says what a field holds and what was expected."""
    return RequestError(f"{name} is {_json_like(value)}; expected {expected}.", code="wrong_value", param=name)


def _json_like(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shown(value)


def _check_size(
    kind: "Text | ListOf", value: str | list[Any], name: str, unit: str, expected: str, codes: tuple[str, str]
) -> None:
    """Refuse a value with fewer than `least` or more than `most` units; `codes` are those of the two refusals."""
    if not kind.least <= len(value) <= kind.most:
        raise RequestError(
            f"{name} has {len(value):,} {unit}{'s' * (len(value) != 1)}; expected {expected}.",
            code=codes[len(value) > kind.most],
            param=name,
            count=len(value),
            most=kind.most,
            least=kind.least,
        )


@dataclass(frozen=True)
class Text:
    """A text of at most `most` characters, without halves of surrogate pairs; line ends become newlines."""

    most: int
    least: int = 0
    pattern: str | None = None

    @property
    def expected(self) -> str:
        """What it is."""
        return f"a text of {f'{self.least} to' if self.least else 'at most'} {self.most:,} characters"

    def schema(self) -> Schema:
        """As a JSON schema."""
        schema: Schema = {"type": "string", "maxLength": self.most}
        if self.least:
            schema["minLength"] = self.least
        return schema if self.pattern is None else schema | {"pattern": self.pattern}

    def read(self, value: Any, name: str) -> str:
        """The text."""
        if not isinstance(value, str):
            raise refuse(value, name, self.expected)
        _check_size(self, value, name, "character", self.expected, ("too_short", "too_long"))
        if (found := SURROGATE.search(value)) is not None:
            raise RequestError(
                f"{name} holds U+{ord(found[0]):04X}, half a surrogate pair, which is no character.",
                code="half_character",
                param=name,
            )
        return value.replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True)
class Integer:
    """A whole number within bounds."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """What it is."""
        return f"a whole number from {self.low:,} to {self.high:,}"

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def read(self, value: Any, name: str) -> int:
        """The number; 2.0 is 2."""
        whole = type(value) is int or (type(value) is float and value.is_integer())
        if not whole or not self.low <= value <= self.high:
            raise refuse(value, name, self.expected)
        return int(value)


@dataclass(frozen=True)
class Number:
    """A number within bounds, the lower one excluded if `above`."""

    low: float
    high: float
    above: bool = False

    @property
    def expected(self) -> str:
        """What it is."""
        bounds = f"above {self.low:g} and up to" if self.above else f"from {self.low:g} to"
        return f"a number {bounds} {self.high:g}"

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {"type": "number", "exclusiveMinimum" if self.above else "minimum": self.low, "maximum": self.high}

    def read(self, value: Any, name: str) -> float:
        """The number."""
        if type(value) not in (int, float) or not self.low <= value <= self.high or (self.above and value == self.low):
            raise refuse(value, name, self.expected)
        return float(value)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    expected: str = "true or false"

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {"type": "boolean"}

    def read(self, value: Any, name: str) -> bool:
        """The truth."""
        if not isinstance(value, bool):
            raise refuse(value, name, self.expected)
        return value


@dataclass(frozen=True)
class ListOf:
    """A list of values of one kind."""

    kind: Kind
    most: int
    least: int = 0

    @property
    def expected(self) -> str:
        """What it is."""
        return f"a list of {self.least:,} to {self.most:,} values, each {self.kind.expected}"

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {"type": "array", "items": self.kind.schema(), "minItems": self.least, "maxItems": self.most}

    def read(self, value: Any, name: str) -> list[Any]:
        """The values."""
        if not isinstance(value, list):
            raise refuse(value, name, self.expected)
        _check_size(self, value, name, "value", f"{self.least:,} to {self.most:,}", ("too_few", "too_many"))
        return [self.kind.read(each, f"{name}[{place}]") for place, each in enumerate(value)]


@dataclass(frozen=True)
class AnyOf:
    """A value of one of several kinds, told apart by what they are in JSON."""

    kinds: tuple[Kind, ...]

    @property
    def expected(self) -> str:
        """What it is."""
        return "; or ".join(kind.expected for kind in self.kinds)

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {"anyOf": [kind.schema() for kind in self.kinds]}

    def read(self, value: Any, name: str) -> Any:
        """The value, as the first kind that can be made of it; what is said of one that is none is the likeliest."""
        errors = []
        for kind in self.kinds:
            try:
                return kind.read(value, name)
            except RequestError as error:
                errors.append((_alike(kind.schema(), value), error))
        raise max(errors, key=lambda each: each[0])[1]


def _alike(schema: Schema, value: Any) -> int:
    """How far a value is of the type that a schema names."""
    if isinstance(value, list) and schema["type"] == "array":
        return 1 + (_alike(schema["items"], value[0]) if value else 0)
    types = {"string": str, "array": list, "integer": int, "number": float, "object": dict}
    return int(isinstance(value, types.get(schema["type"], ())))


@dataclass(frozen=True)
class Only:
    """A value that other servers know and this one does not: only what changes nothing is taken."""

    values: tuple[Any, ...]
    why: str

    @property
    def expected(self) -> str:
        """What it is."""
        return f"{' or '.join(map(_json_like, self.values))}: {self.why}"

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {"enum": list(self.values)}

    def read(self, value: Any, name: str) -> Any:
        """The value."""
        if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in self.values):
            raise RequestError(
                f"{name} is {_json_like(value)}, which is not supported; expected {self.expected}.",
                code="unsupported",
                param=name,
            )
        return value


@dataclass(frozen=True)
class Field:
    """A field of a request: its kind, and what stands for it where it is missing or null."""

    kind: Kind
    default: Any = _REQUIRED
    says: str = ""

    @property
    def required(self) -> bool:
        """Whether it must be there."""
        return self.default is _REQUIRED

    def schema(self) -> Schema:
        """As a JSON schema."""
        schema = self.kind.schema() | ({"description": self.says} if self.says else {})
        if self.required:
            return schema
        if "type" in schema:
            schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        if "anyOf" in schema:
            schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
        return schema


@dataclass(frozen=True)
class Unread:
    """A value that changes no answer, such as who asks: it is taken whatever it is."""

    expected: str = "anything"

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {}

    def read(self, value: Any, name: str) -> Any:
        """The value."""
        return value


@dataclass(frozen=True)
class Fields:
    """The fields of a request. Others are refused: what is asked for in them would not be done."""

    fields: Mapping[str, Field]

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {
            "type": "object",
            "properties": {name: field.schema() for name, field in self.fields.items()},
            "required": [name for name, field in self.fields.items() if field.required],
            "additionalProperties": False,
        }

    def read(self, body: Any) -> dict[str, Any]:
        """The values of a request.

        Raises:
            RequestError: it is no object, or a field is missing, unknown or of another kind.
        """
        if not isinstance(body, dict):
            raise refuse(body, "The request's body", "a JSON object")
        if unknown := [name for name in body if name not in self.fields]:
            raise self._unknown(unknown)
        values = {}
        for name, field in self.fields.items():
            value = body.get(name)
            if value is None and not (field.required and name in body):
                if field.required:
                    raise RequestError(
                        f"The field {name} is missing; expected {field.kind.expected}.",
                        code="missing_parameter",
                        param=name,
                    )
                values[name] = field.default
            else:
                values[name] = field.kind.read(value, name)
        return values

    def _unknown(self, names: list[str]) -> RequestError:
        more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
        named = ", nor ".join(map(shown, names[:MOST_NAMED])) + more
        return RequestError(
            f"There is no field {named}; the fields here are {', '.join(self.fields)}.",
            code="unknown_parameter",
            param=names[0][:LONGEST_NAMED],
        )
