"""Claims in the tutorial's prose about its outputs; `test_docs` compares the outputs themselves."""

import numpy as np
import pytest

from tests.cli.lab_commands import objects, run
from tests.pages import ROOT

SENTENCES = ["我 昨天 上学 迟到 了", "I was late for school"]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_ninetieth_of_the_error_is_left_after_six_steps(sentence):
    *steps, _ = objects(run("bptt", sentence, "--last-only", "--json"))
    lengths = [float(np.linalg.norm(step["delta"][0])) for step in steps]
    assert len(lengths) == 6
    assert lengths[-1] == pytest.approx(0.15, abs=0.005)
    assert lengths[0] == pytest.approx(0.0016, abs=0.0001)
    assert lengths[-1] / lengths[0] == pytest.approx(90, rel=0.05)


def test_relu_with_uniform_weights_keeps_less_and_sqrt_2_makes_up_for_it(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("我 昨天 上学 迟到 了 ， 老师 批评 了 我 。\n" * 99, encoding="utf-8")

    def kept(*options):
        (found,) = objects(run("gradflow", text, "--windows", 0, "--init", "orthogonal", *options, "--json"))
        return found["measured_factor_per_step"]

    tanh, relu, larger = kept(), kept("--activation", "relu"), kept("--activation", "relu", "--radius", 2**0.5)
    assert relu == pytest.approx(tanh * 0.5**0.5, rel=0.1)
    assert larger == pytest.approx(tanh, rel=0.1)


def test_a_relu_network_may_die_instead_of_exploding():
    options = ["--activation", "relu", "--radius", 2, "--hidden-size", 16, "--lr", 0.5]
    free = [each for each in objects(run("explode", *options, "--json")) if not each["clip"]]
    assert free[1]["nats_per_token"] > 1000
    for step in free[2:]:
        assert step["nats_per_token"] == pytest.approx(2.4, abs=0.1), "as of word frequencies"
        assert step["gradient_norm"] < 0.2


def test_the_lstm_keeps_a_tenth_of_the_error_over_more_steps_than_tanh():
    for corpus in ("chinese", "english"):
        found = objects(
            run("gradflow", ROOT / "corpora" / f"{corpus}.txt", "--compare", "cells", "--windows", 0, "--json")
        )
        tenth = {each["network"]: each["tenth_survives_steps"] for each in found}
        assert (tenth["tanh"], tenth["lstm"]) == (5, 13)
        assert tenth["gru"] == 5, "it begins like tanh"
        assert tenth["relu"] < tenth["tanh"]
