"""A language model as the server uses it: text in, JSON values out, and work in steps.

Answers are generators that yield after every step, so that the server can let other requests take their turn, and stop
work that no client waits for any more.
"""

import contextlib
import functools
import itertools
import math
from collections.abc import Generator, Iterable
from typing import Any, TypeVar

import numpy as np

from rnnlm.blanks import BLANK_MARK
from rnnlm.completion import continuations, following_texts, half_typed, ranked
from rnnlm.errors import TokenizerError
from rnnlm.inference.model import Array
from rnnlm.inference.prefixes import PrefixReader
from rnnlm.inference.rescoring import Evidence, Weights, ranking
from rnnlm.language_model import LanguageModel
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.playground.refusals import RequestError
from rnnlm.playground.room import Json, Room
from rnnlm.results import Evaluation, Piece, ScoredLine
from rnnlm.text.vocabulary import SPECIALS, UNK

Result = TypeVar("Result")
Work = Generator[None, None, Result]

REMEMBERED = 64 << 20  # bytes of states of a model
LINES_REMEMBERED = 1024
STEP_CHARACTERS = 2000  # characters of lines that are scored in one step
STEP = 64  # tokens in one step
WIDEST_BEAM, BEAM_LOGITS = 256, 1 << 21
MOST_LENGTHS = 64  # combinations of numbers of tokens for the blanks of a line
FILLED_LOGITS = 1 << 28  # for a whole line: one or two seconds of work, which cannot be interrupted


class ServedModel:
    """A model with its name and a cache of the texts that it has read."""

    def __init__(self, name: str, model: LanguageModel) -> None:
        """Serve a model under a name."""
        self.name, self.model = name, model
        self._line_ids = functools.lru_cache(LINES_REMEMBERED)(model.line_ids)
        if model.tokenizer.options().get("jieba") is not None:  # load the dictionary now, not at the first request
            with contextlib.suppress(TokenizerError):  # requests with Chinese will report it
                model.tokens("我昨天上学")

    @property
    def bidirectional(self) -> bool:
        """Whether the model is a bidirectional network."""
        return self.model.kind == "rnn" and self.model.network.config.bidirectional

    @functools.cached_property
    def reader(self) -> PrefixReader:
        """The reader of texts, with its cache of states.

        Raises:
            DirectionError: The model is bidirectional.
        """
        return PrefixReader(self.model.by_line, REMEMBERED)

    @property
    def size(self) -> int:
        """Vocabulary size V."""
        return len(self.model.vocabulary)

    def described(self) -> dict[str, Any]:
        """Return the properties of the model for /v1/models."""
        config = self.model.network.config if self.model.kind == "rnn" else None
        predictor, cache = self.model.without_cache, getattr(self.model.predictor, "cache", None)
        return {
            "level": self.model.level,
            "context": self.model.context,
            "kind": self.model.kind,
            "bidirectional": self.bidirectional,
            **{name: getattr(config, name, None) for name in ("cell", "hidden_size", "num_layers")},
            "mixed_ngram": self.model.ngram.order if isinstance(predictor, NetworkWithNgram) else None,
            "cache": cache.reach if cache else None,
            "vocabulary": self.size,
        }

    def check_ids(self, ids: list[int], name: str) -> None:
        """Refuse ids that this model does not have; name: the field of the request.

        Raises:
            RequestError: An id is not below the vocabulary size.
        """
        if max(ids, default=0) >= self.size:
            message = f"There is no id {max(ids):,}; {self.name} has ids below {self.size:,}."
            raise RequestError(message, code="no_id", param=name)

    # --- text <-> ids -------------------------------------------------------------------------------------------

    def ids(self, text: str) -> Array:
        """Return the ids of a text as the model reads it."""
        return self.model.encode(text, self._line_ids)

    # --- probabilities ------------------------------------------------------------------------------------------

    def read(self, ids: Array) -> Work[tuple[Array, Array]]:
        """Compute the log probabilities (1, V) of the next token after ids, and the state.

        Raises:
            DirectionError: The model is bidirectional.
        """
        return self.reader.read(self.model.prefix(ids))

    # --- answers ------------------------------------------------------------------------------------------------

    def predict(
        self,
        text: str,
        k: int,
        prefix: str = "",
        allowed: list[str] | None = None,
        complete: bool = False,
        ahead: int = 1,
    ) -> Work[dict[str, Any]]:
        """Find the k most probable next tokens, or continuations of `ahead` tokens."""
        model = self.model
        read = model.unfinished(text)
        if complete or ahead > 1:
            answers = yield from self._ahead(read, ahead, k, prefix=prefix, allowed=allowed, complete=complete)
        else:
            (row,), _ = yield from self.read(self.ids(read))
            ids = ranked(model, row, k, prefix, allowed)
            texts = following_texts(model, text.rpartition("\n")[2], ids)
            answers = [{**self._candidate(each, row), "text": more} for each, more in zip(ids, texts, strict=True)]
        return {"context": text, "unknown": self._unknown(read, complete), "candidates": answers}

    def _ahead(self, text: str, ahead: int, k: int, **options: Any) -> Work[list[dict[str, Any]]]:
        penalty = self.model.unknown_word_penalty
        work = continuations(self.model, self.reader, text, self.ids(text), ahead, k, penalty=penalty, **options)
        return [
            {"token": each.tokens[0], "probability": each.probability, "text": each.text, "typed": each.typed}
            | ({"tokens": each.tokens} if ahead > 1 else {})
            for each in (yield from work)
        ]

    def _unknown(self, text: str, complete: bool) -> list[str]:
        """Return the tokens that the model does not know; with `complete`, without a last one that is half typed."""
        unknown = self.model.unknown_tokens(text)
        last = self.model.tokens(text.rpartition("\n")[2])[-1:]
        return unknown[:-1] if complete and unknown[-1:] == last and half_typed(self.model, text) else unknown

    def _candidate(self, token_id: int, row: Array) -> dict[str, Any]:
        return {"token": self.model.vocabulary.token(token_id), "probability": probability(row[token_id])}

    def surprise(self, text: str, k: int) -> Work[dict[str, Any]]:
        """Compute the surprise at every token of a text, including the end of its last line, with k alternatives each.

        The figures are those of `rnnlm score` and `rnnlm eval`.
        """
        pieces, tokens, room = list[Piece](), list[Json](), Room()
        for piece in self.model.cut(text, ended=True):
            pieces.append(piece)
            if len(pieces) % STEP == 0:
                yield
        ids = np.array([piece.token_id for piece in pieces], dtype=np.int32)
        own = np.zeros(len(ids))
        for start, rows in self.model.distributions(ids):
            for place, row in enumerate(rows, start):
                tokens.append(Json.of(self._surprise(pieces[place], row, k)))
                room.take(len(tokens[-1]))
                own[place] = row[ids[place]]
            yield
        unknown = ids == UNK
        figures = Evaluation(
            len(ids), int(unknown.sum()), self.model.characters(text), float(own.sum()), float(own[unknown].sum())
        )
        keys = ("perplexity", "perplexity_excluding_oov", "bits_per_char", "nats_per_token")
        return {
            "tokens": tokens,
            "oov": figures.oov,
            "logprob_nats": figures.logprob_nats,
            **{key: getattr(figures, key) if tokens else None for key in keys},
        }

    def _surprise(self, piece: Piece, row: Array, k: int) -> dict[str, Any]:
        own = row[piece.token_id]
        return {
            "text": piece.text,
            "token": piece.token,
            "probability": probability(own),
            "bits": -float(own) / math.log(2),
            "rank": 1 + int((row > own).sum()),
            "unknown": piece.token_id == UNK,
            "alternatives": [self._candidate(each, row) for each in self.model.best(row, k)],
        }

    def rank(self, candidates: list[str]) -> Work[dict[str, Any]]:
        """Rank lines as `rnnlm rescore` does, with the penalty for unknown words, and compute shares of probability."""
        lines = [line.replace("\n", " ").strip() for line in candidates]
        waiting, blocks, scored = list(dict.fromkeys(lines)), list[list[str]](), dict[str, ScoredLine]()
        while waiting:
            characters = itertools.accumulate(map(len, waiting))
            number = max(1, sum(each <= STEP_CHARACTERS for each in characters))
            blocks.append(waiting[:number])
            del waiting[:number]
        # Score all blocks in one call, as `rnnlm rescore` does, so that lines that differ only in their marks have the
        # same score in all blocks.
        scores = self.model.score(itertools.chain.from_iterable([*each, None] for each in blocks), hypotheses=True)
        for block in blocks:
            scored |= zip(block, itertools.islice(scores, len(block)), strict=True)
            yield
        weights = Weights(oov_penalty=self.model.unknown_word_penalty)
        found = [scored[line] for line in lines]
        totals = [weights.total(Evidence(0, 0, each.logprob_nats, len(each.tokens), each.oov)) for each in found]
        shares = np.exp(np.array(totals) - max(totals))
        shares /= shares.sum()
        ranked = [
            {
                "text": candidates[place],
                "logprob_nats": found[place].logprob_nats,
                "total_nats": totals[place],
                "tokens": len(found[place].tokens),
                "oov": found[place].oov,
                "share": float(shares[place]),
            }
            for place in ranking(totals)
        ]
        return {"candidates": ranked}

    def fill(self, text: str, k: int, blank_tokens: int = 1) -> Work[dict[str, Any]]:
        """Fill the blanks of a line with up to `blank_tokens` tokens each, or fewer if there are many blanks.

        The beam is narrower for long lines, large vocabularies and many combinations.
        """
        yield
        blanks = max(1, len(BLANK_MARK.findall(text)))
        while blank_tokens > 1 and blank_tokens**blanks > MOST_LENGTHS:
            blank_tokens -= 1
        work = self.size * (blanks * blank_tokens + len(self.model.encode(text))) * blank_tokens**blanks
        beam = max(8, min(WIDEST_BEAM, BEAM_LOGITS // self.size, FILLED_LOGITS // work))
        found = self.model.fill(text, k, blank_tokens=blank_tokens, beam=beam)
        return {"text": text, "candidates": [each._asdict() for each in found]}

    def tokenize(self, prompt: str, add_special_tokens: bool | None) -> Work[dict[str, Any]]:
        """Return the ids of a text; a text that is just "<s>" or "</s>" has that special id, as harnesses expect.

        add_special_tokens: Accepted for harnesses and ignored; no special tokens are ever added.
        """
        yield
        ids = [SPECIALS.index(prompt)] if prompt in SPECIALS[:UNK] else self.ids(prompt).tolist()
        return {"tokens": ids, "count": len(ids)}

    def detokenize(self, tokens: list[int]) -> Work[dict[str, Any]]:
        """Return the text of ids."""
        self.check_ids(tokens, "tokens")
        return {"prompt": (yield from self.render(tokens))}

    def render(self, ids: Iterable[int]) -> Work[str]:
        """Return the text of ids; refuse a text that is larger than an answer may be."""
        pieces, room = list[str](), Room()
        for piece in self.model.pieces(ids):
            room.take(len(piece))
            pieces.append(piece)
            if len(pieces) % STEP == 0:
                yield
        yield
        return "".join(pieces)


def probability(log_probability: Any) -> float:
    """Return exp(log_probability) as a float."""
    return float(np.exp(log_probability))


def unique_names(names: list[str]) -> list[str]:
    """Make names unique by adding a number to repeated ones.

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
