"""What simple models of the same text reach on the held-out part: how good a trained one is, shows beside them."""

import math
from typing import Any

from rnnlm.baselines.ngram import NgramModel
from rnnlm.inference.scoring import sequence_nats
from rnnlm.nn.numerics import Array
from rnnlm.text.corpus import IdSequence
from rnnlm.text.vocabulary import UNK

ORDERS = {"char": 5}  # of the n-gram model; three characters tell little
USUAL_ORDER = 3
MOST_COUNTED = 2_000_000  # tokens, in one to three seconds
FEWEST_COUNTED = 1_000
COUNTED_PER_SECOND = 50_000  # of a --time, a hundredth of which this takes
UNKNOWN_STEP = 10  # of the words seen once, every tenth is counted as <unk>: the network reads as many of them so


def measured_baselines(
    train: IdSequence, valid: IdSequence, level: str, context: str, counts: Array, rare: Array | None, seconds: float
) -> dict[str, Any]:
    """Figures of token frequencies and of an n-gram model on the held-out part, as JSON.

    rare: (V,) bool, the words that the network sometimes reads as <unk>, so that it knows what an unknown one is like.
    seconds: of the training, infinite if it has no --time; a long text is counted in part, which `tokens` tells.
    """
    ids = train[: max(FEWEST_COUNTED, int(min(MOST_COUNTED, COUNTED_PER_SECOND * seconds)))]
    if rare is not None:
        ids[rare[ids].nonzero()[0][::UNKNOWN_STEP]] = UNK
    order, nats = ORDERS.get(level, USUAL_ORDER), []
    for n in (1, order):
        total, tokens = sequence_nats(NgramModel.train(ids, len(counts), n, context), valid, context)
        nats.append(total / tokens)
    return {"tokens": len(ids), "order": order, "unigram_nats_per_token": nats[0], "ngram_nats_per_token": nats[1]}


def comparison(best: float, found: dict[str, Any], level: str, train_tokens: int, model: str) -> list[str]:
    """A model beside what `measured_baselines` found, in lines.

    best: nats per token of the model. model: the option that names it, or nothing.
    """
    ngram, order = found["ngram_nats_per_token"], found["order"]
    shown = [f"{math.exp(min(nats, 700)):.4g}" for nats in (best, ngram, found["unigram_nats_per_token"])]
    unit = "character" if level == "char" else level
    lines = [f"Held-out perplexity: model {shown[0]}, {order}-gram {shown[1]}, {unit} frequencies {shown[2]}."]
    if found["tokens"] < train_tokens:
        lines.append(f"The {order}-gram has counted {found['tokens']:,} of the {train_tokens:,} tokens.")
    if ngram < best:
        lines += [
            f"The {order}-gram of the same text is better. Train longer or on more text, or mix both:",
            f"  rnnlm ngram train CORPUS --level {level} --order {order} -o ngram.npz",
            f"  rnnlm eval TEXT{model} --mix ngram.npz --tune HELD_OUT",
        ]
    return lines
