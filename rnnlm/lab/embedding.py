"""The embedding in two dimensions: the first two principal components of the most frequent tokens' vectors."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import PlotError
from rnnlm.nn.network import Network
from rnnlm.sentences import Sentence
from rnnlm.text.vocabulary import FIRST, Vocabulary


class EmbeddingMap(NamedTuple):
    """Tokens, the most frequent first, and their coordinates `places` (n, 2).

    explained: Share of the variance of each axis. source: Name of the vectors, such as "embedding.weight".
    """

    source: str
    tokens: list[str]
    counts: list[int]
    places: NDArray[np.float64]
    explained: tuple[float, float]


def principal_components(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the first two principal components (n, 2) of vectors (n, D), and the share of the variance of each.

    They are computed from the singular value decomposition of the centred vectors. The largest entry of each axis is
    positive, so that figures are reproducible.

    >>> places, explained = principal_components(np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 0], [2, 1, 0]]))
    >>> [round(share, 3) for share in explained]
    [0.8, 0.2]
    """
    centred = vectors - vectors.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    axes, variances = axes[:2], np.zeros(2)
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    total = float((values**2).sum())
    variances[: len(axes)] = values[:2] ** 2
    places = np.zeros((len(vectors), 2))
    places[:, : len(axes)] = centred @ axes.T
    shares = variances / total if total > 0 else variances
    return places, (float(shares[0]), float(shares[1]))


def embedding_map(network: Network, vocabulary: Vocabulary, count: int) -> EmbeddingMap:
    """Map the `count` most frequent tokens of a network, without <s>, </s> and <unk>.

    Raises:
        PlotError: There are fewer than three tokens, or all vectors are equal.
    """
    count = min(count, len(vocabulary.tokens))
    if count < 3:
        raise PlotError(
            f"A plane needs three tokens or more, and there are {count}. Raise --tokens, or use a larger text."
        )
    source, vectors = token_vectors(network)
    places, explained = principal_components(np.asarray(vectors[FIRST : FIRST + count], np.float64))
    if not any(explained):
        raise PlotError("All tokens have the same vector; this network has learnt nothing that could be drawn.")
    return EmbeddingMap(source, vocabulary.tokens[:count], vocabulary.counts[:count], places, explained)


def token_vectors(network: Network) -> tuple[str, NDArray[np.float32]]:
    """Return the name of the token vectors, and a vector for each id (V, D); with one-hot input, the columns of U."""
    params = network.params
    if network.config.embedding_size:
        return "embedding.weight", params["embedding.weight"]
    names = [name for name in ("rnn.weight_ih_l0", "rnn.weight_ih_l0_reverse") if name in params]
    source = Sentence(
        "columns of {first}" if len(names) == 1 else "columns of {first} and {last}", first=names[0], last=names[-1]
    )
    return source, np.concatenate([params[name] for name in names]).T
