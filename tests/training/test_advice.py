"""Each kind of advice is given once to a training that needs it, and not to others."""

import math
from dataclasses import replace

import pytest

from rnnlm.training.advice import Advisor, Facts
from rnnlm.training.trainer import Report

# A text of 100,000 characters.
GOOD = Facts(
    level="char",
    lr=0.004,
    fitting_lr=0.004,
    clip=1.0,
    train_tokens=90_000,
    valid_tokens=10_000,
    unknown=0.001,
    train_unigram=3.0,
    valid_unigram=3.0,
)
# Training and validation loss (nats per token) at each evaluation.
GOOD_COURSE = [(2.6, 2.5), (2.3, 2.2), (2.0, 1.95), (1.8, 1.85), (1.7, 1.8), (1.65, 1.79), (1.6, 1.78)]
OVERFITTED = [(2.5, 2.4), (2.0, 2.0), (1.7, 1.9), (1.5, 1.95), (1.3, 2.0), (1.1, 2.1), (1.0, 2.2)]
RISING = [(2.5, 2.4), (2.2, 2.1), (2.0, 2.0), (2.3, 2.3), (2.4, 2.4)]
NOTHING_LEARNT = [(3.0, 2.99), (2.99, 2.98), (2.98, 2.97)]


def report(kind, step, progress, train, valid):
    numbers = {"seconds": 0.0, "learning_rate": 0.004, "gradient_norm": 0.5, "tokens": 500, "tokens_per_second": 1e3}
    losses = {"train_nats_per_token": train, "valid_nats_per_token": valid}
    return Report(kind=kind, step=step, epoch=10 * progress, progress=progress, **losses, **numbers)


RECOVERY = report("recovery", 15, 0.2, 9.0, None)


def told(facts, course):
    """Return all advice given during a training with these losses, also asking between the evaluations."""
    advisor, lines = Advisor(facts), []
    for number, losses in enumerate(course, 1):
        share = number / len(course)
        assert advisor.after(report("steps", 10 * number - 5, share, 99.0, None)) is None
        lines.append(advisor.after(report("evaluation", 10 * number, share, *losses)))
    return [line for line in lines if line]


def the_one(lines):
    (line,) = lines
    assert "\n" not in line
    assert line.endswith(".")
    return line


@pytest.mark.parametrize("changes", [{}, {"has_network": True}, {"end_is_held_out": True}, {"best": (2.0, 5)}])
def test_a_good_training_gets_no_advice(changes):
    facts = replace(GOOD, **changes)
    assert Advisor(facts).opening() == told(facts, GOOD_COURSE) == []


@pytest.mark.parametrize(
    ("changes", "remedies"),
    [
        ({}, "more text"),
        ({"level": "word"}, "--level char or more text"),
        ({"vocabulary_is_limited": True}, "a larger vocabulary (--vocab-size, --min-count) or more text"),
        ({"level": "word", "has_network": True}, "--init-vocabulary map or more text"),
    ],
)
def test_many_unknown_tokens_get_advice(changes, remedies):
    line = the_one(Advisor(replace(GOOD, unknown=0.3, **changes)).opening())
    assert line == f"30 % of the held-out tokens are not in the vocabulary. Try {remedies}."
    assert "of the training tokens" in the_one(Advisor(replace(GOOD, unknown=0.3, valid_tokens=0)).opening())


@pytest.mark.parametrize(("level", "tokens", "kind"), [("char", 9_000, "characters"), ("word", 1_900, "words")])
def test_a_small_text_gets_advice(level, tokens, kind):
    facts = replace(GOOD, level=level, train_tokens=tokens)
    line = the_one(Advisor(facts).opening())
    assert f"{tokens:,} tokens" in line
    assert kind in line
    assert "rnnlm ngram train" in line
    assert len(Advisor(replace(facts, unknown=0.2)).opening()) == 2
    assert Advisor(replace(facts, has_network=True)).opening() == []  # learnt from another text


# --- the learning rate ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "remedies"),
    [
        ({}, "--lr 0.001 (it is 0.004)"),
        ({"lr": 50.0, "fitting_lr": 1.0}, "--lr 1 (it is 50)"),
        ({"clip": 0.0}, "--lr 0.001 (it is 0.004) or --clip 1"),
    ],
)
def test_two_explosions_get_advice_once(changes, remedies):
    advisor = Advisor(replace(GOOD, **changes))
    lines = [advisor.after(RECOVERY) for _ in range(3)]
    said = f"The learning rate is too high: the loss exploded 2 times. Try {remedies}."
    assert lines == [None, said, None]


def test_a_rising_training_loss_gets_advice():
    assert "the training loss is 2.400, above its lowest, 2.000. Try" in the_one(told(GOOD, RISING))
    assert told(GOOD, [*RISING[:4], (1.9, 1.95), (1.7, 1.9)]) == []  # The loss recovers.
    assert told(GOOD, [(train, 2.4 - step / 10) for step, (train, _) in enumerate(RISING)]) == []  # The network learns.
    assert the_one(told(replace(GOOD, valid_tokens=0), [(train, None) for train, _ in RISING]))


def test_a_training_loss_that_swings_gets_no_advice_while_the_valid_loss_stands():
    """800 lines of corpora/english.txt without options: with dropout the loss of so few steps swings by 7 %."""
    course = [(2.257, 1.891), (2.213, 1.853), (1.924, 1.850), (2.079, 1.852), (2.061, 1.851), (1.904, 1.851)]
    assert told(GOOD, course) == []


def test_a_training_loss_above_the_unigram_loss_gets_advice():
    course = [(3.1, 3.0), (3.3, 3.2), (3.4, 3.3)]
    said = "the training loss is 3.400, above what the token frequencies alone give, 3.000. Try"
    assert said in the_one(told(GOOD, course))
    # A training from another model's weights may begin with a loss above it.
    falls = [(3.6, 3.4), (3.4, 3.3), (3.3, 3.0), (2.7, 2.8), (2.5, 2.7)]
    assert told(replace(GOOD, has_network=True), falls) == []


# --- overfitting ------------------------------------------------------------------------------------------------


def test_overfitting_is_recognised():
    # The third evaluation is the best; after it the validation loss is at least 2 % higher.
    said = (
        "Overfitting: since step 30 the valid loss rose from 1.900 to 2.100 while the training loss fell from 1.700 "
        "to 1.100. The model of step 30 is kept. Try a higher --dropout, a smaller --hidden-size or more text."
    )
    assert the_one(told(GOOD, OVERFITTED)) == said
    unlike = " Or, if the held-out end of the text is unlike the rest, try --context sentence or --valid FILE."
    assert the_one(told(replace(GOOD, end_is_held_out=True), OVERFITTED)) == said + unlike


@pytest.mark.parametrize(
    ("course", "why"),
    [
        ([*OVERFITTED[:5], (1.2, 1.89), (1.1, 1.9)], "two evaluations only"),
        ([(train, min(valid, 1.93)) for train, valid in OVERFITTED], "less than 2 %"),
        ([(max(train, 1.7), valid) for train, valid in OVERFITTED], "the training loss does not fall"),
    ],
)
def test_a_slight_rise_of_the_valid_loss_is_not_overfitting(course, why):
    assert told(GOOD, course) == [], why


def test_overfitting_is_not_judged_on_little_held_out_text():
    assert told(replace(GOOD, valid_tokens=100), OVERFITTED) == []


def test_overfitting_is_recognised_after_a_resume():
    facts = replace(GOOD, has_network=True, end_is_held_out=True, best=(1.9, 30))
    line = the_one(told(facts, OVERFITTED[3:]))
    assert "since step 30 the valid loss rose from 1.900 to 2.100 while the training loss fell from 1.500" in line
    assert "--hidden-size" not in line  # The checkpoint fixes the sizes and the context.
    assert "--context" not in line
    assert told(replace(facts, best=None), OVERFITTED[3:6]) == []


# --- underfitting -----------------------------------------------------------------------------------------------


def test_a_loss_near_the_unigram_loss_is_underfitting():
    said = "Underfitting: the valid loss, 2.970, is hardly below the 3.000 that the token frequencies alone give. Try"
    assert the_one(told(GOOD, NOTHING_LEARNT)) == f"{said} a longer training."
    line = the_one(told(replace(GOOD, lr=1e-5), NOTHING_LEARNT))
    assert line == f"{said} --lr 0.004 (it is 1e-05) or a longer training."
    assert "is not below the 2.900" in the_one(told(replace(GOOD, valid_unigram=2.9), NOTHING_LEARNT))
    assert told(replace(GOOD, valid_unigram=math.inf), NOTHING_LEARNT) == []  # not measured


def test_underfitting_is_judged_on_the_training_loss_without_held_out_text():
    facts = replace(GOOD, valid_tokens=0, valid_unigram=math.inf)
    assert the_one(told(facts, [(3.0, None), (2.99, None)])).startswith("Underfitting: the training loss, 2.990,")


def test_underfitting_is_reported_only_at_the_end():
    advisor = Advisor(GOOD)
    assert advisor.after(report("evaluation", 10, 0.9, 3.0, 3.0)) is None
    assert advisor.after(report("evaluation", 20, 1.0, 3.0, 3.0))


def test_underfitting_is_not_reported_after_explosions():
    advisor = Advisor(GOOD)
    assert advisor.after(RECOVERY) is None
    assert advisor.after(RECOVERY)
    assert advisor.after(report("evaluation", 20, 1.0, 3.0, 3.0)) is None


# --- all kinds --------------------------------------------------------------------------------------------------


def test_each_kind_of_advice_is_given_once():
    lines = told(GOOD, [*OVERFITTED, (2.9, 2.9), (2.9, 2.9), *OVERFITTED, (2.9, 2.9), (2.9, 2.9)])
    assert [line.split()[0] for line in lines] == ["Overfitting:", "The"]


def test_infinite_and_nan_losses_are_accepted():
    told(GOOD, [(math.nan, math.nan), (math.inf, math.inf), (1e300, 1e300), (2.0, math.nan)])
