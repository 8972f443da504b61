"""Generate ids by sampling or beam search."""

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnlm.errors import RnnlmError, shown
from rnnlm.inference.model import Array, SequenceModel, finished, read_prefix
from rnnlm.schema import whole_number


@dataclass(frozen=True)
class SamplingOptions:
    """Options for sampling the next id.

    temperature: divides the log probabilities; 0 always takes the most probable id. top_k: sample from the k most
    probable ids only (0: all). top_p: sample from the fewest most probable ids whose probabilities add up to this
    (Holtzman et al. 2019; 1: all). repetition_penalty: multiplies the log probability of ids that occurred before
    (Keskar et al. 2019; 1: no penalty). length: largest number of new ids.
    """

    length: int = 200
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            RnnlmError: An option is out of range.
        """
        whole, number = "a whole number from 0 on", "a finite number"
        checks = {
            "length": (whole_number(self.length) is not None and self.length >= 0, whole),
            "temperature": (0 <= self.temperature < math.inf, f"{number} from 0 on"),
            "top_k": (whole_number(self.top_k) is not None and self.top_k >= 0, whole),
            "top_p": (0 < self.top_p <= 1, "a number above 0 and at most 1"),
            "repetition_penalty": (0 < self.repetition_penalty < math.inf, f"{number} above 0"),
        }
        for name, (fits, expected) in checks.items():
            if not fits:
                raise RnnlmError(f"{name} is {shown(getattr(self, name))}; expected {expected}.")


def next_distribution(log_probabilities: Array, options: SamplingOptions, seen: Array, never: Sequence[int]) -> Array:
    """Apply the options to the log probabilities (B, V) of a model; return probabilities (B, V) that sum to one.

    seen (B, V): true for ids that were read or generated before. Ids in `never` get probability zero.
    """
    scores = log_probabilities.astype(np.float64)
    if options.repetition_penalty != 1:
        scores = np.where(seen, scores * options.repetition_penalty, scores)
    scores[:, list(never)] = -np.inf
    if options.temperature == 0:
        probabilities = np.zeros_like(scores)
        probabilities[np.arange(len(scores)), scores.argmax(axis=1)] = 1
        return probabilities
    scores -= scores.max(axis=1, keepdims=True)  # the best is 0, which no temperature changes
    with np.errstate(over="ignore"):  # with a temperature near 0, all other scores may become -inf
        scores /= options.temperature
    if 0 < options.top_k < scores.shape[1]:
        threshold = np.partition(scores, -options.top_k, axis=1)[:, [-options.top_k]]
        scores = np.where(scores >= threshold, scores, -np.inf)
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if options.top_p < 1:
        probabilities = _nucleus(probabilities, options.top_p)
    return probabilities


def _nucleus(probabilities: Array, top_p: float) -> Array:
    """Keep the fewest most probable ids whose probabilities add up to `top_p`; set the others to zero."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked  # probability of all that rank higher
    ranked[before >= top_p] = 0
    kept = np.empty_like(ranked)
    np.put_along_axis(kept, order, ranked, axis=1)
    kept /= kept.sum(axis=1, keepdims=True)
    return kept


def sample(
    model: SequenceModel,
    prefix: Sequence[int],
    options: SamplingOptions,
    rng: np.random.Generator,
    count: int,
    never: Sequence[int],
    end: int | None,
) -> Iterator[list[int | None]]:
    """Sample `count` continuations of a prefix in parallel; the prefix is read only once.

    The first id of the prefix, such as <s>, has no repetition penalty.

    Yields, step by step, the next id of each text: `end` if the text ends there, None after that. The ids drawn for a
    text do not depend on when others end.
    """
    log_probabilities, state = read_prefix(model, prefix)
    steps = continuations(model, prefix, log_probabilities, state, options, rng, count, never, end)
    return (drawn for drawn, _ in steps)


def continuations(
    model: SequenceModel,
    prefix: Sequence[int],
    log_probabilities: Array,
    state: Array,
    options: SamplingOptions,
    rng: np.random.Generator,
    count: int,
    never: Sequence[int],
    end: int | None,
) -> Iterator[tuple[list[int | None], Array]]:
    """Sample continuations of a prefix that was read, given the log probabilities (1, V) and the state after it.

    Yields the next id of each text, as `sample` does, and the log probabilities (count, V) of the model, to which the
    options are not applied.
    """
    log_probabilities = np.repeat(log_probabilities, count, axis=0)
    state = np.repeat(state, count, axis=-2)
    seen = np.zeros(log_probabilities.shape, dtype=bool)
    seen[:, list(prefix[1:])] = True
    ended = np.zeros(count, dtype=bool)
    for _ in range(options.length):
        probabilities = next_distribution(log_probabilities, options, seen, never)
        drawn = _draw(probabilities, rng)
        yield [None if gone else int(each) for gone, each in zip(ended, drawn, strict=True)], log_probabilities
        if end is not None:
            ended |= drawn == end
        if ended.all():
            return
        seen[np.arange(count), drawn] = True
        log_probabilities, state = model.next_log_probabilities(drawn[None], state)


def _draw(probabilities: Array, rng: np.random.Generator) -> Array:
    """Draw an id from each row (B, V), where its cumulative sum exceeds a uniform random number; returns (B,)."""
    cumulative = np.cumsum(probabilities, axis=1)
    drawn = rng.random((len(probabilities), 1)) * cumulative[:, -1:]
    return np.minimum((cumulative <= drawn).sum(axis=1), probabilities.shape[1] - 1)


class Beam(NamedTuple):
    """A continuation: the index of its start, its ids and its log probability in nats."""

    start: int
    ids: list[int]
    score: float


def beam_search(
    model: SequenceModel, prefix: Sequence[int], length: int, width: int, never: Sequence[int], end: int | None
) -> list[tuple[list[int], float]]:
    """Return up to `width` most probable continuations by beam search, best first, and their log probabilities in nats.

    A continuation is complete when it ends with `end` or has `length` ids.
    """
    log_probabilities, state = read_prefix(model, prefix)
    found = finished(beam_steps(model, log_probabilities.astype(np.float64), state, length, width, never, end))
    return [(beam.ids, beam.score) for beam in found]


def beam_steps(
    model: SequenceModel,
    scores: Array,
    state: Array,
    length: int,
    width: int,
    never: Sequence[int],
    end: int | None,
) -> Generator[None, None, list[Beam]]:
    """Search for the best continuations of several starts together; yields after every step, returns them, best first.

    scores: (starts, V) float64, log probabilities of the first ids in nats plus the score of each start; -inf excludes
    an id. state: the state after the starts, one column each. Other arguments: see `beam_search`.
    """
    beams = [Beam(start, [], 0.0) for start in range(len(scores))]
    complete: list[Beam] = []
    for _ in range(length):
        scores[:, list(never)] = -np.inf
        scores += np.array([[beam.score] for beam in beams])
        grown: list[Beam] = []
        parents: list[int] = []
        for place in largest(scores, 2 * width):
            parent, token = divmod(int(place), scores.shape[1])
            candidate = Beam(beams[parent].start, [*beams[parent].ids, token], float(scores[parent, token]))
            if token == end:
                complete.append(candidate)
            elif len(grown) < width:
                grown.append(candidate)
                parents.append(parent)
        complete = sorted(complete, key=lambda found: -found.score)[:width]
        # Scores only decrease, so incomplete beams cannot overtake a full list of better complete ones.
        if not grown or (len(complete) == width and complete[-1].score >= grown[0].score):
            return complete
        beams = grown
        if len(beams[0].ids) == length:
            break
        yield
        last = np.array([[beam.ids[-1] for beam in beams]])
        rows, state = model.next_log_probabilities(last, np.take(state, parents, axis=-2))
        scores = rows.astype(np.float64)
    return sorted(complete + beams, key=lambda found: -found.score)[:width]


def largest(scores: Array, number: int) -> Array:
    """Return flat indices of up to `number` largest finite entries, in descending order; stable for equal entries."""
    flat = scores.reshape(-1)
    least = -np.inf
    if number < flat.size:  # select before sorting, to save time and memory
        least = np.partition(flat, flat.size - number)[flat.size - number]
    places = np.flatnonzero((flat >= least) & np.isfinite(flat))
    return places[np.argsort(-flat[places], kind="stable")][:number]
