"""The class `LanguageModel`: predict, generate, fill, score and evaluate text with a trained model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from rnnlm.blanks import filled
from rnnlm.blas import one_blas_thread
from rnnlm.completion import best, candidates, check_counts, ranked
from rnnlm.decoding import DecodingModel
from rnnlm.errors import RnnlmError, VocabularyError
from rnnlm.explanation import explained
from rnnlm.inference.cache import THETA, TOKENS, WEIGHT, NeuralCache, WithCache
from rnnlm.inference.document import DocumentScorer
from rnnlm.inference.filling import BLANK, Filling, fill_between, fill_forward
from rnnlm.inference.generation import SamplingOptions, beam_search, sample
from rnnlm.inference.lines import LOGITS, LineScore, LineScorer
from rnnlm.inference.mixture import Mixture
from rnnlm.inference.model import SequenceModel, read_prefix
from rnnlm.inference.scoring import sequence_totals
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network
from rnnlm.ranked_lists import RankedList, default_weights, rank_lists, score_lists
from rnnlm.rendering import Writer
from rnnlm.results import (
    Candidate,
    Continuation,
    Evaluation,
    Explanation,
    FilledText,
    Prediction,
    ScoredLine,
)
from rnnlm.scored_lines import Line, scored_lines
from rnnlm.stored_model import CausalPredictor
from rnnlm.text.reading import windows
from rnnlm.text.vocabulary import BOS, EOS, SPECIALS, UNK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnlm.inference.dynamic import Learning
    from rnnlm.inference.list_files import Lists
    from rnnlm.inference.list_formats import NbestList
    from rnnlm.scorer import Scorer
    from rnnlm.text.corpus import TokenizedCorpus
    from rnnlm.text.id_sequence import IdSequence
    from rnnlm.text_session import TextSession

WINDOW = 64  # tokens whose distributions are computed at a time


class LanguageModel(DecodingModel):
    """A trained model with its tokenizer and vocabulary.

    >>> model = rnnlm.load("rnnlm.npz")  # doctest: +SKIP
    >>> model.predict("我 昨天 上学", k=3).candidates  # doctest: +SKIP
    [Candidate(token='迟到', probability=0.41), ...]
    """

    @property
    def by_line(self) -> CausalPredictor:
        """Predictor for independent lines; `start` has to be read before each line.

        Raises:
            DirectionError: the model is bidirectional.
        """
        return self.after_line(self.require_causal())

    def mixed_with(self, others: Sequence[SequenceModel], weights: Sequence[float]) -> LanguageModel:
        """Return the model mixed with others over its vocabulary; its own weight is 1 - sum(weights)."""
        return self.with_predictor(Mixture([self.require_causal(), *others], [1 - sum(weights), *weights]))

    def with_cache(
        self, tokens: int = TOKENS, weight: float = WEIGHT, theta: float = THETA, network: Network | None = None
    ) -> LanguageModel:
        """Return the model with a neural cache of the last tokens; see `inference.cache`.

        network: network whose states are compared, for a mixture; the network of the model if not given.

        Raises:
            CheckpointError: the model has no network.
            DirectionError: the model is bidirectional.
            RnnlmError: a number is out of range.
        """
        check_counts(tokens=tokens)
        if not 0 < weight < 1 or not 0 <= theta < math.inf:
            raise RnnlmError(f"weight is {weight}, theta {theta}; expected 0 < weight < 1 and a theta from 0 on.")
        self.require_causal()
        cache = NeuralCache(network or self.network, tokens, theta)
        return self.with_predictor(WithCache(self.without_cache, cache, weight))

    def with_predictor(self, predictor: CausalPredictor) -> LanguageModel:
        """Return a model that reads text like this one, with another predictor."""
        model = LanguageModel(self.tokenizer, self.vocabulary, predictor, self.context)
        model.notes, model.line_before, model.line_resets = self.notes, self.line_before, self.line_resets
        return model

    # --- predict, generate, fill, score, evaluate ---------------------------------------------------------------

    @one_blas_thread()
    def predict(
        self, text: str, k: int = 10, *, prefix: str = "", allowed: Iterable[str] | None = None, complete: bool = False
    ) -> Prediction:
        """Return the k most probable next tokens, without <unk> if the training text does not contain it.

        A model of sentences reads each line independently, so the prediction depends on the last line alone.

        prefix: rank only tokens with this beginning. allowed: rank only these tokens; unknown ones are left out.
        Probabilities are not renormalized to the ranked tokens. complete: see `predict_ahead`.

        Raises:
            DirectionError: the model is bidirectional.
        """
        check_counts(k=k)
        if complete:
            return self.session(text).predict(k, prefix=prefix, allowed=allowed, complete=True)
        log_probabilities, _ = read_prefix(self.by_line, self.prefix(self.encode(self.unfinished(text))))
        ids = ranked(self, log_probabilities[0], k, prefix, allowed)
        return Prediction(text, candidates(self, log_probabilities[0], ids))

    def predict_ahead(
        self,
        text: str,
        length: int = 3,
        k: int = 10,
        *,
        prefix: str = "",
        allowed: Iterable[str] | None = None,
        complete: bool = False,
    ) -> list[Continuation]:
        """Return the k most probable continuations of `length` tokens by beam search.

        complete: the last word of the text may be half typed. A continuation either completes it or follows it, and
        probabilities are given the letters that were typed. prefix, allowed: restrict the first token.

        Raises:
            DirectionError: the model is bidirectional.
            RnnlmError: the options cannot be combined.
        """
        return self.session(text).predict_ahead(length, k, prefix=prefix, allowed=allowed, complete=complete)

    def session(self, text: str = "") -> TextSession:
        """Return an editable text of which only changed parts are read again.

        Raises:
            DirectionError: the model is bidirectional.
        """
        from rnnlm.text_session import TextSession

        return TextSession(self, self.by_line, text)

    @one_blas_thread()
    def predict_each(self, text: str, k: int = 1) -> list[Prediction]:
        """Return the k most probable next tokens at the start and after every token, as in the article's figure.

        The context of the first prediction is shown as <s>, whatever id `start` is. In a model of sentences, </s> is
        shown as the <s> of the next line.
        """
        import numpy as np

        pieces = list(self.cut(text))
        starts = {EOS} if self.context == "sentence" else set()
        tokens = [SPECIALS[BOS] if piece.token_id in starts else piece.token for piece in pieces]
        ids = np.array([*(piece.token_id for piece in pieces), UNK], dtype=np.int32)  # the last is never read
        ranked = [self._ranked(row, k) for _, rows in self.distributions(ids) for row in rows]
        return [Prediction(token, each) for token, each in zip([SPECIALS[BOS], *tokens], ranked, strict=True)]

    @one_blas_thread()
    def why(self, text: str) -> Explanation:
        """Return how much each token of the text supports the most probable next one; see `inference.attribution`.

        Only the last 64 of the tokens that the prediction depends on, as in `predict`, are examined.

        Raises:
            DirectionError: the model is bidirectional.
            VocabularyError: the vocabulary has a single token, so no token can be replaced.
        """
        return explained(self, self.by_line, text)

    def distributions(self, ids: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield for each window of ids its start and log probabilities (n, V), each row given all ids before it.

        Raises:
            DirectionError: the model is bidirectional.
        """
        reader, size = self.by_line, max(1, min(WINDOW, LOGITS // len(self.vocabulary)))
        state = reader.zero_state(1)
        for start, inputs, _, keep in windows(ids, self.context, size, self.start):
            log_probabilities, state = reader.log_probabilities(inputs, state, keep)
            yield start, log_probabilities[:, 0]

    @one_blas_thread()
    def nats(self, ids: NDArray[np.int32]) -> NDArray[Any]:
        """Return the negative log probability (n,) of each id of a text, given all ids before it.

        Raises:
            DirectionError: the model is bidirectional.
        """
        import numpy as np

        reader, found = self.by_line, [np.zeros((0, 1))]
        state = reader.zero_state(1)
        for _, inputs, targets, keep in windows(ids, self.context, WINDOW, self.start):
            nats, state = reader.nats(inputs, targets, state, keep)
            found.append(nats)
        return np.concatenate(found)[:, 0]

    def best(self, log_probabilities: NDArray[Any], k: int) -> list[int]:
        """Return the k most probable ids of a distribution (V,); see `completion.best`."""
        return best(self, log_probabilities, k)

    def _ranked(self, log_probabilities: NDArray[Any], k: int) -> list[Candidate]:
        return candidates(self, log_probabilities, self.best(log_probabilities, k))

    def generate(
        self,
        prompt: str = "",
        length: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: Iterable[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Yield generated text after a prompt, piece by piece; the prompt is not included.

        Args:
            prompt: Beginning of the text.
            length: Maximum number of tokens; a sentence may end earlier.
            temperature: Divides the log probabilities; 0 always takes the most probable token.
            top_k: Sample only from the k most probable tokens; 0 for all.
            top_p: Sample only from the most probable tokens that together reach this probability.
            repetition_penalty: Multiplies the log probability of tokens that occurred already.
            stop: Strings; the text ends before the first of them.
            seed: Random seed; None for a different text each time.

        Raises:
            DirectionError: the model is bidirectional.
        """
        import numpy as np

        if isinstance(stop, str):
            stop = [stop]
        options = SamplingOptions(length, temperature, top_k, top_p, repetition_penalty)
        writer = Writer(self, prompt, self.encode(prompt), list(stop))
        writer.take()  # discard the prompt
        steps = self.sample(prompt, options, np.random.default_rng(seed))
        return self._written(writer, steps)

    def _written(self, writer: Writer, steps: Iterator[list[int | None]]) -> Iterator[str]:
        for drawn in steps:
            writer.add(drawn[0])
            if piece := writer.take():
                yield piece
            if writer.ended:
                return
        writer.finish()
        if piece := writer.take():
            yield piece

    def scorer(self, oov_penalty: float | None = 0.0) -> Scorer:
        """Return a scorer that gives a decoder the scores of its hypotheses, token by token.

        oov_penalty: added to ln p(<unk>), in nats; None for `unknown_word_penalty`, as in `rnnlm rescore`.

        Raises:
            DirectionError: the model is bidirectional.
        """
        from rnnlm.scorer import Scorer

        return Scorer(self, oov_penalty)

    def sample(
        self, prompt: str, options: SamplingOptions, rng: np.random.Generator, count: int = 1
    ) -> Iterator[list[int | None]]:
        """Continue a prompt `count` times in one batch; yield at each step the next id of each text, None if ended."""
        return sample(self.by_line, self._prefix(prompt), options, rng, count, self.never_generated(), self.end)

    @one_blas_thread()
    def beam(self, prompt: str, length: int, width: int, count: int = 1) -> list[tuple[list[int], float]]:
        """Return the `count` best continuations of a beam search: ids and log probability in nats of each."""
        found = beam_search(self.by_line, self._prefix(prompt), length, width, self.never_generated(), self.end)
        return found[:count]

    def _prefix(self, prompt: str) -> list[int]:
        return [int(i) for i in self.prefix(self.encode(prompt))]

    @one_blas_thread()
    def fill(self, text: str, k: int = 10, blank_tokens: int = 1, beam: int = 256) -> list[FilledText]:
        """Return the k best fillings of the blanks in a sentence, each blank with up to `blank_tokens` tokens.

        See `blanks.BLANK_MARK` for the blanks. Probabilities are relative to all fillings that were compared. For one
        blank of one token, those of a bidirectional model are its probabilities, without <unk> and </s>.

        Raises:
            FillingError: the text has no blank, or more than one line.
        """
        check_counts(k=k, blank_tokens=blank_tokens, beam=beam)
        return filled(self, lambda ids: self._fillings(ids, beam), text, k, blank_tokens)

    def _fillings(self, ids: list[int], beam: int) -> list[Filling]:
        never = sorted({*self.never_generated(), EOS})
        if isinstance(self.predictor, BidirectionalNetwork):
            blanks = ids.count(BLANK)
            fillings = fill_between(self.predictor, ids, len(self.vocabulary) if blanks == 1 else beam, never)
            # Longer fillings multiply more probabilities: compare the geometric means per token.
            return [(tokens, score / blanks) for tokens, score in fillings] if blanks > 1 else fillings
        return fill_forward(self.by_line, ids, beam, never, self.end, self.start)

    @overload  # a str is also an iterable of str; the first matching overload applies
    def score(  # type: ignore[overload-overlap]
        self, lines: str, ranks: bool = False, hypotheses: bool = False, threads: int = 1, document: bool = False
    ) -> ScoredLine: ...

    @overload
    def score(
        self,
        lines: Iterable[Line | None],
        ranks: bool = False,
        hypotheses: bool = False,
        threads: int = 1,
        document: bool = False,
    ) -> Iterator[ScoredLine]: ...

    def score(
        self,
        lines: str | Iterable[Line | None],
        ranks: bool = False,
        hypotheses: bool = False,
        threads: int = 1,
        document: bool = False,
    ) -> ScoredLine | Iterator[ScoredLine]:
        r"""Return the log probability of every token of a line, or yield those of many lines, each read independently.

        A str is one line and has one result. An iterable of lines, without "\n", has one result per line, in order; an
        empty line consists of its end. Lines are read ahead in blocks of a few thousand. A None among them has no
        result and ends a block, for a source that would otherwise have to be waited for. Equal lines have equal
        scores, with any number of `threads`; see `inference.lines.LineScorer`. In a pair (given, line), `given` is read
        before the line and not scored: the beginning of the line, or with `document` further lines before it.

        hypotheses: the lines are from n-best lists, where <s> and </s> at the ends, and <unk>, are marks; see
        `text.marks`. document: the lines are one text, each read after those before it, by one thread.

        Raises:
            DirectionError: the model is bidirectional.
        """
        scorer: Callable[..., list[LineScore]]
        if document:
            scorer = DocumentScorer(self.require_causal(), self.context, ranks, [EOS] if self.reads_lines else None)
        else:
            scorer = LineScorer(self.by_line, ranks, self.start, threads)
        if isinstance(lines, str):
            if "\n" in lines:
                raise RnnlmError("score takes a str as one line, and this one has several; give text.splitlines().")
            return next(scored_lines(self, scorer, [lines], hypotheses, document))
        return scored_lines(self, scorer, lines, hypotheses, document)

    def score_lists(
        self, lists: Iterable[NbestList | None], threads: int = 1
    ) -> Iterator[tuple[NbestList, list[ScoredLine]]]:
        """Yield lists of candidates with the scores of their candidates; see `score`. None ends a block, as there."""
        return score_lists(self.score, lists, threads)

    def rescore(
        self, lists: Lists, format: str = "plain", *, threads: int = 1, **weights: float | None
    ) -> Iterator[RankedList]:
        """Yield n-best lists, ranked; see `list_files.lists_of` for `lists`, `rescoring.Weights` for the weights."""
        from rnnlm.inference.list_files import lists_of  # here: other commands start faster without it

        chosen = default_weights(self, format, **weights)
        return rank_lists(self, lists_of(lists, format), format, chosen, threads)

    @one_blas_thread()
    def evaluate(self, text: str | PathLike[str] | Iterable[str] | TokenizedCorpus, threads: int = 1) -> Evaluation:
        """Return figures of the model on a text: a file, lines, or a tokenized corpus.

        See `inference.scoring.sequence_nats` for how the text is read.

        Raises:
            CorpusError: the file cannot be read, or the text is empty.
            DirectionError: the model is bidirectional.
        """
        from rnnlm.text.corpus import TokenizedCorpus

        corpus = text if isinstance(text, TokenizedCorpus) else self._tokenized(text)
        ids = self.sequence(corpus)
        (nats, tokens), (oov_nats, oov) = sequence_totals(self.require_causal(), ids, self.context, (UNK,), threads)
        return Evaluation(tokens, oov, corpus.characters, -nats, -oov_nats, corpus.text_bytes)

    def _tokenized(self, text: str | PathLike[str] | Iterable[str]) -> TokenizedCorpus:
        from rnnlm.text.corpus import tokenize_corpus
        from rnnlm.text.sources import lines_as_source

        file = text if isinstance(text, str | PathLike) else lines_as_source(text)
        return tokenize_corpus([file], self.tokenizer, lines=self.reads_lines)

    @one_blas_thread()
    def evaluate_dynamically(self, corpus: TokenizedCorpus, learning: Learning) -> Evaluation:
        """Evaluate a copy of the network that keeps learning while it reads; see `inference.dynamic`.

        Raises:
            CheckpointError: the model has no network.
            DirectionError: the model is bidirectional.
        """
        from rnnlm.inference.dynamic import dynamic_nats

        self.require_causal()
        network = self.network
        ids = self.sequence(corpus)
        nats = dynamic_nats(network, ids, self.context, learning)
        if isinstance(self.predictor, NetworkWithNgram):
            nats, _ = self.predictor.along(nats, ids, self.context)
        return Evaluation.of(nats, ids[:] == UNK, corpus.characters, corpus.text_bytes)

    def sequence(self, corpus: TokenizedCorpus) -> IdSequence:
        """Return a tokenized text as ids of this model.

        Raises:
            VocabularyError: the text has no tokens.
        """
        if not len(corpus.ids):
            raise VocabularyError("The text has no tokens; nothing can be evaluated.")
        from rnnlm.text.corpus import sequence  # here: other commands start faster without it

        return sequence(corpus, self.vocabulary)
