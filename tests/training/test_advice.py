"""Each rule speaks on a course that shows it, once, and is silent on a good one. The CLI tests train such courses."""

from dataclasses import replace

import pytest

from rnnlm.training.advice import RULES_BEFORE, RULES_WHILE, Advisor, Facts
from rnnlm.training.trainer import Report

# A text of 100,000 characters.
GOOD = Facts(
    level="char",
    optimizer="adam",
    lr=0.004,
    lr_is_given=False,
    usual_lr=0.004,
    clip=1.0,
    dropout=0.2,
    hidden_size=128,
    epochs=10.0,
    seconds=None,
    train_tokens=90_000,
    valid_tokens=10_000,
    train_unknown=0.0,
    valid_unknown=0.001,
    train_unigram=3.0,
    valid_unigram=3.0,
    recurrent_weights=130_000,
)
GOOD_COURSE = [(2.6, 2.5), (2.3, 2.2), (2.0, 1.95), (1.8, 1.85), (1.7, 1.8), (1.65, 1.79), (1.6, 1.78)]
OVERFITTED = [(2.5, 2.4), (2.0, 2.0), (1.7, 1.9), (1.5, 1.95), (1.3, 2.0), (1.1, 2.1), (1.0, 2.2)]
TOO_SHORT = [(2.9, 2.7), (2.6, 2.5), (2.5, 2.4), (2.43, 2.37)]


def reports(course):
    """Evaluations with these training and valid losses, evenly spread over a training, and steps between them."""
    for number, (train, valid) in enumerate(course, 1):
        share = number / len(course)
        yield report("steps", 10 * number - 5, share, train, None)
        yield report("evaluation", 10 * number, share, train, valid)


def report(kind, step, progress, train, valid):
    return Report(
        kind=kind,
        step=step,
        epoch=10 * progress,
        seconds=0.0,
        progress=progress,
        learning_rate=0.004,
        gradient_norm=0.5,
        tokens=500,
        train_nats_per_token=train,
        tokens_per_second=1000.0,
        valid_nats_per_token=valid,
    )


RECOVERY = report("recovery", 15, 0.2, 9.0, None)


def told(facts, course):
    """All advice while a training has this course."""
    advisor = Advisor(facts)
    return [line for each in reports(course) if (line := advisor.after(each))]


def the_one(lines):
    assert len(lines) == 1, lines
    assert "\n" not in lines[0]
    assert lines[0].endswith(".")
    return lines[0]


# --- before the first step --------------------------------------------------------------------------------------


def test_nothing_is_said_before_a_good_training():
    assert Advisor(GOOD).opening() == []


def test_unknown_tokens_of_the_training_text():
    line = the_one(Advisor(replace(GOOD, level="word", train_unknown=0.3, vocabulary_is_limited=True)).opening())
    assert line.startswith("30 % of the training tokens are not in the vocabulary.")
    assert "--level char" in line
    assert "--vocab-size" in line


def test_unknown_tokens_of_the_held_out_text():
    line = the_one(Advisor(replace(GOOD, valid_unknown=0.3)).opening())
    assert "of the held-out tokens" in line
    assert "--level char" not in line  # it is
    assert "--vocab-size" not in line  # all of the training text are in


@pytest.mark.parametrize(("level", "tokens", "kind"), [("char", 9_000, "characters"), ("word", 1_900, "words")])
def test_a_text_that_is_small_in_itself(level, tokens, kind):
    line = the_one(Advisor(replace(GOOD, level=level, train_tokens=tokens)).opening())
    assert f"{tokens:,} tokens" in line
    assert kind in line
    assert "rnnlm ngram train" in line


def test_a_text_that_is_small_for_the_network():
    line = the_one(Advisor(replace(GOOD, hidden_size=1024, recurrent_weights=9_000_000)).opening())
    assert "100 recurrent weights for each token" in line
    assert "--hidden-size 512 (it is 1024)" in line


def test_a_small_text_goes_on_with_the_weights_of_a_large_one():
    assert Advisor(replace(GOOD, train_tokens=900, has_network=True)).opening() == []


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_a_given_rate_that_is_far_too_high(optimizer):
    line = the_one(Advisor(replace(GOOD, optimizer=optimizer, lr=0.4, lr_is_given=True)).opening())
    assert line == f"--lr 0.4 is 100 times what {optimizer} usually needs. Try leaving --lr out."


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": 0.4},  # not given: it was chosen for this training
        {"lr": 0.02, "lr_is_given": True},  # sometimes better
        {"lr": 10.0, "usual_lr": 1.0, "optimizer": "sgd", "lr_is_given": True},  # whose steps the gradients scale too
    ],
)
def test_a_rate_that_may_be_right(changes):
    assert Advisor(replace(GOOD, **changes)).opening() == []


def test_several_findings_are_several_lines():
    facts = replace(GOOD, train_tokens=900, valid_unknown=0.2, lr=1.0, lr_is_given=True)
    assert len(Advisor(facts).opening()) == 3


def test_a_resumed_training_was_told_when_it_began():
    facts = replace(GOOD, train_unknown=0.5, lr=1.0, lr_is_given=True, has_network=True)
    assert len(Advisor(facts).opening()) == 2
    assert Advisor(replace(facts, resumed=True)).opening() == []


# --- while it goes on -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"seconds": 60.0, "epochs": None}, {"resumed": True, "has_network": True}])
def test_nothing_is_said_of_a_good_course(changes):
    assert told(replace(GOOD, **changes), GOOD_COURSE) == []


def test_overfitting():
    line = the_one(told(GOOD, OVERFITTED))
    # The third evaluation is the best; in the three after it the valid loss is 2 % above it and more.
    assert line.startswith(
        "Overfitting: since step 30 the valid loss rose from 1.900 to 2.100 while the training loss fell from 1.700 "
        "to 1.100. The model of step 30 is kept. Try"
    )
    assert line.endswith("Try --dropout 0.3 (it is 0.2), --hidden-size 64 (it is 128), --epochs 5 or more text.")


@pytest.mark.parametrize(
    ("course", "why"),
    [
        ([*OVERFITTED[:5], (1.2, 1.89), (1.1, 1.9)], "two evaluations only"),
        ([(train, min(valid, 1.93)) for train, valid in OVERFITTED], "less than 2 %"),
        ([(max(train, 1.7), valid) for train, valid in OVERFITTED], "the training loss does not fall"),
    ],
)
def test_a_valid_loss_that_rises_a_little_is_no_overfitting(course, why):
    assert told(GOOD, course) == [], why


def test_little_held_out_text_tells_nothing_of_overfitting():
    assert told(replace(GOOD, valid_tokens=100), OVERFITTED) == []


def test_a_resumed_training_knows_its_best():
    """What was best before it was resumed is what the valid loss rises from; the network is what it is."""
    facts = replace(GOOD, resumed=True, has_network=True, best=(1.9, 30))
    line = the_one(told(facts, OVERFITTED[3:]))
    assert "since step 30 the valid loss rose from 1.900" in line
    assert "--hidden-size" not in line
    assert "--epochs" not in line
    assert told(replace(facts, best=None), OVERFITTED[3:6]) == []


def test_a_training_that_was_too_short():
    line = the_one(told(GOOD, TOO_SHORT))
    assert line.startswith(
        "Underfitting: the training loss, 2.430, is not below the valid loss, 2.370, which was still"
    )
    assert "--epochs 20" in line
    assert "--hidden-size 256" in line
    assert "--dropout" not in line


def test_a_training_that_is_held_back_by_dropout():
    line = the_one(told(replace(GOOD, dropout=0.5), [(train + 0.2, valid) for train, valid in TOO_SHORT]))
    assert "--dropout 0.25 (it is 0.5)" in line


@pytest.mark.parametrize(
    ("course", "why"),
    [
        ([*TOO_SHORT[:-1], (2.42, 2.37)], "within 1 %"),
        ([(2.9, 2.4), (2.8, 2.33), (2.7, 2.33), (2.6, 2.33)], "it fell no more"),
        ([(2.4, 2.3)], "one evaluation"),
    ],
)
def test_what_is_no_underfitting(course, why):
    assert told(GOOD, course) == [], why


def test_underfitting_is_said_at_the_end_only():
    advisor = Advisor(GOOD)
    assert [advisor.after(each) for each in list(reports(TOO_SHORT))[:-1]] == [None] * 7


def test_a_time_is_doubled():
    assert "--time 180s" in the_one(told(replace(GOOD, epochs=None, seconds=90.0), TOO_SHORT))


def test_a_training_that_learnt_no_more_than_frequencies():
    course = [(3.0, 2.99), (2.99, 2.98), (2.98, 2.97)]
    line = the_one(told(replace(GOOD, lr=1e-5, lr_is_given=True, optimizer="adam"), course))
    assert "the valid loss, 2.970, is hardly below the 3.000 that the token frequencies alone give" in line
    assert "Try leaving --lr out or --epochs 20." in line


def test_a_loss_above_that_of_frequencies_is_not_called_below():
    course = [(3.1, 3.3), (3.1, 3.2), (3.1, 3.1)]
    line = the_one(told(replace(GOOD, lr=1e-5, lr_is_given=True, optimizer="adam"), course))
    assert "the valid loss, 3.100, is not below the 3.000 that the token frequencies alone give" in line


def test_without_held_out_text_the_training_loss_tells():
    line = the_one(told(replace(GOOD, valid_tokens=0, optimizer="sgd"), [(3.0, None), (2.99, None)]))
    assert line.startswith("Underfitting: the training loss, 2.990,")
    assert "--optimizer adam" in line


def test_two_explosions():
    advisor = Advisor(GOOD)
    assert advisor.after(RECOVERY) is None
    line = advisor.after(RECOVERY)
    assert line == "The learning rate is too high: the loss exploded 2 times. Try --lr 0.001 (it is 0.004)."
    assert advisor.after(RECOVERY) is None


def test_a_rate_that_was_given_far_too_high_is_better_left_out():
    advisor = Advisor(replace(GOOD, optimizer="sgd", lr=50.0, usual_lr=1.0, lr_is_given=True, clip=0.0))
    advisor.after(RECOVERY)
    assert str(advisor.after(RECOVERY)).endswith("Try leaving --lr out or --clip 1.")


def test_a_training_loss_above_that_of_frequencies():
    course = [(3.1, 3.0), (3.3, 3.2), (3.4, 3.3)]
    assert "the training loss is 3.400, above the 3.000" in the_one(told(GOOD, course))
    # From the weights of another text a training may begin there.
    facts = replace(GOOD, has_network=True)
    assert told(facts, [(3.6, 3.4), (3.4, 3.3), (3.3, 3.0), (2.7, 2.8), (2.5, 2.7)]) == []


def test_a_training_loss_that_rises_for_long():
    course = [(2.5, 2.4), (2.2, 2.1), (2.0, 2.0), (2.3, 2.3), (2.4, 2.4)]
    assert "the training loss rose from 2.000 to 2.400" in the_one(told(GOOD, course))
    assert told(GOOD, [*course[:3], (2.3, 2.3), (1.9, 1.95), (1.7, 1.9)]) == []  # it recovers


def test_who_was_told_of_the_rate_is_not_told_again():
    advisor = Advisor(replace(GOOD, lr=1.0, lr_is_given=True))
    advisor.opening()
    said = [advisor.after(each) for each in [RECOVERY, RECOVERY, *reports([(4.0, 4.0), (4.1, 4.0), (4.0, 3.9)])]]
    assert not any(said)


def test_each_kind_is_said_once():
    lines = told(GOOD, [*OVERFITTED, (2.9, 2.9), (2.9, 2.9), *OVERFITTED, (2.9, 2.9), (2.9, 2.9)])
    assert [line.split()[0] for line in lines] == ["Overfitting:", "The"]


def test_steps_are_no_work():
    """An advisor does nothing with the steps between evaluations, of which there may be thousands in a second."""
    before, advisor = Advisor(GOOD), Advisor(GOOD)
    for _ in range(3):
        assert advisor.after(report("steps", 1, 0.1, 99.0, None)) is None
    assert advisor._course == before._course


def test_numbers_beyond_all_bounds_do_no_harm():
    told(GOOD, [(float("nan"), float("nan")), (float("inf"), float("inf")), (1e300, 1e300), (2.0, float("nan"))])


def test_a_kind_is_tried_here():
    """A new rule is to be added to the tests above."""
    assert {*RULES_BEFORE, *RULES_WHILE} == {
        *("coverage", "small text", "learning rate", "unlike", "overfitting", "underfitting")
    }


def test_a_held_out_part_that_is_unlike_the_rest_is_said_to_be_so_instead_of_overfitting():
    for facts in (replace(GOOD, unlikeness=1.12), replace(GOOD, level="word", unlikeness=1.3)):
        assert "unlike" in the_one(Advisor(facts).opening())
        advisor = Advisor(facts)
        advisor.opening()
        assert [line for each in reports(OVERFITTED) if (line := advisor.after(each))] == []
        resumed = Advisor(replace(facts, resumed=True))
        assert resumed.opening() == []
        assert [line for each in reports(OVERFITTED) if (line := resumed.after(each))] == []
    for facts in (replace(GOOD, unlikeness=1.05), replace(GOOD, level="word", unlikeness=1.2)):
        assert Advisor(facts).opening() == []
