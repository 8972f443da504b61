"""What `rnnlm.training.advice` needs to know of a training, from a run that is ready to go."""

from collections.abc import Container
from dataclasses import asdict

import numpy as np

from rnnlm.cli.training_run import MOST_VALIDATED, Run
from rnnlm.nn.numerics import Array
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.held_out import unlikeness
from rnnlm.text.vocabulary import UNK
from rnnlm.training.advice import Facts
from rnnlm.training.configuration import recurrent_weights


def facts_of(run: Run, given: Container[str], resumed: bool, started_from: bool) -> Facts:
    """The facts of a training.

    given: names of the options that the user gave himself; resumed, started_from: it has the weights of a checkpoint.
    """
    options, network, progress = run.options, run.model.network, run.trainer.progress
    V = len(run.model.vocabulary)
    held_out = run.trainer.valid
    valid = np.zeros(V) if held_out is None else _counts(np.asarray(held_out[0:MOST_VALIDATED]), V)
    cost = -np.log((run.counts + 1) / (run.counts.sum() + V))  # of each token, by the training text's frequencies
    best = progress.best_nats_per_token if held_out is not None else None
    assert options.lr is not None
    written = run.model.vocabulary.unknown / run.counts.sum()  # as <unk>: what the text itself calls unknown
    return Facts(
        level=options.level,
        optimizer=options.optimizer,
        lr=options.lr,
        lr_is_given="lr" in given,
        usual_lr=OPTIMIZERS[options.optimizer].default_lr,
        clip=options.clip,
        dropout=network.config.dropout,
        hidden_size=network.config.hidden_size,
        epochs=options.epochs,
        seconds=options.time,
        train_tokens=run.train_tokens,
        valid_tokens=run.valid_tokens,
        train_unknown=max(0.0, 1 - run.coverage - written),
        valid_unknown=max(0.0, float(valid[UNK] / max(1, valid.sum())) - written),
        train_unigram=float(run.counts @ cost / run.counts.sum()),
        valid_unigram=float(valid @ cost / max(1, valid.sum())),
        recurrent_weights=recurrent_weights(asdict(network.config)),
        unlikeness=_unlikeness(run),
        vocabulary_is_limited=options.vocab_size is not None or options.min_count > 1,
        has_network=resumed or started_from,
        resumed=resumed,
        best=(best, progress.best_step) if resumed and best is not None else None,
    )


def _unlikeness(run: Run) -> float:
    """Of the last part of a stream; blocks from all over a text, or another text, are what they are."""
    if run.options.context != "stream" or not run.held_out:
        return 1.0
    return unlikeness(run.trainer.batches.sequence, run.trainer.valid)


def _counts(ids: Array, V: int) -> Array:
    return np.bincount(ids, minlength=V)
