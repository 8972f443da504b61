import re

import numpy as np
import pytest

from rnnlm.errors import ExchangeError
from rnnlm.exchange.special_tokens import MEAN, Arrangement, arrange, rearranged
from rnnlm.model_header import network_of

NOTHING = (None, None, None)


def order(tokens, *named, without_lines=False):
    """Return the arranged tokens, with ? for an added row, and which of the first three are not predicted."""
    found = arrange(tokens, named or NOTHING, without_lines)
    return ["?" if row == MEAN else tokens[row] for row in found.rows], found.silent


@pytest.mark.parametrize(
    ("tokens", "named", "expected", "silent"),
    [
        (["<s>", "</s>", "<unk>", "a", "</s>"], (), ["<s>", "</s>", "<unk>", "a", "</s>"], set()),
        (["a", "<unk>", "b", "</s>", "<s>"], (), ["<s>", "</s>", "<unk>", "a", "b"], set()),
        (["a", "<UNK>", "</s>"], (), ["</s>", "</s>", "<UNK>", "a"], {0}),
        (["a", "<eos>", "<unk>"], (None, "<eos>", None), ["<eos>", "<eos>", "<unk>", "a"], {0}),
        (["a", "<eos>", "b"], (None, "<eos>", None), ["<eos>", "<eos>", "?", "a", "b"], {0, 2}),
        (["a", "[BOS]", "[EOS]", "[UNK]"], ("[BOS]", "[EOS]", "[UNK]"), ["[BOS]", "[EOS]", "[UNK]", "a"], set()),
        (["-", "<sos/eos>", "a"], ("<sos/eos>", "<sos/eos>", None), ["<sos/eos>", "<sos/eos>", "?", "-", "a"], {0, 2}),
        (["<s>", "</s>", "<unk>", "a"], ("</s>", None, None), ["</s>", "</s>", "<unk>", "<s>", "a"], {0}),
        (["a", "\n", "b"], (None, r"\n", None), ["\n", "\n", "?", "a", "b"], {0, 2}),
    ],
)  # fmt: skip
def test_special_tokens_come_first_and_the_others_keep_their_order(tokens, named, expected, silent):
    assert order(tokens, *named) == (expected, silent)


def test_a_stream_of_characters_keeps_its_newline_and_starts_after_one():
    assert order(["a", "\n", "b"], without_lines=True) == (["\n", "?", "?", "a", "\n", "b"], {0, 1, 2})
    assert order(["a", "b"], without_lines=True) == (["?", "?", "?", "a", "b"], {0, 1, 2})
    for named in ((None, "\n", None), ("\n", None, None)):
        assert order(["a", "\n"], *named, without_lines=True) == (["\n", "?", "?", "a", "\n"], {0, 1, 2})


@pytest.mark.parametrize(
    ("tokens", "named", "words"),
    [
        (
            ["a", "b", "<eos>", "<unk>"],
            (),
            "no </s> among its 4 tokens.*: --eos '<eos>'. The first tokens are 'a', 'b'",
        ),
        (["a", "<eos>", "[UNK]"], (), r"no </s> and no <unk> among.*--eos '<eos>' --unk '\[UNK\]'"),
        (["<sos/eos>", "a"], (), "no <s> and no </s> among.*--bos '<sos/eos>' --eos '<sos/eos>'"),
        (["<|endoftext|>", "a"], (), "--eos '<|endoftext|>'"),
        (["__start__", "a", "</s>"], (), "--bos __start__"),
        (["a", "▁s", "▁end", "unk", "<pad>"], (), r"--eos TOKEN\."),
        (["a", "\n"], (), r"--eos '\\n'"),
        (["a", "b"], (None, "<eos>", None), "it has no token '<eos>', which --eos names"),
        (["a", "b"], (None, "b", "b"), "'b' is <unk> and another symbol"),
    ],
)
def test_a_missing_special_token_is_refused_with_a_suggested_option(tokens, named, words):
    with pytest.raises(ExchangeError, match=re.sub(r"\|", r"\\|", words)):
        order(tokens, *named)


def test_suggestions_are_short_and_printable():
    for token in ("<e\x1bos>", f"<{'-' * 500}eos>"):
        with pytest.raises(ExchangeError, match=r"--eos TOKEN\.") as caught:
            order(["a", token])
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("rows", [[4, 4, 2], [1, 4, MEAN], [MEAN, 3, MEAN], [0, 3, 4]])
def test_reordering_tokens_does_not_change_the_predictions(rows, causal_network):
    V = causal_network.vocabulary_size
    rows = rows + [row for row in range(V) if row not in rows]
    silent = {0} if rows[0] == rows[1] else set()
    silent |= {new for new in range(3) if rows[new] == MEAN}
    config, params = rearranged(causal_network.config, causal_network.params, Arrangement(rows, silent, []))
    assert {name: array.dtype for name, array in params.items()} == dict.fromkeys(params, np.float32)
    network = network_of(config, params)
    new_of_old = {old: new for new, old in enumerate(rows) if new not in silent}
    old_ids = np.random.default_rng(0).integers(0, V, (9, 4))
    new_ids = np.vectorize(new_of_old.get)(old_ids)
    expected, _ = causal_network.log_probabilities(old_ids, causal_network.zero_state(4))
    found, _ = network.log_probabilities(new_ids, network.zero_state(4))
    spoken = sorted(new_of_old, key=new_of_old.get)
    np.testing.assert_allclose(found[..., [new_of_old[old] for old in spoken]], expected[..., spoken], atol=2e-6)
    assert (found[..., sorted(silent)] < -55).all()
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(axis=-1), 1, atol=1e-5)
    if rows[0] == rows[1]:
        begun, _ = network.log_probabilities(np.zeros((1, 1), int), network.zero_state(1))
        ended, _ = network.log_probabilities(np.ones((1, 1), int), network.zero_state(1))
        np.testing.assert_array_equal(begun, ended)


def test_a_network_in_the_right_order_is_not_changed(network):
    config, params = rearranged(network.config, network.params, Arrangement(list(range(23)), set(), []))
    assert config == network.config
    assert all(params[name] is array for name, array in network.params.items())


def test_a_special_token_in_a_tail_cluster_is_refused(make_network):
    network = make_network(output="adaptive", cutoffs=(7, 13), div_value=2.0)
    rows = [8, 1, 2, *(row for row in range(23) if row not in (8, 1, 2))]
    with pytest.raises(ExchangeError, match=r"ids 8, 1, 2; expected ids below 7, the first cutoff"):
        rearranged(network.config, network.params, Arrangement(rows, set(), []))
