"""What simple models of the same text reach on the held-out part: how good a trained one is, shows beside them."""

from typing import Any

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.scoring import sequence_nats
from rnnlm.text.vocabulary import UNK
from rnnlm.training.dataset import Dataset

ORDERS = {"char": 5}  # of the n-gram model; three characters tell little
USUAL_ORDER = 3
MOST_COUNTED = 2_000_000  # tokens, in one to three seconds
FEWEST_COUNTED = 1_000
COUNTED_PER_SECOND = 50_000  # of a --time, a hundredth of which this takes
UNKNOWN_STEP = 10  # of the words seen once, every tenth is counted as <unk>: the network reads as many of them so


def measured_baselines(dataset: Dataset, seconds: float) -> dict[str, Any]:
    """Return figures of token frequencies and of an n-gram model on the held-out part, as JSON.

    seconds: of the training, infinite if it has no --time; a long text is counted in part, which `tokens` tells.

    Raises:
        ValueError: nothing is held out.
    """
    if dataset.valid is None:
        raise ValueError("nothing is held out")
    ids = dataset.train[: max(FEWEST_COUNTED, int(min(MOST_COUNTED, COUNTED_PER_SECOND * seconds)))]
    if dataset.rare is not None:
        ids[dataset.rare[ids].nonzero()[0][::UNKNOWN_STEP]] = UNK
    order, nats = ORDERS.get(dataset.reading.tokenizer.name, USUAL_ORDER), []
    for n in (1, order):
        predictor = NgramModel.train(ids, len(dataset.vocabulary), n, dataset.reading.context)
        total, tokens = sequence_nats(predictor, dataset.valid, dataset.reading.context)
        nats.append(total / tokens)
    return {"tokens": len(ids), "order": order, "unigram_nats_per_token": nats[0], "ngram_nats_per_token": nats[1]}
