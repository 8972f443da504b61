"""Measure how many words back a model remembers, with pairs of sentences that differ in one word that must agree.

A model is right if it gives the right sentence the higher probability. The pairs are a user's own, or come from
held-out fillings of `agreement`, which the models that are trained here have not read.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.errors import CorpusError, shown
from rnnlm.inference.list_formats import BadLineError
from rnnlm.lab.agreement import Grammar, Pair, Words, written
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.text.batches import Batches
from rnnlm.text.id_sequence import IdSequence
from rnnlm.text.lines import damage
from rnnlm.text.vocabulary import EOS, Vocabulary
from rnnlm.training.numpy_engine import NumpyEngine
from rnnlm.training.schedules import WARM_UP, factor

# Settings of training. The learning rates of the cells are the best ones of those tried: of GRU and LSTM with EPOCHS
# passes over the sentences, of the basic cell with 40 passes. With EPOCHS passes and a larger learning rate, the basic
# cell learns the task in few runs only.
SENTENCES = 4000
ORDERS = (2, 3, 4, 5)  # of the n-grams
NETWORK = NetworkConfig(vocabulary_size=4, hidden_size=64, embedding_size=32)
LEARNING_RATES = {
    name: cell.memory_learning_rate for name, cell in CELLS.items() if cell.memory_learning_rate
}  # of Adam
BATCH_SIZE, BPTT = 8, 64
EPOCHS = 12
CLIP = 1.0

# Numbers of pairs for the models that are trained here, and for other models.
PAIRS, WRITTEN_PAIRS = 4000, 600
KINDS = {  # names of the kinds of agreement
    "person": "pronoun",
    "owner": "possessive",
    "thing": "measure word",
    "mark": "closing mark",
    "number": "verb's number",
    "tense": "verb's tense",
}
BANDS = {1: "1-7", 8: "8-11", 12: "12-15", 16: "16-19", 20: "20+"}  # bands of distances: the first one, and the name
FAR = 8  # from this distance on, the determining word is beyond the context of usual n-grams

GOOD, BAD, GROUP = "sentence_good", "sentence_bad", "UID"  # keys of BLiMP (Warstadt et al. 2020)


class MinimalPair(NamedTuple):
    """A right and a wrong sentence.

    group: Name of the group in which the pair is counted, or None. distance: Words from the determining word to the
    word that differs; None if unknown.
    """

    good: str
    bad: str
    group: str | None = None
    distance: int | None = None


class Row(NamedTuple):
    """Indices (n,) of pairs whose accuracy is reported together, and their mean distance; None if unknown."""

    name: str
    distance: float | None
    places: Array

    def accuracy(self, right: Array) -> float:
        """Return the share of these pairs in which a model is right; right: result of `chosen_right` for all pairs."""
        return float(right[self.places].mean())


def chosen_right(good: Array, bad: Array) -> Array:
    """Return (n,) 1 where the right sentence has the higher log probability, 0.5 where both are equal, else 0."""
    return np.where(good == bad, 0.5, good > bad)


# --- training -----------------------------------------------------------------------------------------------------


def learners(
    sentences: Sequence[Words], vocabulary: Vocabulary, epochs: int, seed: int
) -> dict[str, Callable[[], NgramModel | Network]]:
    """Return functions that train n-grams and networks on the same sentences, by the names of the models."""
    ids = np.concatenate([[*vocabulary.encode(words), EOS] for words in sentences]).astype(np.int32)
    V = len(vocabulary)
    ngrams = {f"{order}-gram": partial(NgramModel.train, ids, V, order) for order in ORDERS}
    networks = {cell.upper(): partial(trained_network, cell, ids, V, epochs, seed) for cell in LEARNING_RATES}
    return {**ngrams, **networks}


def trained_network(cell: str, ids: Array, V: int, epochs: int, seed: int) -> Network:
    """Train a network on sentences, ids (N,) with </s> after each, for `epochs` epochs with shuffling.

    The gates of GRU and LSTM are initialized so that units remember 2 to 64 steps; the basic cell has no gates.
    """
    config = replace(NETWORK, vocabulary_size=V, cell=cell)
    rng = np.random.default_rng([seed, 0])
    network = Network.initialize(config, rng, long_memory=1.0)
    engine = NumpyEngine(network, "adam", "sentence", CLIP)
    batches = Batches(IdSequence(ids), BATCH_SIZE, BPTT, "sentence", seed)

    steps, state = epochs * batches.per_epoch, None
    for step in range(steps):
        batch = batches.batch(*divmod(step, batches.per_epoch))
        lr = LEARNING_RATES[cell] * factor("cosine", step / steps, WARM_UP)
        _, state = engine.train_step(batch, None if batch.starts_epoch else state, lr, (seed, step))
    return network


# --- pairs --------------------------------------------------------------------------------------------------------


def spaced_pairs(found: Sequence[Pair]) -> list[MinimalPair]:
    """Return pairs with a space between words, as the models that are trained here read them."""
    return [MinimalPair(" ".join(each.good), " ".join(each.bad), KINDS[each.kind], each.distance) for each in found]


def written_pairs(found: Sequence[Pair], grammar: Grammar) -> list[MinimalPair]:
    """Return pairs as ordinary text, grouped and sorted by the kind of agreement and the distance."""
    kinds = list(KINDS)
    return [
        MinimalPair(
            written(each.good, grammar.space),
            written(each.bad, grammar.space),
            f"{KINDS[each.kind]}, distance {BANDS[_band(each.distance)]}",
            each.distance,
        )
        for each in sorted(found, key=lambda each: (kinds.index(each.kind), each.distance))
    ]


def _band(distance: int) -> int:
    """Return the first distance of the band of a distance."""
    return max(first for first in BANDS if first <= distance)


def read_pairs(lines: Iterable[str], name: str) -> list[MinimalPair]:
    """Read pairs, one a line: two sentences and perhaps a group, separated by tabs, or a JSON object as in BLiMP.

    name: Name of the text in messages.

    Raises:
        CorpusError: A line is neither, or all lines are blank.
    """
    found = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                found.append(_pair_of_object(line) if line.lstrip().startswith("{") else _pair_of_fields(line))
        except BadLineError as error:
            raise CorpusError(
                f"Line {number} of {name} {error}; expected a right and a wrong sentence with a tab between them, and "
                f"perhaps a group after another tab; or a JSON object with {GOOD} and {BAD}."
            ) from None
    if not found:
        raise CorpusError(f"{name} has no pairs of sentences; expected one on each line.")
    return found


def _pair_of_fields(line: str) -> MinimalPair:
    fields = [field.strip() for field in line.split("\t")]
    if not 2 <= len(fields) <= 3:
        tabs = f"{len(fields) - 1} tabs" if len(fields) > 1 else "no tab"
        raise BadLineError(f"has {tabs}: {shown(line)}")
    return _checked(MinimalPair(fields[0], fields[1], "".join(fields[2:]) or None))


def _pair_of_object(line: str) -> MinimalPair:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLineError(f"begins like a JSON object and is none: {shown(line)}") from None
    for key in (GOOD, BAD):
        if not isinstance(found.get(key), str):
            raise BadLineError(f"has {shown(found[key])} as {key}" if key in found else f"is an object without {key}")
    group = found.get(GROUP)
    return _checked(MinimalPair(found[GOOD].strip(), found[BAD].strip(), None if group is None else str(group)))


def _checked(pair: MinimalPair) -> MinimalPair:
    """Return the pair if it is two different sentences.

    Raises:
        BadLineError: A sentence is empty, damaged or several lines, or both are the same.
    """
    for sentence in (pair.good, pair.bad):
        if not sentence:
            raise BadLineError("has an empty sentence")
        if "\n" in sentence or "\r" in sentence:
            raise BadLineError(f"has a line end in a sentence: {shown(sentence)}")
        if wrong := damage(sentence):
            raise BadLineError(f"has a sentence that is not text ({wrong})")
    if pair.good == pair.bad:
        raise BadLineError(f"has the same sentence twice: {shown(pair.good)}")
    return pair


# --- rows of a table ----------------------------------------------------------------------------------------------


def by_distance(found: Sequence[MinimalPair]) -> list[Row]:
    """Return a row for each distance."""
    distances = _distances(found)
    rows = [(int(each), np.flatnonzero(distances == each)) for each in np.unique(distances)]
    return [Row(f"distance {distance}", distance, places) for distance, places in rows]


def by_band(found: Sequence[MinimalPair]) -> list[Row]:
    """Return a row for each of BANDS that has pairs, regardless of groups."""
    distances = _distances(found)
    bands = np.array([_band(each) for each in distances])
    rows = [(BANDS[band], np.flatnonzero(bands == band)) for band in np.unique(bands)]
    return [Row(f"distance {name}", float(distances[places].mean()), places) for name, places in rows]


def by_group(found: Sequence[MinimalPair]) -> list[Row]:
    """Return a row for each group, one for distances from FAR on if all are known, and one for all pairs."""
    groups = np.array([each.group or "" for each in found])
    rows = {name: np.flatnonzero(groups == name) for name in dict.fromkeys(groups.tolist()) if name}
    distances = _distances(found)
    known = not np.isnan(distances).any()
    if known:
        rows[f"distance {FAR} and more"] = np.flatnonzero(distances >= FAR)
    rows["all"] = np.arange(len(found))
    return [Row(name, float(distances[places].mean()) if known else None, places) for name, places in rows.items()]


def _distances(found: Sequence[MinimalPair]) -> Array:
    return np.array([np.nan if each.distance is None else each.distance for each in found])
