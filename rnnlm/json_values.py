"""Values as JSON can hold them."""

import math
from typing import Any


def json_value(value: Any) -> Any:
    """The value with None for every number that JSON lacks: NaN and the infinities; tuples become lists."""
    if isinstance(value, dict):
        return {key: json_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
