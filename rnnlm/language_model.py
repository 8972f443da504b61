"""A trained language model as a user meets it: text in, text and probabilities out."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, cast, overload

from rnnlm import checkpoint
from rnnlm.baselines.ngram import NgramModel
from rnnlm.errors import CheckpointError, DirectionError, FillingError, VocabularyError, shown
from rnnlm.foreign import is_arpa
from rnnlm.inference.attribution import Replacement, replacements
from rnnlm.inference.filling import BLANK, fill_between, fill_forward
from rnnlm.inference.generation import SamplingOptions, beam_search, sample
from rnnlm.inference.line_starts import LONGEST_LINE, AfterLine
from rnnlm.inference.lines import LOGITS, LineScorer
from rnnlm.inference.mixture import Mixture
from rnnlm.inference.model import read_prefix
from rnnlm.inference.scoring import sequence_totals
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import LARGEST_WEIGHT, are_weights
from rnnlm.rendering import Rendering, Writer
from rnnlm.results import (
    Candidate,
    Evaluation,
    Explanation,
    FilledText,
    Influence,
    Piece,
    Prediction,
    ScoredLine,
)
from rnnlm.text.lines import counted_characters
from rnnlm.text.marks import hypothesis_tokens
from rnnlm.text.nbest import NbestList
from rnnlm.text.tokenizers import TOKENIZERS, CharTokenizer, Tokenizer, TokenTokenizer, spans
from rnnlm.text.vocabulary import BOS, EOS, FIRST, SPECIALS, UNK, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnlm.scorer import Scorer
    from rnnlm.text.corpus import IdSequence, TokenizedCorpus

CONTEXTS = ("sentence", "stream")
Predictor = Network | NgramModel | Mixture
# Two or three underscores that touch a letter or digit of an identifier (snake__case, __init__) are text.
BLANK_MARK = re.compile(r"_{4,}|(?<![A-Za-z0-9_])_{2,3}(?![A-Za-z0-9_])|\uff3f+")
LINES_AT_A_TIME = 4096  # lines and characters that `score` reads ahead at most
CHARACTERS_AT_A_TIME = 1 << 18
WINDOW = 64  # tokens whose distributions are made at a time


class LanguageModel:
    """A tokenizer, a vocabulary and a network that belong together, and how they were trained.

    >>> model = rnnlm.load("rnnlm.npz")  # doctest: +SKIP
    >>> model.predict("我 昨天 上学", k=3).candidates  # doctest: +SKIP
    [Candidate(token='迟到', probability=0.41), ...]
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        predictor: Predictor,
        context: str,
        training: Mapping[str, Any] | None = None,
    ) -> None:
        """Join the parts; `context` is "sentence" or "stream", `training` how the predictor came about (JSON)."""
        if predictor.vocabulary_size != len(vocabulary):
            raise CheckpointError(
                f"The model has {predictor.vocabulary_size:,} outputs, the vocabulary {len(vocabulary):,} tokens. "
                "The checkpoint is damaged or was edited."
            )
        if context not in CONTEXTS:
            raise CheckpointError(
                f"The checkpoint's context is {shown(context)}; expected one of {', '.join(CONTEXTS)}."
            )
        self.tokenizer, self.vocabulary, self.context = tokenizer, vocabulary, context
        self.predictor = predictor
        self.training: dict[str, Any] = dict(training or {})
        self.line_before: list[int] = []  # ids of a line that is read before others, see `by_line`
        self.notes: list[str] = []  # what the user should know of the files that it comes from
        self.history: list[dict[str, Any]] = []  # the training's evaluations, as --history writes them
        self.training_arrays: dict[str, NDArray[Any]] = {}  # what --resume needs beside `training`

    def __repr__(self) -> str:
        """What predicts, over what vocabulary, and how well it did on the held-out text."""
        best = self.training.get("best_nats_per_token")
        measured = f", perplexity {math.exp(min(best, 700)):.4g} held out" if isinstance(best, float) else ""
        vocabulary = f"{len(self.vocabulary):,} {self.level}s"
        return f"<LanguageModel: {self._predictor_in_words()}, {vocabulary}, {self.context}{measured}>"

    def _predictor_in_words(self) -> str:
        if isinstance(self.predictor, NgramModel):
            return f"{self.predictor.order}-gram"
        if isinstance(self.predictor, Mixture):
            return f"mixture of {len(self.predictor.models)}"
        config = self.predictor.config
        sides = "bidirectional " * config.bidirectional
        return f"{sides}{config.cell.upper()} {config.num_layers} x {config.hidden_size}"

    # --- files --------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | PathLike[str]) -> LanguageModel:
        """Model from a checkpoint or an ARPA file; of a checkpoint's arrays only the parameters are read.

        Raises:
            CheckpointError: missing, foreign, damaged, or of a newer version.
        """
        if is_arpa(path):
            return cls.from_arpa(path)
        header, arrays = checkpoint.load(path, wanted=is_parameter)
        return cls.from_parts(header, arrays)._checked(path)

    @classmethod
    def from_arpa(cls, path: str | PathLike[str], tokenizer: Tokenizer | None = None) -> LanguageModel:
        """Model from an ARPA file; without a tokenizer, a token is what stands between spaces.

        Tokens that are white space, as in a file that `rnnlm ngram train` wrote of characters, are characters.

        Raises:
            CheckpointError: the file cannot be read, or breaks the format in a line that the message names.
        """
        from rnnlm.baselines.arpa import read_arpa

        predictor, tokens = read_arpa(path)
        vocabulary = Vocabulary(tokens, [0] * len(tokens))
        training = {"imported": "ARPA", "options": {"context": "sentence", "order": predictor.order}}
        if tokenizer is None:
            tokenizer = CharTokenizer() if any(map(str.isspace, tokens)) else TokenTokenizer()
        return cls(tokenizer, vocabulary, predictor, "sentence", training)._checked(path)

    def _checked(self, path: str | PathLike[str]) -> Self:
        """The model, if its probabilities are some; where an n-gram's are doubtful, that is a note."""
        if isinstance(self.predictor, NgramModel):
            try:
                self.notes += [f"Warning: {path}: {each}" for each in self.predictor.check_rows(self.vocabulary.token)]
            except CheckpointError as error:
                raise CheckpointError(f"{path}: {error}, or use another copy.") from None
        return self

    @classmethod
    def from_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> LanguageModel:
        """Model from a checkpoint's header and parameters."""
        predictor: Predictor
        vocabulary = Vocabulary.from_header(header.get("vocabulary"))
        if header.get("kind") == "rnn":
            _check_types(arrays)
            predictor = network_of(NetworkConfig.from_header(header.get("network")), arrays)
            _check_weights(predictor)
        elif header.get("kind") == "ngram":
            predictor = NgramModel.from_arrays(len(vocabulary), header.get("order"), arrays)
        else:
            raise CheckpointError(f"The checkpoint's kind is {shown(header.get('kind'))}; expected 'rnn' or 'ngram'.")
        model = cls(
            tokenizer_from_header(header.get("tokenizer")),
            vocabulary,
            predictor,
            header.get("context", ""),
            _mapping(header.get("training")),
        )
        model.line_before = line_of_header(header.get("line_before"), len(vocabulary))
        return model

    def save(
        self,
        path: str | PathLike[str],
        params: Mapping[str, NDArray[Any]] | None = None,
        training_arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Write the checkpoint in one piece: the old file stays until the new one is complete.

        params: other parameters than the network's present ones. training_arrays: what --resume needs; if it is not
        given, what `rnnlm.train` has left in `self.training_arrays`.

        Raises:
            CheckpointError: the file cannot be written, or the model is a mixture.
        """
        header, arrays = self.parts(params)
        more = dict(self.training_arrays if training_arrays is None else training_arrays)
        if not more:  # no training can go on from its state without them
            header["training"] = {name: value for name, value in self.training.items() if name != "state"}
        checkpoint.save(path, header, arrays | more)

    def parts(self, params: Mapping[str, NDArray[Any]] | None = None) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Header and parameters of a checkpoint: what `from_parts` takes.

        params: other parameters than the network's present ones.

        Raises:
            CheckpointError: the model is a mixture.
        """
        if isinstance(self.predictor, Mixture):
            raise CheckpointError("A mixture of models is not saved; keep its models' files and mix them with --mix.")
        header: dict[str, Any] = {
            "kind": self.kind,
            "context": self.context,
            "tokenizer": {"name": self.tokenizer.name, "options": self.tokenizer.options()},
            "vocabulary": self.vocabulary.to_header(),
            "training": self.training,
        } | ({"line_before": self.line_before} if self.line_before else {})
        if isinstance(self.predictor, NgramModel):
            header["order"] = self.predictor.order
            return header, self.predictor.arrays()
        header["network"] = self.predictor.config.to_header()
        return header, dict(self.predictor.params if params is None else params)

    def check_savable(self) -> None:
        """Find out before a long work that its result could not be saved, or not be read again.

        Raises:
            CheckpointError: so it is; VocabularyError, TokenizerError: likewise.
        """
        header, arrays = self.parts()
        checkpoint.check_header(header)
        self.from_parts(json.loads(json.dumps(header)), arrays)

    @property
    def kind(self) -> str:
        """What predicts: "rnn", "ngram" or "mixture"."""
        if isinstance(self.predictor, Mixture):
            return "mixture"
        return "ngram" if isinstance(self.predictor, NgramModel) else "rnn"

    @property
    def network(self) -> Network:
        """The recurrent network.

        Raises:
            CheckpointError: the model is an n-gram model or a mixture.
        """
        if isinstance(self.predictor, NgramModel | Mixture):
            what = "an n-gram model" if isinstance(self.predictor, NgramModel) else "a mixture of models"
            raise CheckpointError(f"This is {what}; what was asked for needs a recurrent network.")
        return self.predictor

    @property
    def causal(self) -> Predictor:
        """The predictor, if it gives the next token's probability from those before it.

        Raises:
            DirectionError: it is bidirectional.
        """
        if isinstance(self.predictor, BidirectionalNetwork):
            raise DirectionError(
                "This model is bidirectional: it needs both sides of a word. It fills blanks (rnnlm fill) but has no "
                "next word and no perplexity. Train one without --bidirectional for those."
            )
        return self.predictor

    @property
    def by_line(self) -> Predictor:
        """The predictor for lines, each for itself: `start` is to be read before each of them.

        In a stream a line stands after another one, so this model has read one already; see `inference.line_starts`.

        Raises:
            DirectionError: it is bidirectional.
        """
        if not self.line_before or self.line_end is None:
            return self.causal
        return cast(Predictor, AfterLine(self.causal, [self.line_end, *self.line_before]))

    # --- text <-> ids -------------------------------------------------------------------------------------------

    @property
    def level(self) -> str:
        """What a token is: "char", "word" or "token"."""
        return self.tokenizer.name

    @property
    def reads_lines(self) -> bool:
        """Whether a line's end is </s>; else the newline is a token like any other."""
        return reads_lines(self.level, self.context)

    def tokens(self, text: str) -> list[str]:
        """Tokens of a text."""
        return self.tokenizer.tokenize(text)

    def encode(self, text: str, line_ids: Callable[[str], NDArray[np.int32]] | None = None) -> NDArray[np.int32]:
        """Ids of a text as the model was trained on it: lines end with </s>, blank ones are left out.

        What follows the last newline is a line that has not ended. In a stream of characters the newline is a token
        like any other. line_ids: gives the ids of a line's tokens, for a caller that remembers them.
        """
        import numpy as np

        line_ids = line_ids or self.line_ids
        if not self.reads_lines:
            return line_ids(text)
        *lines, last = text.split("\n")
        parts = [part for line in lines if line.strip() for part in (line_ids(line), [EOS])]
        return np.concatenate([*parts, line_ids(last)]).astype(np.int32)

    def line_ids(self, line: str) -> NDArray[np.int32]:
        """Ids of a line's tokens, unknown ones as <unk>, without its end."""
        return self.vocabulary.encode(self.tokens(line))

    def cut(self, text: str, ended: bool = False) -> Iterator[Piece]:
        """Cut a text at its tokens; the pieces joined are the text again, their ids those of `encode`.

        ended: whether the last line's end is given, too, where the text lacks it; such a piece has no text.
        """
        parts = text.split("\n") if self.reads_lines else [text]
        before = ""  # blank lines, and the whitespace before a token
        held: Piece | None = None  # the last of all takes what stands after it
        for number, line in enumerate(parts, 1):
            end = "\n" if number < len(parts) else "" if ended and self.reads_lines else None
            if end is not None and not line.strip():
                before += line + end
                continue
            place, tokens = 0, self.tokens(line)
            ids = self.vocabulary.encode(tokens).tolist()
            for token, token_id, (_, stop) in zip(tokens, ids, spans(self.tokenizer, line, tokens), strict=True):
                if held is not None:
                    yield held
                held, before, place = Piece(before + line[place:stop], token, token_id), "", stop
            before += line[place:]
            if end is not None:
                if held is not None:
                    yield held
                held, before = Piece(before + end, SPECIALS[EOS], EOS), ""
        if held is not None:
            yield held._replace(text=held.text + before)
            if ended and not self.reads_lines and self.line_end is not None and held.token != "\n":
                yield Piece("", "\n", self.line_end)

    def characters(self, text: str) -> int:
        """Number of characters that figures are divided by: lines with their ends, blank ones left out.

        In a stream of characters all of them count, and the end of the last line, too.
        """
        lines = text.removesuffix("\n").split("\n") if text else []
        return sum(self.counted_characters(line) or 0 for line in lines)

    def unfinished(self, text: str) -> str:
        """The part of a text on which it depends what follows: in sentences, the line that has not ended."""
        return text.rpartition("\n")[2] if self.context == "sentence" else text

    def prefix(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """What is read before the prediction of what follows ids: `start`, then in sentences the unfinished line."""
        import numpy as np

        if self.context == "sentence" and len(ends := np.flatnonzero(ids == EOS)):
            ids = ids[ends[-1] + 1 :]
        return np.concatenate([[self.start], ids[1:] if ids[:1].tolist() == [BOS] else ids]).astype(np.int32)

    def unknown_tokens(self, text: str) -> list[str]:
        """The text's tokens that the vocabulary lacks, in order of appearance, each once; not a written <unk>."""
        written = UNKNOWN if self.tokenizer.reads_marks else ()
        tokens = [token for line in text.split("\n") for token in self.tokens(line) if token not in written]
        known = self.vocabulary.encode(tokens) != UNK
        return list(dict.fromkeys(token for token, is_known in zip(tokens, known, strict=True) if not is_known))

    def render(self, ids: Iterable[Any]) -> str:
        """Text of ids; </s> is a line's end."""
        return "".join(self.pieces(ids))

    def pieces(self, ids: Iterable[Any]) -> Iterator[str]:
        """The text that each id but <s> adds, given out before the next is asked for; together, what they render as."""
        rendering = Rendering(self)
        return (rendering.add(int(each)) for each in ids if each != BOS)

    def never_generated(self) -> list[int]:
        """Ids that are no text: <s>, </s> where lines do not end with it, <unk> unless the training text wrote it."""
        unwritten = [] if self.vocabulary.unknown else [UNK]
        return [BOS, *unwritten] if self.reads_lines else [BOS, EOS, *unwritten]

    # --- what a language model is for ---------------------------------------------------------------------------

    def predict(self, text: str, k: int = 10, *, prefix: str = "", allowed: Iterable[str] | None = None) -> Prediction:
        """Rank the k most probable next tokens. Probabilities are the model's own; <unk>, if no text, is not ranked.

        A model of sentences reads each line for itself: what follows depends on the last line alone.

        prefix: rank only tokens that begin with it. allowed: rank only these; those that the vocabulary lacks are left
        out. Their probabilities stay those among all tokens.

        Raises:
            DirectionError: the model is bidirectional.
        """
        log_probabilities, _ = read_prefix(self.by_line, self.prefix(self.encode(self.unfinished(text))))
        if not prefix and allowed is None:
            return Prediction(text, self._ranked(log_probabilities[0], k))
        among = None if allowed is None else {int(each) for each in self.vocabulary.encode(list(allowed))}
        ids = [
            each
            for each in self.best(log_probabilities[0], len(self.vocabulary))
            if (among is None or each in among) and self._shown(each).startswith(prefix)
        ]
        return Prediction(text, self._candidates(log_probabilities[0], ids[:k]))

    def predict_each(self, text: str, k: int = 1) -> list[Prediction]:
        """The k most probable next tokens at the start and after every token of the text, as in the article's figure.

        The context of the first is <s>, whatever id `start` is. Where the model reads each line for itself, the next
        line's <s> stands in the place of </s>.
        """
        import numpy as np

        pieces = list(self.cut(text))
        starts = {EOS} if self.context == "sentence" else set()
        tokens = [SPECIALS[BOS] if piece.token_id in starts else piece.token for piece in pieces]
        ids = np.array([*(piece.token_id for piece in pieces), UNK], dtype=np.int32)  # the last is only waited for
        ranked = [self._ranked(row, k) for _, rows in self.distributions(ids) for row in rows]
        return [Prediction(token, each) for token, each in zip([SPECIALS[BOS], *tokens], ranked, strict=True)]

    def why(self, text: str) -> Explanation:
        """How much each token of the text speaks for the most probable next one; see `inference.attribution`.

        The last 64 tokens are examined: those on which the prediction depends, as in `predict`.

        Raises:
            DirectionError: the model is bidirectional.
            VocabularyError: there is a single token, so none can be replaced by another.
        """
        if len(self.vocabulary) == FIRST + 1:
            raise VocabularyError(
                "The vocabulary has one token; expected at least two, so that one can stand in another's place. Train "
                "on a text of more tokens."
            )
        reader, asked = self.by_line, self.unfinished(text)
        prefix, tokens = self.prefix(self.encode(asked)), [piece.token for piece in self.cut(asked)]
        log_probabilities, _ = read_prefix(reader, prefix)
        answer = self.best(log_probabilities[0], 1)[0]
        nats = float(log_probabilities[0, answer])
        found = list(replacements(reader, prefix))
        left_out = len(tokens) - len(found)
        words = [
            self._influence(token, each, answer, nats) for token, each in zip(tokens[left_out:], found, strict=True)
        ]
        return Explanation(self._shown(answer), words, left_out)

    def _influence(self, token: str, replacement: Replacement, answer: int, log_probability: float) -> Influence:
        """How much a token speaks for an answer that has this log probability in nats where the token stands."""
        changes = (log_probability - replacement.log_probabilities[:, answer].astype(float)) / math.log(2)
        strongest = int(abs(changes).argmax())
        then = self._ranked(replacement.log_probabilities[strongest], 1)[0]
        substitute = self._shown(replacement.substitutes[strongest])
        return Influence(token, float(changes.mean()), substitute, then.token, then.probability)

    def distributions(self, ids: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[Any]]]:
        """For each window of a text's ids its first place and the log probabilities (n, V), given all before each.

        Raises:
            DirectionError: the model is bidirectional.
        """
        reader, size = self.by_line, max(1, min(WINDOW, LOGITS // len(self.vocabulary)))
        state = reader.zero_state(1)
        for start, _, inputs, keep in self._windows(ids, size):
            log_probabilities, state = reader.log_probabilities(inputs, state, keep)
            yield start, log_probabilities[:, 0]

    def nats(self, ids: NDArray[np.int32]) -> NDArray[Any]:
        """Negative log probability (n,) of each of a text's ids, given all before it.

        Raises:
            DirectionError: the model is bidirectional.
        """
        import numpy as np

        reader, found = self.by_line, [np.zeros((0, 1))]
        state = reader.zero_state(1)
        for _, targets, inputs, keep in self._windows(ids, WINDOW):
            nats, state = reader.nats(inputs, targets, state, keep)
            found.append(nats)
        return np.concatenate(found)[:, 0]

    def _windows(
        self, ids: NDArray[np.int32], size: int
    ) -> Iterator[tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]]:
        """First place, targets, inputs (n, 1) and keep (n, 1, 1) of every window of a text's ids."""
        import numpy as np

        inputs = np.concatenate([[self.start], ids[:-1]])[: len(ids), None].astype(np.int32)
        keep = np.ones((len(inputs), 1, 1), dtype=np.float32)
        if self.context == "sentence":  # in the place of </s> the next sentence's <s> is read
            keep[1:][inputs[1:] == EOS] = 0
            inputs[1:][inputs[1:] == EOS] = BOS
        for start in range(0, len(ids), size):
            part = slice(start, start + size)
            yield start, ids[part, None], inputs[part], keep[part]

    def _shown(self, token_id: int) -> str:
        return self.vocabulary.token(int(token_id))

    def best(self, log_probabilities: NDArray[Any], k: int) -> list[int]:
        """The k most probable ids of a distribution (V,), the most probable first; not <s>, nor <unk> if no text."""
        import numpy as np

        scores = log_probabilities.copy()
        left_out = [i for i in self.never_generated() if i != EOS]
        scores[left_out] = -np.inf
        k = min(k, len(scores) - len(left_out))
        best = np.argpartition(-scores, k - 1)[:k]
        return [int(i) for i in best[np.lexsort((best, -scores[best]))]]

    def _ranked(self, log_probabilities: NDArray[Any], k: int) -> list[Candidate]:
        return self._candidates(log_probabilities, self.best(log_probabilities, k))

    def _candidates(self, log_probabilities: NDArray[Any], ids: Iterable[int]) -> list[Candidate]:
        return [Candidate(self._shown(each), math.exp(log_probabilities[each])) for each in ids]

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
        """Write what may follow a prompt, in pieces of text as they are made; the prompt is not among them.

        Args:
            prompt: What the text begins with.
            length: Most tokens to write; a sentence may end before.
            temperature: Divides the log probabilities; 0 always takes the most probable token.
            top_k: Draw only from the k most probable tokens; 0: from all.
            top_p: Draw only from the most probable tokens that together reach this probability.
            repetition_penalty: Multiplies the log probability of tokens that were there already.
            stop: The text ends before the first of these strings.
            seed: Random seed; None draws another text each time.

        Raises:
            DirectionError: the model is bidirectional.
        """
        import numpy as np

        options = SamplingOptions(length, temperature, top_k, top_p, repetition_penalty)
        writer = Writer(self, prompt, self.encode(prompt), list(stop))
        writer.take()  # the prompt
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

    def scorer(self) -> Scorer:
        """Return what gives a decoder the scores of its hypotheses, token by token.

        Raises:
            DirectionError: the model is bidirectional.
        """
        from rnnlm.scorer import Scorer

        return Scorer(self)

    def sample(
        self, prompt: str, options: SamplingOptions, rng: np.random.Generator, count: int = 1
    ) -> Iterator[list[int | None]]:
        """Continue a prompt `count` times at once; yields, step by step, each text's next id, None if it has ended."""
        return sample(self.by_line, self._prefix(prompt), options, rng, count, self.never_generated(), self.end)

    def beam(self, prompt: str, length: int, width: int, count: int = 1) -> list[tuple[list[int], float]]:
        """The `count` most probable continuations that a beam of `width` finds: ids and log probability in nats."""
        found = beam_search(self.by_line, self._prefix(prompt), length, width, self.never_generated(), self.end)
        return found[:count]

    def _prefix(self, prompt: str) -> list[int]:
        return [int(i) for i in self.prefix(self.encode(prompt))]

    @property
    def start(self) -> int:
        """The id that is read before a line or a text, and is neither scored nor printed.

        <s>, or in a stream the end of a line: there <s> stands only where a column of the training text began, which
        may be anywhere, while a line is read after the end of another. (Reading <s> before that end as well was no
        better with any model that was tried, and up to 5 % worse in perplexity.)
        """
        end = self.line_end
        return BOS if self.context == "sentence" or end is None else end

    @property
    def end(self) -> int | None:
        """The id that ends a generated text: </s> where a text is a sentence."""
        return EOS if self.context == "sentence" else None

    def without_blanks(self, text: str) -> str:
        """The text with a line end for each blank, so that what stands around it is read apart."""
        return BLANK_MARK.sub("\n", text)

    def has_blank(self, text: str) -> bool:
        """Whether there is a blank in a text, see `BLANK_MARK`."""
        return BLANK_MARK.search(text) is not None

    def before_blank(self, text: str) -> str | None:
        """What stands before a blank at the end of a text; None if there is no blank there."""
        *before, after = BLANK_MARK.split(text)
        return None if not before or after.strip() else text[: [*BLANK_MARK.finditer(text)][-1].start()]

    def fill(self, text: str, k: int = 10, blank_tokens: int = 1, beam: int = 256) -> list[FilledText]:
        """The k best fillings of the blanks (see `BLANK_MARK`) in a sentence, each of up to `blank_tokens` tokens.

        Probabilities are relative to all fillings that were compared. For one blank of one token and a bidirectional
        model they are that model's own, <unk> and </s> left out.

        Raises:
            FillingError: the text has no blank, or more than one line.
        """
        text = text.strip()
        parts = BLANK_MARK.split(text)
        if len(parts) == 1 or "\n" in text:
            raise FillingError(
                f"The text to fill is {text[:60]!r}; expected one line with at least one blank, written ____ (four "
                "underscores; two or three are a blank where no letter or digit touches them)."
            )
        contexts = [[int(i) for i in self.encode(part)] for part in parts]
        found: list[tuple[list[list[int]], float]] = []
        for lengths in itertools.product(range(1, blank_tokens + 1), repeat=len(parts) - 1):
            ids = [*contexts[0]]
            for length, context in zip(lengths, contexts[1:], strict=True):
                ids += [BLANK] * length + context
            for tokens, score in self._fillings(ids, beam):
                pieces = iter(tokens)
                found.append(([list(itertools.islice(pieces, length)) for length in lengths], score))
        return self._best_fillings(parts, found, k)

    def _fillings(self, ids: list[int], beam: int) -> list[tuple[tuple[int, ...], float]]:
        never = sorted({*self.never_generated(), EOS})
        if isinstance(self.predictor, BidirectionalNetwork):
            blanks = ids.count(BLANK)
            fillings = fill_between(self.predictor, ids, len(self.vocabulary) if blanks == 1 else beam, never)
            # Longer fillings multiply more probabilities: compare the geometric mean of a token's.
            return [(tokens, score / blanks) for tokens, score in fillings] if blanks > 1 else fillings
        return fill_forward(self.by_line, ids, beam, never, self.end, self.start)

    def _best_fillings(self, parts: list[str], found: list[tuple[list[list[int]], float]], k: int) -> list[FilledText]:
        import numpy as np

        found.sort(key=lambda each: -each[1])
        scores = np.array([score for _, score in found])
        shares = np.exp(scores - scores.max()) if len(found) else scores
        shares /= shares.sum()
        filled = []
        for (blanks, _), share in zip(found[:k], shares, strict=False):
            shown = [self.render(blank) for blank in blanks]
            pieces = [parts[0]]
            for piece, part in zip(shown, parts[1:], strict=True):
                pieces += [piece, part]
            filled.append(FilledText(shown, float(share), "".join(pieces)))
        return filled

    @property
    def line_end(self) -> int | None:
        """The id that ends a line: </s>, or in a stream of characters the newline; None if it never saw one."""
        if self.reads_lines:
            return EOS
        newline = int(self.vocabulary.encode("\n")[0])
        return None if newline == UNK else newline

    @property
    def unknown_word_penalty(self) -> float:
        """What to add to ln p(<unk>) for one certain unknown word, in nats: 0 or less.

        A network gives <unk> the probability of all unknown words together, of which there are about as many as words
        that the training text had only once (Good and Turing's reasoning). An n-gram's <unk> is a single word already.
        """
        if self.kind == "ngram":
            return 0.0
        return -math.log(max(1, self.vocabulary.counts.count(1)))

    @overload  # a str is an iterable of str as well; the first one that fits counts
    def score(  # type: ignore[overload-overlap]
        self, lines: str, ranks: bool = False, hypotheses: bool = False, threads: int = 1
    ) -> ScoredLine: ...

    @overload
    def score(
        self, lines: Iterable[str | None], ranks: bool = False, hypotheses: bool = False, threads: int = 1
    ) -> Iterator[ScoredLine]: ...

    def score(
        self, lines: str | Iterable[str | None], ranks: bool = False, hypotheses: bool = False, threads: int = 1
    ) -> ScoredLine | Iterator[ScoredLine]:
        r"""Score a line, or many: the log probability of every token; each line begins anew after `start`.

        A str is one line and has one result. Lines, without "\n", have one result each, in order, whatever is in it; an
        empty line is its end alone. They are read a few thousand at a time, or up to a None, which has no result: it
        says that more would have to be waited for. Equal lines have equal scores, see `inference.lines.LineScorer`,
        whatever the `threads`.

        hypotheses: the lines are those of n-best lists, in which <s> and </s> at the ends and <unk> are marks, see
        `text.marks`.

        Raises:
            DirectionError: the model is bidirectional.
        """
        if isinstance(lines, str):
            return next(self._scores([lines], ranks, hypotheses, threads))
        return self._scores(lines, ranks, hypotheses, threads)

    def _scores(self, lines: Iterable[str | None], ranks: bool, hypotheses: bool, threads: int) -> Iterator[ScoredLine]:
        scorer, end = LineScorer(self.by_line, ranks, self.start, threads), self.line_end
        for texts in _blocks(lines):
            tokens = [hypothesis_tokens(self.tokenizer, text) if hypotheses else self.tokens(text) for text in texts]
            if end is not None:
                for each in tokens:
                    each.append(self.vocabulary.token(end))
            ids = [self._line_ids(each, end) for each in tokens]
            for text, line, line_ids, score in zip(texts, tokens, ids, scorer(ids), strict=True):
                yield ScoredLine(text, line, line_ids, *score)

    def score_lists(
        self, lists: Iterable[NbestList | None], threads: int = 1
    ) -> Iterator[tuple[NbestList, list[ScoredLine]]]:
        """Lists of candidates with the scores of the candidates; see `score` for how they are made."""
        waiting: deque[NbestList] = deque()

        def texts() -> Iterator[str | None]:
            for each in lists:
                if each is None:
                    yield None
                    continue
                waiting.append(each)
                yield from (candidate.text for candidate in each.candidates)

        scores = self.score(texts(), hypotheses=True, threads=threads)
        for first in scores:
            while not waiting[0].candidates:
                yield waiting.popleft(), []
            current = waiting.popleft()
            yield current, [first, *itertools.islice(scores, len(current.candidates) - 1)]
        yield from ((each, []) for each in waiting)

    def counted_characters(self, line: str) -> int | None:
        """Characters of a line that figures count, its end included if that is a token.

        None for a blank line, which is in no figure, unless it is a part of a stream of characters.
        """
        if self.reads_lines and not line.strip():
            return None
        counted = counted_characters(line, self.level == "char", self.tokenizer.reads_marks)
        return counted + (self.line_end is not None)

    def spans(self, scored: ScoredLine) -> list[tuple[int, int]]:
        """Where each token of a line stands in its text, start and end; the line's end is at the end of the text."""
        words, ends = scored.tokens, []
        if self.line_end is not None:
            words, ends = words[:-1], [(len(scored.text),) * 2]
        return spans(self.tokenizer, scored.text, words) + ends

    def _line_ids(self, tokens: list[str], end: int | None) -> NDArray[np.int32]:
        """Ids of a line's tokens; the last token is its end if there is one, whatever text may be spelt like it."""
        ids = self.vocabulary.encode(tokens)
        if end is not None:
            ids[-1] = end
        return ids

    def evaluate(self, text: str | PathLike[str] | Iterable[str] | TokenizedCorpus, threads: int = 1) -> Evaluation:
        """Measure the model on a text: a file, lines, or a tokenized corpus.

        See `inference.scoring.sequence_nats` for how it is read.

        Raises:
            CorpusError: the file cannot be read, or there is no text.
            DirectionError: the model is bidirectional.
        """
        from rnnlm.text.corpus import TokenizedCorpus

        corpus = text if isinstance(text, TokenizedCorpus) else self._tokenized(text)
        ids = self.sequence(corpus)
        (nats, tokens), (oov_nats, oov) = sequence_totals(self.causal, ids, self.context, (UNK,), threads)
        return Evaluation(tokens, oov, corpus.characters, -nats, -oov_nats)

    def _tokenized(self, text: str | PathLike[str] | Iterable[str]) -> TokenizedCorpus:
        from rnnlm.text.corpus import tokenize_corpus
        from rnnlm.text.sources import lines_as_source

        file = text if isinstance(text, str | PathLike) else lines_as_source(text)
        return tokenize_corpus([file], self.tokenizer, lines=self.reads_lines)

    def evaluate_dynamically(self, corpus: TokenizedCorpus, lr: float, window: int) -> Evaluation:
        """The same for a network that keeps learning while it reads; see `inference.dynamic`. This model is left as is.

        Raises:
            CheckpointError: the model is no network.
            DirectionError: it is bidirectional.
        """
        from rnnlm.inference.dynamic import dynamic_nats

        network = self.causal if isinstance(self.causal, Network) else self.network  # each says why not
        ids = self.sequence(corpus)
        nats = dynamic_nats(network, ids, self.context, lr, window)
        unknown = ids[:] == UNK
        return Evaluation(
            len(ids), int(unknown.sum()), corpus.characters, -float(nats.sum()), -float(nats[unknown].sum())
        )

    def sequence(self, corpus: TokenizedCorpus) -> IdSequence:
        """A tokenized text as ids of this model.

        Raises:
            VocabularyError: it has no tokens.
        """
        if not len(corpus.ids):
            raise VocabularyError("The text has no tokens; nothing can be evaluated.")
        from rnnlm.text.corpus import sequence  # here: most commands read no corpus, and start sooner without it

        return sequence(corpus, self.vocabulary)


def network_of(config: NetworkConfig, params: Mapping[str, NDArray[Any]]) -> Network:
    """The network that a configuration describes: of one direction or two."""
    return (BidirectionalNetwork if config.bidirectional else Network)(config, params)


def _check_weights(network: Network) -> None:
    """Refuse weights whose products are no numbers any more, so that all probabilities are."""
    for name, array in network.params.items():
        if not are_weights(array):
            raise CheckpointError(
                f"The checkpoint's {name} holds weights beyond {LARGEST_WEIGHT:g}: it is damaged, or its training "
                "exploded. Train again with a smaller --lr."
            )


def _blocks(lines: Iterable[str | None]) -> Iterator[list[str]]:
    """Lines in blocks that are large enough to be scored together and small enough to be kept; None ends one."""
    block: list[str] = []
    characters = 0
    for line in lines:
        if line is not None:
            block.append(line)
            characters += len(line)
            if len(block) < LINES_AT_A_TIME and characters < CHARACTERS_AT_A_TIME:
                continue
        if block:
            yield block
            block, characters = [], 0
    if block:
        yield block


def reads_lines(level: str, context: str) -> bool:
    """Whether a text is read line by line with </s> at the ends: everything but a stream of characters."""
    return not (level == "char" and context == "stream")


def tokenizer_from_header(header: Any) -> Tokenizer:
    """Tokenizer from its JSON form in a checkpoint.

    Raises:
        CheckpointError: the form is not one that a tokenizer wrote.
    """
    described = _mapping(header)
    make: Callable[[Any], Tokenizer] | None = getattr(TOKENIZERS.get(str(described.get("name"))), "from_options", None)
    if make is None:
        raise CheckpointError(
            f"The checkpoint's tokenizer is {shown(described.get('name'))}; expected one of {', '.join(TOKENIZERS)}."
        )
    return make(_mapping(described.get("options")))


def line_of_header(value: Any, V: int) -> list[int]:
    """Ids of a line from a file; V: number of ids.

    Raises:
        CheckpointError: they are none.
    """
    line = [] if value is None else value
    if type(line) is list and len(line) <= LONGEST_LINE and all(type(each) is int and BOS < each < V for each in line):
        return line
    raise CheckpointError(f"The line that is read before others is {shown(value)}; expected a few ids. It is damaged.")


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CheckpointError(
            f"The checkpoint's header holds {shown(value)} where an object was expected; it is damaged."
        )
    return value


def _check_types(params: Mapping[str, NDArray[Any]]) -> None:
    """Refuse parameters that are not all of one sort of number to compute with."""
    found = sorted({array.dtype.name for array in params.values()})
    if found not in (["float32"], ["float64"]):
        raise CheckpointError(
            f"The checkpoint's parameters are {' and '.join(found) or 'missing'}; expected float32. It was edited."
        )


def is_parameter(name: str) -> bool:
    """Whether an array of a checkpoint is part of the model, and not of the training that --resume goes on with."""
    return name.startswith(("embedding.", "rnn.", "output.", "ngram."))
