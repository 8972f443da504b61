"""Learning-rate schedules: factor of the learning rate as a function of the share of the training that is done.

The share is of all steps or, with a time budget, of all seconds, so that the schedule ends exactly with the budget.
"""

import math
from collections.abc import Callable

WARM_UP = 0.02  # default share of the training for the linear rise from zero


def constant(progress: float) -> float:
    """Return 1."""
    return 1.0


def step(progress: float) -> float:
    """Return 1 in the first half, then 1/10, and from three quarters on 1/100."""
    return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01


def cosine(progress: float) -> float:
    """Return half a cosine from 1 to 0 (Loshchilov and Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def linear(progress: float) -> float:
    """Return a linear decay from 1 to 0."""
    return 1 - min(progress, 1.0)


# "plateau" is constant between evaluations; the trainer halves it if the validation loss has not improved.
PLATEAU = "plateau"
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
    "linear": linear,
    PLATEAU: constant,
}


def factor(schedule: str, progress: float, warm_up: float) -> float:
    """Return the factor of a schedule, times a linear rise in the first `warm_up` share of the training."""
    rise = min(1.0, progress / warm_up) if warm_up > 0 else 1.0
    return SCHEDULES[schedule](progress) * rise
