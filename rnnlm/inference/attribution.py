"""Measure which tokens of a text a prediction depends on, by replacing each token and predicting again.

This is the method of occlusion (Zeiler and Fergus 2014; for texts Li, Monroe and Jurafsky 2016). Tokens are replaced by
others instead of erased, so that the model reads nothing that it was not trained on.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rnnlm.inference.model import Array, SequenceModel, read_prefix
from rnnlm.text.vocabulary import FIRST

EXAMINED = 64  # how many of the last tokens of a text are replaced
SUBSTITUTES = 20  # number of other tokens tried in place of each


class Replacement(NamedTuple):
    """Substitutes (n,) for one token of a text, and the predictions at the end of the text with each, (n, V)."""

    substitutes: Array
    log_probabilities: Array


def replacements(model: SequenceModel, prefix: Array) -> Iterator[Replacement]:
    """Yield the predictions after a prefix (n,) with substitutes for each of its last EXAMINED ids.

    The first id, such as <s>, is never replaced. Substitutes are the SUBSTITUTES most probable ids given the ids before
    the place, most probable first, without the id itself, <s>, </s> and <unk>.
    """
    first = max(1, len(prefix) - EXAMINED)
    log_probabilities, state = read_prefix(model, prefix[:first])
    for place in range(first, len(prefix)):
        others = substitutes(log_probabilities[0], int(prefix[place]))
        inputs = np.repeat(prefix[place:, None], len(others), axis=1)
        inputs[0] = others
        following, _ = model.next_log_probabilities(inputs, np.repeat(state, len(others), axis=-2))
        yield Replacement(others, following)
        log_probabilities, state = model.next_log_probabilities(prefix[place : place + 1, None], state)


def substitutes(log_probabilities: Array, instead_of: int) -> Array:
    """Return the SUBSTITUTES most probable ids of a distribution (V,), without the special ids and `instead_of`.

    Equally probable ids are in ascending order.
    """
    ids = np.delete(np.arange(len(log_probabilities)), sorted({*range(FIRST), instead_of}))
    return ids[np.argsort(-log_probabilities[ids], kind="stable")[:SUBSTITUTES]].astype(np.int32)
