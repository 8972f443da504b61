"""From options to a trainer: corpus, vocabulary, network, engine, batches. Nothing is printed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from rnnlm import checkpoint
from rnnlm.cli.engines import NUMPY, EngineChoice
from rnnlm.cli.memory import require_memory
from rnnlm.cli.texts import make_tokenizer
from rnnlm.errors import CheckpointError, CorpusError, TokenizerError, TrainingError, VocabularyError, shown
from rnnlm.language_model import LanguageModel, is_parameter, network_of, reads_lines
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.cells import CELLS
from rnnlm.nn.clusters import choose_cutoffs
from rnnlm.nn.initializers import INITIALIZERS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.nn.numerics import Array
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.nn.outputs import LOSSES
from rnnlm.text.batches import Batches, BatchSource, SentenceBatches
from rnnlm.text.corpus import IdSequence, TokenizedCorpus, sequence, tokenize_corpus
from rnnlm.text.segmentation import read_user_dictionary
from rnnlm.text.tokenizers import Tokenizer
from rnnlm.text.vocabulary import BOS, FIRST, UNK, Vocabulary
from rnnlm.training.engine import Engine
from rnnlm.training.numpy_engine import NumpyEngine
from rnnlm.training.schedules import SCHEDULES
from rnnlm.training.trainer import Trainer, TrainingConfig
from rnnlm.training.workers import Workers

SMALL_TEXT = 200_000  # tokens
ADAPTIVE_FROM = 8_000  # tokens of a vocabulary, where the full softmax becomes most of the work
MOST_VALIDATED = 200_000  # tokens of the held-out part: more would tell little more, and cost the training its time
INIT = 0  # stream of randomness for initial weights, beside those of text.batches and numpy_engine


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
    embedding_size: int = 128
    bidirectional: bool = False
    softmax: str = "auto"
    tied: bool = False
    dropout: float | None = None
    init: str = "uniform"
    bptt: int | None = None
    batch_size: int | None = None
    epochs: float | None = None
    time: float | None = None
    optimizer: str = "adam"
    lr: float | None = None
    schedule: str = "cosine"
    warm_up: float = 0.02
    clip: float = 1.0
    loss: str = "cross-entropy"
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
BEFORE = {"softmax": "full", "tied": False}
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
    **dict.fromkeys(("epochs", "time"), lambda value: value is None or (_number(value) and value > 0)),
    "lr": lambda value: _number(value) and value > 0,
    **dict.fromkeys(("warm_up", "valid_fraction"), lambda value: _number(value) and value <= 1),
    "clip": _number,
    "init": lambda value: type(value) is str and value in INITIALIZERS,
    "optimizer": lambda value: type(value) is str and value in OPTIMIZERS,
    "schedule": lambda value: type(value) is str and value in SCHEDULES,
    "loss": lambda value: type(value) is str and value in LOSSES,
}
RUN_OPTIONS = ("min_count", "vocab_size", "init", "bptt", "batch_size", "optimizer", "loss", "valid_fraction", "seed")


@dataclass
class Sources:
    """Where the text comes from."""

    corpus: list[str]
    valid: str | None = None
    encoding: str | None = None
    progress: Callable[[int, int], None] | None = None


@dataclass
class Run:
    """A training that is ready to go, and what is worth telling about it."""

    model: LanguageModel
    trainer: Trainer
    options: Options
    train_tokens: int
    valid_tokens: int
    coverage: float
    characters: int
    counts: Array  # (V,) of the tokens in the training text
    notes: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the best parameters and all that --resume needs."""
        state, arrays = self.trainer.state()
        self.model.training["state"] = state
        self.model.training["best_nats_per_token"] = self.trainer.progress.best_nats_per_token
        self.model.save(path, self.trainer.best(), arrays)


@dataclass
class _Texts:
    """Training and validation text as ids."""

    vocabulary: Vocabulary
    train: IdSequence
    valid: IdSequence | None
    coverage: float
    counts: Array  # (V,) in the training part
    corpora: list[TokenizedCorpus]

    @property
    def digest(self) -> str:
        return "+".join(corpus.digest for corpus in self.corpora)


def prepare(
    sources: Sources,
    options: Options,
    threads: int,
    resume: Path | None = None,
    init_from: Path | None = None,
    init_vocabulary: str = "refuse",
    given: Mapping[str, Any] | None = None,
    changed_text: bool = False,
    engine: EngineChoice | None = None,
    workers: Workers | None = None,
) -> Run:
    """Read the texts and build the trainer.

    resume: a checkpoint to go on with; changed_text: also on texts that are not those it was trained on.
    init_from: one whose weights to start from; init_vocabulary says what to do when the text's vocabulary is not that
    model's: "refuse", "keep" the model's, or "map" its rows to the text's.
    given: the options that the user gave himself, which must not contradict a checkpoint.
    engine: what computes. workers: the processes that train together, this one among them.

    Raises:
        RnnlmError: a text, a checkpoint or a combination of options does not do.
    """
    given, engine, workers = given or {}, engine or EngineChoice(), workers or Workers()
    if workers.size > 1 and "-" in (*sources.corpus, sources.valid):
        raise CorpusError("Standard input can be read by one process only; give several workers the text as a file.")
    old: LanguageModel | None = None
    header: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    if source := resume or init_from:
        header, arrays = checkpoint.load(source)
        old = LanguageModel.from_parts(header, _parameters(arrays))
        if resume and old.kind == "rnn" and "state" not in old.training:
            _refuse_to_resume(resume, old)
        options = _adopted(options, given, old, source, resumed=resume is not None)
    tokenizer, context = _text_settings(options, old)
    if options.bidirectional and context == "stream":
        raise TrainingError(
            "A bidirectional model needs the end of what it reads; --context stream has none. Use --context sentence."
        )
    options = replace(options, level=tokenizer.name, context=context)
    _check_output_layer(options)  # before the text is read, which may take long
    with workers.first_of_machine_first():  # the others find the ids in the cache
        texts = _read(sources, options, tokenizer, context, threads, _fixed_vocabulary(old, resume, init_vocabulary))
    if old is not None and not resume:
        _check_vocabulary(old, texts.vocabulary, init_vocabulary)
    changes = _check_corpus(header, texts, changed_text) if resume else []
    options = _filled_in(options, len(texts.train), len(texts.vocabulary))
    _check_output_layer(options)  # now that all are known
    network, notes = _network(options, texts, old)
    model = LanguageModel(tokenizer, texts.vocabulary, network, context)
    trainer = _trainer(model, texts, options, threads, engine, workers)
    if resume:
        trainer.load_state(header["training"].get("state", {}), arrays, _parameters(arrays), bool(changes))
    model.training = {
        "options": {**asdict(options), "user_dict": None},  # the words are in the tokenizer's options; no paths here
        "corpus": {"digest": texts.digest, "train_tokens": len(texts.train)},
    }
    return Run(
        model,
        trainer,
        options,
        len(texts.train),
        len(texts.valid) if texts.valid is not None else 0,
        texts.coverage,
        sum(corpus.characters for corpus in texts.corpora),
        texts.counts,
        [*(note for corpus in texts.corpora for note in corpus.notes), *notes, *changes],
    )


# --- settings ---------------------------------------------------------------------------------------------------


def _adopted(options: Options, given: Mapping[str, Any], old: LanguageModel, source: Path, resumed: bool) -> Options:
    """Options with the values that the checkpoint fixes; given ones that differ are refused."""
    recorded = _recorded(old, source)
    fixed = [*TEXT_OPTIONS, *NETWORK_OPTIONS, *(RUN_OPTIONS if resumed else ())]
    for name in fixed:
        if given.get(name, "auto") not in ("auto", recorded.get(name)):
            option = "--" + name.replace("_", "-")
            raise CheckpointError(
                f"{option} {given[name]} contradicts {source}, which was trained with {recorded.get(name)}. "
                f"Leave {option} out, or train a new model."
            )
    adopted = recorded if resumed else {name: recorded[name] for name in fixed if name in recorded}
    chosen = {name: value for name, value in given.items() if name not in fixed or value != "auto"}
    merged = replace(options, **{**adopted, **chosen})
    if {"time", "epochs"} & given.keys() and resumed:
        merged = replace(merged, time=given.get("time"), epochs=given.get("epochs"))
    return merged


def _recorded(old: LanguageModel, source: Path) -> dict[str, Any]:
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
    found = old.training.get("options")
    names = {each.name for each in fields(Options)}
    if not isinstance(found, dict) or not names - BEFORE.keys() <= found.keys() <= names:
        raise CheckpointError(f"{source} does not say how it was trained; it can not be resumed or started from.")
    for name, is_sound in SOUND.items():
        if not is_sound(found[name]):
            raise CheckpointError(
                f"{source} says that it was trained with {shown(found[name])} as {name}, which is impossible. It can "
                "not be resumed or started from; train again."
            )
    return {name: found[name] for name in (*SOUND, "segmenter", "hmm")} | evident


def _refuse_to_resume(source: Path, old: LanguageModel) -> None:
    how = "was imported" if "imported" in old.training else "was saved without one"
    raise CheckpointError(
        f"{source} has no state of a training to go on with: it {how}. Start a new training from its weights with "
        f"--init-from {source} and another file as --output."
    )


def _text_settings(options: Options, old: LanguageModel | None) -> tuple[Tokenizer, str]:
    dictionary = read_user_dictionary(options.user_dict) if options.user_dict else None
    if old is not None:
        if dictionary and list(map(list, dictionary)) != old.tokenizer.settings().get("user_dictionary"):
            raise TokenizerError(
                f"--user-dict {options.user_dict} holds other words than the checkpoint was trained with. "
                "Leave it out: the checkpoint has its own copy."
            )
        return old.tokenizer, old.context
    tokenizer = make_tokenizer(options.level, options.segmenter, options.hmm, dictionary)
    stream = tokenizer.name == "char" and not options.bidirectional
    return tokenizer, options.context or ("stream" if stream else "sentence")


def _filled_in(options: Options, train_tokens: int, vocabulary_size: int) -> Options:
    """Options with the open ones chosen to fit the size of the text and of its vocabulary.

    A small text is learnt by heart by a large network, so it gets a smaller one, more dropout and smaller batches, of
    which an epoch then has a hundred or more.
    """
    small = train_tokens < SMALL_TEXT
    bptt = options.bptt or (64 if options.level == "char" else 32)
    batch_size = int(np.clip(train_tokens // (100 * bptt), 8, 32))
    fitting: dict[str, Any] = {
        "hidden_size": 128 if small else 256,
        "dropout": 0.4 if small else 0.2,
        "bptt": bptt,
        "batch_size": max(1, min(batch_size, train_tokens // 2)),
        "lr": OPTIMIZERS[options.optimizer].default_lr,
    }
    if options.time is None:
        fitting["epochs"] = float(np.clip(round(5e6 / max(1, train_tokens)), 3, 20))
    options = replace(options, **{name: value for name, value in fitting.items() if getattr(options, name) is None})
    if options.softmax == "auto":
        adaptive = vocabulary_size >= ADAPTIVE_FROM and options.loss == "cross-entropy" and not options.tied
        options = replace(options, softmax="adaptive" if adaptive else "full")
    return options


def _check_output_layer(options: Options) -> None:
    """Refuse what the output layer can not do."""
    if options.softmax == "adaptive" and options.loss != "cross-entropy":
        raise TrainingError(
            f"--loss {options.loss} needs the probability of every token in every step, which the adaptive softmax "
            "saves to compute. Use --softmax full, or --loss cross-entropy."
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


# --- text -------------------------------------------------------------------------------------------------------


def _read(
    sources: Sources,
    options: Options,
    tokenizer: Tokenizer,
    context: str,
    processes: int,
    vocabulary: Vocabulary | None,
) -> _Texts:
    lines = reads_lines(tokenizer.name, context)

    def tokenized(paths: list[str]) -> TokenizedCorpus:
        return tokenize_corpus(
            paths,
            tokenizer,
            lines=lines,
            encoding=sources.encoding,
            progress=sources.progress,
            processes=processes,
        )

    corpus = tokenized(sources.corpus)
    corpora, N = [corpus], len(corpus.ids)
    edge = N
    if sources.valid:
        corpora.append(tokenized([sources.valid]))
    elif options.valid_fraction:
        edge = corpus.split_index(options.valid_fraction)
    if edge < 2:
        raise CorpusError(f"{' '.join(sources.corpus)} has {N} tokens; there is nothing to learn. Use a longer text.")
    counts = corpus.counts(0, edge)
    if vocabulary is None:
        vocabulary = Vocabulary.build(corpus.tokens, counts[FIRST:], options.min_count, options.vocab_size)
    valid = None
    if sources.valid:
        valid = sequence(corpora[1], vocabulary, 0, len(corpora[1].ids))
        if not len(valid):
            raise CorpusError(f"{sources.valid} has no tokens; nothing can be validated on it.")
    elif edge < N:
        valid = sequence(corpus, vocabulary, edge, min(N, edge + MOST_VALIDATED))
    mapping = np.concatenate([np.arange(FIRST), vocabulary.encode(corpus.tokens)])
    by_id = np.bincount(mapping, weights=counts, minlength=len(vocabulary))
    total = counts.sum()
    return _Texts(
        vocabulary, sequence(corpus, vocabulary, 0, edge), valid, float(1 - by_id[UNK] / total), by_id, corpora
    )


def _fixed_vocabulary(old: LanguageModel | None, resume: Path | None, init_vocabulary: str) -> Vocabulary | None:
    return old.vocabulary if old is not None and (resume or init_vocabulary == "keep") else None


def _check_vocabulary(old: LanguageModel, new: Vocabulary, init_vocabulary: str) -> None:
    if init_vocabulary == "refuse" and old.vocabulary.tokens != new.tokens:
        shared = len(set(old.vocabulary.tokens) & set(new.tokens))
        raise VocabularyError(
            f"The text's vocabulary has {len(new) - FIRST:,} tokens, of which {shared:,} are among the "
            f"{len(old.vocabulary) - FIRST:,} of the model to start from. Say --init-vocabulary keep (the model's; "
            "others become <unk>) or --init-vocabulary map (the text's; shared tokens keep their weights)."
        )


def _check_corpus(header: Mapping[str, Any], texts: _Texts, changed_text: bool) -> list[str]:
    """What is to be told where the texts are not those of the checkpoint; refused unless `changed_text` allows it."""
    recorded = header["training"].get("corpus")
    if isinstance(recorded, dict) and recorded.get("digest") == texts.digest:
        return []
    if not changed_text:
        raise CorpusError(
            "The text is not the one that this checkpoint was trained on (its content has changed). Resume with the "
            "same files in the same order, say --changed-text to go on with this one, or start a new model from these "
            "weights with --init-from."
        )
    measured = " The best model is measured again on the present held-out text." if texts.valid is not None else ""
    return [
        "The text is not the one that this checkpoint was trained on. The training goes on at the same share of its "
        f"epoch with the vocabulary that it has; tokens that are new are read as <unk>.{measured}"
    ]


# --- network ----------------------------------------------------------------------------------------------------


def _network(options: Options, texts: _Texts, old: LanguageModel | None) -> tuple[Network, list[str]]:
    """The network to train, and what is worth telling about it."""
    if old is not None and old.vocabulary.tokens == texts.vocabulary.tokens:
        config = old.network.config
        dropout = config.dropout if options.dropout is None else options.dropout
        return network_of(replace(config, dropout=dropout), old.network.params), []
    assert options.hidden_size is not None
    assert options.dropout is not None
    config = NetworkConfig(
        vocabulary_size=len(texts.vocabulary),
        cell=options.cell,
        activation=options.activation,
        hidden_size=options.hidden_size,
        num_layers=options.num_layers,
        embedding_size=options.embedding_size,
        dropout=options.dropout,
        bidirectional=options.bidirectional,
        tied=options.tied,
        div_value=NetworkConfig.div_value if old is None else old.network.config.div_value,
    )
    if options.softmax == "adaptive":
        assert options.batch_size is not None
        assert options.bptt is not None
        width = config.hidden_size * len(config.directions)
        cutoffs = choose_cutoffs(texts.counts, width, options.batch_size * options.bptt, config.div_value)
        config = replace(config, output="adaptive", cutoffs=cutoffs)
    _refuse_beyond_memory(config, options, len(texts.train))
    rng = np.random.default_rng([options.seed, INIT])
    kind = BidirectionalNetwork if options.bidirectional else Network
    network = kind.initialize(config, rng, options.init, unigram_bias(texts.counts))
    return (network, []) if old is None else _mapped(network, texts.vocabulary, old)


def _refuse_beyond_memory(config: NetworkConfig, options: Options, train_tokens: int) -> None:
    """Refuse a training that is too large for the machine.

    Each parameter is there as it is, as it was at its best, and with what the optimizer remembers of it;
    back-propagation needs the gates of every step.
    """
    assert options.batch_size is not None
    assert options.bptt is not None
    parameters = sum(math.prod(shape) for shape in config.shapes().values())
    copies = 2 + len(OPTIMIZERS[options.optimizer].slots)
    batch = min(options.batch_size * options.bptt, train_tokens)
    gates = batch * config.num_layers * CELLS[config.cell].gates * config.hidden_size
    require_memory(
        (parameters * copies + gates) * np.dtype(np.float32).itemsize,
        f"A network of {parameters:,} parameters with batches of {options.batch_size:,} x {options.bptt:,} tokens",
        "Use a smaller --hidden-size, --num-layers, --vocab-size or --batch-size.",
    )


def unigram_bias(counts: Array) -> Array:
    """Output bias (V,) with which an untrained network gives each token its frequency: log((n + 1) / N).

    <s> gets -10,000, a probability of zero whose gradient is zero as well: it is context, never predicted.
    """
    bias: Array = np.log((counts + 1) / counts.sum())
    bias[BOS] = -1e4
    return bias


def _mapped(network: Network, vocabulary: Vocabulary, old: LanguageModel) -> tuple[Network, list[str]]:
    """The new network with the old one's weights, rows of shared tokens carried over by their text."""
    rows = np.concatenate([np.arange(FIRST), old.vocabulary.encode(vocabulary.tokens)])
    known = np.concatenate([np.ones(FIRST, bool), rows[FIRST:] >= FIRST])
    copied = network.output.take_over(network.params, old.network.output, old.network.params, np.where(known, rows, -1))
    one_hot = not network.config.embedding_size
    for name, array in network.params.items():
        if name.startswith("output."):
            continue
        source = old.network.params[name]
        if name == "embedding.weight":
            array[known] = source[rows[known]]
        elif name == "rnn.weight_ih_l0" and one_hot:
            array[:, known] = source[:, rows[known]]
        else:
            np.copyto(array, source)
    moved = int(known.sum() - copied.sum())
    if not moved:
        return network, []
    return network, [
        f"{moved:,} of {int(known.sum()) - FIRST:,} shared words are in another cluster of the adaptive softmax than "
        "before: what predicts them is learnt anew."
    ]


def _trainer(
    model: LanguageModel, texts: _Texts, options: Options, threads: int, choice: EngineChoice, workers: Workers
) -> Trainer:
    assert options.lr is not None
    engine, clock = _engine(model, options, threads, choice, workers), None
    if workers.size > 1 and options.time:
        from rnnlm.training.distributed import SharedClock

        clock = SharedClock(workers)
    batches = _batches(model, texts, options, (workers.rank, workers.size))
    config = TrainingConfig(
        epochs=options.epochs or 0.0,
        seconds=options.time or 0.0,
        lr=options.lr,
        schedule=options.schedule,
        warm_up=options.warm_up,
        patience=options.patience,
        seed=options.seed,
    )
    return Trainer(engine, batches, texts.valid, config, len(texts.vocabulary), clock)


def _engine(model: LanguageModel, options: Options, threads: int, choice: EngineChoice, workers: Workers) -> Engine:
    settings: dict[str, Any] = {"clip": options.clip, "objective": options.loss}
    if choice.name == NUMPY:
        return NumpyEngine(model.network, options.optimizer, model.context, threads=threads, **settings)
    from rnnlm.training.torch_engine import TorchEngine

    settings |= {"settings": choice.torch_settings(threads), "workers": workers}
    return TorchEngine(model.network, options.optimizer, model.context, **settings)


def _batches(model: LanguageModel, texts: _Texts, options: Options, worker: tuple[int, int]) -> BatchSource:
    assert options.batch_size is not None
    assert options.bptt is not None
    rare = texts.counts == 1 if options.min_count == 1 else None
    if options.bidirectional:
        return SentenceBatches(texts.train, options.batch_size, options.bptt, options.seed, rare=rare, worker=worker)
    return Batches(texts.train, options.batch_size, options.bptt, model.context, options.seed, rare=rare, worker=worker)


def _parameters(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if is_parameter(name)}
