"""Cross-entropy and squared error on a softmax: gradients are derivatives, and only one does not vanish when wrong."""

import numpy as np
import pytest

from rnnlm.lab.losses import less_and_less_right, losses

STEP = 1e-6


@pytest.mark.parametrize("name", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize(("inputs", "label"), [([1, 2, 3, 4], 0), ([-2.5, 0.0, 1.0], 2), ([3.0, 3.0], 1)])
def test_gradients_are_derivatives(name, inputs, label):
    found = getattr(losses(inputs, label), f"{name}_gradient")
    for place in range(len(inputs)):
        moved = [np.array(inputs, dtype=float) + sign * STEP * (np.arange(len(inputs)) == place) for sign in (1, -1)]
        up, down = (getattr(losses(each.tolist(), label), name) for each in moved)
        assert found[place] == pytest.approx((up - down) / (2 * STEP), abs=1e-8)


def test_the_example_of_the_article_agrees_up_to_its_rounding():
    """The article rounds o to 0.03 first and obtains 3.51."""
    found = losses([1, 2, 3, 4], 0)
    assert found.probabilities.round(2).tolist() == [0.03, 0.09, 0.24, 0.64]
    assert found.cross_entropy == pytest.approx(3.4402, abs=1e-4)
    assert -np.log(found.probabilities[0].round(2)) == pytest.approx(3.51, abs=5e-3)


def test_only_the_gradient_of_cross_entropy_is_large_where_the_network_is_most_wrong():
    right, wrong = losses([5.0, 0.0], 0), less_and_less_right([0.0, 0.0], 0, [20.0])[0]
    assert abs(wrong.cross_entropy_gradient[0]) == pytest.approx(1)
    assert abs(wrong.squared_error_gradient[0]) < 1e-6 * abs(losses([0.0, 0.0], 0).squared_error_gradient[0])
    assert abs(right.cross_entropy_gradient[0]) < 0.01, "control: what is right is left alone"
