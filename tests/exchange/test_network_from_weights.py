import re
from dataclasses import replace

import numpy as np
import pytest

from rnnlm.errors import ExchangeError
from rnnlm.exchange.network_from_weights import recognise
from rnnlm.nn.cells import CELLS
from rnnlm.nn.outputs import tail_width


def arrays_of(network, rename=lambda name: name):
    return {rename(name): np.array(array) for name, array in network.params.items()}


def test_every_network_is_recognised_by_names_and_shapes(network):
    config = network.config
    if not CELLS[config.cell].recurrent:  # PyTorch has no such layer, so it needs a description
        with pytest.raises(ExchangeError, match=r"Found no rnn\.weight_hh_l0"):
            recognise(arrays_of(network))
        return
    if config.cell == "cifg":  # its shapes are those of a GRU, so that only a description tells them apart
        config = replace(config, cell="gru")
    told = config.activation if config.cell == "rnn" else None
    found = recognise(arrays_of(network), activation=told)
    expected = {**config.to_header(), "dropout": 0.0, "activation": told or "tanh"}
    expected["div_value"] = found.config.div_value  # any value that gives the widths of the tails
    assert found.config.to_header() == expected
    assert found.config.shapes() == config.shapes()
    assert found.notes == []
    for name, array in network.params.items():
        np.testing.assert_array_equal(found.params[name], array)


def test_a_description_restores_the_whole_configuration(network):
    found = recognise(arrays_of(network), network.config)
    assert found.config == network.config


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"module.{name}",
        lambda name: name.replace("embedding", "encoder").replace("output", "decoder").replace("rnn", "lstm"),
        lambda name: name.replace("rnn.", "").replace("embedding", "transformer.wte").replace("output.", "lm_head."),
    ],
)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"output": "adaptive", "cutoffs": (7,)}])
def test_names_of_other_programs_are_recognised(rename, options, make_network):
    network = make_network(**options)
    found = recognise(arrays_of(network, rename))
    assert found.config.shapes() == network.config.shapes()
    for name, array in network.params.items():
        np.testing.assert_array_equal(found.params[name], array)


def test_renamed_arrays_are_reported(make_network):
    found = recognise(arrays_of(make_network(), lambda name: name.replace("output", "decoder")))
    assert found.notes == ["decoder.weight is taken as output.weight."]


def test_equal_embedding_and_output_matrices_are_tied(make_network):
    network = make_network(embedding_size=6, tied=True)
    arrays = arrays_of(network)
    twice = {**arrays, "output.weight": arrays["embedding.weight"].copy()}
    assert recognise(twice).config.tied
    twice["output.weight"][3, 3] += 1
    assert not recognise(twice).config.tied


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ("x.0", "x.1")),  # widths tell them apart
        ({"embedding_size": 6}, ("encoder", "decoder")),
        ({"embedding_size": 6}, ("input_embedding", "output_linear")),
        ({"embedding_size": 6}, ("emb", "out_proj")),
        ({"embedding_size": 6, "tied": True}, ("shared", "")),
        ({"embedding_size": 0}, ("", "decoder")),
        ({"embedding_size": 6, "num_layers": 2, "cell": "gru"}, ("model.embed", "model.head")),
    ],
)
def test_an_output_layer_without_a_bias_is_distinguished_from_the_embedding(options, names, make_network):
    network = make_network(**options)
    arrays = {name: array for name, array in arrays_of(network).items() if name != "output.bias"}
    theirs = dict(zip(("embedding.weight", "output.weight"), (f"{name}.weight" for name in names), strict=True))
    found = recognise({theirs.get(name, name): array for name, array in reversed(arrays.items())})
    assert found.config.shapes() == network.config.shapes()
    assert found.notes[-1] == "Biases that the file does not have are zero."
    assert not found.params["output.bias"].any()
    for name, array in arrays.items():
        assert np.array_equal(found.params[name], array), name


@pytest.mark.parametrize("names", [("a", "b"), ("embed_in", "embed_out")])
def test_indistinguishable_embedding_and_output_matrices_are_refused(names, make_network):
    arrays = arrays_of(make_network(embedding_size=6))
    del arrays["output.bias"]
    first, second = (arrays.pop(name) for name in ("embedding.weight", "output.weight"))
    arrays |= {f"{names[0]}.weight": first, f"{names[1]}.weight": second}
    with pytest.raises(ExchangeError, match=r"no bias; expected output\.bias"):
        recognise(arrays)


def test_biases_of_a_layer_may_be_missing(make_network):
    network = make_network(num_layers=2)
    arrays = {name: array for name, array in arrays_of(network).items() if name[:9] + name[-3:] != "rnn.bias__l1"}
    found = recognise(arrays)
    assert len(arrays) == len(network.params) - 2
    assert not found.params["rnn.bias_ih_l1"].any()
    assert found.params["rnn.bias_ih_l0"].any()


def test_missing_biases_are_zero(make_network):
    network = make_network(output="adaptive", cutoffs=(7,))
    arrays = arrays_of(network)
    without = {name: array for name, array in arrays.items() if "bias" not in name}
    found = recognise(without)
    assert found.notes == ["Biases that the file does not have are zero."]
    assert found.config.shapes() == network.config.shapes()
    assert not any(found.params[name].any() for name in arrays.keys() - without.keys())


@pytest.mark.parametrize("H", [8, 100, 512, 1000])
@pytest.mark.parametrize("div_value", [1.0, 1.5, 2.0, 3.7, 4.0, 7.0])
def test_a_div_value_that_gives_the_tail_widths_is_found(H, div_value, make_network):
    cutoffs = tuple(c for i, c in enumerate((5, 9, 14)) if tail_width(H, div_value, i))
    network = make_network(output="adaptive", cutoffs=cutoffs, div_value=div_value, hidden_size=H)
    assert recognise(arrays_of(network)).config.shapes() == network.config.shapes()


def test_float64_weights_are_rounded_and_must_fit_float32(make_network):
    arrays = {name: array.astype(np.float64) for name, array in arrays_of(make_network()).items()}
    found = recognise(arrays)
    assert "7 arrays of float64 are rounded" in found.notes[0]
    assert all(array.dtype == np.float32 for array in found.params.values())
    arrays["output.bias"][2] = 1e300
    with pytest.raises(ExchangeError, match=r"output\.bias holds numbers that are too large"):
        recognise(arrays)


def without(*names):
    return lambda arrays: [arrays.pop(name) for name in names]


def added(**shapes):
    return lambda arrays: arrays.update({n.replace("__", "."): np.zeros(s, np.float32) for n, s in shapes.items()})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.clear(), "Found only nothing; expected those of one recurrent network"),
        (added(rnn__weight_hh_l0=(13, 6)), "rnn.weight_hh_l0 has the shape (13, 6); expected (6, 6) for rnn, (18, 6)"),
        (added(rnn__weight_hh_l0=(12, 6)), "(24, 6) for lstm"),
        (added(rnn__weight_hh_l0=(18, 6)), "rnn.weight_ih_l0 has the shape (24, 5); expected (18, 5)"),
        (added(rnn__weight_hh_l0=(24,)), "rnn.weight_hh_l0 has the shape (24,); expected 2 axes"),
        (added(rnn__bias_hh_l0=(24, 1)), "rnn.bias_hh_l0 has the shape (24, 1); expected 1 axis"),
        (added(rnn__bias_hh_l0=(23,)), "rnn.bias_hh_l0 has the shape (23,); expected (24,)"),
        (added(output__bias=(22,)), "output.bias has the shape (22,); expected (23,)"),
        (added(output__weight=(23, 7)), "output.weight has the shape (23, 7); expected (23, 6)"),
        (added(embedding__weight=(0, 5)), "embedding.weight has the shape (0, 5); expected 2 axes, none of them empty"),
        (added(embedding__weight=(22, 5)), "has the shape (23, 6); expected (22, 6)"),
        (added(rnn__weight_ih_l0=(24, 9)), "rnn.weight_ih_l0 has the shape (24, 9); expected (24, 5)"),
        (without("rnn.weight_ih_l0"), "Found no rnn.weight_ih_l0"),
        (without("rnn.weight_hh_l0"), "Found no rnn.weight_hh_l0"),
        (without("rnn.bias_ih_l0"), "Found no rnn.bias_ih_l0; expected one of shape (24,)"),
        (without("output.weight"), "embedding"),
        (without("output.bias", "output.weight"), "expected output.bias"),
        (without("embedding.weight"), "(23, 6); expected (5, 6)"),
        (added(rnn__weight_ih_l2=(24, 6)), "Found no rnn.weight_ih_l1"),
        (added(rnn__weight_ih_l9999=(24, 6)), "at most 1,000 layers"),
        (added(rnn__weight_hr_l0=(6, 3)), "rnn.weight_hr_l0 beside the recurrent layers"),
        (added(rnn__weight_ih_l0_reverse=(24, 5)), "Found no rnn.weight_hh_l0_reverse"),
        (added(other__weight_hh_l0=(24, 6)), "layers under the names other., rnn."),
        (added(linear__weight=(3, 3), linear__bias=(3,)), "expected one embedding layer and one output layer"),
        (added(position__weight=(3, 3)), "one embedding"),
        (added(mask=(3,)), "Found mask beside the recurrent layers"),
        (added(output__tail__0__1__weight=(3, 3)), "output"),
    ],
)  # fmt: skip
def test_wrong_shapes_are_refused_with_what_was_found_and_expected(change, words, make_network):
    arrays = arrays_of(make_network())
    change(arrays)
    with pytest.raises(ExchangeError, match=re.escape(words)) as caught:
        recognise(arrays)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (added(output__tail__0__0__weight=(5, 6)), "output.tail.0.0.weight has the shape (5, 6); expected (3, 6)"),
        (added(output__tail__1__1__weight=(10, 6)), "the widths [3, 6]"),
        (added(output__tail__0__1__weight=(9, 3)), "(10, 1); expected (7, 1)"),
        (without("output.tail.0.1.weight"), "output"),
        (without("output.head.weight"), "Found"),
        (without("output.tail.1.0.weight"), "Found no output.tail.1.0.weight"),
    ],
)
def test_wrong_shapes_of_an_adaptive_softmax_are_refused(change, words, make_network):
    arrays = arrays_of(make_network(output="adaptive", cutoffs=(7, 13), div_value=2.0))
    change(arrays)
    with pytest.raises(ExchangeError, match=re.escape(words)):
        recognise(arrays)


def test_layers_on_both_directions_are_refused(make_network):
    arrays = arrays_of(make_network(bidirectional=True, num_layers=2))
    for direction in ("", "_reverse"):
        arrays[f"rnn.weight_ih_l1{direction}"] = np.zeros((24, 12), np.float32)
    with pytest.raises(ExchangeError, match=r"sees the word to be predicted.*\(24, 6\)"):
        recognise(arrays)


def test_the_activation_must_be_given_for_the_basic_cell_and_no_other(make_network):
    rnn, lstm = make_network(cell="rnn", activation="relu"), make_network()
    with pytest.raises(ExchangeError, match="--activation tanh"):
        recognise(arrays_of(rnn))
    assert recognise(arrays_of(rnn), activation="relu").config.activation == "relu"
    assert recognise(arrays_of(rnn), rnn.config, "relu").config.activation == "relu"
    with pytest.raises(ExchangeError, match="contradicts the vocabulary file, which says relu"):
        recognise(arrays_of(rnn), rnn.config, "tanh")
    with pytest.raises(ExchangeError, match="is for the basic cell"):
        recognise(arrays_of(lstm), activation="tanh")


def stacked(network, *prefixes, cells=False):
    """Return the arrays of a network with every layer under its own prefix."""
    found = {}
    for name, array in arrays_of(network).items():
        part, _, layer = name.removeprefix("rnn.").partition("_l")
        found[f"{prefixes[int(layer)]}{part}{'' if cells else '_l0'}" if layer else name] = array
    return found


@pytest.mark.parametrize("cells", [False, True])
@pytest.mark.parametrize(
    "prefixes",
    [
        ("lstm1.", "lstm2.", "lstm3."),
        ("rnns.0.module.", "rnns.1.module.", "rnns.2.module."),
        ("lstm.", "lstm2.", "lstm3."),
        ("model.layers.8.rnn.", "model.layers.10.rnn.", "model.layers.12.rnn."),
        ("0.", "2.", "4."),
    ],
)
def test_modules_whose_names_differ_in_a_number_are_layers(prefixes, cells, make_network):
    network = make_network(num_layers=3, embedding_size=6)
    arrays = stacked(network, *prefixes, cells=cells)
    found = recognise(dict(reversed(arrays.items())))
    assert found.config.num_layers == 3
    for name, array in network.params.items():
        np.testing.assert_array_equal(found.params[name], array)
    (note,) = found.notes
    assert note.startswith(", ".join(prefix.replace("module.", "") for prefix in prefixes))


def test_a_module_of_two_layers_and_a_module_of_one_are_three_layers(make_network):
    network = make_network(num_layers=3, embedding_size=6)
    arrays = arrays_of(
        network, lambda name: name.replace("rnn.", "rnn1." if name[-1] != "2" else "rnn2.").replace("_l2", "_l0")
    )
    found = recognise(arrays)
    for name, array in network.params.items():
        np.testing.assert_array_equal(found.params[name], array)


@pytest.mark.parametrize(
    "prefixes", [("forward.", "backward."), ("a1.b1.", "a2.b2."), ("rnn.", "deep.rnn2."), ("rnn1.", "rnn01.")]
)
def test_modules_without_a_recognisable_order_are_refused(prefixes, make_network):
    with pytest.raises(ExchangeError, match=re.escape(f"layers under the names {', '.join(sorted(prefixes))}")):
        recognise(stacked(make_network(num_layers=2), *prefixes))


def test_layers_of_different_sizes_or_cells_are_refused(make_network):
    arrays = stacked(make_network(num_layers=2, hidden_size=6), "rnn1.", "rnn2.")
    narrow = stacked(make_network(num_layers=2, hidden_size=5), "rnn1.", "rnn2.")
    mixed = arrays | {name: array for name, array in narrow.items() if name.startswith("rnn2.")}
    with pytest.raises(ExchangeError, match=re.escape("rnn2.weight_ih_l0 has the shape (20, 5); expected (20, 6)")):
        recognise(mixed)
    other = stacked(make_network(cell="gru", num_layers=2, hidden_size=7), "rnn1.", "rnn2.")
    mixed = arrays | {name: array for name, array in other.items() if name.startswith("rnn2.")}
    with pytest.raises(ExchangeError, match=r"rnn2\.weight_ih_l0 has the shape \(21, 7\); expected \(28, 6\)"):
        recognise(mixed)


def test_layers_of_different_widths_below_an_adaptive_softmax_are_refused(make_network):
    network = make_network(num_layers=2, hidden_size=6, output="adaptive", cutoffs=(7,))
    wide = make_network(num_layers=2, hidden_size=8, output="adaptive", cutoffs=(7,))
    arrays = arrays_of(network) | {name: wide.params[name] for name in wide.params if name.endswith("_l0")}
    arrays["rnn.weight_ih_l1"] = np.zeros((24, 8), np.float32)
    with pytest.raises(ExchangeError, match=r"layers of the widths 8, 6 .* adaptive softmax"):
        recognise(arrays)


def test_raw_weights_of_weight_dropout_replace_the_masked_ones(make_network):
    network = make_network()
    arrays = arrays_of(network, lambda name: name.replace("hh_l0", "hh_l0_raw") if "weight_hh" in name else name)
    arrays["rnn.weight_hh_l0"] = np.zeros_like(arrays["rnn.weight_hh_l0_raw"])
    for each in (arrays, dict(reversed(arrays.items()))):
        found = recognise(each)
        np.testing.assert_array_equal(found.params["rnn.weight_hh_l0"], network.params["rnn.weight_hh_l0"])
        assert found.notes == ["rnn.weight_hh_l0_raw taken as weights without dropout."]


def test_weights_given_as_cell_and_as_layer_are_refused(make_network):
    arrays = arrays_of(make_network())
    arrays["rnn.weight_hh"] = arrays["rnn.weight_hh_l0"]
    with pytest.raises(ExchangeError, match=r"Found both rnn\.weight_hh_l0 and rnn\.weight_hh"):
        recognise(arrays)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"cell": "gru"}, "cell"), ({"hidden_size": 7}, "hidden_size"), ({"num_layers": 2}, "num_layers")],
)
def test_a_description_of_another_network_is_refused(options, field, make_network):
    with pytest.raises(ExchangeError, match=f"with {field} .* the vocabulary file is of one with"):
        recognise(arrays_of(make_network(**options)), make_network().config)
