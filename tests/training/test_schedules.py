"""Learning rate schedules at their defining points."""

import numpy as np
import pytest

from rnnlm.training.schedules import PLATEAU, SCHEDULES, factor

SHARES = np.linspace(0, 1, 101)
# At the start, one half, three quarters and the end.
VALUES = {
    "constant": (1, 1, 1, 1),
    "step": (1, 0.1, 0.01, 0.01),
    "cosine": (1, 0.5, (1 - 0.5**0.5) / 2, 0),
    "linear": (1, 0.5, 0.25, 0),
    PLATEAU: (1, 1, 1, 1),  # lowered by the trainer
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_have_their_defining_values(name):
    assert [SCHEDULES[name](share) for share in (0, 0.5, 0.75, 1)] == pytest.approx(VALUES[name])


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_never_rise_and_lie_between_one_and_zero(name):
    values = np.array([SCHEDULES[name](share) for share in SHARES])
    assert (np.diff(values) <= 0).all()
    assert values.min() >= 0
    assert values.max() == 1
    if name in ("cosine", "linear"):
        assert (np.diff(values) < 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_stay_constant_beyond_the_end(name):
    assert SCHEDULES[name](1.5) == pytest.approx(SCHEDULES[name](1), abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_multiplies_by_a_line_from_zero(name):
    for share in SHARES:
        expected = SCHEDULES[name](share) * (share / 0.2 if share < 0.2 else 1)
        assert factor(name, share, 0.2) == pytest.approx(expected)
        assert factor(name, share, 0.0) == SCHEDULES[name](share)
