"""Options chosen automatically fit the text and the time, and given options are kept."""

import math
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.training import configuration
from rnnlm.training.configuration import PRESETS, WIDTHS, Circumstances, filled_in, recurrent_weights, work
from rnnlm.training.options import Options

CHARS = configuration.LETTERS
LAPTOP = 1.5e11  # operations per second
CHOSEN = ("bptt", "batch_size", "hidden_size", "embedding_size", "dropout", "lr", "softmax")


def never(reference):
    raise AssertionError("the speed was measured, although no time has to be kept")


def choose(train_tokens, vocabulary_size=70, power=None, started_from=False, preset=None, **options):
    """Return the options chosen on a machine of `power` operations per second."""

    def speed(reference):
        return power / work(reference, vocabulary_size)

    circumstances = Circumstances(train_tokens, vocabulary_size, speed if power else never, started_from, preset)
    return filled_in({**asdict(Options(level="char", context="stream")), **options}, circumstances)


def tokens_read(chosen, vocabulary_size=70, power=LAPTOP):
    return chosen["time"] * power / work(chosen, vocabulary_size)


def test_every_option_is_chosen():
    for options in ({}, {"time": 30.0}, {"level": "word"}, {"bidirectional": True}, {"tied": True}, {"cell": "rnn"}):
        chosen = choose(300_000, power=LAPTOP if "time" in options else None, **options)
        assert all(chosen[name] is not None and chosen[name] != "auto" for name in CHOSEN)
        assert (chosen["time"] is None) == ("time" not in options)
        assert chosen["time"] or chosen["epochs"]


GIVEN = {
    **{"hidden_size": 77, "embedding_size": 0, "dropout": 0.33, "bptt": 9, "batch_size": 5, "lr": 0.123},
    **{"epochs": 1.5, "softmax": "adaptive"},
}


@pytest.mark.parametrize("name", GIVEN)
def test_given_options_are_kept(name):
    assert choose(300_000, **{name: GIVEN[name]})[name] == GIVEN[name]
    if name != "epochs":
        assert choose(300_000, power=LAPTOP, time=60.0, **{name: GIVEN[name]})[name] == GIVEN[name]


def test_the_speed_is_measured_at_the_chosen_width_and_only_if_needed():
    measured = []

    def speed(reference):
        measured.append(reference["hidden_size"])
        return 1e5

    circumstances = Circumstances(300_000, 70, speed)
    options = asdict(Options(level="char", context="stream", time=60.0))
    chosen = filled_in(options, circumstances)
    assert measured == [configuration.REFERENCE_WIDTH, chosen["hidden_size"]]
    filled_in({**options, "hidden_size": 64}, circumstances)
    assert measured[2:] == [64]
    filled_in({**options, "hidden_size": 64, "dropout": 0.1}, circumstances)
    assert len(measured) == 3


def test_a_machine_on_which_wide_networks_are_fast_gets_them():
    """Two threads, for example, gain little at the reference width."""
    options = asdict(Options(level="char", context="stream", time=60.0))

    def width(power_of_wide):
        def speed(network):
            wide = network["hidden_size"] > configuration.REFERENCE_WIDTH
            return (power_of_wide if wide else LAPTOP) / work(network, 70)

        return filled_in(options, Circumstances(10**7, 70, speed))["hidden_size"]

    assert width(LAPTOP / 4) < width(LAPTOP) < width(4 * LAPTOP)


def test_more_time_gives_wider_networks_up_to_a_limit_set_by_the_text():
    widths = [choose(10**7, power=LAPTOP, time=float(seconds))["hidden_size"] for seconds in (2, 20, 200, 2000, 20000)]
    assert widths == sorted(widths)
    assert widths[0] < widths[2] < widths[4]
    small = [choose(20_000, power=LAPTOP, time=float(seconds))["hidden_size"] for seconds in (400, 1000, 10000)]
    assert len(set(small)) == 1
    assert small[0] < choose(10**7, power=LAPTOP, time=10000.0)["hidden_size"]


@settings(deadline=None, max_examples=100)
@given(st.integers(2_000, 10**9), st.floats(1, 1e5), st.floats(1e9, 1e13), st.sampled_from(list(CELLS)))
def test_the_network_is_small_enough_for_the_time_and_the_text(train_tokens, seconds, power, cell):
    chosen = choose(train_tokens, power=power, time=seconds, cell=cell)
    if chosen["hidden_size"] > WIDTHS[0]:
        read = configuration.TRAINING_SHARE * tokens_read(chosen, power=power)
        assert read >= configuration.TOKENS_PER_WEIGHT * recurrent_weights(chosen) * (1 - 1e-9)
        assert recurrent_weights(chosen) <= CHARS.weights_per_token * train_tokens
    assert 0 <= chosen["dropout"] <= CHARS.most_dropout
    assert 0 < chosen["lr"] <= CHARS.highest_rate


def test_more_passes_over_the_text_give_more_dropout():
    rates = [choose(300_000, epochs=float(epochs))["dropout"] for epochs in (1, 2, 4, 8, 16, 32, 64)]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (0.0, CHARS.most_dropout)
    assert 0 < rates[3] < rates[-1]
    timed = [choose(300_000, power=LAPTOP, time=float(time), hidden_size=128)["dropout"] for time in (3, 10, 30, 100)]
    assert timed == sorted(timed)
    assert timed[0] < timed[-1]


def test_a_long_time_is_limited_by_a_number_of_epochs():
    assert choose(20_000, power=LAPTOP, time=3600.0)["epochs"] == CHARS.most_passes
    assert choose(20_000_000, power=LAPTOP, time=3600.0)["epochs"] is None


def test_time_beyond_the_most_passes_trains_further_networks():
    chosen = [choose(100_000, power=LAPTOP, time=float(seconds)) for seconds in (10, 60, 200, 800, 5_000, 20_000)]
    numbers = [each["networks"] for each in chosen]
    assert numbers == sorted(numbers)
    assert numbers[0] == 1
    assert numbers[-1] == configuration.MOST_NETWORKS
    for each in chosen:
        passes = tokens_read(each) * configuration.TRAINING_SHARE / each["networks"] / 100_000
        assert each["networks"] == 1 or passes >= CHARS.most_passes * CHARS.enough * 0.99
        assert each["epochs"] == CHARS.most_passes or passes <= CHARS.most_passes


@pytest.mark.parametrize("many", [{"vocabulary_size": 12_000, "level": "word"}, {"vocabulary_size": 4_000}])
def test_a_long_text_of_many_tokens_gets_further_networks_rather_than_wider_ones(many):
    times = (100.0, 1_200.0, 3_600.0, 36_000.0)
    chosen = [choose(800_000, power=LAPTOP, time=seconds, **many) for seconds in times]
    assert [each["networks"] for each in chosen] == sorted(each["networks"] for each in chosen)
    assert chosen[0]["networks"] < chosen[1]["networks"] < chosen[-1]["networks"] == configuration.MOST_NETWORKS
    most = configuration.LEVELS[chosen[0]["level"]].weights_per_token * 800_000
    assert all(recurrent_weights(each) <= most for each in chosen)
    assert chosen[-1]["hidden_size"] == chosen[-2]["hidden_size"]
    for each, seconds in zip(chosen, times, strict=True):  # none is narrower than one alone
        alone = choose(800_000, power=LAPTOP, time=seconds, networks=1, **many)
        assert each["hidden_size"] == alone["hidden_size"]


def test_words_that_are_often_repeated_get_less_dropout():
    rates = [choose(800_000, size, level="word", epochs=10.0)["dropout"] for size in (10_000, 18_000, 30_000, 60_000)]
    assert rates[0] == rates[1] < rates[2] == rates[3]


@pytest.mark.parametrize(
    ("level", "tokens", "size", "drops", "shared"),
    [
        ("word", 800_000, 10_000, True, True),
        ("word", 80_000, 10_000, True, False),
        ("char", 800_000, 4_000, True, True),
        ("char", 80_000, 4_000, True, False),
        ("char", 800_000, 70, False, False),
    ],
)
def test_embeddings_get_dropout_but_not_those_of_letters(level, tokens, size, drops, shared):
    chosen = choose(tokens, size, level=level, epochs=10.0)
    assert chosen["dropout"] > 0
    assert chosen["input_dropout"] == pytest.approx(chosen["dropout"] / 2 if drops else 0, abs=1e-3)
    assert chosen["shared_input_dropout"] == shared


def test_short_text_gets_several_networks_without_a_time():
    assert [choose(tokens)["networks"] for tokens in (100, 7_200, 15_000, 100_000)] == [1, 4, 2, 1]


@pytest.mark.parametrize(
    "given", [{"epochs": 3.0}, {"tied": True}, {"hidden_size": 32, "dropout": 0.1}, {"networks": 1}]
)
def test_one_network_is_trained_where_the_user_has_chosen_otherwise(given):
    assert choose(20_000, power=LAPTOP, time=5_000.0, **given)["networks"] == 1
    assert choose(20_000, power=LAPTOP, time=5_000.0, started_from=True)["networks"] == 1


def test_wide_and_deep_networks_get_lower_learning_rates():
    rates = [choose(300_000, hidden_size=width)["lr"] for width in (32, 128, 256, 512, 1024)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == CHARS.highest_rate
    assert choose(300_000, hidden_size=512, num_layers=4)["lr"] < rates[3]
    assert choose(300_000, hidden_size=256, cell="rnn")["lr"] < rates[2]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_other_optimizers_and_trained_weights_keep_the_default_rate(optimizer):
    usual = OPTIMIZERS[optimizer].default_lr
    assert choose(300_000, optimizer=optimizer, started_from=True)["lr"] == usual
    if optimizer not in configuration.RATES_BY_WIDTH:
        assert choose(300_000, optimizer=optimizer)["lr"] == usual


@pytest.mark.parametrize("bidirectional", [False, True])
def test_tied_sizes_are_consistent(bidirectional):
    for sizes in ({}, {"hidden_size": 96}, {"embedding_size": 96}):
        chosen = choose(300_000, tied=True, bidirectional=bidirectional, **sizes)
        assert chosen["embedding_size"] == chosen["hidden_size"] * (1 + bidirectional)
        assert all(chosen[name] == size for name, size in sizes.items())


def test_large_vocabularies_get_the_adaptive_softmax_where_it_is_possible():
    large = configuration.ADAPTIVE_FROM
    assert choose(10**6, large)["softmax"] == "adaptive"
    assert choose(10**6, large - 1)["softmax"] == "full"
    assert choose(10**6, large, tied=True)["softmax"] == "full"
    assert choose(10**6, large, loss="mse")["softmax"] == "full"


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_weights_counts_the_weights_of_the_network(cell, bidirectional):
    values = {"cell": cell, "bidirectional": bidirectional, "num_layers": 2, "hidden_size": 24, "embedding_size": 10}
    config = NetworkConfig(vocabulary_size=50, **values)
    shapes = {name: shape for name, shape in config.shapes().items() if name.startswith("rnn.weight")}
    counted = sum(map(math.prod, shapes.values()))
    assert recurrent_weights({**values, "coupled_gates": False}) == counted
    if cell == "cifg":
        assert recurrent_weights({**values, "cell": "lstm", "coupled_gates": True}) == counted


def test_presets_set_width_and_epochs_within_the_limits_of_the_text():
    chosen = [choose(3_000_000, preset=preset) for preset in PRESETS]
    assert [each["hidden_size"] for each in chosen] == list(PRESETS.values())
    assert [each["epochs"] for each in chosen] == sorted(each["epochs"] for each in chosen)
    assert choose(20_000, preset="best")["hidden_size"] < PRESETS["best"]
    assert choose(20_000, preset="best", hidden_size=700)["hidden_size"] == 700
    assert choose(3_000_000, preset="small", power=LAPTOP, time=600.0)["hidden_size"] == PRESETS["small"]


@pytest.mark.parametrize("level", configuration.LEVELS)
@pytest.mark.parametrize("options", [{}, {"time": 60.0, "power": LAPTOP}, {"preset": "tiny"}])
def test_tiny_texts_are_learnt_by_heart(level, options):
    for tokens in (2, 12, configuration.TINY_TEXT - 1):
        chosen = choose(tokens, level=level, **options)
        assert chosen["dropout"] == 0
        steps = chosen["epochs"] * math.ceil(tokens // chosen["batch_size"] / chosen["bptt"])
        assert configuration.STEPS_BY_HEART <= steps <= 2 * configuration.STEPS_BY_HEART + 100
        assert tokens // chosen["batch_size"] >= min(tokens, chosen["bptt"])  # enough text per column
    assert choose(configuration.TINY_TEXT, level=level, **options)["dropout"] > 0


@pytest.mark.parametrize("level", ["word", "token"])
def test_small_vocabularies_get_more_epochs_and_memory_and_less_dropout(level):
    few, many = (choose(25_000, size, level=level, context="sentence") for size in (255, 4000))
    assert few["long_memory"] == 1.0 > many["long_memory"] > 0
    assert few["epochs"] > 1.5 * many["epochs"]
    assert few["dropout"] < many["dropout"]
    assert few["bptt"] == many["bptt"] == 2 * choose(10**6, 4000, level=level, context="sentence")["bptt"]
    assert choose(25_000, 255, level=level, cell="rnn")["long_memory"] == 0.0  # no gates
