"""Baselines on the held-out part: token frequencies and an n-gram model, which is also mixed with the network."""

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

ORDERS = {"char": 6}  # of the n-gram model
USUAL_ORDER = 5
MOST_COUNTED = 2_000_000  # tokens; counting takes one to three seconds
FEWEST_COUNTED = 1_000
COUNTED_PER_SECOND = 50_000  # tokens per second of --time, so that counting takes a few percent of it
MOST_NGRAMS = 1_000_000  # stored n-grams, of 16 bytes each
UNKNOWN_STEP = 10  # every tenth word seen once is counted as <unk>, as often as the network reads it so
# Prior weight of the n-gram model, and its strength in tokens. The weight of each context length has the common weight
# as its prior, with the same strength.
USUAL_WEIGHT, SURE = 0.25, 50
MOST_FITTED = 20_000  # tokens to fit the weights on, spread over the held-out part
GAIN = 0.005  # least improvement by an n-gram model, in nats per token


class Baselines(NamedTuple):
    """Figures of the baselines on the held-out part, as JSON, and the n-gram model."""

    figures: dict[str, Any]
    ngram: NgramModel


def measured_baselines(dataset: Dataset, seconds: float, order: int | None = None) -> Baselines:
    """Train token frequencies and an n-gram model, and evaluate them on the held-out part.

    seconds: time budget of the training, infinite without --time. Of a long text, only a part is counted, whose size is
    `tokens` in the figures. order: order of the n-gram model; None for the default of the level.

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
    """Mix a network with an n-gram model, with weights fitted to the held-out part; return it and its nats per token.

    Each length of context has its own weight, smoothed towards a common weight, and that towards USUAL_WEIGHT. None if
    the mixture is hardly better than the network, unless `always`.
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
