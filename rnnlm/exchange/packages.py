"""Import of optional packages, when a file needs them."""

import importlib
from typing import Any

from rnnlm.errors import ExchangeError

EXTRAS = {"torch": "torch", "safetensors": "export", "onnx": "export"}


def load_package(module: str) -> Any:
    """Import and return a module of a package in EXTRAS.

    Raises:
        ExchangeError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ExchangeError(
            f"This needs the package {package}, which cannot be loaded ({error}). Install it with: pip install "
            f"'rnnlm-cli[{EXTRAS[package]}]'"
        ) from None
