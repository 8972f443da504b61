"""Interpolated modified Kneser-Ney n-gram models of order 1 to 6; `kneser_ney` estimates them.

Storage: the n-grams of order k are a sorted array of keys (index of the first k - 1 words among the n-grams of order
k - 1) * V + last word, and parallel arrays of interpolated log probabilities and back-off weights ln gamma. Order 1 has
one entry for each word, so its index is the word's id. Looking up a word after a context is a binary search, done for
all positions of a text at once.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnlm.baselines.kneser_ney import count, cutoff, estimate, with_starts
from rnnlm.baselines.levels import Level, picked
from rnnlm.errors import CheckpointError, TrainingError
from rnnlm.nn.numerics import Array
from rnnlm.sentences import Sentence
from rnnlm.text.vocabulary import BOS, EOS

LARGEST_ORDER = 6
MANY = 4  # least number of contexts to compute together, order by order, instead of one after the other
LARGEST_BACKOFF = 99 * np.log(10)  # largest absolute back-off weight in a file
LOG_MISSING = -100 * np.log(10)  # KenLM's value for <unk> if an ARPA file lacks it; the smallest that is stored
ROUNDING = 1e-3  # nats by which a log probability in a file may exceed ln 1, because of rounding to four digits
CHECKED = 1 << 18  # number of probabilities to check before a model from a file is used
DOUBTFUL = 0.6  # warn if a sum of probabilities differs from 1 by more; files cut by hand sum to less than 1


class NgramModel:
    """An n-gram model with the interface of `inference.model.SequenceModel`.

    A state (B, order) holds, for each column, the index of the last k words among the stored n-grams of order k, or -1.
    """

    kind, noun = "ngram", "an n-gram model"
    reads_at_once = True  # all steps of a column are computed at once, so lines are best read as one column

    def __init__(self, V: int, levels: list[Level]) -> None:
        """Wrap the levels of order 1, 2, ..."""
        self.vocabulary_size, self.levels = V, levels
        # If no bigram begins with <s>, the text was a stream of lines, in which </s> precedes each line.
        is_stream = len(levels) > 1 and len(levels[1].keys) > 0 and levels[1].keys[0] >= V
        self._start = EOS if is_stream else BOS

    def describe(self) -> str:
        """Return a short description, such as "3-gram"."""
        return f"{self.order}-gram"

    def to_file(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the header fields and the arrays to store in a checkpoint."""
        return {"order": self.order}, self.arrays()

    @property
    def order(self) -> int:
        """Highest order n."""
        return len(self.levels)

    def words(self, k: int, index: Array) -> Array:
        """Return the words (n, k) of n-grams of order k, given their indices (n,)."""
        words = np.empty((len(index), k), dtype=np.int64)
        for place in range(k - 1, -1, -1):
            index, words[:, place] = np.divmod(self.levels[place].keys[index], self.vocabulary_size)
        return words

    def ngram_counts(self) -> list[int]:
        """Return the number of stored n-grams of order 1, 2, ..."""
        return [len(level.keys) for level in self.levels]

    def context_counts(self) -> list[int]:
        """Return the number of different contexts of 0, 1, ... words that have stored n-grams."""
        V = self.vocabulary_size
        return [1, *(len(np.unique(level.keys // V)) for level in self.levels[1:])]

    # --- training -------------------------------------------------------------------------------------------------

    @classmethod
    def train(cls, ids: Array, V: int, order: int, context: str = "sentence", most: int | None = None) -> "NgramModel":
        """Estimate a model from ids (N,), in which </s> ends a line, with a vocabulary of size V.

        context: "sentence" starts every line at <s>. "stream" treats </s> like a word; the model then reads <s> as
        </s>.
        most: approximate number of n-grams to store. If there are more, the rarest n-grams of order 3 and above are
        counted but not stored; the model backs off for their words.

        Raises:
            TrainingError: The order is out of range, or the text is empty.
        """
        if not 1 <= order <= LARGEST_ORDER:
            raise TrainingError(f"--order is {order}; n-gram models of order 1 to {LARGEST_ORDER} can be trained.")
        if not len(ids):
            raise TrainingError("The training text has no tokens; an n-gram model needs some.")
        tables = count(with_starts(ids, context), V, order)
        return cls(V, estimate(tables, V, cutoff(tables, most)))

    # --- inference: see SequenceModel -----------------------------------------------------------------------------

    def zero_state(self, batch_size: int) -> Array:
        """Return the state before any input: no context of any length."""
        return np.full((batch_size, self.order), -1, dtype=np.int64)

    def contexts(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """Return the states before the first and after each input, (T + 1, B, order): indices of the last k words.

        The last k words are the input and the last k - 1 words before it, so each order is looked up for all steps at
        once. <s> clears the context, as stored n-grams contain it only at their beginning.
        """
        T, B = inputs.shape
        inputs = self._read(inputs)
        contexts = np.empty((T + 1, B, self.order), dtype=np.int64)
        contexts[0] = state
        contexts[1:, :, 0] = inputs
        for k in range(1, self.order):
            found = self.levels[k].find(contexts[:-1, :, k - 1], inputs, self.vocabulary_size)
            contexts[1:, :, k] = found if keep is None else np.where(keep[:, :, 0] > 0, found, -1)
        return contexts

    def _read(self, inputs: Array) -> Array:
        """Return inputs, with <s> replaced by </s> in a model of a stream of lines."""
        return inputs if self._start == BOS else np.where(inputs == BOS, self._start, inputs)

    def context_lengths(self, contexts: Array) -> Array:
        """Return the length (...) of the longest known context, 0 to order - 1, of each of contexts (..., order)."""
        return ((contexts[..., :-1] >= 0) * np.arange(1, self.order)).max(axis=-1, initial=0)

    def located(self, inputs: Array, targets: Array, state: Array, keep: Array | None) -> tuple[Array, Array]:
        """Return `contexts`, and the indices (T, B, order) of the n-grams of the last k - 1 words and each target.

        Most targets are the next input, so the index found for a target is reused as the next context.
        """
        inputs = self._read(inputs)
        contexts = np.empty((len(inputs) + 1, *targets.shape[1:], self.order), dtype=np.int64)
        found = np.empty((*targets.shape, self.order), dtype=np.int64)
        contexts[0], contexts[1:, :, 0], found[:, :, 0] = state, inputs, targets
        anew = np.ones(inputs.shape, dtype=bool)
        anew[1:] = inputs[1:] != targets[:-1]
        for k in range(1, self.order):
            find, before, now = self.levels[k].find, contexts[:, :, k - 1], contexts[1:, :, k]
            found[:, :, k] = find(before[1:], targets, self.vocabulary_size)
            now[1:] = found[:-1, :, k]
            now[anew] = find(before[:-1][anew], inputs[anew], self.vocabulary_size)
            if keep is not None:
                now[keep[:, :, 0] == 0] = -1
        return contexts, found

    def nats(self, inputs: Array, targets: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Negative log probability of each target (T, B), and the state after the last input.

        The probability is that of the longest stored n-gram, times the back-off weights of the longer contexts.
        """
        contexts, found = self.located(inputs, targets, state, keep)
        return self.nats_of(targets, contexts, found), contexts[-1]

    def nats_of(self, targets: Array, contexts: Array, found: Array) -> Array:
        """Negative log probability of each target (T, B), from the results of `located`."""
        result = self.levels[0].log_probability[targets].astype(np.float64)
        for k in range(1, self.order):
            backed_off = result + picked(self.levels[k - 1].backoff, contexts[1:, :, k - 1])
            result = np.where(found[:, :, k] >= 0, picked(self.levels[k].log_probability, found[:, :, k]), backed_off)
        if result.max(initial=0) > ROUNDING:
            raise CheckpointError(
                f"The n-gram model gives a token the probability {np.exp(result.max()):.3g}, more than 1: its back-off "
                "weights are not those of its probabilities. Estimate it again, or use another copy of its file."
            )
        return -result

    def log_probabilities(self, inputs: Array, state: Array, keep: Array | None = None) -> tuple[Array, Array]:
        """Log probability of every id after each input (T, B, V), and the state after the last."""
        contexts = self.contexts(inputs, state, keep)
        return self.rows(contexts[1:]), contexts[-1]

    def next_log_probabilities(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Log probability of every id after the last input (B, V), and the state after it."""
        contexts = self.contexts(inputs, state)
        return self.rows(contexts[-1]), contexts[-1]

    def rows(self, contexts: Array) -> Array:
        """Log probability of every id, (..., V), after contexts (..., order)."""
        rows = [self._row(context) for context in contexts.reshape(-1, self.order)]
        return np.array(rows).reshape(*contexts.shape[:-1], self.vocabulary_size)

    def advance(self, inputs: Array, state: Array, keep: Array | None = None) -> Array:
        """Return the state after reading inputs (T, B)."""
        return self.contexts(inputs, state, keep)[-1]

    def entries(self, state: Array, columns: Array, ids: Array) -> Array:
        """Log probability (n,) of ids[i] after column columns[i] of a state; does not compute whole rows."""
        contexts, found = state[columns], np.empty((len(ids), self.order), dtype=np.int64)
        found[:, 0] = ids
        for k in range(1, self.order):
            found[:, k] = self.levels[k].find(contexts[:, k - 1], ids, self.vocabulary_size)
        return -self.nats_of(ids[None], np.stack([contexts, contexts]), found[None])[0]

    def probabilities(self, contexts: Array) -> Array:
        """Probability of every id, (..., V) float32, after contexts (..., order); faster than exp of `rows`."""
        rows = np.empty((*contexts.shape[:-1], self.vocabulary_size), dtype=np.float32)
        flat, contexts = rows.reshape(-1, self.vocabulary_size), contexts.reshape(-1, self.order)
        if len(contexts) >= MANY:
            self._fill(flat, contexts)
            return rows
        single = np.exp(self.levels[0].log_probability)
        for row, context in zip(flat, contexts, strict=True):
            backed_off, stored = self._after(context)
            np.multiply(single, np.float32(np.exp(backed_off)), out=row)
            for words, log_probability in stored:
                row[words] = np.exp(log_probability)
        return rows

    def _fill(self, rows: Array, contexts: Array) -> None:
        """Write the probabilities after contexts (n, order) to rows (n, V), one order at a time for all contexts."""
        backoffs = np.zeros(contexts.shape)  # index k: sum of the back-off weights of contexts of more than k words
        for k in range(self.order - 2, -1, -1):
            backoffs[:, k] = backoffs[:, k + 1] + picked(self.levels[k].backoff, contexts[:, k])
        single = np.exp(self.levels[0].log_probability)
        np.multiply(single, np.exp(backoffs[:, :1]).astype(np.float32), out=rows)
        for k in range(1, self.order):
            level, known = self.levels[k], np.flatnonzero(contexts[:, k - 1] >= 0)
            first_keys = contexts[known, k - 1] * self.vocabulary_size
            first = np.searchsorted(level.keys, first_keys)
            counts = np.searchsorted(level.keys, first_keys + self.vocabulary_size) - first
            of = np.repeat(np.arange(len(known)), counts)  # for each stored word, its context as an index into known
            places = np.arange(len(of)) + (first - (np.cumsum(counts) - counts))[of]
            probabilities = np.exp(level.log_probability[places] + backoffs[known[of], k])
            rows[known[of], level.keys[places] - first_keys[of]] = probabilities

    def _row(self, context: Array) -> Array:
        """Log probability of every word, (V,), after one context."""
        backed_off, stored = self._after(context)
        row = self.levels[0].log_probability + np.float64(backed_off)
        for words, log_probability in stored:
            row[words] = log_probability
        return row

    def _after(self, context: Array) -> tuple[float, list[tuple[Array, Array]]]:
        """Return the sum of all back-off weights of a context, which applies to order 1, and the words stored after it.

        The words are those after its last word, its last two words, and so on, with their log probabilities after
        backing off; those of longer contexts override those of shorter ones.
        """
        # An ARPA file may list a context of k words without that of its last k - 1 words.
        known = [k for k in range(1, self.order) if context[k - 1] >= 0]
        backoffs = [float(self.levels[k - 1].backoff[context[k - 1]]) for k in known]
        stored = []
        for place, k in enumerate(known, 1):
            level, first_key = self.levels[k], context[k - 1] * self.vocabulary_size
            first, last = np.searchsorted(level.keys, [first_key, first_key + self.vocabulary_size])
            words = level.keys[first:last] - first_key
            stored.append((words, level.log_probability[first:last] + np.float64(sum(backoffs[place:]))))
        return sum(backoffs), stored

    def check_rows(self, token: Callable[[int], str]) -> list[str]:
        """Sum the probabilities after some contexts: those with the largest back-off weights, and others.

        Returns a list with a warning if a sum is far from 1, as in a file whose logarithms have another base. token:
        returns the token of an id.

        Raises:
            CheckpointError: A probability is greater than 1, for instance because of a wrong sign.
        """
        most = max(2, CHECKED // (self.vocabulary_size * self.order))
        contexts = np.concatenate([self.zero_state(1), *(self._some_contexts(k, most) for k in range(1, self.order))])
        rows = np.array([self._row(context) for context in contexts])
        rows[:, BOS] = -np.inf  # <s> is never predicted, so its probability in a file does not matter
        sums = np.exp(np.minimum(rows, 700)).sum(axis=1)
        above = rows.max(axis=1)
        impossible = above.max() > ROUNDING
        worst = int(above.argmax() if impossible else np.abs(np.log(np.maximum(sums, 1e-300))).argmax())
        order = int(np.flatnonzero(contexts[worst] >= 0).max(initial=-1)) + 1
        words = self.words(order, contexts[worst, order - 1 : order])[0] if order else ()
        after = Sentence("after {tokens}" if order else "without a context", tokens=" ".join(map(token, words)))
        if impossible:
            raise CheckpointError(
                f"{token(int(rows[worst].argmax()))} has the probability {np.exp(above[worst]):.3g} {after}, more than "
                "1. The back-off weights or signs of this n-gram model are wrong; estimate it again"
            )
        if abs(sums[worst] - 1) <= DOUBTFUL:
            return []
        return [
            Sentence(
                "the probabilities of the n-gram model sum to {sum} {after}, not to 1, so that its perplexity cannot "
                "be compared with that of another model. Are its logarithms to base 10, and its back-off weights those "
                "of its n-grams?",
                sum=f"{sums[worst]:.3g}",
                after=after,
            )
        ]

    def _some_contexts(self, k: int, most: int) -> Array:
        """Return the states (n, order) after about `most` n-grams of order k."""
        backoff = self.levels[k - 1].backoff
        heavy = np.argpartition(-backoff, min(most, len(backoff)) // 2)[: most // 2] if len(backoff) else ()
        even = np.arange(0, len(backoff), max(1, 2 * len(backoff) // most))
        words = self.words(k, np.union1d(heavy, even).astype(np.int64))
        words = words[words[:, -1] != EOS]  # nothing is predicted after </s>
        return self.contexts(words.T, self.zero_state(len(words)))[-1]

    # --- storage --------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """Return the arrays to store in a checkpoint."""
        return {
            f"ngram.{k}.{name}": getattr(level, name)
            for k, level in enumerate(self.levels, 1)
            for name in ("keys", "log_probability", "backoff")
        }

    @classmethod
    def from_arrays(cls, V: int, order: Any, arrays: Mapping[str, Array]) -> "NgramModel":
        """Build a model from the arrays of a checkpoint.

        Raises:
            CheckpointError: Arrays are missing or inconsistent.
        """
        damaged = CheckpointError("The n-gram tables of the checkpoint do not fit together; it is damaged.")
        if type(order) is not int or not 1 <= order <= LARGEST_ORDER or len(arrays) != 3 * order:
            raise damaged
        levels, below = [], 1
        for k in range(1, order + 1):
            try:
                level = Level(*(arrays[f"ngram.{k}.{name}"] for name in ("keys", "log_probability", "backoff")))
            except KeyError:
                raise damaged from None
            keys = level.keys
            if (
                keys.ndim != 1
                or keys.dtype != np.int64
                or any(a.shape != keys.shape or a.dtype != np.float32 for a in (level.log_probability, level.backoff))
                or not (level.log_probability <= 0).all()
                or not (level.log_probability >= np.float32(LOG_MISSING)).all()
                or not (abs(level.backoff) <= LARGEST_BACKOFF).all()
                or (k == 1 and len(keys) != V)
                # Compare keys instead of subtracting them, as a difference may overflow.
                or (len(keys) and (keys[0] < 0 or keys[-1] >= below * V or (keys[1:] <= keys[:-1]).any()))
            ):
                raise damaged
            levels.append(level)
            below = len(keys)
        return cls(V, levels)
