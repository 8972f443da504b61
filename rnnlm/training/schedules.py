"""Learning-rate schedules: a factor from the share of the training that is done.

The share is steps of all steps, or seconds of all seconds: with a time budget the rate reaches its end exactly when
the time is up, whatever the machine.
"""

import math
from collections.abc import Callable

WARM_UP = 0.02  # share of the training over which the rate rises from zero, where warm-up is asked for


def constant(progress: float) -> float:
    """Always 1."""
    return 1.0


def step(progress: float) -> float:
    """1, from one half on 1/10, from three quarters on 1/100."""
    return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def linear(progress: float) -> float:
    """A straight line from 1 to 0."""
    return 1 - min(progress, 1.0)


# "plateau" is constant between evaluations; the trainer halves it whenever the validation loss has not improved.
PLATEAU = "plateau"
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
    "linear": linear,
    PLATEAU: constant,
}


def factor(schedule: str, progress: float, warm_up: float) -> float:
    """Factor of the learning rate; during the first `warm_up` share of the training a linear rise is multiplied in."""
    rise = min(1.0, progress / warm_up) if warm_up > 0 else 1.0
    return SCHEDULES[schedule](progress) * rise
