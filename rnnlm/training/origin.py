"""The checkpoint that a training resumes or starts from, and the options that it fixes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rnnlm.errors import CheckpointError, TokenizerError, VocabularyError, shown
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import is_parameter, network_of
from rnnlm.nn.averaging import narrowed
from rnnlm.nn.bidirectional import AnyNetwork
from rnnlm.nn.numerics import Array
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.storage.checkpoint import load, section
from rnnlm.text.held_out import split_version
from rnnlm.text.letter_case import lower_case
from rnnlm.text.pieces import OPTIONS as PIECE_OPTIONS
from rnnlm.text.pieces import PieceTokenizer
from rnnlm.text.tokenizers import WordTokenizer
from rnnlm.text.user_dictionary import read_user_dictionary
from rnnlm.text.vocabulary import FIRST, Vocabulary
from rnnlm.training.options import (
    DECLARATIONS,
    FILE_OPTIONS,
    NETWORK_OPTIONS,
    RUN_OPTIONS,
    TEXT_OPTIONS,
    Options,
    before_options,
    typed,
)

NOT_ASKED = {*TEXT_OPTIONS, *NETWORK_OPTIONS}  # recorded options to ignore: tokenizer and network imply them


@dataclass(frozen=True)
class Origin:
    """A checkpoint, and how a training uses it.

    Attributes:
        resumed: Whether its training is resumed; otherwise a new training starts from its weights.
        vocabulary: What to do if the vocabulary of the text differs: "refuse", "keep" the vocabulary of the model, or
            "map" its rows to that of the text.
        changed_text: Whether the training may be resumed on another text.
    """

    path: Path
    model: LanguageModel
    header: Mapping[str, Any]
    arrays: Mapping[str, Array]
    resumed: bool
    vocabulary: str = "refuse"
    changed_text: bool = False

    @classmethod
    def read(cls, path: Path, resumed: bool, vocabulary: str = "refuse", changed_text: bool = False) -> Origin:
        """Read a checkpoint.

        Raises:
            CheckpointError: it cannot be read, or has no training state to resume from.
        """
        header, arrays = load(path)
        model = LanguageModel.from_parts(header, _parameters(arrays))
        if resumed and (averaged := model.training.get("averaged", 1)) != 1:
            model.predictor = _one_of(averaged, model.network)
        if resumed and model.kind == "rnn" and "state" not in model.training:
            how = "was imported" if "imported" in model.training else "was saved without one"
            raise CheckpointError(
                f"{path} has no training state to resume from: it {how}. Start a new training from its weights "
                f"with --init-from {path} and another file as --output."
            )
        return cls(path, model, header, arrays, resumed, vocabulary, changed_text)

    @property
    def parameters(self) -> dict[str, Array]:
        """Parameters of the network when the training was saved."""
        return {name: self.arrays[name] for name in self.model.network.params}

    @property
    def split_version(self) -> int:
        """Version of the rules by which the training held out a part of the text."""
        return split_version(self.header["training"])

    @property
    def fixed_vocabulary(self) -> Vocabulary | None:
        """The vocabulary of the model, if the text is read with it; else None."""
        return self.model.vocabulary if self.resumed or self.vocabulary == "keep" else None

    def adopted(self, options: Options, given: Mapping[str, Any]) -> Options:
        """Return options with the values that the checkpoint fixes.

        given: options that the user gave.

        Raises:
            CheckpointError: a given option contradicts the checkpoint.
        """
        before = recorded(self.model, self.path)
        fixed = [*TEXT_OPTIONS, *NETWORK_OPTIONS, *(RUN_OPTIONS if self.resumed else ())]
        for name in fixed:
            if given.get(name, "auto") not in ("auto", before.get(name)):
                self._refuse(name, given[name], before.get(name))
        kept = before if self.resumed else {name: before[name] for name in fixed if name in before}
        chosen = {name: value for name, value in given.items() if name not in fixed or value != "auto"}
        merged = replace(options, **{**kept, **chosen})
        if {"time", "epochs"} & given.keys() and self.resumed:
            merged = replace(merged, time=given.get("time"), epochs=given.get("epochs"))
        return merged

    def _refuse(self, name: str, given: Any, trained: Any) -> None:
        option, value = typed(name, given), typed(name, True) if trained is True else trained
        how = "without it" if trained in (None, False) else f"with {value}"
        raise CheckpointError(
            f"{option} contradicts {self.path}, which was trained {how}. Leave {option.partition(' ')[0]} out, or "
            "train a new model."
        )

    def check_user_words(self, path: str) -> None:
        """Raise TokenizerError if a user dictionary differs from that of the checkpoint in effective words."""
        given, _ = read_user_dictionary(path)
        stored = self.model.tokenizer.settings().get("user_dictionary") or []
        lower = self.model.tokenizer.lowercase
        words = [[lower_case(each.word) if lower else each.word, each.frequency] for each in given]
        if words != [each for each in stored if WordTokenizer.can_keep(each[0])]:
            raise TokenizerError(
                f"--user-dict {path} holds other words than the checkpoint was trained with. Leave it out: the "
                "checkpoint has its own copy."
            )

    def check_pieces(self, path: str, kind: str) -> None:
        """Raise TokenizerError if a subword tokenizer is not that of the checkpoint."""
        if not PieceTokenizer.read(path, kind).adopt(self.model.tokenizer.settings()):
            raise TokenizerError(
                f"{PIECE_OPTIONS[kind]} {path} is not what the checkpoint was trained with. Leave it out: the "
                "checkpoint has its own copy, if it has pieces; or train a new model."
            )

    def check_vocabulary(self, new: Vocabulary) -> None:
        """Raise VocabularyError if the vocabulary of the text differs and `vocabulary` is "refuse"."""
        old = self.model.vocabulary
        if not self.resumed and self.vocabulary == "refuse" and old.tokens != new.tokens:
            shared = len(set(old.tokens) & set(new.tokens))
            raise VocabularyError(
                f"The text's vocabulary has {len(new) - FIRST:,} tokens, of which {shared:,} are among the "
                f"{len(old) - FIRST:,} of the model to start from. Say --init-vocabulary keep (the model's; "
                "others become <unk>) or --init-vocabulary map (the text's; shared tokens keep their weights)."
            )

    def has_text(self, digest: str) -> bool:
        """Return whether the model was trained on the text with this digest."""
        return section(self.header, "training", "corpus").get("digest") == digest


def recorded(model: LanguageModel, path: Path) -> dict[str, Any]:
    """Return the options of the training that a checkpoint records, which is not trusted.

    For an imported model, which has no record, only the options of the network and the tokenizer are returned.

    Raises:
        CheckpointError: the record is missing, or an option has an impossible value.
    """
    config, settings = model.network.config, model.tokenizer.settings()
    evident: dict[str, Any] = {
        **{name: getattr(config, name) for name in NETWORK_OPTIONS if name != "softmax"},
        "softmax": "adaptive" if config.output == "adaptive" else "full",
        "level": model.level,
        "context": model.context,
        "lowercase": model.tokenizer.lowercase,
        **{name: settings[name] for name in ("segmenter", "hmm") if name in settings},
    }
    if "imported" in model.training:
        return evident
    options = model.training.get("options")
    found = before_options(options if isinstance(options, dict) else {})
    if found.keys() != DECLARATIONS.keys():
        raise CheckpointError(f"{path} does not say how it was trained; it cannot be resumed or started from.")
    for name, declaration in DECLARATIONS.items():
        is_sound = declaration.may_be_none if found[name] is None else declaration.admits(found[name])
        if name in FILE_OPTIONS:
            is_sound = found[name] is None  # their contents are in the tokenizer's options and the vocabulary
        if name not in NOT_ASKED and not is_sound:
            raise CheckpointError(
                f"{path} says that it was trained with {shown(found[name])} as {name}, which is impossible. It cannot "
                "be resumed or started from; train again."
            )
    if found["weight_decay"] is None:  # recorded before the option existed
        found["weight_decay"] = OPTIMIZERS[str(found["optimizer"])].weight_decay
    kept = [name for name in DECLARATIONS if name not in NOT_ASKED or name in ("segmenter", "hmm")]
    return {name: found[name] for name in kept} | evident


def _one_of(averaged: Any, network: AnyNetwork) -> AnyNetwork:
    """Return a network such as those that `network` is the average of; its weights, in the training's arrays, are 0.

    Raises:
        CheckpointError: it is not the average of so many.
    """
    wide = network.config
    try:
        config = narrowed(wide, averaged if type(averaged) is int else 0)
    except ValueError:
        raise CheckpointError(
            f"The checkpoint's network of {wide.hidden_size:,} units is said to be the average of {shown(averaged)} "
            "networks; expected a divisor. It is damaged or was edited."
        ) from None
    return network_of(config, {name: np.zeros(shape, np.float32) for name, shape in config.shapes().items()})


def _parameters(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if is_parameter(name)}
