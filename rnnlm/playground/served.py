"""A language model as the server asks it: text in, plain values out, and work cut into steps.

Answers are generators that stop at every yield, so that the server can let others have their turn, and give up what
nobody waits for any more.
"""

import contextlib
import functools
import math
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from rnnlm.errors import TokenizerError
from rnnlm.inference.lines import LOGITS
from rnnlm.inference.model import Array
from rnnlm.language_model import LanguageModel, Rendering, ScoredLine
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network
from rnnlm.playground.prefixes import PrefixReader
from rnnlm.text.vocabulary import BOS, EOS, SPECIALS, UNK

Result = TypeVar("Result")
Work = Generator[None, None, Result]

REMEMBERED = 64 << 20  # bytes of states of a model
LINES_REMEMBERED = 1024
WINDOW = 64  # tokens whose distributions are made at a time
LONGEST_CHECKED = 256  # characters of a line up to which it is tried how a candidate is read after it
STEP_CHARACTERS = 2000  # of lines that are scored between two looks at the others' turns
WIDEST_BEAM, BEAM_LOGITS = 256, 1 << 21
FILLED_LOGITS = 1 << 28  # for a whole line: a second's work or two, which can not be interrupted
LARGEST_EXPONENT = 700.0


class Piece(NamedTuple):
    """A token of a text: the part of the text that it is, with the whitespace before it, the token and its id."""

    text: str
    token: str
    token_id: int


class ServedModel:
    """A model with its name and the memory of what it has read."""

    def __init__(self, name: str, model: LanguageModel) -> None:
        """Serve a model under a name."""
        self.name, self.model = name, model
        self.reader = None if self.bidirectional else PrefixReader(model.by_line, REMEMBERED)
        self._line_ids = functools.lru_cache(LINES_REMEMBERED)(self._ids_of_line)
        if model.tokenizer.options().get("jieba") is not None:  # loads its dictionary now, not under the first key
            with contextlib.suppress(TokenizerError):  # said when Chinese is asked for
                model.tokens("我昨天上学")

    @property
    def bidirectional(self) -> bool:
        """Whether it reads a text from both sides."""
        return isinstance(self.model.predictor, BidirectionalNetwork)

    @property
    def size(self) -> int:
        """Number of its ids, V."""
        return len(self.model.vocabulary)

    def described(self) -> dict[str, Any]:
        """What kind of model it is."""
        config = self.model.predictor.config if isinstance(self.model.predictor, Network) else None
        return {
            "level": self.model.level,
            "context": self.model.context,
            "kind": self.model.kind,
            "bidirectional": self.bidirectional,
            "cell": config.cell if config else None,
            "hidden_size": config.hidden_size if config else None,
            "num_layers": config.num_layers if config else None,
            "vocabulary": self.size,
        }

    # --- text <-> ids -------------------------------------------------------------------------------------------

    def _ids_of_line(self, line: str) -> Array:
        return self.model.vocabulary.encode(self.model.tokens(line))

    def ids(self, text: str) -> Array:
        """Ids of a text as the model was trained on it: lines end with </s>, blank ones are left out."""
        if not self.model.reads_lines:
            return self.model.vocabulary.encode(text)
        *lines, last = text.split("\n")
        parts = [part for line in lines if line.strip() for part in (self._line_ids(line), [EOS])]
        return np.concatenate([*parts, self._line_ids(last)]).astype(np.int32)

    def context(self, ids: Array) -> Array:
        """What the model reads before it predicts what follows ids: in sentences, the line that they end in."""
        if len(ids) and ids[0] == BOS:
            ids = ids[1:]
        if self.model.context == "sentence":
            ends = np.flatnonzero(ids == EOS)
            ids = ids[ends[-1] + 1 :] if len(ends) else ids
        return np.concatenate([[self.model.start], ids]).astype(np.int32)

    def pieces(self, text: str) -> list[Piece]:
        """The text cut at its tokens; joined, it is the text again. The ids are those of `ids`."""
        model, found, waiting = self.model, list[tuple[str, str, bool]](), ""
        lines = text.split("\n") if model.reads_lines else [text]
        for number, line in enumerate(lines, 1):
            is_last = number == len(lines)
            if not is_last and not line.strip():
                waiting += f"{line}\n"
                continue
            end = 0
            for token in model.tokens(line):
                start, end = end, line.index(token, end) + len(token)
                found.append((waiting + line[start:end], token, False))
                waiting = ""
            waiting += line[end:]
            if not is_last:
                found.append((f"{waiting}\n", SPECIALS[EOS], True))
                waiting = ""
        if waiting and found:
            found[-1] = (found[-1][0] + waiting, *found[-1][1:])
        ids = model.vocabulary.encode([token for _, token, _ in found])
        return [
            Piece(part, token, EOS if ends else int(each)) for (part, token, ends), each in zip(found, ids, strict=True)
        ]

    def candidate_texts(self, text: str, ids: list[int]) -> list[str]:
        """What has to be appended to a text so that each id is its next token."""
        if not self.model.reads_lines:
            return ["\n" if each == EOS else self.model.vocabulary.token(each) for each in ids]
        line = text.rpartition("\n")[2]
        tokens = self.model.tokens(line)
        rendering = Rendering(self.model, line)
        for each in self._line_ids(line):
            rendering.add(int(each))
        return ["\n" if each == EOS else self._appended(line, tokens, rendering.piece(each), each) for each in ids]

    def _appended(self, line: str, tokens: list[str], piece: str, token_id: int) -> str:
        """A token after a line: as it is usually written, or the other way if only so it is read as itself."""
        token = self.model.vocabulary.token(token_id)
        if self.model.level == "char" or not line or line[-1].isspace():
            return token
        if len(line) > LONGEST_CHECKED:
            return piece
        spaced = f" {token}"
        for form in (piece, spaced, token):
            if self.model.tokens(line + form) == [*tokens, token]:
                return form
        return piece

    # --- probabilities ------------------------------------------------------------------------------------------

    def read(self, ids: Array) -> Work[tuple[Array, Array]]:
        """Log probabilities of what follows ids, (1, V), and the state.

        Raises:
            DirectionError: the model is bidirectional.
        """
        if self.reader is None:
            self.model.causal  # noqa: B018 - it says why not
            raise AssertionError
        return self.reader.read(self.context(ids))

    def distributions(self, ids: Array) -> Iterator[tuple[int, Array]]:
        """For each window of ids its first place and the log probabilities (n, V) at its places, given those before."""
        causal, size = self.model.by_line, max(1, min(WINDOW, LOGITS // self.size))
        inputs = np.concatenate([[self.model.start], ids[:-1]])[:, None]
        keep = np.ones((len(inputs), 1, 1), dtype=np.float32)
        if self.model.context == "sentence":
            keep[1:][inputs[1:] == EOS] = 0
            inputs[1:][inputs[1:] == EOS] = BOS
        state = causal.zero_state(1)
        for start in range(0, len(ids), size):
            part = slice(start, start + size)
            log_probabilities, state = causal.log_probabilities(inputs[part], state, keep[part])
            yield start, log_probabilities[:, 0]

    # --- answers ------------------------------------------------------------------------------------------------

    def predict(self, text: str, k: int) -> Work[dict[str, Any]]:
        """The k most probable next tokens."""
        model = self.model
        log_probabilities, _ = yield from self.read(self.ids(text))
        ids = model.best(log_probabilities[0], k)
        read = text.rpartition("\n")[2] if model.context == "sentence" else text
        return {
            "context": text,
            "unknown": model.unknown_tokens(read),
            "candidates": [
                {
                    "token": model.vocabulary.token(each),
                    "probability": probability(log_probabilities[0, each]),
                    "text": more,
                }
                for each, more in zip(ids, self.candidate_texts(text, ids), strict=True)
            ],
        }

    def surprise(self, text: str, k: int) -> Work[dict[str, Any]]:
        """How surprised the model is by every token of a text, and k alternatives to each."""
        pieces, tokens, total = self.pieces(text), list[dict[str, Any]](), 0.0
        ids = np.array([piece.token_id for piece in pieces], dtype=np.int32)
        for start, rows in self.distributions(ids):
            for piece, row in zip(pieces[start:], rows, strict=False):
                tokens.append(self._surprise(piece, row, k))
                total += float(row[piece.token_id])
            yield
        mean = -total / len(tokens) if tokens else math.nan
        return {
            "tokens": tokens,
            "perplexity": math.exp(mean) if mean < LARGEST_EXPONENT else math.nan,
            "bits_per_char": -total / math.log(2) / len(text) if text else math.nan,
            "nats_per_token": mean,
        }

    def _surprise(self, piece: Piece, row: Array, k: int) -> dict[str, Any]:
        own = row[piece.token_id]
        token = self.model.vocabulary.token
        return {
            "text": piece.text,
            "token": piece.token,
            "probability": probability(own),
            "bits": -float(own) / math.log(2),
            "rank": 1 + int((row > own).sum()),
            "unknown": piece.token_id == UNK,
            "alternatives": [{"token": token(i), "probability": probability(row[i])} for i in self.model.best(row, k)],
        }

    def rank(self, candidates: list[str]) -> Work[dict[str, Any]]:
        """Lines ranked by their probability, and each one's share of it."""
        scored: list[ScoredLine] = []
        while len(scored) < len(candidates):
            lines, characters = list[str](), 0
            for line in candidates[len(scored) :]:
                characters += len(line)
                if lines and characters > STEP_CHARACTERS:
                    break
                lines.append(line.replace("\n", " "))
            scored += self.model.score(lines)  # the score of a line does not depend on those beside it
            yield
        nats = np.array([each.logprob_nats for each in scored])
        shares = np.exp(nats - nats.max())
        shares /= shares.sum()
        order = np.argsort(-nats, kind="stable")
        return {
            "candidates": [
                {
                    "text": candidates[place],
                    "logprob_nats": float(nats[place]),
                    "tokens": len(scored[place].tokens),
                    "oov": scored[place].oov,
                    "share": float(shares[place]),
                }
                for place in order
            ]
        }

    def fill(self, text: str, k: int) -> Work[dict[str, Any]]:
        """What fits into the blanks of a line; the beam is narrower where the line is long or the vocabulary large."""
        yield
        tokens = 1 + len(self.model.encode(text))
        beam = max(8, min(WIDEST_BEAM, BEAM_LOGITS // self.size, FILLED_LOGITS // (self.size * tokens)))
        return {"text": text, "candidates": [each._asdict() for each in self.model.fill(text, k, beam=beam)]}

    def tokenize(self, text: str) -> Work[dict[str, Any]]:
        """Ids of a text. The names <s> and </s>, if they are all of it, are those ids, as harnesses ask for them."""
        yield
        ids = [SPECIALS.index(text)] if text in SPECIALS[:UNK] else self.ids(text).tolist()
        return {"tokens": ids, "count": len(ids)}

    def detokenize(self, ids: list[int]) -> Work[dict[str, Any]]:
        """Text of ids."""
        yield
        return {"prompt": self.model.render(ids)}


def probability(log_probability: Any) -> float:
    """Probability of its logarithm."""
    return float(np.exp(log_probability))


def unique_names(names: list[str]) -> list[str]:
    """The names, each that was there before with a number.

    >>> unique_names(["a", "b", "a", "a-2"])
    ['a', 'b', 'a-2', 'a-2-2']
    """
    taken: list[str] = []
    for name in names:
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        taken.append(free)
    return taken
