"""Tokens <-> ids. Three ids are no text: <s> before a sentence, </s> after it, <unk> for what is not known."""

import bisect
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlm.errors import VocabularyError

BOS, EOS, UNK = 0, 1, 2
SPECIALS = ("<s>", "</s>", "<unk>")
FIRST = len(SPECIALS)  # id of the first token of text
UNKNOWN = ("<unk>", "<UNK>")  # how a text of ready-made tokens writes the unknown one
MOST_COUNTED = 1 << 53  # times that a token of a checkpoint can have been there: as large as a float is exact


def code_points(text: str) -> NDArray[Any]:
    """The code points of a text (n,), in the smallest type of 8, 16 or 32 bits that is quick to get.

    >>> code_points("a我")
    array([   97, 25105], dtype=uint16)
    """
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    encoded = text.encode("utf-16-le", "surrogatepass")
    if len(encoded) == 2 * len(text):  # no code point takes two units
        return np.frombuffer(encoded, dtype="<u2")
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


class Vocabulary:
    """The known tokens, ids from 3 on, with their counts in the training text.

    A text that spells "</s>" has an ordinary token there, which is never id 1. A token <unk> or <UNK> has id 2;
    `unknown` is how often the training text has it, and if it does, <unk> is text that a model may write.

    >>> vocabulary = Vocabulary(["我", "昨天"], [5, 2])
    >>> vocabulary.encode(["昨天", "我", "</s>"])
    array([4, 3, 2], dtype=int32)
    >>> len(vocabulary), vocabulary.token(4), vocabulary.token(2)
    (5, '昨天', '<unk>')

    Raises:
        VocabularyError: there is no token, one of them is twice there, or a count is missing.
    """

    def __init__(self, tokens: Sequence[str], counts: Sequence[int], unknown: int = 0) -> None:
        self.tokens, self.counts, self.unknown = list(tokens), [int(count) for count in counts], int(unknown)
        self._ids = {token: FIRST + place for place, token in enumerate(self.tokens)}
        self._code_points: NDArray[np.int32] | None = None
        self._sorted: list[str] | None = None
        if not self.tokens or len(self.tokens) != len(self.counts) or len(self._ids) != len(self.tokens):
            raise VocabularyError(
                f"A vocabulary of {len(self.tokens):,} tokens, {len(self._ids):,} of them different, with "
                f"{len(self.counts):,} counts; expected at least one token, each once and with its count."
            )

    @classmethod
    def build(
        cls, tokens: Sequence[str], counts: NDArray[np.int64], min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """Vocabulary of a training text: the most frequent tokens first, equally frequent ones as they are given.

        Args:
            tokens: All tokens of the text, each once, in order of appearance.
            counts: (len(tokens),) How often each is in the training part; those at 0 are left out.
            min_count: Rarer tokens are left out.
            max_size: Largest length, the three specials included.

        Raises:
            VocabularyError: no token is left.
        """
        written = [place for place, token in enumerate(tokens) if token in UNKNOWN]
        unknown, counts = counts[written].sum(), counts.copy()
        counts[written] = 0
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] >= max(1, min_count)]
        if max_size is not None:
            order = order[: max(0, max_size - FIRST)]
        if not len(order):
            size = (
                "" if max_size is None else f" and --vocab-size {max_size}, of which {FIRST} are {' '.join(SPECIALS)}"
            )
            raise VocabularyError(
                f"No token is left with --min-count {min_count}{size}; the most frequent of {len(tokens):,} is there "
                f"{int(counts.max(initial=0)):,} times. Use a smaller --min-count or a larger --vocab-size."
            )
        return cls([tokens[place] for place in order], counts[order].tolist(), unknown)

    def __len__(self) -> int:
        """Number of ids, the three specials included: V."""
        return FIRST + len(self.tokens)

    def __eq__(self, other: object) -> bool:
        """Whether the same tokens have the same ids and counts."""
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return (self.tokens, self.counts, self.unknown) == (other.tokens, other.counts, other.unknown)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self):,} ids: {' '.join(self.tokens[:5])} ...>"

    def token(self, token_id: int) -> str:
        """The token of an id; <s>, </s> and <unk> by their names."""
        return SPECIALS[token_id] if token_id < FIRST else self.tokens[token_id - FIRST]

    def encode(self, tokens: Iterable[str]) -> NDArray[np.int32]:
        """Ids of tokens (n,), unknown ones as <unk>. A string is its characters, and fast."""
        if isinstance(tokens, str):
            return self._encode_characters(tokens)
        return np.fromiter(map(self._ids.get, tokens, itertools.repeat(UNK)), dtype=np.int32)

    def _encode_characters(self, text: str) -> NDArray[np.int32]:
        if self._code_points is None:
            # Indexed by code point; the last entry, UNK, stands for all that are larger.
            known = {ord(token): place for token, place in self._ids.items() if len(token) == 1}
            self._code_points = np.full(max(known, default=0) + 2, UNK, dtype=np.int32)
            self._code_points[list(known)] = list(known.values())
        ids: NDArray[np.int32] = self._code_points.take(code_points(text), mode="clip")
        return ids

    def beginning_with(self, prefix: str) -> NDArray[np.int32]:
        """Ids (n,) of the tokens that begin with a text, in the order of their letters."""
        if self._sorted is None:
            self._sorted = sorted(self.tokens)
        start = bisect.bisect_left(self._sorted, prefix)
        found = itertools.takewhile(lambda token: token.startswith(prefix), itertools.islice(self._sorted, start, None))
        return np.array([self._ids[token] for token in found], dtype=np.int32)

    def coverage(self, counts: NDArray[np.int64]) -> float:
        """Share of the training text's tokens that are known; `counts` are those that `build` was given."""
        return sum(self.counts) / max(1, int(counts.sum()))

    def to_header(self) -> dict[str, Any]:
        """JSON form for a checkpoint: tokens and counts, in the order of the ids, and `unknown` if it is not 0."""
        return {"tokens": self.tokens, "counts": self.counts} | ({"unknown": self.unknown} if self.unknown else {})

    @classmethod
    def from_header(cls, header: Any) -> "Vocabulary":
        """Vocabulary from its JSON form.

        Raises:
            VocabularyError: the form is not one that `to_header` gives.
        """
        tokens = header.get("tokens") if isinstance(header, dict) else None
        counts = header.get("counts") if isinstance(header, dict) else None
        if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
            raise VocabularyError("The checkpoint's vocabulary has no list of tokens; it is damaged.")
        unknown = header.get("unknown", 0)
        if not isinstance(counts, list) or not all(
            type(count) is int and 0 <= count <= MOST_COUNTED for count in [*counts, unknown]
        ):
            raise VocabularyError("The checkpoint's vocabulary has no list of counts, whole numbers; it is damaged.")
        return cls(tokens, counts, unknown)
