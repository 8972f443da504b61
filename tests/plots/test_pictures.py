"""Pictures show the numbers of the results."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from rnnlm.lab.gradient_flow import fresh_network, gradient_flow, places
from rnnlm.lab.memory import Row
from rnnlm.lab.surprise import Surprise
from rnnlm.nn.network import NetworkConfig
from rnnlm.plots.figures import use_fonts
from rnnlm.plots.gradient_flow import draw as gradient_flow_picture
from rnnlm.plots.memory import draw as memory_picture
from rnnlm.plots.surprise import draw as surprise_picture


def test_a_picture_of_gradient_flow_has_the_computed_numbers():
    config = NetworkConfig(9, "rnn", hidden_size=5)
    ids = np.random.default_rng(0).integers(3, 9, 200).astype(np.int32)
    flow = gradient_flow("tanh", fresh_network(config, "uniform", 0), places(ids, "stream", 4, 9))
    (axes,) = gradient_flow_picture([flow]).axes
    curves = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    np.testing.assert_array_equal(curves["mean of the places"], flow.layers[0].norms)
    np.testing.assert_array_equal(curves["bound (|W| max f')^(t-k)"], flow.layers[0].bound)


def test_a_trained_network_is_in_the_panel_of_every_initialisation():
    ids = np.random.default_rng(0).integers(3, 9, 200).astype(np.int32)
    found = places(ids, "stream", 2, 4)
    network = fresh_network(NetworkConfig(9, "rnn", hidden_size=3), "uniform", 0)
    names = [
        "lstm trained",
        *(f"{cell} {init}" for init in ("xavier", "normal") for cell in ("tanh", "relu", "gru", "lstm")),
    ]
    figure = gradient_flow_picture([gradient_flow(name, network, found) for name in names])
    assert [axes.get_title() for axes in figure.axes] == ["xavier", "normal"]
    for axes in figure.axes:
        shown = [text.get_text() for text in axes.get_legend().get_texts()]
        assert shown == ["lstm trained", "tanh", "relu", "gru", "lstm"]


def test_a_picture_of_memory_has_the_measured_accuracies():
    right = np.array([1.0, 0.0, 0.5, 0.5])
    rows = [Row("near", 2, np.array([0])), Row("far", 9, np.array([0, 1, 2, 3]))]
    (axes,) = memory_picture(rows, [("a $model", right)]).axes
    chance, line = axes.get_lines()
    assert set(chance.get_ydata()) == {0.5}
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([2, 9], [1, 0.5])
    (axes,) = memory_picture([row._replace(distance=None) for row in rows], [("a", right)]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["near", "far"]
    assert axes.get_lines()[1].get_linestyle() == "None"


def test_tokens_in_a_picture_of_surprise_do_not_overlap():
    tokens = [*"我昨天上学。", "\U000e1234", "w" * 40, "👩\u200d🔬", "iiii", "</s>", "WWWW", *"MWMWMW", "$", "\x1b"] * 3
    figure = surprise_picture(Surprise(tokens, np.arange(len(tokens)) % 7.0))
    use_fonts(figure)
    figure.draw_without_rendering()
    assert sum(len(axes.get_xticklabels()) for axes in figure.axes) == len(tokens)
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))
