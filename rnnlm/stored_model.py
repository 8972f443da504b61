"""Loading and saving of a model: tokenizer, vocabulary, predictor, and training record."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Self, cast

from rnnlm.baselines.ngram import NgramModel
from rnnlm.codec import Codec
from rnnlm.errors import CheckpointError, DirectionError, shown
from rnnlm.foreign import is_arpa
from rnnlm.inference.cache import WithCache
from rnnlm.inference.line_starts import AfterLine
from rnnlm.inference.mixture import Mixture
from rnnlm.model_header import is_parameter, line_of_header, mapping, predictor_of, tokenizer_from_header
from rnnlm.names import CONTEXTS
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network
from rnnlm.sentences import Sentence
from rnnlm.storage import checkpoint
from rnnlm.storage.checkpoint import section
from rnnlm.text.letter_case import in_lower_case, lower_case
from rnnlm.text.tokenizers import CharTokenizer, Tokenizer, TokenTokenizer
from rnnlm.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

CausalPredictor = Network | NgramModel | Mixture
Predictor = CausalPredictor | BidirectionalNetwork


class StoredModel(Codec):
    """A tokenizer, a vocabulary and a predictor, loaded from a file or to be saved to one."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        predictor: Predictor,
        context: str,
        training: Mapping[str, Any] | None = None,
    ) -> None:
        """Combine the parts; context: "sentence" or "stream"; training: JSON record of the training."""
        if predictor.vocabulary_size != len(vocabulary):
            raise CheckpointError(
                f"The model has {predictor.vocabulary_size:,} outputs, the vocabulary {len(vocabulary):,} tokens. "
                "The checkpoint is damaged or was edited."
            )
        if context not in CONTEXTS:
            raise CheckpointError(
                f"The checkpoint's context is {shown(context)}; expected one of {', '.join(CONTEXTS)}."
            )
        super().__init__(tokenizer, vocabulary, context)
        self.predictor = predictor
        self.training: dict[str, Any] = dict(training or {})
        self.line_before: list[int] = []  # ids of a line to read before independent lines, see `after_line`
        self.notes: list[str] = []  # messages for the user about the files it was loaded from
        self.history: list[dict[str, Any]] = []  # evaluations during the training, as --history writes them
        self.training_arrays: dict[str, NDArray[Any]] = {}  # arrays that --resume needs beside `training`

    def __repr__(self) -> str:
        """Return a summary: predictor, vocabulary, context and held-out perplexity."""
        best = section(self.training, "mixture").get("nats_per_token", self.training.get("best_nats_per_token"))
        measured = f", perplexity {math.exp(min(best, 700)):.4g} held out" if isinstance(best, float) else ""
        vocabulary = f"{len(self.vocabulary):,} {self.level}s"
        return f"<{type(self).__name__}: {self.predictor.describe()}, {vocabulary}, {self.context}{measured}>"

    def read_in_lower_case(self) -> None:
        """Convert all text to lower case from now on, for a model of lower-case text."""
        self.tokenizer = in_lower_case(self.tokenizer)
        tokens = self.vocabulary.tokens
        if capitals := sum(lower_case(token) != token for token in tokens):
            never = "Warning: {n} of the model's {tokens} tokens have capital letters, so they are never read."
            self.notes.append(Sentence(never, n=f"{capitals:,}", tokens=f"{len(tokens):,}"))

    # --- files --------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Load a model from a checkpoint or an ARPA file, without the training state of a checkpoint.

        Raises:
            CheckpointError: the file is missing, damaged, of a newer version, or not a model.
        """
        if is_arpa(path):
            return cls.from_arpa(path)
        header, arrays = checkpoint.load(path, wanted=is_parameter)
        return cls.from_parts(header, arrays)._checked(path)

    @classmethod
    def from_arpa(cls, path: str | PathLike[str], tokenizer: Tokenizer | None = None) -> Self:
        """Load a model from an ARPA file.

        Without a tokenizer, tokens are separated by spaces, or are characters if some tokens are white space, as in a
        file that `rnnlm ngram train` wrote for a model of characters.

        Raises:
            CheckpointError: the file cannot be read, or a line, named in the message, is invalid.
        """
        from rnnlm.baselines.arpa import read_arpa

        predictor, tokens = read_arpa(path)
        vocabulary = Vocabulary(tokens, [0] * len(tokens))
        training = {"imported": "ARPA", "options": {"context": "sentence", "order": predictor.order}}
        if tokenizer is None:
            tokenizer = CharTokenizer() if any(map(str.isspace, tokens)) else TokenTokenizer()
        return cls(tokenizer, vocabulary, predictor, "sentence", training)._checked(path)

    def _checked(self, path: str | PathLike[str]) -> Self:
        """Return the model after checking the probabilities of an n-gram model; doubtful ones are noted."""
        if isinstance(self.predictor, NgramModel):
            try:
                found = self.predictor.check_rows(self.vocabulary.token)
                self.notes += [Sentence("Warning: {path}: {doubt}", path=path, doubt=each) for each in found]
            except CheckpointError as error:
                raise CheckpointError(f"{path}: {error}, or use another copy.") from None
        return self

    @classmethod
    def from_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the model of a checkpoint's header and parameters."""
        vocabulary = Vocabulary.from_header(header.get("vocabulary"))
        predictor = predictor_of(header, len(vocabulary), arrays)
        model = cls(
            tokenizer_from_header(header.get("tokenizer")),
            vocabulary,
            predictor,
            header.get("context", ""),
            mapping(header.get("training")),
        )
        model.line_before = line_of_header(header.get("line_before"), len(vocabulary))
        model.line_resets = header.get("line_resets") is True
        return model

    def save(
        self,
        path: str | PathLike[str],
        training_arrays: Mapping[str, NDArray[Any]] | None = None,
        *,
        slim: bool = False,
    ) -> None:
        """Write a checkpoint atomically: the old file stays until the new one is complete.

        training_arrays: arrays that --resume needs; by default those that `rnnlm.train` left in `self.training_arrays`.
        slim: leave out the training state, such as that of the optimizer. The model is the same, and a new training can
        start from its weights, but its training cannot be resumed.

        Raises:
            CheckpointError: the file cannot be written, or the model is a mixture.
        """
        header, arrays = self.parts()
        more = {} if slim else dict(self.training_arrays if training_arrays is None else training_arrays)
        if not more:  # without them, the training cannot be resumed from its state
            header["training"] = {name: value for name, value in self.training.items() if name != "state"}
        checkpoint.save(path, header, arrays | more)

    def parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return header and parameters of a checkpoint, as `from_parts` takes them.

        Raises:
            CheckpointError: the model is a mixture.
        """
        header: dict[str, Any] = {
            "kind": self.kind,
            "context": self.context,
            "tokenizer": {"name": self.tokenizer.name, "options": self.tokenizer.options()},
            "vocabulary": self.vocabulary.to_header(),
            "training": self.training,
        }
        header |= {name: value for name in ("line_before", "line_resets") if (value := getattr(self, name))}
        described, arrays = self.predictor.to_file()
        return header | described, dict(arrays)

    def check_savable(self) -> None:
        """Check that the model could be saved and loaded again; called before a long computation.

        Raises:
            CheckpointError, VocabularyError, TokenizerError: it could not.
        """
        header, arrays = self.parts()
        checkpoint.check_header(header)
        self.from_parts(json.loads(json.dumps(header)), arrays)

    @property
    def kind(self) -> str:
        """Kind of predictor: "rnn", "ngram" or "mixture"."""
        return self.predictor.kind

    @property
    def network(self) -> Network:
        """The recurrent network, which may be a `BidirectionalNetwork`, without an n-gram model mixed with it.

        Raises:
            CheckpointError: the model is an n-gram model or a mixture.
        """
        predictor = self.without_cache
        if isinstance(predictor, NetworkWithNgram):
            return predictor.network
        if self.kind != "rnn":
            raise CheckpointError(f"This is {predictor.noun}; what was asked for needs a recurrent network.")
        return cast(Network, predictor)

    @property
    def ngram(self) -> NgramModel:
        """The n-gram model, alone or mixed with a network.

        Raises:
            CheckpointError: the model has none.
        """
        predictor = self.without_cache
        if isinstance(predictor, NetworkWithNgram):
            return predictor.ngram
        if not isinstance(predictor, NgramModel):
            raise CheckpointError(f"This is {predictor.noun}; what was asked for needs an n-gram model.")
        return predictor

    @property
    def without_cache(self) -> Predictor:
        """The predictor without its neural cache, if it has one."""
        return self.predictor.without_cache if isinstance(self.predictor, WithCache) else self.predictor

    def require_causal(self) -> CausalPredictor:
        """Return the predictor, if it predicts each token from the tokens before it.

        Raises:
            DirectionError: the model is bidirectional.
        """
        if isinstance(self.predictor, BidirectionalNetwork):
            raise DirectionError(
                "This model is bidirectional: it needs both sides of a word. It fills blanks (rnnlm fill) but has no "
                "next word and no perplexity. Train one without --bidirectional for those."
            )
        return self.predictor

    def after_line(self, predictor: CausalPredictor) -> CausalPredictor:
        """Return a predictor that starts after `line_before`, if the model has one; see `inference.line_starts`."""
        if not self.line_before or self.line_end is None:
            return predictor
        return cast(CausalPredictor, AfterLine(predictor, [self.line_end, *self.line_before]))

    @property
    def unknown_word_penalty(self) -> float:
        """Nats to add to ln p(<unk>) for the log probability of a particular unknown word; 0 or less.

        The <unk> of a network has the probability of all unknown words together. Their number is estimated by that of
        the words that occur once in the training text (Good-Turing). The <unk> of an n-gram model is a single word.
        """
        if self.kind == "ngram":
            return 0.0
        return -math.log(max(1, self.vocabulary.counts.count(1)))
