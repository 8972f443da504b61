"""Reordering of an imported vocabulary, so that it begins with <s>, </s> and <unk> as in rnnlm.

Many programs have one token for both the end of a line and the start of the next, and models of characters often have
no unknown token. Missing rows are added. Their embedding is that of the token they replace, or the mean of all, and
their probability is less than e^-60 at every step, so that the others are unchanged.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from rnnlm.errors import ExchangeError, shown
from rnnlm.nn.network import NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.sentences import Sentence
from rnnlm.text.vocabulary import BOS, EOS, FIRST, SPECIALS, UNK, UNKNOWN

OPTIONS = ("--bos", "--eos", "--unk")
# Logits of added rows are this many nats below that of the copied row, or the mean, so far below the maximum.
BELOW = 60.0
LONGEST_MARK = 40  # characters
MEAN = -1  # source of an added row without a token in the file
# Special tokens of other programs: <eos>, [SEP], <sos/eos>, <|endoftext|>, ...
_BETWEEN_SIGNS = re.compile(r"[<\[({_|$#].*[>\])}_|$#]")
_SIGNS = re.compile(r"[\W_]")
_ALIKE = (
    re.compile(r"bos|sos|soseos|start|startofsentence|startoftext|begin|go|cls"),
    re.compile(r"s|eos|soseos|end|endofsentence|endoftext|eol|sep|stop"),
    re.compile(r"unk|unknown|oov"),
)


class Arrangement(NamedTuple):
    """rows: old id or MEAN for every new id. silent: new ids that must not be predicted. notes: for the user."""

    rows: list[int]
    silent: set[int]
    notes: list[str]


def arrange(tokens: Sequence[str], named: Sequence[str | None], without_lines: bool) -> Arrangement:
    """Return the order of a file's tokens in which they have the ids of rnnlm.

    Args:
        tokens: All tokens of the file, in order of their ids.
        named: Tokens that the user gives for <s>, </s> and <unk>; None where not given.
        without_lines: Whether the model reads a stream of characters, where newlines are tokens and </s> is unused.

    Raises:
        ExchangeError: a given token is missing, or a token has to be given.
    """
    if tuple(tokens[:FIRST]) == SPECIALS and not any(named):
        return Arrangement(list(range(len(tokens))), set(), [])
    places = {token: place for place, token in reversed(list(enumerate(tokens)))}
    newline = places.get("\n") if without_lines else None  # an ordinary token, also read before a line
    found = [_place(places, special, named[special]) for special in range(FIRST)]
    if newline is not None:
        found = [None if place == newline else place for place in found]
    _check_found(tokens, found, without_lines)
    bos, eos, unk = found
    silent = {special for special in range(FIRST) if found[special] is None}
    if bos is None or bos == eos:
        silent, bos = silent | {BOS}, newline if eos is None else eos
    sources = [MEAN if place is None else place for place in (bos, eos, unk)]
    rows = sources + [place for place in range(len(tokens)) if place not in found]
    notes = list[str]()
    if bos is not None and bos == eos:
        both = "{token} ends a line, and is read before its first token, too."
        notes.append(Sentence(both, token=shown(tokens[bos])))
    if unk is None:
        added = "No token stands for unknown ones: <unk> is added, with a probability of 0. {option} names one."
        notes.append(Sentence(added, option=OPTIONS[UNK]))
    return Arrangement(rows, silent, notes)


def _place(places: Mapping[str, int], special: int, named: str | None) -> int | None:
    """Return the id of a special token in the file: of the given token, or of the spelling in rnnlm."""
    if named is None:
        spelt = UNKNOWN if special == UNK else (SPECIALS[special],)
        return next((places[token] for token in spelt if token in places), None)
    place = places.get(named, places.get(named.replace("\\n", "\n")))
    if place is None:
        raise ExchangeError(f"it has no token {shown(named)}, which {OPTIONS[special]} names")
    return place


def _check_found(tokens: Sequence[str], found: Sequence[int | None], without_lines: bool) -> None:
    """Raise ExchangeError if no token ends a line, or a token that looks special was not given by the user."""
    unk = found[UNK]
    if unk is not None and unk in (found[BOS], found[EOS]):
        raise ExchangeError(f"{shown(tokens[unk])} is {SPECIALS[UNK]} and another symbol; expected two tokens")
    missing, say = [], []
    for special in range(FIRST):
        if found[special] is not None:
            continue
        like = [token for place, token in enumerate(tokens) if place not in found and _is_alike(token, special)]
        if special == EOS and "\n" in tokens:
            like.append("\\n")
        if (not without_lines) if special == EOS else like:
            missing.append(SPECIALS[special])
            say.append(f"{OPTIONS[special]} {shlex.quote(like[0]) if like else 'TOKEN'}")
    if missing:
        raise ExchangeError(
            f"it has no {' and no '.join(missing)} among its {len(tokens):,} tokens. Name what stands for it: "
            f"{' '.join(say)}. The first tokens are {', '.join(map(shown, tokens[:3]))}"
        )


def is_mark(token: str) -> bool:
    """Return whether a token is spelt like a special token, not like text: <pad>, [MASK], __eou__."""
    return 2 < len(token) <= LONGEST_MARK and token.isprintable() and _BETWEEN_SIGNS.fullmatch(token) is not None


def _is_alike(token: str, special: int) -> bool:
    return bool(is_mark(token) and _ALIKE[special].fullmatch(_SIGNS.sub("", token.lower())))


def rearranged(
    config: NetworkConfig, params: Mapping[str, Array], arrangement: Arrangement
) -> tuple[NetworkConfig, dict[str, Array]]:
    """Return the configuration and parameters with reordered and added token rows.

    Raises:
        ExchangeError: a special token is in a tail of an adaptive softmax.
    """
    rows, silent = arrangement.rows, sorted(arrangement.silent)
    if rows == list(range(config.vocabulary_size)):
        return config, dict(params)
    added = len(rows) - config.vocabulary_size
    new = replace(config, vocabulary_size=len(rows), cutoffs=tuple(cutoff + added for cutoff in config.cutoffs))
    of_tokens, biases = ["embedding.weight", "output.weight", "output.bias"], "output.bias"
    orders = dict.fromkeys(of_tokens, rows)
    if config.output == "adaptive":
        edge = config.cutoffs[0]
        if max(rows[:FIRST]) >= edge:
            raise ExchangeError(
                f"The special tokens have the ids {', '.join(map(str, rows[:FIRST]))}; expected ids below {edge}, the "
                "first cutoff of the adaptive softmax. Train with these tokens among the most frequent ones."
            )
        head = rows[: new.cutoffs[0]] + list(range(edge, len(params["output.head.weight"])))
        orders |= {"output.head.weight": head, "output.head.bias": head}
        biases = "output.head.bias"
    moved = dict(params)
    for name, array in params.items():
        if name in orders:
            moved[name] = _taken(array, orders[name])
        elif not config.embedding_size and name.startswith("rnn.weight_ih_l0"):
            moved[name] = _taken(array.T, rows).T
    moved[biases][silent] -= BELOW
    return new, moved


def _taken(table: Array, rows: Sequence[int]) -> Array:
    """Return rows of a table; the row MEAN is the mean of all."""
    mean = table.mean(axis=0, keepdims=True, dtype=np.float64).astype(table.dtype)
    return np.concatenate([table, mean])[rows]
