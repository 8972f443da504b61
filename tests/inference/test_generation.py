"""Sampling and beam search against enumeration and frequency counts on small networks."""

import itertools

import numpy as np
import pytest

from rnnlm.inference.generation import SamplingOptions, beam_search, next_distribution, sample
from rnnlm.nn.cells import CELLS
from rnnlm.nn.network import Network, NetworkConfig

V, END = 6, 1
NEVER = [0, 2]


def network(cell: str = "lstm", scale: float = 3.0) -> Network:
    rng = np.random.default_rng(5)
    made = Network.initialize(NetworkConfig(V, cell, hidden_size=8), rng, dtype=np.float64)
    made.params["output.weight"] *= scale
    made.params["output.bias"] += rng.normal(0, 1, V)
    return made


def distribution(logits: list[float], **options: float) -> np.ndarray:
    log_probabilities = np.array([logits]) - np.log(np.exp(logits).sum())
    seen = np.zeros((1, len(logits)), bool)
    seen[0, 3] = True
    return next_distribution(log_probabilities, SamplingOptions(**options), seen, [0])[0]  # type: ignore[arg-type]


LOGITS = [9.0, 1.0, 2.0, 3.0, 0.5]


def test_the_plain_distribution_is_the_models_without_forbidden_ids():
    expected = np.exp([-np.inf, *LOGITS[1:]])
    assert distribution(LOGITS) == pytest.approx(expected / expected.sum())


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_temperature_is_an_exponent_of_the_probabilities(temperature: float):
    expected = distribution(LOGITS) ** (1 / temperature)
    assert distribution(LOGITS, temperature=temperature) == pytest.approx(expected / expected.sum())


def test_temperature_zero_takes_the_most_probable_token():
    assert distribution(LOGITS, temperature=0).tolist() == [0, 0, 0, 1, 0]


def test_top_k_keeps_the_k_most_probable_tokens():
    kept = distribution(LOGITS, top_k=2)
    assert np.flatnonzero(kept).tolist() == [2, 3]
    assert kept[3] / kept[2] == pytest.approx(np.e)


@pytest.mark.parametrize(("top_p", "survivors"), [(0.5, [3]), (0.8, [2, 3]), (0.99, [1, 2, 3, 4]), (1e-9, [3])])
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, survivors: list[int]):
    plain, kept = distribution(LOGITS), distribution(LOGITS, top_p=top_p)
    assert np.flatnonzero(kept).tolist() == survivors
    assert plain[survivors].sum() >= top_p
    assert plain[survivors].sum() - plain[survivors].min() < top_p
    assert kept.sum() == pytest.approx(1)


def test_repetition_penalty_makes_only_seen_tokens_less_likely():
    plain, penalised = distribution(LOGITS), distribution(LOGITS, repetition_penalty=2.0)
    assert penalised[3] < plain[3]
    assert penalised[2] / penalised[1] == pytest.approx(plain[2] / plain[1])


def drawn_texts(count: int, seed: int = 1, length: int = 3, **options: float) -> list[tuple[int, ...]]:
    settings = SamplingOptions(length=length, **options)  # type: ignore[arg-type]
    steps = list(sample(network(), [0, 3], settings, np.random.default_rng(seed), count, NEVER, END))
    return [tuple(step[text] for step in steps if step[text] is not None) for text in range(count)]


def test_the_same_seed_gives_the_same_texts_and_another_seed_different_ones():
    assert drawn_texts(50, seed=1) == drawn_texts(50, seed=1) != drawn_texts(50, seed=2)


def test_texts_stop_at_the_end_and_contain_no_forbidden_ids():
    for text in drawn_texts(300):
        assert END not in text[:-1]
        assert not set(text) & set(NEVER)
        assert len(text) == 3 or text[-1] == END


def test_texts_are_drawn_with_their_probabilities():
    texts, model = drawn_texts(20_000, length=2), network()
    expected: dict[tuple[int, ...], float] = {}
    for first, second in itertools.product(range(V), repeat=2):
        log_probabilities, _ = model.log_probabilities(np.array([[0], [3], [first]]), model.zero_state(1))
        p = np.exp(log_probabilities[1:, 0])
        p[:, NEVER] = 0
        p /= p.sum(axis=1, keepdims=True)
        key = (END,) if first == END else (first, second)
        expected[key] = p[0, first] if first == END else p[0, first] * p[1, second]
    for text, probability in expected.items():
        margin = 5 * (probability * (1 - probability) / len(texts)) ** 0.5 + 1e-9
        assert abs(texts.count(text) / len(texts) - probability) <= margin, text


def enumerated(model: Network, length: int) -> list[tuple[list[int], float]]:
    """Return every continuation of <s> with its log probability, best first."""
    found = {}
    for ids in itertools.product(range(V), repeat=length):
        cut = ids[: ids.index(END) + 1] if END in ids else ids
        if set(cut) & set(NEVER):
            continue
        inputs = np.array([[0], *[[i] for i in cut[:-1]]])
        nats, _ = model.nats(inputs, np.array(cut)[:, None], model.zero_state(1))
        found[cut] = -float(nats.sum())
    return [(list(ids), score) for ids, score in sorted(found.items(), key=lambda item: -item[1])]


@pytest.mark.parametrize("cell", CELLS)
def test_a_wide_beam_agrees_with_enumeration(cell: str):
    model = network(cell)
    expected = enumerated(model, 4)[:8]
    found = beam_search(model, [0], 4, 200, NEVER, END)[:8]
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_narrow_beam_returns_correct_scores_in_order(width: int):
    model = network()
    expected = {tuple(ids): score for ids, score in enumerated(model, 4)}
    found = beam_search(model, [0], 4, width, NEVER, END)
    assert 1 <= len(found) <= width
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    for ids, score in found:
        assert score == pytest.approx(expected[tuple(ids)])


def test_without_an_end_every_text_has_full_length():
    assert all(len(ids) == 5 for ids, _ in beam_search(network(), [0], 5, 3, [0, 1, 2], None))
