"""Conversion of values to what JSON can represent."""

import math
from typing import Any


def json_value(value: Any) -> Any:
    """Return a value with NaN and infinities replaced by None, and tuples by lists, recursively."""
    if isinstance(value, dict):
        return {key: json_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
