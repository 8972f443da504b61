"""The OpenAPI document of what is served."""

from typing import Any

from rnnlm import __version__
from rnnlm.playground.operations import Models, Operation

REFUSAL = {
    "description": "A refusal, and why.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "error": {
                        "type": "object",
                        "properties": {
                            "message": {"type": "string"},
                            "type": {"type": "string"},
                            "param": {"type": ["string", "null"], "description": "The field that it is about."},
                            "code": {"type": "string", "description": "Which mistake it is."},
                            "details": {"type": "object", "description": "The values in the message."},
                        },
                        "required": ["message", "type", "param", "code"],
                    }
                },
                "required": ["error"],
            }
        }
    },
}


def document(models: Models, operations: list[Operation]) -> dict[str, Any]:
    """The document, as JSON."""
    paths: dict[str, Any] = {}
    for operation in operations:
        responses = {"200": {"description": "The answer."}, "default": REFUSAL}
        described: dict[str, Any] = {"summary": operation.says, "responses": responses}
        if operation.fields is not None:
            content = {"application/json": {"schema": operation.fields.schema()}}
            described["requestBody"] = {"required": True, "content": content}
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {"openapi": "3.1.0", "info": {"title": "rnnlm", "version": __version__}, "paths": paths}
