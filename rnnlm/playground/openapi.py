"""The OpenAPI document of the server."""

from typing import Any

from rnnlm import __version__
from rnnlm.playground.operations import Operation

_TEXT = {"type": "string"}
_ERROR = {
    "message": _TEXT,
    "type": _TEXT,
    "param": {"type": ["string", "null"], "description": "The field that it is about."},
    "code": _TEXT | {"description": "Which mistake it is."},
    "details": {"type": "object", "description": "The values in the message."},
}


def document(operations: list[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of operations, as JSON values."""
    error = _object_of(_ERROR, ["message", "type", "param", "code"])
    refused = {"description": "A refusal, and why.", "content": _json(_object_of({"error": error}, ["error"]))}
    paths: dict[str, Any] = {}
    for operation in operations:
        responses = {"200": {"description": "The answer."}, "default": refused}
        described: dict[str, Any] = {"summary": operation.says, "responses": responses}
        if operation.fields is not None:
            described["requestBody"] = {"required": True, "content": _json(operation.fields.schema)}
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {"openapi": "3.1.0", "info": {"title": "rnnlm", "version": __version__}, "paths": paths}


def _object_of(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
