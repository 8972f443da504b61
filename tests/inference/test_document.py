"""Lines scored as one text have the scores of the text, and their order matters."""

import numpy as np
import pytest

from rnnlm.inference.cache import NeuralCache
from rnnlm.inference.document import DocumentScorer
from rnnlm.inference.mixture import Mixture
from rnnlm.inference.scoring import token_nats
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.text.vocabulary import EOS

V = 9


@pytest.fixture
def network():
    config = NetworkConfig(vocabulary_size=V, cell="lstm", hidden_size=6, embedding_size=4)
    return Network.initialize(config, np.random.default_rng(1), "normal", dtype=np.float64)


def lines(number=40, seed=1):
    rng = np.random.default_rng(seed)
    return [np.append(rng.integers(2, V, rng.integers(1, 12)), EOS).astype(np.int32) for _ in range(number)]


def flat(scores):
    return np.concatenate([score.log_probabilities for score in scores])


@pytest.mark.parametrize("context", ["sentence", "stream"])
@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize("cuts", [[], [1, 7]])
def test_scores_of_lines_are_those_of_the_whole_text(network, context, remembers, cuts):
    model = Mixture([network, NeuralCache(network, 30)], [0.8, 0.2]) if remembers else network
    text = lines()
    scorer = DocumentScorer(model, context)
    blocks = [text[first:last] for first, last in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    found = [score for block in blocks for score in scorer(block)]
    expected = -token_nats(model, np.concatenate(text), context)
    np.testing.assert_allclose(flat(found), expected, rtol=1e-6)
    assert [len(score.log_probabilities) for score in found] == [len(line) for line in text]


def test_ranks_agree_with_the_distributions(network):
    text = lines(5)
    with_ranks, without = (DocumentScorer(network, "stream", ranks)(text) for ranks in (True, False))
    np.testing.assert_allclose(flat(with_ranks), flat(without), rtol=1e-6)
    assert without[0].ranks is None
    ids = np.concatenate(text)
    rows, _ = network.log_probabilities(np.append(0, ids[:-1])[:, None], network.zero_state(1))
    expected = [1 + int((row > row[each]).sum()) for row, each in zip(rows[:, 0], ids, strict=True)]
    assert np.concatenate([score.ranks for score in with_ranks]).tolist() == expected


def test_the_line_before_matters_in_a_stream_but_not_in_sentences(network):
    a, b, c = lines(3)
    for context, matters in (("stream", True), ("sentence", False)):
        after_b, after_c = (DocumentScorer(network, context)([first, a])[1] for first in (b, c))
        assert (not np.allclose(flat([after_b]), flat([after_c]))) == matters


def test_a_blank_line_is_scored_but_not_read(network):
    a, b, blank = *lines(2), np.array([EOS], dtype=np.int32)
    with_blank = DocumentScorer(network, "stream", blank=[EOS])([a, blank, blank, b])
    without = DocumentScorer(network, "stream", blank=[EOS])([a, b])
    np.testing.assert_array_equal(flat(with_blank[3:]), flat(without[1:]))
    np.testing.assert_array_equal(flat([with_blank[1]]), flat([with_blank[2]]))
    read = DocumentScorer(network, "stream")([a, blank, blank, b])
    assert not np.allclose(flat(read[3:]), flat(without[1:])), "the control: where a blank line is a part of the text"


def test_an_empty_line_has_an_empty_score(network):
    (score,) = DocumentScorer(network, "stream", ranks=True)([np.zeros(0, dtype=np.int32)])
    assert len(score.log_probabilities) == len(score.ranks) == 0
