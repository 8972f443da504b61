import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rnnlm.lab.softmax import softmax
from rnnlm.nn import numerics

moderate = st.lists(st.floats(-50, 50), min_size=1, max_size=8)
any_finite = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8)


def test_the_example_of_the_article_agrees():
    steps = softmax([1, 2, 3, 4])
    assert [round(p, 2) for p in steps.probabilities] == [0.03, 0.09, 0.24, 0.64]
    assert steps.exponentials == [math.e, *map(pytest.approx, [math.e**2, math.e**3, math.e**4])]
    assert steps.total == pytest.approx(math.e + math.e**2 + math.e**3 + math.e**4)
    assert not steps.overflows


@given(moderate)
def test_softmax_follows_its_formula(inputs):
    powers = np.exp(np.array(inputs, dtype=np.float64))
    np.testing.assert_allclose(softmax(inputs).probabilities, powers / powers.sum(), rtol=1e-13)


@given(moderate)
def test_softmax_agrees_with_that_of_the_network(inputs):
    np.testing.assert_allclose(
        softmax(inputs).probabilities, numerics.softmax(np.array(inputs)), rtol=1e-12, atol=1e-34
    )


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8), st.integers(-(2**50), 2**50))
def test_a_constant_added_to_all_inputs_changes_nothing(inputs, shift):
    assert softmax([x + shift for x in inputs]).probabilities == softmax(inputs).probabilities


@given(any_finite, st.floats(1e-300, 1e300))
def test_any_finite_numbers_give_a_distribution(inputs, temperature):
    probabilities = softmax(inputs, temperature).probabilities
    assert sum(probabilities) == pytest.approx(1)
    assert all(0 <= p <= 1 for p in probabilities)
    assert probabilities[inputs.index(max(inputs))] == max(probabilities)


@given(moderate, st.floats(0.1, 10))
def test_the_temperature_divides_the_inputs(inputs, temperature):
    divided = softmax([x / temperature for x in inputs])
    np.testing.assert_allclose(softmax(inputs, temperature).probabilities, divided.probabilities, rtol=1e-12)


@given(moderate)
def test_a_low_temperature_selects_the_largest_input(inputs):
    assume(len(set(inputs)) == len(inputs))
    largest = max(inputs)
    others = [x for x in inputs if x != largest]
    assume(all(largest - x > 1e-3 for x in others))
    assert softmax(inputs, 1e-6).probabilities[inputs.index(largest)] == 1


@pytest.mark.parametrize("inputs", [[1000, 2000], [-1000, -2000], [1e308, -1e308], [709.7, 709.7]])
def test_overflow_of_the_literal_formula_is_reported(inputs):
    steps = softmax(inputs)
    assert steps.overflows
    assert sum(steps.probabilities) == 1


@pytest.mark.parametrize("inputs", [[], [math.nan], [1, math.inf], [-math.inf]])
def test_empty_and_infinite_inputs_are_refused(inputs):
    with pytest.raises(ValueError, match="finite"):
        softmax(inputs)


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf])
def test_bad_temperatures_are_refused(temperature):
    with pytest.raises(ValueError, match="temperature"):
        softmax([1, 2], temperature)
