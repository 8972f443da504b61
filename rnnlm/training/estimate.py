"""How long a training by epochs will take on this machine, measured before it begins."""

from contextlib import suppress

from rnnlm.training.configuration import work
from rnnlm.training.machine import Machine
from rnnlm.training.new_network import build_network
from rnnlm.training.session import Session
from rnnlm.training.speed import tokens_per_second

WORTH_MEASURING = 3e11  # operations of a training, which take two idle cores about ten seconds
MEASURING = 0.5  # seconds that it may take, or three steps
EVALUATED = 1 / 3  # of the work of a training step: its forward pass


def expected_seconds(session: Session, machine: Machine) -> float | None:
    """Seconds that a new training is going to take, as busy as the machine is now; its network is left as it is.

    None where a time was given, where the training is too short to be worth measuring, and where one process alone
    cannot measure it.
    """
    recipe, dataset, plan = session.recipe, session.dataset, session.trainer.plan
    if recipe.time or not recipe.epochs or machine.workers.size > 1 or machine.choice.compiled:
        return None
    tokens = recipe.epochs * len(dataset.train)
    if tokens * work(vars(recipe), len(dataset.vocabulary)) < WORTH_MEASURING:
        return None
    tokens += EVALUATED * session.valid_tokens * (plan.total_steps / plan.steps_between_evaluations)
    with suppress(MemoryError):  # of a second network; the training itself may have enough
        network, _ = build_network(recipe, dataset, None)
        engine, batches = machine.engine(network, recipe), machine.batches(dataset, recipe)
        return recipe.networks * tokens / tokens_per_second(engine, batches, MEASURING, machine.workers)
    return None
