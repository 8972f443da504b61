"""What `rnnlm.training.advice` needs to know of a training, from a session that is ready to run."""

from collections.abc import Container
from dataclasses import asdict

import numpy as np

from rnnlm.nn.numerics import Array
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.held_out import unlikeness
from rnnlm.text.vocabulary import UNK
from rnnlm.training.advice import Facts
from rnnlm.training.configuration import recurrent_weights
from rnnlm.training.dataset import MOST_VALIDATED
from rnnlm.training.session import Session


def facts_of(session: Session, given: Container[str], resumed: bool, started_from: bool) -> Facts:
    """The facts of a training.

    given: names of the options that the user gave himself; resumed, started_from: it has the weights of a checkpoint.
    """
    dataset, recipe, network = session.dataset, session.recipe, session.model.network
    counts, V, progress = dataset.counts, len(dataset.vocabulary), session.trainer.progress
    held_out = dataset.valid
    valid = np.zeros(V) if held_out is None else _counts(np.asarray(held_out[0:MOST_VALIDATED]), V)
    cost = -np.log((counts + 1) / (counts.sum() + V))  # of each token, by the training text's frequencies
    best = progress.best_nats_per_token if held_out is not None else None
    written = dataset.vocabulary.unknown / counts.sum()  # as <unk>: what the text itself calls unknown
    return Facts(
        level=recipe.level,
        optimizer=recipe.optimizer,
        lr=recipe.lr,
        lr_is_given="lr" in given,
        usual_lr=OPTIMIZERS[recipe.optimizer].default_lr,
        clip=recipe.clip,
        dropout=network.config.dropout,
        hidden_size=network.config.hidden_size,
        epochs=recipe.epochs,
        seconds=recipe.time,
        train_tokens=len(dataset.train),
        valid_tokens=session.valid_tokens,
        train_unknown=max(0.0, 1 - dataset.coverage - written),
        valid_unknown=max(0.0, float(valid[UNK] / max(1, valid.sum())) - written),
        train_unigram=float(counts @ cost / counts.sum()),
        valid_unigram=float(valid @ cost / max(1, valid.sum())),
        recurrent_weights=recurrent_weights(asdict(network.config)),
        unlikeness=_unlikeness(session),
        vocabulary_is_limited=recipe.vocab_size is not None or recipe.min_count > 1,
        has_network=resumed or started_from,
        resumed=resumed,
        best=(best, progress.best_step) if resumed and best is not None else None,
    )


def _unlikeness(session: Session) -> float:
    """Of the last part of a stream; blocks from all over a text, or another text, are what they are."""
    dataset = session.dataset
    if session.recipe.context != "stream" or not dataset.held_out or dataset.valid is None:
        return 1.0
    return unlikeness(dataset.train, dataset.valid)


def _counts(ids: Array, V: int) -> Array:
    return np.bincount(ids, minlength=V)
