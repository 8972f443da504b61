"""What can be chosen for a training, what a checkpoint fixes of it, and what does not go together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rnnlm.errors import CheckpointError, TrainingError, shown
from rnnlm.language_model import LanguageModel
from rnnlm.nn.initializers import INITIALIZERS
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.nn.outputs import LOSSES
from rnnlm.training.schedules import SCHEDULES


@dataclass(frozen=True)
class Options:
    """What can be chosen for a training; None means: choose what fits the text."""

    level: str = "auto"
    context: str | None = None
    segmenter: str = "auto"
    hmm: bool = False
    user_dict: str | None = None
    min_count: int = 1
    vocab_size: int | None = None
    cell: str = "lstm"
    activation: str = "tanh"
    hidden_size: int | None = None
    num_layers: int = 1
    embedding_size: int | None = None
    bidirectional: bool = False
    softmax: str = "auto"
    tied: bool = False
    dropout: float | None = None
    input_dropout: float | None = None
    locked_dropout: bool = False
    weight_dropout: float = 0.0
    embedding_dropout: float = 0.0
    init: str = "uniform"
    long_memory: float | None = None
    bptt: int | None = None
    shift: bool = False
    batch_size: int | None = None
    epochs: float | None = None
    time: float | None = None
    optimizer: str = "adam"
    lr: float | None = None
    schedule: str = "cosine"
    warm_up: float = 0.02
    weight_decay: float | None = None
    average_weights: float = 0.0
    clip: float = 1.0
    loss: str = "cross-entropy"
    label_smoothing: float = 0.0
    valid_fraction: float = 0.1
    patience: int = 0
    seed: int = 1


# What a checkpoint fixes for a run that resumes it or starts from it: another value for one of these is refused.
TEXT_OPTIONS = ("level", "context", "segmenter", "hmm")
NETWORK_OPTIONS = (
    *("cell", "activation", "hidden_size", "num_layers", "embedding_size", "bidirectional"),
    *("softmax", "tied"),
)
# What a checkpoint from the time before these options was trained with.
BEFORE = {
    **{"softmax": "full", "tied": False},
    **{"locked_dropout": False, "weight_dropout": 0.0, "embedding_dropout": 0.0, "weight_decay": None},
    **{"long_memory": 0.0, "average_weights": 0.0, "shift": False, "label_smoothing": 0.0},
}
LARGEST = 1e18  # of any number that a checkpoint says


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value < LARGEST


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < LARGEST


# What a checkpoint may say of the options of its training. The text and network options are not asked of it: they are
# those of its tokenizer and its network.
SOUND: dict[str, Callable[[Any], bool]] = {
    "user_dict": lambda value: value is None,
    **dict.fromkeys(("min_count", "bptt", "batch_size"), lambda value: _whole(value, 1)),
    **dict.fromkeys(("patience", "seed"), lambda value: _whole(value, 0)),
    "vocab_size": lambda value: value is None or _whole(value, 1),
    "dropout": lambda value: _number(value) and value < 1,
    **dict.fromkeys(("locked_dropout", "shift"), lambda value: type(value) is bool),
    **dict.fromkeys(
        ("input_dropout", "weight_dropout", "embedding_dropout"), lambda value: _number(value) and value < 1
    ),
    **dict.fromkeys(("epochs", "time"), lambda value: value is None or (_number(value) and value > 0)),
    "lr": lambda value: _number(value) and value > 0,
    **dict.fromkeys(("warm_up", "valid_fraction"), lambda value: _number(value) and value <= 1),
    "clip": _number,
    **dict.fromkeys(("average_weights", "label_smoothing"), lambda value: _number(value) and value < 1),
    "weight_decay": lambda value: value is None or _number(value),
    "long_memory": lambda value: _number(value) and value <= 1,
    "init": lambda value: type(value) is str and value in INITIALIZERS,
    "optimizer": lambda value: type(value) is str and value in OPTIMIZERS,
    "schedule": lambda value: type(value) is str and value in SCHEDULES,
    "loss": lambda value: type(value) is str and value in LOSSES,
}
RUN_OPTIONS = (
    *("min_count", "vocab_size", "init", "bptt", "batch_size", "optimizer", "loss", "valid_fraction", "seed"),
    *("long_memory", "average_weights", "shift", "label_smoothing"),
)


def adopted(options: Options, given: Mapping[str, Any], old: LanguageModel, source: Path, resumed: bool) -> Options:
    """Options with the values that the checkpoint fixes; given ones that differ are refused."""
    before = recorded(old, source)
    fixed = [*TEXT_OPTIONS, *NETWORK_OPTIONS, *(RUN_OPTIONS if resumed else ())]
    for name in fixed:
        if given.get(name, "auto") not in ("auto", before.get(name)):
            trained, option = before.get(name), typed(name, given[name])
            value = typed(name, True) if trained is True else trained
            how = "without it" if trained in (None, False) else f"with {value}"
            raise CheckpointError(
                f"{option} contradicts {source}, which was trained {how}. Leave {option.partition(' ')[0]} out, or "
                "train a new model."
            )
    kept = before if resumed else {name: before[name] for name in fixed if name in before}
    chosen = {name: value for name, value in given.items() if name not in fixed or value != "auto"}
    merged = replace(options, **{**kept, **chosen})
    if {"time", "epochs"} & given.keys() and resumed:
        merged = replace(merged, time=given.get("time"), epochs=given.get("epochs"))
    return merged


def typed(name: str, value: Any) -> str:
    """Return an option as it is typed.

    >>> typed("hidden_size", 256), typed("tied", True), typed("shift", False)
    ('--hidden-size 256', '--tied', '--no-shift')
    """
    option = f"--{'no-' * (value is False)}{name.replace('_', '-')}"
    return option if type(value) is bool else f"{option} {value}"


def recorded(old: LanguageModel, source: Path) -> dict[str, Any]:
    """The options of the training that a checkpoint comes from, which may be a stranger's.

    Of an imported model, which comes from none, they are those that the network and the tokenizer have.

    Raises:
        CheckpointError: it does not say, or an option is none that a training can have.
    """
    config, settings = old.network.config, old.tokenizer.settings()
    evident: dict[str, Any] = {
        **{name: getattr(config, name) for name in NETWORK_OPTIONS if name != "softmax"},
        "softmax": "adaptive" if config.output == "adaptive" else "full",
        "level": old.level,
        "context": old.context,
        **{name: settings[name] for name in ("segmenter", "hmm") if name in settings},
    }
    if "imported" in old.training:
        return evident
    options = old.training.get("options")
    found = options if isinstance(options, dict) else {}
    before = BEFORE | {"input_dropout": found.get("dropout")}  # when one rate was for the input and the hidden units
    names = {each.name for each in fields(Options)}
    if not names - before.keys() <= found.keys() <= names:
        raise CheckpointError(f"{source} does not say how it was trained; it cannot be resumed or started from.")
    found = before | found
    for name, is_sound in SOUND.items():
        if not is_sound(found[name]):
            raise CheckpointError(
                f"{source} says that it was trained with {shown(found[name])} as {name}, which is impossible. It can "
                "not be resumed or started from; train again."
            )
    if found["weight_decay"] is None:  # as an optimizer did before it was an option
        found["weight_decay"] = OPTIMIZERS[str(found["optimizer"])].weight_decay
    return {name: found[name] for name in (*SOUND, "segmenter", "hmm")} | evident


def check_output_layer(options: Options) -> None:
    """Refuse what the output layer cannot do."""
    if options.softmax == "adaptive" and options.loss != "cross-entropy":
        raise TrainingError(
            f"--loss {options.loss} needs the probability of every token in every step, which the adaptive softmax "
            "saves to compute. Use --softmax full, or --loss cross-entropy."
        )
    if options.label_smoothing and options.softmax == "adaptive":
        raise TrainingError(
            "--label-smoothing spreads a part of each target over all tokens, whose probabilities the adaptive softmax "
            "saves to compute. Use --softmax full, or leave --label-smoothing out."
        )
    if options.label_smoothing and options.loss != "cross-entropy":
        raise TrainingError(
            f"--label-smoothing is for --loss cross-entropy, not for {options.loss}. Leave one of them out."
        )
    if options.tied and options.softmax == "adaptive":
        raise TrainingError(
            "--tied makes the embedding the matrix of the full softmax; the adaptive one has no such matrix. Use "
            "--softmax full, or leave --tied out."
        )
    if options.tied and options.bidirectional:
        raise TrainingError(
            "--tied needs an output as wide as the embedding, but that of a bidirectional network reads two hidden "
            "states. Leave --tied out."
        )
    if options.tied and options.hidden_size not in (None, options.embedding_size):
        raise TrainingError(
            f"--tied uses the embedding as the output's matrix, so both must be of one width; --embedding-size is "
            f"{options.embedding_size} and --hidden-size {options.hidden_size}. Add --embedding-size "
            f"{options.hidden_size}."
        )


def check_input(options: Options) -> None:
    """Refuse what one-hot input has not."""
    if options.input_dropout and options.embedding_size == 0:
        raise TrainingError(
            "--input-dropout drops entries of the embedding, and one-hot input has none. Leave it out, or use "
            "--embedding-dropout, which drops whole tokens."
        )


def check_decay(options: Options) -> None:
    """Refuse a decay that leaves nothing of the weights."""
    assert options.lr is not None
    assert options.weight_decay is not None
    if options.lr * options.weight_decay >= 1:
        raise TrainingError(
            f"--weight-decay {options.weight_decay:g} times the learning rate {options.lr:g} takes off all weights in "
            f"one step; expected less than 1. Use a --weight-decay below {1 / options.lr:g}, or a smaller --lr."
        )
