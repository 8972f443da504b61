"""Estimate of the time of a training by epochs, measured on this machine before it starts."""

from contextlib import suppress

from rnnlm.training.configuration import work
from rnnlm.training.machine import Machine
from rnnlm.training.new_network import build_network
from rnnlm.training.session import Session
from rnnlm.training.speed import tokens_per_second

WORTH_MEASURING = 3e11  # operations of a training; about ten seconds on two idle cores
MEASURING = 0.5  # seconds, but at least three steps
EVALUATED = 1 / 3  # work of evaluating a token, relative to training: the forward pass


def expected_seconds(session: Session, machine: Machine) -> float | None:
    """Return the expected seconds of a new training at the current load; the network of the session is not changed.

    None if a time budget was given, the training is too short to be worth measuring, or it uses several workers or a
    compiled output layer.
    """
    recipe, dataset, plan = session.recipe, session.dataset, session.trainer.plan
    if recipe.time or not recipe.epochs or machine.workers.size > 1 or machine.choice.compiled:
        return None
    tokens = recipe.epochs * len(dataset.train)
    if tokens * work(vars(recipe), len(dataset.vocabulary)) < WORTH_MEASURING:
        return None
    tokens += EVALUATED * session.valid_tokens * (plan.total_steps / plan.steps_between_evaluations)
    with suppress(MemoryError):  # for a second network; the training itself may have enough
        network, _ = build_network(recipe, dataset, None)
        engine, batches = machine.engine(network, recipe), machine.batches(dataset, recipe)
        return recipe.networks * tokens / tokens_per_second(engine, batches, MEASURING, machine.workers)
    return None
