"""The options of a training, each declared once: default, help, range, choices, and what a checkpoint fixes.

The options of `rnnlm train`, the keyword arguments of `rnnlm.train`, the checks of their values and of what a
checkpoint says of them follow from this file. It imports nothing heavy: the command line reads it at its start.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from rnnlm import names
from rnnlm.errors import TrainingError, shown
from rnnlm.training.declaration import ALWAYS, LARGEST, Declaration, seconds_of


def _option(default: Any, kind: Any, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"declaration": Declaration(kind, help, **more)})


def _name(default: str | None, choices: tuple[str, ...], help: str, **more: Any) -> Any:
    return _option(default, str, help, choices=choices, **more)


def _share(default: float | None, help: str, **more: Any) -> Any:
    """Return a number from 0 to 1, without 1."""
    return _option(default, float, help, **{"least": 0, "most": 1, "most_open": True} | more)


@dataclass(frozen=True, eq=False)  # each method of so many fields costs the command line its time at start
class Options:
    """What can be chosen for a training; None means: choose what fits the text."""

    level: str = _name(
        "auto",
        ("auto", *names.LEVELS),
        "What a token is: a character, a word, or what stands between spaces (token: text that is tokenised already, "
        "where <unk> is the unknown word); auto = word.",
        fixed="text",
        is_text=True,
    )
    context: str | None = _name(
        None,
        names.CONTEXTS,
        "Read every line by itself, or the text as one stream.",
        fitting="char: stream; else by whether lines predict the next ones",
        fixed="text",
        is_text=True,
    )
    segmenter: str = _name(
        "auto",
        names.SEGMENTERS,
        "Chinese words by jieba or by the text's own spaces; auto looks at each line.",
        fixed="text",
        is_text=True,
    )
    hmm: bool = _option(
        False, bool, "Let jieba guess words that are not in its dictionary.", fixed="text", is_text=True
    )
    lowercase: bool = _option(False, bool, "Read all text in lower case.", fixed="text", is_text=True, before=False)
    user_dict: str | None = _option(None, str, "File of words for jieba, one a line.", is_text=True, may_be_none=True)
    min_count: int = _option(
        1, int, "Tokens seen less often become <unk>.", least=1, most=LARGEST, fixed="run", is_text=True
    )
    vocab_size: int | None = _option(
        None, int, "Keep the N most frequent.", least=4, fitting="all", fixed="run", is_text=True, may_be_none=True
    )
    vocabulary: str | None = _option(
        None,
        str,
        "All tokens of the vocabulary, as JSON or lines of a token and perhaps its id, in their order; those that the "
        "text lacks get a place, too.",
        is_text=True,
        may_be_none=True,
        before=None,
    )
    sentencepiece: str | None = _option(
        None,
        str,
        "Model of SentencePiece that cuts lines into pieces; all of them are the vocabulary. With --level token.",
        is_text=True,
        may_be_none=True,
        before=None,
    )
    tokenizer: str | None = _option(
        None, str, "The same by a tokenizer.json of Hugging Face.", is_text=True, may_be_none=True, before=None
    )
    valid_fraction: float = _share(
        0.1,
        "Share of CORPUS to validate on: blocks of lines from all over it, of a stream of characters its last part; 0: "
        "none.",
        fixed="run",
    )
    cell: str = _name(
        "lstm",
        names.CELLS,
        "Kind of recurrent cell; cifg: LSTM with coupled gates; mingru: GRU without a recurrent matrix.",
        fixed="network",
    )
    coupled_gates: bool | None = _option(
        None,
        bool,
        "Train an LSTM whose input gate is 1 minus its forget gate: three quarters of the work, and equally good.",
        fitting="yes for words with --time, else no",
        negatable=True,
        fixed="run",
        before=False,
    )
    activation: str = _name("tanh", names.ACTIVATIONS, "Activation function of the rnn cell.", fixed="network")
    hidden_size: int | None = _option(
        None,
        int,
        "Units in a layer.",
        least=1,
        most=65536,
        fitting="what fits the text and the time",
        fixed="network",
    )
    num_layers: int = _option(1, int, "Recurrent layers.", least=1, most=100, fixed="network")
    embedding_size: int | None = _option(
        None,
        int,
        "0: one-hot input.",
        least=0,
        most=65536,
        fitting="64, or half of --hidden-size for a large vocabulary",
        fixed="network",
    )
    bidirectional: bool = _option(
        False, bool, "Learn to fill blanks from both sides, instead of predicting what comes next.", fixed="network"
    )
    softmax: str = _name(
        "auto",
        ("auto", *names.SOFTMAXES),
        "Output layer. adaptive: rare words in clusters, for large vocabularies; auto: adaptive from 8,000 tokens on, "
        "with --time from 3,000.",
        fixed="network",
        before="full",
    )
    tied: bool = _option(
        False,
        bool,
        "One matrix for embedding and output; needs equal sizes, a full softmax.",
        fixed="network",
        before=False,
    )
    ngram: int | None = _option(
        None,
        int,
        "Order of an n-gram model of the same text, which is kept beside the network and mixed with it; 0: none.",
        least=0,
        most=6,
        fitting="characters: 6, words: 5, if it helps on the held-out part",
        may_be_none=True,
        before=0,
    )
    networks: int | None = _option(
        None,
        int,
        "Train so many networks one after the other, each in its part of --time; the model is their average.",
        least=1,
        most=16,
        fitting="1; with a --time in which one network learns no more, 2 or more",
        fixed="run",
        before=1,
    )
    dropout: float | None = _share(
        None,
        "Share of the hidden units to drop, between layers and before the output.",
        fitting="0 to 0.65, the more passes the more",
    )
    input_dropout: float | None = _share(
        None,
        "Share of the embedding's entries to drop.",
        fitting="half of --dropout, 0.875 of it in short texts of rare words, 0 for an alphabet",
        before_like="dropout",
    )
    shared_input_dropout: bool | None = _option(
        None,
        bool,
        "Drop the same entries of the embedding wherever its token occurs in a batch, which is less work.",
        fitting="yes for texts of 100,000 tokens and more, but not those of an alphabet",
        negatable=True,
        before=False,
    )
    locked_dropout: bool = _option(
        False, bool, "Drop the same units in all steps of a batch.", negatable=True, before=False
    )
    weight_dropout: float = _share(
        0.0,
        "Share of the entries of the recurrent matrices to drop, the same in all steps of a batch.",
        before=0.0,
    )
    embedding_dropout: float = _share(
        0.0, "Share of the tokens of the vocabulary whose input to drop from a batch.", before=0.0
    )
    init: str = _name("uniform", names.INITIALIZERS, "Initial weights; article: +-1e-4.", fixed="run")
    long_memory: float | None = _share(
        None,
        "Share of the units whose gates keep what they hold for up to 64 steps when training begins.",
        most_open=False,
        fitting="0.25; words of a small text: 0.5, of a small vocabulary: 1",
        fixed="run",
        before=0.0,
    )
    bptt: int | None = _option(
        None,
        int,
        "Steps to propagate back through time.",
        least=1,
        most=LARGEST,
        fitting="64; words of fewer than 12,000 or of 100,000 tokens and more: 32",
        fixed="run",
    )
    shift: bool = _option(
        False,
        bool,
        "Begin every epoch at another place of the text, so that BPTT ends at others; with --context stream.",
        negatable=True,
        fixed="run",
        before=False,
    )
    line_resets: float | None = _share(
        None,
        "Share of the lines of a stream of words that start at <s> with a zero state, so that the model can also read "
        "a line that stands alone.",
        fitting="0.2",
        fixed="run",
        before=0.0,
    )
    batch_size: int | None = _option(
        None,
        int,
        "Columns of text in a batch.",
        least=1,
        most=LARGEST,
        fitting="2 to 32 by the text's size",
        fixed="run",
    )
    epochs: float | None = _option(
        None,
        float,
        "Passes over the text; with --time, at most this many.",
        least=0,
        least_open=True,
        fitting="3 to 60 by the text's size",
        may_be_none=True,
    )
    time: float | None = _option(
        None,
        seconds_of,
        "Train for this long: 90s, 10m, 1h30m.",
        least=0,
        least_open=True,
        may_be_none=True,
    )
    optimizer: str = _name("adam", names.OPTIMIZERS, "How gradients change the weights.", fixed="run")
    lr: float | None = _option(
        None,
        float,
        "Learning rate at its highest.",
        least=0,
        least_open=True,
        fitting="by the optimizer; adam, adamw: by the width",
    )
    schedule: str = _name("cosine", names.SCHEDULES, "Learning-rate schedule.")
    warm_up: float = _option(
        0.02, float, "Share of the training over which the learning rate rises from zero.", least=0, most=1
    )
    weight_decay: float | None = _option(
        None,
        float,
        "Share of the weights, times the learning rate, to take off in each step: of the matrices and of the rows of "
        "the embedding that a batch reads, not of the biases.",
        least=0,
        fitting="adam, adamw: the smaller of 0.1 and 0.01 / --lr; else 0; with --init-from adamw: 0.01, else 0",
        may_be_none=True,
        before=None,
    )
    average_weights: float = _share(
        0.0,
        "Keep and evaluate a moving average of the weights with this decay, such as 0.999; 0: the weights themselves.",
        fixed="run",
        before=0.0,
    )
    clip: float = _option(1.0, float, "Largest gradient norm; 0: no limit.", least=0)
    loss: str = _name("cross-entropy", names.LOSSES, "Loss to minimise.", fixed="run")
    label_smoothing: float = _share(
        0.0,
        "Share of each target that is spread over the whole vocabulary; with the full softmax.",
        fixed="run",
        before=0.0,
    )
    patience: int = _option(
        0, int, "Stop after so many evaluations without improvement; 0: never.", least=0, most=LARGEST
    )
    seed: int = _option(1, int, "Random seed.", least=0, most=LARGEST, fixed="run")


def trained_cell(cell: str, coupled_gates: bool) -> str:
    """Return the cell of a network in training, which becomes one of `cell`."""
    return "cifg" if coupled_gates else cell


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Recipe(Options):
    """Options of which none is open. The training ends after `epochs` or `time`; one of them is given, or both."""

    context: str
    coupled_gates: bool
    hidden_size: int
    embedding_size: int
    networks: int
    dropout: float
    input_dropout: float
    shared_input_dropout: bool
    long_memory: float
    bptt: int
    line_resets: float
    batch_size: int
    lr: float
    weight_decay: float

    @classmethod
    def of(cls, options: Options) -> Self:
        """Return options that are complete as a recipe."""
        return cls(**asdict(options))

    @property
    def trained_cell(self) -> str:
        """The cell of the networks in training; see `nn.coupling`."""
        return trained_cell(self.cell, self.coupled_gates)

    def to_header(self) -> dict[str, Any]:
        """What a checkpoint records: no paths, for what the files hold is in the checkpoint itself."""
        return {**asdict(self), **dict.fromkeys(FILE_OPTIONS)}


DECLARATIONS: dict[str, Declaration] = {each.name: each.metadata["declaration"] for each in fields(Options)}
DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(Options)}
TEXT_OPTIONS = tuple(name for name, each in DECLARATIONS.items() if each.fixed == "text")
NETWORK_OPTIONS = tuple(name for name, each in DECLARATIONS.items() if each.fixed == "network")
RUN_OPTIONS = tuple(name for name, each in DECLARATIONS.items() if each.fixed == "run")
FILE_OPTIONS = tuple(name for name, each in DECLARATIONS.items() if each.kind is str and not each.choices)
FOR_EVERY_MODEL = tuple(name for name, each in DECLARATIONS.items() if each.is_text)  # n-gram models among them


def before_options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a checkpoint and, where its version did not have one yet, what it was trained with.

    >>> before_options({"dropout": 0.4})["input_dropout"]
    0.4
    """
    before = {name: each.before for name, each in DECLARATIONS.items() if each.before is not ALWAYS}
    alike = {name: recorded.get(each.before_like) for name, each in DECLARATIONS.items() if each.before_like}
    return before | alike | dict(recorded)


def options_of(given: Mapping[str, Any]) -> Options:
    """Return options by name, checked; what is not given keeps its default.

    Raises:
        TrainingError: there is no such option, or it cannot have that value.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in DECLARATIONS:
            import difflib  # which is seldom needed

            near = difflib.get_close_matches(name, DECLARATIONS, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise TrainingError(f"There is no option {name}.{hint}")
        values[name] = _checked(name, value)
    return Options(**values)


def _checked(name: str, value: Any) -> Any:
    declaration = DECLARATIONS[name]
    if value is None and DEFAULTS[name] is None:
        return None
    found = value.item() if getattr(value, "ndim", None) == 0 else value  # a number of NumPy
    if declaration.kind is str and not declaration.choices and hasattr(found, "__fspath__"):
        found = found.__fspath__()
    if declaration.kind is float and type(found) is int:
        found = float(found)
    if declaration.kind is seconds_of and type(found) in (str, int, float):
        try:
            found = seconds_of(found)
        except ValueError:
            found = None
    if found is None or not declaration.admits(found):
        raise TrainingError(f"{name} is {shown(value)}; expected {declaration.expected()}.")
    return found


def typed(name: str, value: Any) -> str:
    """Return an option as it is typed.

    >>> typed("hidden_size", 256), typed("tied", True), typed("shift", False)
    ('--hidden-size 256', '--tied', '--no-shift')
    """
    option = f"--{'no-' * (value is False)}{name.replace('_', '-')}"
    return option if type(value) is bool else f"{option} {value}"
