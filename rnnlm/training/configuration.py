"""Default hyperparameters for a text, a time budget and a machine: simple rules, derived from measured trainings.

`benchmarks/configuration_study.py` repeats these trainings. Rules take given options into account: for example, a given
width changes the number of passes in the time budget, and so the dropout.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from rnnlm.nn.cells import CELLS
from rnnlm.nn.cells.loop import Cell
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.training.options import trained_cell

WIDTHS = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
# In a time budget, the best network is the widest one that reads TOKENS_PER_WEIGHT tokens for each recurrent weight,
# because wider networks learn more per token; but beyond `Level.weights_per_token` they memorize the text.
TOKENS_PER_WEIGHT = 5
PRESET_WEIGHTS_PER_TOKEN = 25  # of a size that the user chose by name
# Without a time budget: a training of minutes on a laptop.
PATIENT_TOKENS = 5e6
PATIENT_WIDTH = 256
PATIENT_WEIGHTS_PER_TOKEN = 10
FEWEST_PASSES = 3.0
# Several networks that have read a text often enough, see `Level.enough`, are better on average than one that has read
# it more often or is wider (benchmarks/RESULTS.md). Without a time, more of them are trained if that takes no
# more than so many tokens, some seconds.
MOST_NETWORKS = 4
BRIEF_TOKENS = 1.5e6
PASSES_WITHOUT_DROPOUT = 2.0  # with more passes, a network memorizes the text
# The best learning rate of Adam decreases with the width; measured at widths from 128 to 512.
RATES_BY_WIDTH = ("adam", "adamw")
WEIGHT_DECAY = 0.1
MOST_TAKEN_OFF = 0.01  # largest share of the weights that decay removes in a step
LINE_RESETS = 0.2  # share of the lines of a stream that are read from a zero state
MANY_TOKENS = 256  # size of a vocabulary, larger than an alphabet
# Vocabulary size from which the adaptive softmax is used, because the full one would be most of the work. In a time
# budget it pays from a smaller size, because it allows more steps and a larger width.
ADAPTIVE_FROM, ADAPTIVE_FROM_TIMED = 8_000, 3_000


@dataclass(frozen=True)
class Level:
    """Settings that depend on the level and the size of the text."""

    bptt: int
    most_passes: float
    dropout_per_doubling: float  # added for each doubling of the passes
    most_dropout: float
    rate_times_width: float
    long_memory: float  # share of the units; see nn.initializers.memory_bias
    columns: tuple[int, int] = (8, 32)  # minimum and maximum batch size
    highest_rate: float = 2.5e-2
    input_share: float = 0.5  # ratio of input dropout to dropout
    enough: float = 1.0  # share of the most passes that each of several networks needs
    equally_wide: bool = False  # whether each of several networks must be as wide as one alone
    weights_per_token: float = 5.0  # limit of the recurrent weights in a time budget


# A text of fewer tokens can only be memorized: in this number of steps, without dropout.
TINY_TEXT = 200
STEPS_BY_HEART = 300

_WORDS = Level(32, 15.0, 0.2, 0.6, 2.0, 0.25)
_CHARACTERS = Level(64, 40.0, 0.12, 0.5, 4.5, 0.25)
# A wide network memorizes a long text of many different tokens: several narrower ones of equal width are better.
LONG_WORDS = replace(_WORDS, enough=7.5 / 15, equally_wide=True, weights_per_token=1.25)
CHARACTERS = replace(_CHARACTERS, enough=7.5 / 40, equally_wide=True, weights_per_token=1.75)
LEVELS = {"char": CHARACTERS, "word": LONG_WORDS, "token": LONG_WORDS}
# The letters of an alphabet need no dropout of their embeddings, and without it equal inputs are computed once. But a
# wide network then memorizes the text in many passes: several narrower ones are better.
LETTERS = replace(_CHARACTERS, enough=24 / 40, input_share=0.0, weights_per_token=2.5)
# Sentences that are cut between two BPTT windows do not teach dependencies across the cut. In larger texts, with more
# columns, windows of twice the length would make batches too large. Fewer columns and more passes give more steps,
# which a small text needs to learn long-distance dependencies.
SMALL_TEXT = 100_000  # tokens
SMALL_WORDS = replace(_WORDS, bptt=64, most_passes=25.0, long_memory=0.5, columns=(2, 4))
# Words that are often repeated need less dropout: 60 times in the King James Bible, but not some 20 times in 红楼梦.
OFTEN = 40  # mean number of occurrences of a word
REPEATED_WORDS = replace(LONG_WORDS, dropout_per_doubling=0.13)
# A text of a few thousand words gives too few steps to move far from the initial weights: use shorter windows, hence
# more steps, and a higher learning rate.
BRIEF_TEXT = 12_000  # tokens
BRIEF_WORDS = replace(
    SMALL_WORDS,
    bptt=32,
    columns=(4, 8),
    most_passes=18.0,
    most_dropout=0.65,
    long_memory=0.25,
    rate_times_width=3.0,
    highest_rate=6e-2,
)
# If words are rarely repeated, a network memorizes the neighbours of each: use a higher input dropout.
RARE_OCCURRENCES = 6  # mean number of occurrences of a word
BRIEF_RARE_WORDS = replace(BRIEF_WORDS, input_share=0.875)
# In a small vocabulary, all words are frequent. What remains to learn is their dependencies over any distance, which
# takes passes, and back-propagation through whole sentences.
FEW_WORDS = replace(
    _WORDS,
    bptt=64,
    most_passes=60.0,
    dropout_per_doubling=0.07,
    most_dropout=0.3,
    long_memory=1.0,
    columns=(4, 32),
)

REFERENCE_WIDTH = 128  # width of the network whose speed is measured first
TRAINING_SHARE = 0.9  # share of the time budget; evaluations and saving take the rest
FORWARD_AND_BACKWARD = 6  # operations per weight and token
ADAPTIVE_ROWS = 1_000  # approximate rows of the output matrix per token with the adaptive softmax
# Cost of a unit in a step apart from matrix products, in operations of matrix products of the same duration.
WORK_OF_UNIT = 2_000

PRESETS = {"tiny": 64, "small": 128, "medium": 256, "large": 512, "best": 1024}  # widths
PRESET_PASSES = {"tiny": 0.5, "small": 1.0, "medium": 1.0, "large": 1.5, "best": 3.0}  # times those without a preset


@dataclass(frozen=True)
class Circumstances:
    """Inputs of the rules.

    started_from: whether the initial weights are those of another model, which high learning rates would destroy.
    speed: measures the training speed, in tokens per second, of the network with the given options; called only with a
    time budget.
    """

    train_tokens: int
    vocabulary_size: int
    speed: Callable[[Mapping[str, Any]], float]
    started_from: bool = False
    preset: str | None = None


def filled_in(options: Mapping[str, Any], circumstances: Circumstances) -> dict[str, Any]:
    """Return the options of `rnnlm train` with those that are None filled in, one after the other."""
    chosen, text = dict(options), circumstances

    def fit(name: str, rule: Callable[[], Any]) -> None:
        if chosen[name] is None:
            chosen[name] = rule()

    fit("coupled_gates", lambda: couples_gates(chosen, text.started_from))
    level = level_of(chosen["level"], text)
    fit("bptt", lambda: level.bptt)
    fit("line_resets", lambda: LINE_RESETS if chosen["context"] == "stream" and chosen["level"] != "char" else 0.0)
    fit("batch_size", lambda: batch_size(text.train_tokens, chosen["bptt"], level))
    if text.train_tokens < TINY_TEXT:
        level = by_heart(level, text.train_tokens, chosen["batch_size"] * chosen["bptt"])
    fit("long_memory", lambda: level.long_memory if cell_of(chosen).memory_gates else 0.0)
    if chosen["softmax"] == "auto":
        large = text.vocabulary_size >= (ADAPTIVE_FROM if chosen["time"] is None else ADAPTIVE_FROM_TIMED)
        chosen["softmax"] = "adaptive" if large and may_leave_tokens_out(chosen) else "full"
    passes = _Passes(chosen, text, level, chosen["hidden_size"] or REFERENCE_WIDTH)
    if chosen["time"] is not None and chosen["hidden_size"] is None:
        likely = likely_width(chosen, text, level, passes)
        passes = passes if likely == REFERENCE_WIDTH else _Passes(chosen, text, level, likely)
    fit("networks", lambda: networks(chosen, text, level, passes))
    fit("hidden_size", lambda: hidden_size(chosen, text, level, passes))
    fit("embedding_size", lambda: embedding_size(chosen, text.vocabulary_size))
    if chosen["time"] is None:
        fit("epochs", lambda: passes(chosen["hidden_size"]))
    elif options["hidden_size"] is None or options["dropout"] is None:  # otherwise the user chose
        fit("epochs", lambda: level.most_passes if passes(chosen["hidden_size"]) > level.most_passes else None)
    fit("dropout", lambda: dropout(chosen["epochs"] or passes(chosen["hidden_size"]), level))
    fit("input_dropout", lambda: round(level.input_share * chosen["dropout"], 3) if chosen["embedding_size"] else 0.0)
    fit("shared_input_dropout", lambda: shares_input_dropout(text))
    fit("lr", lambda: learning_rate(chosen, level, text.started_from))
    fit("weight_decay", lambda: weight_decay(chosen, text.started_from))
    return chosen


# --- the rules --------------------------------------------------------------------------------------------------


def level_of(name: str, text: Circumstances) -> Level:
    """Return the settings for a level, adapted by the size of the vocabulary and, of words, that of the text."""
    level, few = LEVELS[name], text.vocabulary_size < MANY_TOKENS
    if level is CHARACTERS:
        return LETTERS if few else level
    if few:
        return FEW_WORDS
    if text.train_tokens >= SMALL_TEXT:
        return REPEATED_WORDS if text.train_tokens >= OFTEN * text.vocabulary_size else LONG_WORDS
    if not TINY_TEXT <= text.train_tokens < BRIEF_TEXT:
        return SMALL_WORDS
    return BRIEF_RARE_WORDS if text.train_tokens < RARE_OCCURRENCES * text.vocabulary_size else BRIEF_WORDS


def by_heart(level: Level, train_tokens: int, tokens_of_step: int) -> Level:
    """Return the settings for a tiny text, which is memorized: more passes, no dropout."""
    steps_of_pass = -(-train_tokens // tokens_of_step)
    passes = max(level.most_passes, math.ceil(STEPS_BY_HEART / max(1, steps_of_pass)))
    return replace(level, most_passes=float(passes), most_dropout=0.0)


def couples_gates(chosen: Mapping[str, Any], started_from: bool) -> bool:
    """Return whether to train an LSTM with coupled gates: for words in a time budget, as it is less work.

    For characters, it is neither better nor worse (benchmarks/RESULTS.md).
    """
    words = chosen["level"] != "char"
    return bool(words and chosen["cell"] == "lstm" and chosen["time"] is not None and not started_from)


def batch_size(train_tokens: int, bptt: int, level: Level) -> int:
    """Return the number of columns: few for a small text, so that a pass has at least about a hundred steps."""
    if train_tokens < TINY_TEXT:
        return max(1, train_tokens // (2 * bptt))
    fewest, most = level.columns
    return max(1, min(most, max(fewest, train_tokens // (100 * bptt)), train_tokens // 2))


def may_leave_tokens_out(chosen: Mapping[str, Any]) -> bool:
    """Return whether the adaptive softmax is possible: no option needs the probabilities of all tokens."""
    return not chosen["tied"] and chosen["loss"] == "cross-entropy" and not chosen["label_smoothing"]


def hidden_size(chosen: Mapping[str, Any], text: Circumstances, level: Level, passes: Callable[[int], float]) -> int:
    """Return the largest width that the size of the text and the time budget allow."""
    if chosen["tied"] and chosen["embedding_size"]:
        return int(chosen["embedding_size"]) // _directions(chosen)
    timed = chosen["time"] is not None
    limit = level.weights_per_token if timed else PATIENT_WEIGHTS_PER_TOKEN
    teaches = text.train_tokens * (PRESET_WEIGHTS_PER_TOKEN if text.preset else limit)
    widest = PRESETS[text.preset] if text.preset else WIDTHS[-1] if timed else PATIENT_WIDTH

    def fits(width: int) -> bool:
        weights = recurrent_weights(sized(chosen, width, text.vocabulary_size))
        affordable = not timed or text.preset or passes(width) * text.train_tokens >= TOKENS_PER_WEIGHT * weights
        return weights <= teaches and width <= widest and bool(affordable)

    return next((width for width in reversed(WIDTHS) if fits(width)), WIDTHS[0])


def networks(chosen: Mapping[str, Any], text: Circumstances, level: Level, passes: "_Passes") -> int:
    """Return the largest number of networks that can all read the text often enough in the time."""
    as_wanted = chosen["epochs"] is not None or (chosen["hidden_size"] and chosen["dropout"] is not None)
    if as_wanted or chosen["tied"] or text.started_from or text.preset or text.train_tokens < TINY_TEXT:
        return 1
    if chosen["time"] is None:
        return max(1, min(MOST_NETWORKS, int(BRIEF_TOKENS / (level.most_passes * text.train_tokens))))

    def width(number: int) -> int:
        return chosen["hidden_size"] or hidden_size(chosen, text, level, partial(passes, networks=number))

    for number in range(MOST_NETWORKS, 1, -1):
        each = width(number)
        wide = not level.equally_wide or each == width(1)
        if wide and passes(each, networks=number) >= level.enough * level.most_passes:
            return number
    return 1


def likely_width(chosen: Mapping[str, Any], text: Circumstances, level: Level, passes: "_Passes") -> int:
    """Return the width that the speed at the reference width suggests."""
    number = chosen["networks"] or networks(chosen, text, level, passes)
    return hidden_size(chosen, text, level, partial(passes, networks=number))


def embedding_size(chosen: Mapping[str, Any], vocabulary_size: int) -> int:
    """Return the embedding size, which is smaller for small vocabularies."""
    width = chosen["hidden_size"]
    if chosen["tied"]:
        return int(width) * _directions(chosen)
    return min(int(width), 64) if vocabulary_size < MANY_TOKENS else max(64, int(width) // 2)


def untimed_passes(text: Circumstances, level: Level) -> float:
    """Return the number of passes without a time budget, smaller for longer texts."""
    passes = PATIENT_TOKENS / max(1, text.train_tokens) * PRESET_PASSES.get(text.preset or "", 1.0)
    return float(min(level.most_passes, max(FEWEST_PASSES, round(passes))))


def dropout(passes: float, level: Level) -> float:
    """Return the dropout rate, which increases with the number of passes."""
    needed = level.dropout_per_doubling * math.log2(passes / PASSES_WITHOUT_DROPOUT)
    return round(min(level.most_dropout, max(0.0, needed)), 2)


def shares_input_dropout(text: Circumstances) -> bool:
    """Return whether equal tokens of a batch share a mask: if there are many tokens, and many steps to learn from."""
    return text.vocabulary_size >= MANY_TOKENS and text.train_tokens >= SMALL_TEXT


def learning_rate(chosen: Mapping[str, Any], level: Level, started_from: bool) -> float:
    """Return the peak learning rate: for Adam it decreases with width and depth; else the optimizer's default."""
    if started_from or chosen["optimizer"] not in RATES_BY_WIDTH:
        return OPTIMIZERS[chosen["optimizer"]].default_lr
    by_width = level.rate_times_width / chosen["hidden_size"] / math.sqrt(chosen["num_layers"])
    return float(f"{min(level.highest_rate, by_width) * cell_of(chosen).learning_rate_factor:.2g}")


def weight_decay(chosen: Mapping[str, Any], started_from: bool) -> float:
    """Return the weight decay: for Adam WEIGHT_DECAY, less at high learning rates; else the optimizer's default."""
    if started_from or chosen["optimizer"] not in RATES_BY_WIDTH:
        return OPTIMIZERS[chosen["optimizer"]].weight_decay
    return min(WEIGHT_DECAY, MOST_TAKEN_OFF / chosen["lr"])


# --- work and time ----------------------------------------------------------------------------------------------


class _Passes:
    """Number of passes over the text as a function of the width.

    The speed is measured once, if it is needed, at the width `measured`; that of other widths follows from their work.
    """

    def __init__(self, chosen: Mapping[str, Any], text: Circumstances, level: Level, measured: int) -> None:
        self._chosen, self._text, self._level, self._measured = chosen, text, level, measured

    def __call__(self, width: int, networks: int | None = None) -> float:
        """Return the number of passes of each network of this width; of as many as are chosen, if it is not said."""
        if self._chosen["time"] is None:
            return float(self._chosen["epochs"] or untimed_passes(self._text, self._level))
        V = self._text.vocabulary_size
        speed = self._work_per_second / work(sized(self._chosen, width, V), V)
        seconds = TRAINING_SHARE * self._chosen["time"] / (networks or self._chosen["networks"])
        return float(seconds * speed / max(1, self._text.train_tokens))

    @cached_property
    def _work_per_second(self) -> float:
        network = sized(self._chosen, self._measured, self._text.vocabulary_size)
        return self._text.speed(network) * work(network, self._text.vocabulary_size)


def cell_of(chosen: Mapping[str, Any]) -> Cell:
    """Return the cell of the networks in training."""
    return CELLS[trained_cell(chosen["cell"], chosen["coupled_gates"])]


def sized(chosen: Mapping[str, Any], width: int, vocabulary_size: int) -> dict[str, Any]:
    """Return the options with `width` as hidden size, if they have none, and the embedding size."""
    found = {**chosen, "hidden_size": chosen["hidden_size"] or width}
    if found["embedding_size"] is None:
        found["embedding_size"] = embedding_size(found, vocabulary_size)
    return found


def recurrent_weights(chosen: Mapping[str, Any]) -> int:
    """Return the number of weights of the recurrent layers, without the input matrix of one-hot input."""
    H, directions = chosen["hidden_size"], _directions(chosen)
    cell, layers = cell_of(chosen), chosen["num_layers"]
    columns = chosen["embedding_size"] + (layers - 1) * H + (layers * H if cell.recurrent else 0)
    return int(cell.gates * H * directions * columns)


def work(chosen: Mapping[str, Any], vocabulary_size: int) -> float:
    """Return the work of a training step per token, in operations of matrix products."""
    units = chosen["hidden_size"] * _directions(chosen)
    rows = min(vocabulary_size, ADAPTIVE_ROWS) if chosen["softmax"] == "adaptive" else vocabulary_size
    products = FORWARD_AND_BACKWARD * (recurrent_weights(chosen) + units * rows)
    return float(products + WORK_OF_UNIT * units * chosen["num_layers"])


def _directions(chosen: Mapping[str, Any]) -> int:
    return 2 if chosen["bidirectional"] else 1
