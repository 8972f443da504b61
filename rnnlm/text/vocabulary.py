"""The vocabulary: tokens and their ids, after the special ids of <s> (begin), </s> (end) and <unk> (unknown token)."""

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
UNKNOWN = ("<unk>", "<UNK>")  # spellings of the unknown token in a text of ready-made tokens
MOST_COUNTED = 1 << 53  # largest count in a checkpoint: up to it, floats represent whole numbers exactly


def code_points(text: str) -> NDArray[Any]:
    """Return the code points of a text (n,), as 8, 16 or 32 bits: the narrowest type that is fast to obtain.

    >>> code_points("a我")
    array([   97, 25105], dtype=uint16)
    """
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    encoded = text.encode("utf-16-le", "surrogatepass")
    if len(encoded) == 2 * len(text):  # there are no surrogate pairs
        return np.frombuffer(encoded, dtype="<u2")
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


class Vocabulary:
    """The known tokens, with ids from 3 on, and their counts in the training text.

    A "</s>" spelt in a text is an ordinary token, never id 1. The tokens <unk> and <UNK> have id 2; `unknown` is their
    count in the training text. If it is not 0, a model may generate <unk>.

    >>> vocabulary = Vocabulary(["我", "昨天"], [5, 2])
    >>> vocabulary.encode(["昨天", "我", "</s>"])
    array([4, 3, 2], dtype=int32)
    >>> len(vocabulary), vocabulary.token(4), vocabulary.token(2)
    (5, '昨天', '<unk>')

    Raises:
        VocabularyError: There is no token, a token is repeated, or a count is missing.
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
        """Build the vocabulary of a training text, with the most frequent tokens first; ties keep the given order.

        Args:
            tokens: All tokens of the text, each once, in order of appearance.
            counts: (len(tokens),) Count of each token in the training part; tokens with count 0 are left out.
            min_count: Smallest count of a token that is kept.
            max_size: Largest number of ids, including the three special ones; None for no limit.

        Raises:
            VocabularyError: No token is left.
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
        """Return the number of ids V, including the three special ones."""
        return FIRST + len(self.tokens)

    def __eq__(self, other: object) -> bool:
        """Return whether two vocabularies have the same tokens, ids and counts."""
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return (self.tokens, self.counts, self.unknown) == (other.tokens, other.counts, other.unknown)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self):,} ids: {' '.join(self.tokens[:5])} ...>"

    def token(self, token_id: int) -> str:
        """Return the token of an id; "<s>", "</s>" or "<unk>" for the special ids."""
        return SPECIALS[token_id] if token_id < FIRST else self.tokens[token_id - FIRST]

    def encode(self, tokens: Iterable[str]) -> NDArray[np.int32]:
        """Return the ids of tokens (n,), UNK for unknown ones. A string is read as its characters, by a fast path."""
        if isinstance(tokens, str):
            return self._encode_characters(tokens)
        return np.fromiter(map(self._ids.get, tokens, itertools.repeat(UNK)), dtype=np.int32)

    def _encode_characters(self, text: str) -> NDArray[np.int32]:
        if self._code_points is None:
            # Indexed by code point; the last entry, UNK, stands for all larger code points.
            known = {ord(token): place for token, place in self._ids.items() if len(token) == 1}
            self._code_points = np.full(max(known, default=0) + 2, UNK, dtype=np.int32)
            self._code_points[list(known)] = list(known.values())
        ids: NDArray[np.int32] = self._code_points.take(code_points(text), mode="clip")
        return ids

    def beginning_with(self, prefix: str) -> NDArray[np.int32]:
        """Return the ids (n,) of the tokens that begin with a prefix, in the order of their code points."""
        if self._sorted is None:
            self._sorted = sorted(self.tokens)
        start = bisect.bisect_left(self._sorted, prefix)
        found = itertools.takewhile(lambda token: token.startswith(prefix), itertools.islice(self._sorted, start, None))
        return np.array([self._ids[token] for token in found], dtype=np.int32)

    def coverage(self, counts: NDArray[np.int64]) -> float:
        """Return the share of the training text's tokens that are known; `counts`: as for `build`."""
        return sum(self.counts) / max(1, int(counts.sum()))

    def to_header(self) -> dict[str, Any]:
        """Return the JSON form for a checkpoint: tokens and counts in the order of ids, and `unknown` if not 0."""
        return {"tokens": self.tokens, "counts": self.counts} | ({"unknown": self.unknown} if self.unknown else {})

    @classmethod
    def from_header(cls, header: Any) -> "Vocabulary":
        """Return the vocabulary of a JSON form from `to_header`.

        Raises:
            VocabularyError: The form is malformed.
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
