"""How long a training by epochs will take on this machine, measured before it begins."""

from contextlib import suppress

from rnnlm.training.configuration import TRAINING_SHARE, work
from rnnlm.training.machine import MEASURING_SHARE, Machine
from rnnlm.training.session import Session

WORTH_MEASURING = 3e11  # operations of a training, which take two idle cores about ten seconds
MEASURING = 0.5  # seconds that it may take, or three steps


def expected_seconds(session: Session, machine: Machine) -> float | None:
    """Seconds that a new training is going to take, as busy as the machine is now; its network is left as it is.

    None where a time was given, where the training is too short to be worth measuring, and where one process alone
    cannot measure it.
    """
    recipe, dataset = session.recipe, session.dataset
    if recipe.time or not recipe.epochs or machine.workers.size > 1 or machine.choice.compiled:
        return None
    tokens = recipe.epochs * len(dataset.train)
    if tokens * work(vars(recipe), len(dataset.vocabulary)) < WORTH_MEASURING:
        return None
    with suppress(MemoryError):  # of a second network; the training itself may have enough
        return tokens / machine.speed(recipe, dataset, MEASURING / MEASURING_SHARE) / TRAINING_SHARE
    return None
