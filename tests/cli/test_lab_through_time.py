"""`rnnlm lab unroll`, `bptt` and `gradflow` show what the network computes."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner

from rnnlm.cli import run as run_command
from rnnlm.cli.lab import lab
from rnnlm.errors import CorpusError, DirectionError, PlotError, RnnlmError
from rnnlm.lab.sentences import vocabulary_of
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import network_of
from rnnlm.names import INITIALIZERS
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.text.tokenizers import tokenizer_class
from tests.cli.lab_commands import failure, objects, run

ARTICLE = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。"
TOKENS = ARTICLE.split()
GATED = [cell for cell in CELLS if cell != "rnn"]
FAST = ["--hidden-size", 8, "--places", 4, "--windows", 2, "--batch-size", 4]


def saved_model(path, level="word", context="sentence", training=None, **settings):
    vocabulary = vocabulary_of(TOKENS if level == "word" else f"{ARTICLE}\n")
    config = NetworkConfig(len(vocabulary), hidden_size=6, **settings)
    network = Network.initialize(config, np.random.default_rng(0))
    model = LanguageModel(
        tokenizer_class(level)(), vocabulary, network_of(config, network.params), context, training or {}
    )
    model.save(path)
    return model


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text((ARTICLE + "\n") * 30, encoding="utf-8")
    return path


# --- unroll


def test_unroll_shows_each_state_as_f_of_a_sum():
    found = objects(run("unroll", ARTICLE, "--num-layers", 2, "--json"))
    states = [each for each in found if "state" in each]
    assert [each["input"] for each in states if each["layer"] == 2] == ["<s>", *TOKENS]
    for each in states:
        total = np.sum([each["of_input"], each["of_state"], each["bias"]], axis=0)
        np.testing.assert_allclose(np.tanh(total), each["state"])
    outputs = found[len(states) :]
    assert [(each["output"], each["label"]) for each in outputs] == list(enumerate([*TOKENS, "</s>"], 1))


def test_unroll_shows_outputs_of_a_bidirectional_network_as_sums_of_two_states():
    found = objects(run("unroll", ARTICLE, "--bidirectional", "--json"))
    by_direction = {
        way: {each["step"]: each["state"] for each in found if each.get("direction") == way}
        for way in ("forward", "backward")
    }
    outputs = [each for each in found if "output" in each]
    assert [each["label"] for each in outputs] == TOKENS
    for each in outputs:
        assert each["output"] - 1 in by_direction["forward"]
        assert each["output"] + 1 in by_direction["backward"]
        assert None not in (each["of_forward"], each["of_backward"], each["bias"])
        assert 0 < each["probability"] <= each["best_probability"] < 1
    shown = run("unroll", ARTICLE, "--bidirectional").stdout
    for symbol in ("U x_t", "W s_(t-1)", "U' x_t", "W' s'_(t+1)", "V' s'_(t+1)"):
        assert symbol in shown
    first = by_direction["backward"][3]
    assert " ".join(f"{value: .3f}" for value in first) in shown


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_can_be_unrolled(cell):
    shown = run("unroll", ARTICLE, "--cell", cell, "--num-layers", 2, "--bidirectional").stdout
    assert "s'(2)_t" in shown
    assert ("c(1)_t" in shown) == (CELLS[cell].states == 2)


def test_unroll_shows_the_predictions_of_a_trained_model(tmp_path):
    model = saved_model(tmp_path / "m.npz", embedding_size=3)
    found = [each for each in objects(run("unroll", ARTICLE, "-m", tmp_path / "m.npz", "--json")) if "output" in each]
    (scored,) = model.score([ARTICLE])
    np.testing.assert_allclose(np.log([each["probability"] for each in found]), scored.log_probabilities, rtol=1e-4)


def test_a_stream_of_characters_has_no_sentence_end(tmp_path):
    model = saved_model(tmp_path / "m.npz", "char", "stream")
    found = [each for each in objects(run("unroll", "昨天", "-m", tmp_path / "m.npz", "--json")) if "output" in each]
    assert [each["label"] for each in found] == ["昨", "天"]
    (scored,) = model.score(["昨天"])
    np.testing.assert_allclose(np.log([each["probability"] for each in found]), scored.log_probabilities[:2], rtol=1e-4)


# --- bptt


def test_gradients_of_all_steps_add_up_to_the_numerical_gradient():
    *steps, total = objects(run("bptt", ARTICLE, "--json"))
    assert [(each["input"], each["label"]) for each in steps] == list(
        zip(["<s>", *TOKENS], [*TOKENS, "</s>"], strict=True)
    )
    before = np.zeros(3)
    for each in steps:
        np.testing.assert_allclose(each["w_gradient"][0], np.outer(each["delta"][0], before), atol=1e-15)
        assert sum(each["output"]) == pytest.approx(1)
        before = each["state"][0]
    summed = np.sum([each["w_gradient"] for each in steps], axis=0)
    np.testing.assert_allclose(summed, total["w_gradient_sum"])
    np.testing.assert_allclose(summed, total["w_gradient_numerical"], rtol=1e-5, atol=1e-8)
    assert total["loss"] == pytest.approx(sum(each["loss"] for each in steps))


def test_the_table_shows_the_numbers_of_the_json():
    shown = run("bptt", ARTICLE).stdout
    *steps, total = objects(run("bptt", ARTICLE, "--json"))
    for each in steps:
        assert " ".join(f"{value: .3f}" for value in each["state"][0]) in shown
    for line in total["w_gradient_sum"][0]:
        assert shown.count("[" + " ".join(f"{value: .3f}" for value in line) + "]") >= 2, "sum and numerical"
    assert "agree\nat all 9 entries" in shown


def test_the_last_loss_has_the_smallest_gradient_at_the_first_step():
    *steps, _ = objects(run("bptt", ARTICLE, "--last-only", "--json"))
    sizes = [np.linalg.norm(each["delta"][0]) for each in steps]
    assert sizes[0] < 1e-3 * sizes[-1]


@pytest.mark.parametrize("arguments", [["--cell", "gru"], ["--cell", "lstm", "--num-layers", 2], ["--loss", "mse"]])
def test_bptt_agrees_for_other_cells_and_losses(arguments):
    assert "agree" in run("bptt", ARTICLE, *arguments).stdout


def test_a_wrong_derivative_ends_with_exit_code_1(monkeypatch):
    function, _ = ACTIVATIONS["tanh"]
    monkeypatch.setitem(ACTIVATIONS, "tanh", (function, lambda s, out: np.copyto(out, s) or out))
    monkeypatch.setenv("RNNLM_KERNELS", "numpy")
    result = run("bptt", ARTICLE, code=1)
    assert isinstance(result.exception, SystemExit)
    assert "back-propagation is wrong" in result.stdout


def test_bptt_accepts_a_trained_model(tmp_path):
    saved_model(tmp_path / "m.npz", cell="lstm")
    result = run("bptt", ARTICLE, "-m", tmp_path / "m.npz")
    assert "W is 24 x 6" in result.stdout
    assert "64 entries chosen at random" in result.stdout


@pytest.mark.parametrize("command", ["bptt", "unroll"])
@pytest.mark.parametrize(("given", "said"), [("我\n了", "2 lines"), ("", "no tokens"), ("a " * 201, "201 tokens")])
def test_anything_but_one_sentence_is_refused(command, given, said):
    assert said in failure(CorpusError, command, given)


# --- gradflow


def test_gradflow_shows_gradient_norms_by_distance(text):
    (found,) = objects(run("gradflow", text, *FAST, "--distance", 12, "--json"))
    assert found["distance_steps"] == list(range(13))
    assert len(found["gradient_norm"]) == len(found["bound"]) == 13
    assert all(norm <= bound * (1 + 1e-9) for norm, bound in zip(found["gradient_norm"], found["bound"], strict=True))
    assert found["bound"][1] == pytest.approx(found["gradient_norm"][0] * found["weight_norm"]["W"])
    assert len(found["window_gradient_norms"]) == 2
    shown = run("gradflow", text, *FAST, "--distance", 12).stdout
    assert f"{found['gradient_norm'][7]:.3g}" in shown
    assert f"{found['bound'][7]:.3g}" in shown
    assert "The bound is (|W| max f')^(t-k)" in shown


def test_gradients_vanish_with_a_small_w_and_explode_with_a_large_one(text):
    small, *_, large = objects(run("gradflow", text, *FAST, "--hidden-size", 64, "--compare", "radii", "--json"))
    assert (small["spectral_radius"]["W"], large["spectral_radius"]["W"]) == pytest.approx((0.5, 3))
    for each in (small, large):
        assert each["measured_factor_per_step"] == pytest.approx(each["predicted_factor_per_step"], rel=0.15)
    assert small["gradient_norm"][-1] < 1e-9 * small["gradient_norm"][1]
    assert large["gradient_norm"][-1] > 100 * large["gradient_norm"][1]


def test_gated_cells_have_no_bound(text):
    (found,) = objects(run("gradflow", text, *FAST, "--cell", "lstm", "--json"))
    assert found["bound"] is None
    assert list(found["spectral_radius"]) == ["i", "f", "g", "o"]
    assert found["gradient_norm_by_h"][0] == pytest.approx(found["gradient_norm"][0])
    assert "no bound of the form" in run("gradflow", text, *FAST, "--cell", "gru").stdout


@pytest.mark.parametrize(
    ("compare", "names"),
    [
        ("cells", ["tanh", "relu", "relu identity", "sigmoid", *GATED]),
        ("inits", [f"tanh {init}" for init in INITIALIZERS]),
        ("all", [f"{cell} {init}" for init in INITIALIZERS for cell in ("tanh", "relu", "sigmoid", *GATED)]),
    ],
)
def test_compare_shows_networks_side_by_side(compare, names, text):
    assert [each["network"] for each in objects(run("gradflow", text, *FAST, "--compare", compare, "--json"))] == names
    assert "hundredth" in run("gradflow", text, *FAST, "--compare", compare, "--num-layers", 2).stdout


def test_a_trained_model_is_measured_with_its_own_training_options(text, tmp_path):
    training = {"options": {"bptt": 5, "batch_size": 3, "clip": 0.25, "loss": "cross-entropy"}}
    saved_model(tmp_path / "m.npz", training=training)
    result = run("gradflow", text, "-m", tmp_path / "m.npz", "--json")
    (found,) = objects(result)
    assert found["network"] == "lstm trained"
    assert found["clip"] == 0.25
    assert "sentence" in result.stderr
    assert max(found["distance_steps"]) == 11, "a sentence has 12 tokens with its end"
    both = objects(run("gradflow", text, "-m", tmp_path / "m.npz", "--compare", "cells", "--json"))
    assert [each["network"] for each in both][:2] == ["lstm trained", "tanh"]
    assert both[0] == found


@pytest.mark.parametrize(
    "options", [None, 3, {"bptt": "x", "batch_size": -1, "clip": None}, {"bptt": 1e9, "batch_size": True, "loss": []}]
)
def test_bad_training_options_of_a_checkpoint_are_replaced_by_defaults(options, text, tmp_path):
    saved_model(tmp_path / "m.npz", training={"options": options})
    (found,) = objects(run("gradflow", text, "-m", tmp_path / "m.npz", "--json"))
    assert found["clip"] == 1


def test_the_share_of_clipped_windows_is_shown(text):
    (found,) = objects(run("gradflow", text, *FAST, "--clip", 1e-6, "--json"))
    assert found["share_of_windows_cut"] == 1
    assert found["share_of_length_kept"] < 1e-3
    assert "--clip 1e-06 shortens it in 100%" in run("gradflow", text, *FAST, "--clip", 1e-6).stdout
    assert "--clip 0 cuts nothing" in run("gradflow", text, *FAST, "--clip", 0).stdout
    assert "window" not in run("gradflow", text, "--windows", 0).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--compare", "cells", "--cell", "lstm"], "--cell"),
        (["--compare", "inits", "--init", "xavier"], "--init"),
        (["--compare", "radii", "--radius", "2"], "--radius"),
        (["-m", "none.npz", "--hidden-size", "3"], "--hidden-size"),
        (["-m", "none.npz", "--radius", "3"], "--compare"),
        (["--distance", "0"], "--distance"),
    ],
)
def test_incompatible_options_are_a_usage_error(arguments, said, text):
    assert said in run("gradflow", text, *arguments, code=2).stderr


def test_a_distance_longer_than_all_sentences_is_refused_in_one_sentence(text):
    said = failure(CorpusError, "gradflow", text, "--context", "sentence", "--distance", "12")
    assert "longest sentence has 12 tokens" in said


def test_models_without_a_causal_network_are_refused(text, tmp_path):
    saved_model(tmp_path / "both.npz", bidirectional=True)
    for command in (["gradflow", text], ["bptt", ARTICLE]):
        failure(DirectionError, *command, "-m", tmp_path / "both.npz")
    assert run_command(["ngram", "train", str(text), "-o", str(tmp_path / "ngram.npz")]) == 0
    for command in (["gradflow", text], ["bptt", ARTICLE], ["unroll", ARTICLE]):
        failure(RnnlmError, *command, "-m", tmp_path / "ngram.npz")


@pytest.mark.parametrize("command", ["gradflow", "bptt"])
def test_a_computation_beyond_the_memory_is_refused_at_once(command, text, tmp_path, monkeypatch):
    saved_model(tmp_path / "m.npz")
    monkeypatch.setattr("rnnlm.free_memory.free_bytes", lambda: 1000)
    for model in (["-m", tmp_path / "m.npz"], []):
        if command == "gradflow" or model:
            said = failure(RnnlmError, command, text if command == "gradflow" else ARTICLE, *model)
            assert "of memory" in said


@pytest.mark.parametrize("activation", ["tanh", "identity"])
def test_vanished_and_overflowing_gradients_are_reported_without_warnings(activation, text):
    options = [*FAST, "--distance", 60, "--init", "orthogonal", "--radius", 1e6, "--activation", activation, "--json"]
    (found,) = objects(run("gradflow", text, *options))
    if activation == "tanh":
        assert found["gradient_norm"][1] == 0
        assert found["tenth_survives_steps"] == found["hundredth_survives_steps"] == 0
        assert "Nothing survives" in run("gradflow", text, *options[:-1]).stdout
    else:
        assert found["gradient_norm"][-1] is None, "beyond all numbers"
        assert found["tenth_survives_steps"] is None
        assert "overflow" in run("gradflow", text, *options[:-1]).stdout


KEYS = {
    "gradflow": [
        *("network", "cell", "activation", "layer", "hidden_size", "places", "distance_steps", "gradient_norm"),
        *("gradient_norm_lowest", "gradient_norm_highest", "bound", "spectral_radius", "weight_norm"),
        *("largest_derivative", "rms_derivative", "predicted_factor_per_step", "measured_factor_per_step"),
        *("tenth_survives_steps", "hundredth_survives_steps", "windows", "window_gradient_norms", "clip"),
        *("share_of_windows_cut", "share_of_length_kept"),
    ],
    "bptt": [
        "step",
        "input",
        "label",
        "state",
        "output",
        "loss",
        "nats",
        "delta",
        "w_gradient",
        "u_gradient",
        "v_gradient",
    ],
    "unroll": ["direction", "layer", "step", "input", "of_input", "of_state", "bias", "state"],
}
LAST_KEYS = {
    "bptt": [
        *("loss", "w_gradient_sum", "u_gradient_sum", "v_gradient_sum"),
        *("w_gradient_numerical", "entries_compared", "worst_relative_difference"),
    ],
    "unroll": ["output", "label", "of_forward", "of_backward", "bias", "probability", "best", "best_probability"],
}


@pytest.mark.parametrize(
    ("command", "cell"), [(name, cell) for name in KEYS for cell in CELLS if name != "bptt" or CELLS[cell].recurrent]
)
def test_the_keys_of_json_are_stable(command, cell, text):
    given = [text, *FAST, "--windows", 1] if command == "gradflow" else [ARTICLE]
    first, *_, last = 2 * objects(run(command, *given, "--cell", cell, "--json"))
    more = {"gradflow": {"gradient_norm_by_h", "gradient_norm_by_c"}}.get(command, {"cell_state"})
    assert set(first) == {*KEYS[command], *(more if CELLS[cell].states == 2 else ())}
    if command in LAST_KEYS:
        assert set(last) == set(LAST_KEYS[command])


@pytest.mark.parametrize("cell", [name for name, cell in CELLS.items() if not cell.recurrent])
def test_cells_without_w_refuse_options_about_w(cell, text):
    assert "has no W" in run("bptt", ARTICLE, "--cell", cell, code=2).stderr
    for more in (["--radius", 1], ["--compare", "radii"]):
        refused = run("gradflow", text, *FAST, "--cell", cell, *more, code=2).stderr
        assert f"{' '.join(map(str, more[: 1 + (more[0] == '--compare')]))} scales W" in refused
    assert f"The cell {cell} has no W" in run("gradflow", text, *FAST, "--cell", cell).stdout
    (found,) = objects(run("gradflow", text, *FAST, "--cell", cell, "--json"))
    assert found["spectral_radius"] == found["weight_norm"] == {}
    assert found["gradient_norm"][1] > found["gradient_norm"][5] > 0
    assert f"s_t  = {cell}(x_t, s_(t-1)) with U" in run("unroll", ARTICLE, "--cell", cell).stdout.splitlines()


# --- pictures


COMMANDS = {
    "gradflow": lambda text: ["gradflow", text, *FAST, "--num-layers", 2],
    "gradflow lstm": lambda text: ["gradflow", text, *FAST, "--cell", "lstm"],
    "gradflow cells": lambda text: ["gradflow", text, *FAST, "--compare", "cells"],
    "gradflow all": lambda text: ["gradflow", text, *FAST, "--compare", "all"],
    "gradflow exploding": lambda text: ["gradflow", text, *FAST, "--activation", "identity", "--radius", 1e6],
    "gradflow gone": lambda text: ["gradflow", text, *FAST, "--init", "identity", "--radius", 1e6],
    "bptt": lambda _: ["bptt", ARTICLE + " $a$ \\frac{", "--loss", "mse"],
    "bptt gates": lambda _: ["bptt", "我", "--cell", "lstm", "--hidden-size", 24, "--num-layers", 2],
    "unroll": lambda _: ["unroll", ARTICLE + " $a$ \\frac{", "--num-layers", 2],
    "unroll both": lambda _: ["unroll", "我", "--bidirectional", "--hidden-size", 64],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_plot_writes_a_picture(name, text, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    picture = tmp_path / "picture.png"
    result = run(*COMMANDS[name](text), "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "Saved" in result.stderr
    assert "Saved" not in result.stdout


@pytest.mark.parametrize("command", ["bptt", "unroll"])
def test_a_sentence_too_long_for_a_picture_is_refused_in_one_sentence(command, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    result = CliRunner().invoke(lab, [command, "a " * 50, "--plot", str(tmp_path / "p.png")])
    assert isinstance(result.exception, PlotError)
    assert "room for" in str(result.exception)


@pytest.mark.parametrize("command", ["gradflow", "bptt", "unroll"])
def test_a_picture_never_replaces_a_model_or_a_text(command, text, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    given = [text, *FAST] if command == "gradflow" else ["我 了"]
    saved_model(tmp_path / "m.npz")
    for name in ("model.png", "text.svg"):
        path = tmp_path / name
        (tmp_path / "m.npz" if name == "model.png" else text).rename(path)
        before = path.read_bytes()
        words = [str(path) if word is text and name == "text.svg" else str(word) for word in given]
        assert str(path) in failure(RnnlmError, command, *words, "--plot", path)
        assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["gradflow", "bptt", "unroll"])
def test_an_impossible_picture_is_refused_at_once(command, text, tmp_path, monkeypatch):
    given = text if command == "gradflow" else ARTICLE
    assert "ends in .gif" in failure(PlotError, command, given, "--plot", tmp_path / "p.gif")
    assert "does not exist" in failure(RnnlmError, command, given, "--plot", tmp_path / "none" / "p.png")
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "rnnlm-cli[plot]" in failure(PlotError, command, given, "--plot", tmp_path / "p.png")
    assert run(command, given, *(FAST if command == "gradflow" else [])).stdout, "without a picture nothing is missing"
