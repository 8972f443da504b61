"""What a checkpoint says of its model, checked and made into its parts."""

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
        CheckpointError: the header and the arrays do not make one.
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
    """The network with the n-gram model that is mixed with it."""
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
    """The network that a configuration describes: of one direction or two."""
    return (BidirectionalNetwork if config.bidirectional else Network)(config, params)


def _check_weights(network: AnyNetwork) -> None:
    """Refuse weights whose products are no numbers any more, so that all probabilities are."""
    for name, array in network.params.items():
        if not are_weights(array):
            raise CheckpointError(
                f"The checkpoint's {name} holds weights beyond {LARGEST_WEIGHT:g}: it is damaged, or its training "
                "exploded. Train again with a smaller --lr."
            )


def tokenizer_from_header(header: Any) -> Tokenizer:
    """Tokenizer from its JSON form in a checkpoint.

    Raises:
        CheckpointError: the form is not one that a tokenizer wrote.
    """
    described = mapping(header)
    make: Callable[[Any], Tokenizer] | None = getattr(TOKENIZERS.get(str(described.get("name"))), "from_options", None)
    if make is None:
        raise CheckpointError(
            f"The checkpoint's tokenizer is {shown(described.get('name'))}; expected one of {', '.join(TOKENIZERS)}."
        )
    return make(mapping(described.get("options")))


def line_of_header(value: Any, V: int) -> list[int]:
    """Ids of a line from a file; V: number of ids.

    Raises:
        CheckpointError: they are none.
    """
    line = [] if value is None else value
    if type(line) is list and len(line) <= LONGEST_LINE and all(type(each) is int and BOS < each < V for each in line):
        return line
    raise CheckpointError(f"The line that is read before others is {shown(value)}; expected a few ids. It is damaged.")


def mapping(value: Any) -> dict[str, Any]:
    """Return a part of a header that has to be an object."""
    if not isinstance(value, dict):
        raise CheckpointError(
            f"The checkpoint's header holds {shown(value)} where an object was expected; it is damaged."
        )
    return value


def _check_types(params: Mapping[str, NDArray[Any]]) -> None:
    """Refuse parameters that are not all of one sort of number to compute with."""
    found = sorted({array.dtype.name for array in params.values()})
    if found not in (["float32"], ["float64"]):
        raise CheckpointError(
            f"The checkpoint's parameters are {' and '.join(found) or 'missing'}; expected float32. It was edited."
        )


def is_parameter(name: str) -> bool:
    """Whether an array of a checkpoint is part of the model, and not of the training that --resume goes on with."""
    return name.startswith(("embedding.", "rnn.", "output.", "ngram.", MIXED))
