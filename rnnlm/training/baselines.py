"""Simple models of the same text: what they reach on the held-out part, and the n-gram model as a part of the model."""

from typing import Any, NamedTuple

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.mixture import best_weights
from rnnlm.inference.model import Array
from rnnlm.inference.scoring import sequence_nats, token_nats
from rnnlm.network_with_ngram import NetworkWithNgram, along_text
from rnnlm.nn.network import Network
from rnnlm.text.reading import Ids
from rnnlm.text.vocabulary import UNK
from rnnlm.training.dataset import Dataset

ORDERS = {"char": 6}  # of the n-gram model; three characters tell little
USUAL_ORDER = 5
MOST_COUNTED = 2_000_000  # tokens, in one to three seconds
FEWEST_COUNTED = 1_000
COUNTED_PER_SECOND = 50_000  # of a --time, a few hundredths of which this takes
MOST_NGRAMS = 1_000_000  # that are stored, of 16 bytes each
UNKNOWN_STEP = 10  # of the words seen once, every tenth is counted as <unk>: the network reads as many of them so
# Before the held-out part has spoken, the n-gram has this weight: so many tokens speak as loudly as that, and as loudly
# for the weight of their length of context as all others do for the common one.
USUAL_WEIGHT, SURE = 0.25, 50
MOST_FITTED = 20_000  # tokens that the weights are found on, spread over the held-out part
GAIN = 0.005  # nats per token that an n-gram model has to bring


class Baselines(NamedTuple):
    """Figures of simple models on the held-out part, as JSON, and the n-gram model among them."""

    figures: dict[str, Any]
    ngram: NgramModel


def measured_baselines(dataset: Dataset, seconds: float, order: int | None = None) -> Baselines:
    """Train and measure token frequencies and an n-gram model.

    seconds: of the training, infinite if it has no --time; a long text is counted in part, which `tokens` tells.
    order: of the n-gram model; what fits the text if it is not given.

    Raises:
        ValueError: nothing is held out.
    """
    if dataset.valid is None:
        raise ValueError("nothing is held out")
    ids = dataset.train[: max(FEWEST_COUNTED, int(min(MOST_COUNTED, COUNTED_PER_SECOND * seconds)))]
    if dataset.rare is not None:
        ids[dataset.rare[ids].nonzero()[0][::UNKNOWN_STEP]] = UNK
    context, nats = dataset.reading.context, []
    order = order or ORDERS.get(dataset.reading.tokenizer.name, USUAL_ORDER)
    for n in (1, order):
        predictor = NgramModel.train(ids, len(dataset.vocabulary), n, context, MOST_NGRAMS)
        total, tokens = sequence_nats(predictor, dataset.valid, context)
        nats.append(total / tokens)
    figures = {"tokens": len(ids), "order": order, "unigram_nats_per_token": nats[0], "ngram_nats_per_token": nats[1]}
    return Baselines(figures, predictor)


def with_ngram(
    network: Network, ngram: NgramModel, held_out: Ids, context: str, threads: int, always: bool = False
) -> tuple[NetworkWithNgram, float] | None:
    """Mix a network with an n-gram model by the weights that suit the held-out part, and measure that in nats a token.

    Each length of context has a weight of its own, drawn to the common one where it is seldom met, and that to a usual
    one. None if the mixture is hardly better than the network, unless it is wanted `always`.
    """
    alone = token_nats(network, held_out, context, threads)
    beside, lengths = along_text(ngram, held_out, context, threads)
    some = slice(None, None, -(-len(alone) // MOST_FITTED))
    pair, lengths_of_some = [alone[some], beside[some]], lengths[some]

    def weight(those: Array, usual: float) -> float:
        own = best_weights([each[those] for each in pair])[1] if those.any() else usual
        return float((those.sum() * own + SURE * usual) / (those.sum() + SURE))

    common = weight(lengths_of_some >= 0, USUAL_WEIGHT)
    weights = [weight(lengths_of_some == length, common) for length in range(ngram.order)]
    mixed = NetworkWithNgram(network, ngram, weights)
    nats = float(mixed.weighted(alone, beside, lengths).mean())
    return (mixed, nats) if always or nats < alone.mean() - GAIN else None
