"""Parsing and validation of the header of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rnnlm.baselines.ngram import NgramModel
from rnnlm.errors import CheckpointError, shown
from rnnlm.inference.line_starts import LONGEST_LINE
from rnnlm.network_with_ngram import MIXED, NetworkWithNgram
from rnnlm.nn.bidirectional import AnyNetwork, BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import LARGEST_WEIGHT, are_weights
from rnnlm.text.tokenizers import TOKENIZERS, Tokenizer
from rnnlm.text.vocabulary import BOS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def predictor_of(
    header: Mapping[str, Any], V: int, arrays: Mapping[str, NDArray[Any]]
) -> AnyNetwork | NgramModel | NetworkWithNgram:
    """Return the network, n-gram model or both of a checkpoint. V: size of its vocabulary.

    Raises:
        CheckpointError: the header or the arrays are invalid, or do not match.
    """
    kind = header.get("kind")
    if kind == "rnn":
        params = {name: array for name, array in arrays.items() if not name.startswith(MIXED)}
        _check_types(params)
        network = network_of(NetworkConfig.from_header(header.get("network")), params)
        _check_weights(network)
        return _with_ngram(network, header["mixed_ngram"], V, arrays) if "mixed_ngram" in header else network
    if kind == "ngram":
        return NgramModel.from_arrays(V, header.get("order"), arrays)
    raise CheckpointError(f"The checkpoint's kind is {shown(kind)}; expected 'rnn' or 'ngram'.")


def _with_ngram(network: AnyNetwork, described: Any, V: int, arrays: Mapping[str, NDArray[Any]]) -> NetworkWithNgram:
    """Return the network mixed with the n-gram model in the arrays."""
    of_ngram = {name.removeprefix("mixed_"): each for name, each in arrays.items() if name.startswith(MIXED)}
    ngram = NgramModel.from_arrays(V, mapping(described).get("order"), of_ngram)
    weights = described.get("weights")
    sound = type(weights) is list and all(type(each) in (int, float) and 0 <= each <= 1 for each in weights)
    if not sound or len(weights) != ngram.order or isinstance(network, BidirectionalNetwork):
        raise CheckpointError(
            f"The checkpoint's weights of its {ngram.order}-gram model are {shown(weights)}; expected {ngram.order} "
            "numbers from 0 to 1, beside a network of one direction. It is damaged or was edited."
        )
    return NetworkWithNgram(network, ngram, weights)


def network_of(config: NetworkConfig, params: Mapping[str, NDArray[Any]]) -> AnyNetwork:
    """Return the network of a configuration, unidirectional or bidirectional."""
    return (BidirectionalNetwork if config.bidirectional else Network)(config, params)


def _check_weights(network: AnyNetwork) -> None:
    """Raise CheckpointError if weights are so large, or not finite, that probabilities may not be numbers."""
    for name, array in network.params.items():
        if not are_weights(array):
            raise CheckpointError(
                f"The checkpoint's {name} holds weights beyond {LARGEST_WEIGHT:g}: it is damaged, or its training "
                "exploded. Train again with a smaller --lr."
            )


def tokenizer_from_header(header: Any) -> Tokenizer:
    """Return the tokenizer that the header of a checkpoint describes.

    Raises:
        CheckpointError: the description is invalid.
    """
    described = mapping(header)
    make: Callable[[Any], Tokenizer] | None = getattr(TOKENIZERS.get(str(described.get("name"))), "from_options", None)
    if make is None:
        raise CheckpointError(
            f"The checkpoint's tokenizer is {shown(described.get('name'))}; expected one of {', '.join(TOKENIZERS)}."
        )
    return make(mapping(described.get("options")))


def line_of_header(value: Any, V: int) -> list[int]:
    """Return the ids of the line before others, `line_before` in a header; V: size of the vocabulary.

    Raises:
        CheckpointError: the value is not a list of ids.
    """
    line = [] if value is None else value
    if type(line) is list and len(line) <= LONGEST_LINE and all(type(each) is int and BOS < each < V for each in line):
        return line
    raise CheckpointError(f"The line that is read before others is {shown(value)}; expected a few ids. It is damaged.")


def mapping(value: Any) -> dict[str, Any]:
    """Return a part of a header, after checking that it is an object."""
    if not isinstance(value, dict):
        raise CheckpointError(
            f"The checkpoint's header holds {shown(value)} where an object was expected; it is damaged."
        )
    return value


def _check_types(params: Mapping[str, NDArray[Any]]) -> None:
    """Raise CheckpointError unless all parameters are float32, or all float64."""
    found = sorted({array.dtype.name for array in params.values()})
    if found not in (["float32"], ["float64"]):
        raise CheckpointError(
            f"The checkpoint's parameters are {' and '.join(found) or 'missing'}; expected float32. It was edited."
        )


def is_parameter(name: str) -> bool:
    """Return whether an array of a checkpoint belongs to the model, not to the training state for --resume."""
    return name.startswith(("embedding.", "rnn.", "output.", "ngram.", MIXED))
