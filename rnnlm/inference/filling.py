"""Fill blanks in a sentence with the most probable tokens.

A one-directional model compares whole sentences: the probability of a filling is that of its sentence, divided by the
sum over all fillings compared. A bidirectional model gives the distribution of a blank directly. Fillings of several
blanks are compared by the product of the probabilities of each blank given the rest of the sentence.
"""

from collections.abc import Sequence

import numpy as np

from rnnlm.inference.generation import largest
from rnnlm.inference.model import Array, MeasuringModel, SequenceModel
from rnnlm.inference.scoring import Stop, never
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.text.batches import SentenceBatches
from rnnlm.text.reading import Ids
from rnnlm.text.vocabulary import BOS, EOS, UNK

BLANK = -1  # stands for one missing token in the ids of a sentence
PLACES = 1 << 11  # ids in a batch of a bidirectional evaluation

Filling = tuple[tuple[int, ...], float]  # tokens of the blanks from left to right, log score


def pseudo_nats(
    network: MeasuringModel, sequence: Ids, worker: tuple[int, int] = (0, 1), stop: Stop = never
) -> tuple[float, int]:
    """Return the sum of -log p(token | rest of its sentence) and the number of tokens; </s> is not predicted.

    exp of the mean is the pseudo-perplexity. It is not comparable with a perplexity, as the model sees both sides.

    worker: number of this worker, and number of workers. Each reads a share of the batches; add up their results.
    stop: called before every batch; once it returns True, the result is incomplete.
    """
    batches = SentenceBatches(sequence, PLACES // 64, 64, seed=0, shuffle=False)
    total, words = 0.0, 0
    first, workers = worker
    for number in range(first, batches.per_epoch, workers):
        if stop():
            break
        batch = batches.batch(0, number)
        nats, _ = network.nats(batch.inputs, batch.targets, network.zero_state(batch.inputs.shape[1]), batch.keep)
        total += float(nats.sum(dtype=np.float64))
        words += batch.tokens
    return total, words


def fill_forward(
    model: SequenceModel,
    ids: Sequence[int],
    width: int,
    never: Sequence[int],
    end: int | None = EOS,
    start: int = BOS,
) -> list[Filling]:
    """Fill the BLANKs in a sentence's ids with a one-directional model; return fillings by log p of the sentence.

    This is a beam search from left to right, which keeps the `width` most probable beginnings after each blank. It is
    exhaustive with a width of V^blanks. `start` is read before the sentence, `end` after it, unless it is None.
    """
    fillings: list[tuple[int, ...]] = [()]
    scores = np.zeros(1)
    log_probabilities, state = model.next_log_probabilities(np.array([[start]]), model.zero_state(1))
    steps = [*ids] if end is None else [*ids, end]
    for place, wanted in enumerate(steps):
        if wanted == BLANK:
            grown = scores[:, None] + log_probabilities
            grown[:, list(never)] = -np.inf
            parents, tokens = _best(grown, width)
            fillings = [(*fillings[parent], int(token)) for parent, token in zip(parents, tokens, strict=True)]
            scores, state = grown[parents, tokens], np.take(state, parents, axis=-2)
        else:
            tokens = np.full(len(scores), wanted)
            scores = scores + log_probabilities[:, wanted]
        if place + 1 < len(steps):
            log_probabilities, state = model.next_log_probabilities(tokens[None], state)
    return _ranked(fillings, scores)


def fill_between(network: BidirectionalNetwork, ids: Sequence[int], width: int, never: Sequence[int]) -> list[Filling]:
    """Fill the BLANKs in a sentence's ids with a bidirectional network; return fillings, best first.

    With one blank, the score is log p(token | rest). Several blanks are filled from left to right by beam search, with
    <unk> in the later ones. The fillings found are then scored by the sum of log p(blank | rest) over the blanks.
    """
    sentence = np.array([BOS, *ids, EOS])
    blanks = np.flatnonzero(sentence == BLANK)
    sequences = np.where(sentence == BLANK, UNK, sentence)[:, None]
    scores = np.zeros(1)
    for blank in blanks:
        grown = scores[:, None] + network.log_probabilities_at(sequences, np.full(len(scores), blank))
        grown[:, list(never)] = -np.inf
        parents, tokens = _best(grown, width)
        scores, sequences = grown[parents, tokens], sequences[:, parents].copy()
        sequences[blank] = tokens
    if len(blanks) > 1:
        columns = np.arange(len(scores))
        scores = np.zeros(len(scores))
        for blank in blanks:
            places = np.full(len(scores), blank)
            scores += network.log_probabilities_at(sequences, places)[columns, sequences[blank]]
    return _ranked([tuple(int(token) for token in column) for column in sequences[blanks].T], scores)


def _best(scores: Array, width: int) -> tuple[Array, Array]:
    """Rows and columns of the `width` largest finite scores, best first."""
    rows, columns = np.unravel_index(largest(scores, width), scores.shape)
    return rows, columns


def _ranked(fillings: list[tuple[int, ...]], scores: Array) -> list[Filling]:
    order = np.argsort(-scores, kind="stable")
    return [(fillings[place], float(scores[place])) for place in order]
