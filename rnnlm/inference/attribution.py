"""Which tokens of a text a prediction depends on: each is replaced by others, and what follows is predicted again.

This is the method of occlusion (Zeiler and Fergus 2014; for texts Li, Monroe and Jurafsky 2016), with other tokens in
the place of an erased one, so that the model reads nothing that it was not trained on.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rnnlm.inference.model import Array, SequenceModel, read_prefix
from rnnlm.text.vocabulary import FIRST

EXAMINED = 64  # tokens of a text, the last ones
SUBSTITUTES = 20  # other tokens in the place of each


class Replacement(NamedTuple):
    """Other tokens in one place of a text: substitutes (n,), and the log probabilities (n, V) of what follows each."""

    substitutes: Array
    log_probabilities: Array


def replacements(model: SequenceModel, prefix: Array) -> Iterator[Replacement]:
    """For each of the last EXAMINED ids of a prefix (n,) but its first, what follows with other ids in its place.

    The first is what every text is read after, such as <s>. Substitutes are the SUBSTITUTES most probable ids given
    what stands before the place, the most probable first, without the id itself and without <s>, </s> and <unk>.
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
    """The SUBSTITUTES most probable ids of text of a distribution (V,), without one; equal ones in their order."""
    ids = np.delete(np.arange(len(log_probabilities)), sorted({*range(FIRST), instead_of}))
    return ids[np.argsort(-log_probabilities[ids], kind="stable")[:SUBSTITUTES]].astype(np.int32)
