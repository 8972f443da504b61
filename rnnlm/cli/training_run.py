"""From options to a trainer: corpus, vocabulary, network, engine, batches. Nothing is printed here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rnnlm import checkpoint
from rnnlm.cli.engines import NUMPY, EngineChoice
from rnnlm.cli.replacement import Replaced
from rnnlm.cli.texts import make_tokenizer
from rnnlm.cli.training_baselines import measured_baselines
from rnnlm.cli.training_network import build_network
from rnnlm.cli.training_options import Options, adopted, check_decay, check_input, check_output_layer
from rnnlm.errors import CheckpointError, CorpusError, TokenizerError, TrainingError, VocabularyError
from rnnlm.inference.line_starts import line_before
from rnnlm.language_model import LanguageModel, is_parameter, network_of, reads_lines
from rnnlm.nn.network import Network
from rnnlm.nn.numerics import Array
from rnnlm.text.batches import Batches, BatchSource, SentenceBatches
from rnnlm.text.corpus import IdSequence, TokenizedCorpus, sequence, tokenize_corpus
from rnnlm.text.held_out import VERSION, Split, measured, split, split_version
from rnnlm.text.tokenizers import Tokenizer, WordTokenizer
from rnnlm.text.user_dictionary import read_user_dictionary
from rnnlm.text.vocabulary import EOS, FIRST, UNK, Vocabulary
from rnnlm.training.allocator import keep_freed_memory
from rnnlm.training.configuration import TINY_TEXT, Circumstances, filled_in
from rnnlm.training.engine import Engine
from rnnlm.training.numpy_engine import NumpyEngine
from rnnlm.training.speed import tokens_per_second
from rnnlm.training.trainer import Trainer, TrainingConfig
from rnnlm.training.workers import Workers

MOST_VALIDATED = 200_000  # tokens of the held-out part: more would tell little more, and cost the training its time
LONG_LINE = 500  # tokens; where lines are longer on average, the text may well have none
MEASURING_SHARE = 0.005  # of a time, in which the speed of the machine is measured


@dataclass
class Sources:
    """Where the text comes from."""

    corpus: list[str]
    valid: str | None = None
    encoding: str | None = None
    column: str | None = None
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
    held_out: str = ""  # which part of the text
    notes: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the best parameters and all that --resume needs."""
        state, arrays = self.trainer.state()
        self.model.training["state"] = state
        self.model.training["best_nats_per_token"] = self.trainer.progress.best_nats_per_token
        self.model.line_before = self._line_before() if self.trainer.done() else []
        self.model.save(path, self.trainer.best(), arrays)

    def _line_before(self) -> list[int]:
        """What a finished model of a stream reads before a line that stands alone."""
        model, text = self.model, self.trainer.batches.sequence
        if model.context == "sentence" or model.line_end is None:
            return []
        network = network_of(model.network.config, self.trainer.best())
        return line_before(network, text, self.trainer.valid or text, model.line_end)

    def rescue(self, path: Path) -> tuple[Path, Path]:
        """Write the best parameters and the vocabulary where no checkpoint can be made; returns the two files.

        Raises:
            SavingError: they cannot be written either.
        """
        weights, vocabulary = path.with_suffix(".weights.npz"), path.with_suffix(".vocabulary.json")
        tokens = [self.model.vocabulary.token(each) for each in range(len(self.model.vocabulary))]
        try:
            with checkpoint.replacing(weights) as file:
                np.savez(file, allow_pickle=False, **self.trainer.best())
            with checkpoint.replacing(vocabulary) as file:
                file.write(json.dumps(tokens, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise checkpoint.not_written(weights, error) from error
        return weights, vocabulary


@dataclass
class _Texts:
    """Training and validation text as ids."""

    vocabulary: Vocabulary
    train: IdSequence
    valid: IdSequence | None
    coverage: float
    counts: Array  # (V,) in the training part
    corpora: list[TokenizedCorpus]
    held_out: str = ""  # which part, for people
    notes: list[str] = field(default_factory=list)

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
    preset: str | None = None,
    asked: Mapping[str, Any] | None = None,
    replaced: Replaced | None = None,
) -> Run:
    """Read the texts and build the trainer.

    resume: a checkpoint to go on with; changed_text: also on texts that are not those it was trained on.
    init_from: one whose weights to start from; init_vocabulary says what to do when the text's vocabulary is not that
    model's: "refuse", "keep" the model's, or "map" its rows to the text's.
    given: the options that the user gave himself, which must not contradict a checkpoint.
    engine: what computes. workers: the processes that train together, this one among them.
    preset: name of a size, of `configuration.PRESETS`.
    asked: the options as they were typed, to be recorded. replaced: what has to be of the same text.

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
        options = adopted(options, given, old, source, resumed=resume is not None)
    tokenizer, context, warnings = _text_settings(options, old)
    if options.bidirectional and context == "stream":
        raise TrainingError(
            "A bidirectional model needs the end of what it reads; --context stream has none. Use --context sentence."
        )
    if options.shift and context == "sentence":
        raise TrainingError(
            "--shift is for a text that is read as one stream; here it is read sentence by sentence, in a new order "
            "every epoch. Leave --shift out, or use --context stream."
        )
    options = replace(options, level=tokenizer.name, context=context)
    check_input(options)
    check_output_layer(options)  # before the text is read, which may take long
    with workers.first_of_machine_first():  # the others find the ids in the cache
        version = split_version(header["training"]) if resume else VERSION
        fixed = _fixed_vocabulary(old, resume, init_vocabulary)
        texts = _read(sources, options, tokenizer, context, threads, fixed, version)
    if old is not None and not resume:
        _check_vocabulary(old, texts.vocabulary, init_vocabulary)
    changes = _check_corpus(header, texts, changed_text) if resume else []
    if replaced is not None:
        replaced.check_text(texts.digest, [] if sources.valid else texts.corpora[0].files)
    baselines = {} if workers.rank else _baselines(texts, options)
    keep_freed_memory()  # not before the text is read, whose memory is to be given back
    machine = _Machine(threads, engine, workers)
    options = _filled_in(options, texts, preset, bool(init_from), lambda reference: machine.speed(reference, texts))
    check_output_layer(options)  # now that all are known
    check_decay(options)
    recorded = {**asdict(options), "user_dict": None}  # the words are in the tokenizer's options; no paths here
    if replaced is not None:
        replaced.check_options(recorded)
    network, notes = build_network(options, texts.vocabulary, texts.counts, old)
    if resume and preset:
        notes.append(f"--preset {preset} is ignored: a resumed training keeps the sizes that it has.")
    model = LanguageModel(tokenizer, texts.vocabulary, network, context)
    model.check_savable()
    trainer = _trainer(model, texts, options, machine)
    if resume:
        trainer.load_state(header["training"].get("state", {}), arrays, _parameters(arrays), bool(changes))
    model.training = {
        "options": recorded,
        "corpus": {
            **texts.corpora[0].to_header(),
            "digest": texts.digest,
            "train_tokens": len(texts.train),
            "split": version,
        },
        **baselines,
        **_asked(asked or {}, header["training"] if resume else None, bool(changes)),
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
        texts.held_out,
        [*warnings, *(note for corpus in texts.corpora for note in corpus.notes), *texts.notes, *notes, *changes],
    )


# --- settings ---------------------------------------------------------------------------------------------------


def _refuse_to_resume(source: Path, old: LanguageModel) -> None:
    how = "was imported" if "imported" in old.training else "was saved without one"
    raise CheckpointError(
        f"{source} has no state of a training to go on with: it {how}. Start a new training from its weights with "
        f"--init-from {source} and another file as --output."
    )


def _text_settings(options: Options, old: LanguageModel | None) -> tuple[Tokenizer, str, list[str]]:
    """Tokenizer, context, and warnings about the user's dictionary."""
    if old is not None:
        if options.user_dict:
            _check_user_words(options.user_dict, old.tokenizer)
        return old.tokenizer, old.context, []
    tokenizer, warnings = make_tokenizer(options.level, options.segmenter, options.hmm, options.user_dict)
    stream = tokenizer.name == "char" and not options.bidirectional
    return tokenizer, options.context or ("stream" if stream else "sentence"), warnings


def _check_user_words(path: str, tokenizer: Tokenizer) -> None:
    """Refuse a dictionary that is not the checkpoint's, which may hold words that have no effect as well."""
    given, _ = read_user_dictionary(path)
    stored = tokenizer.settings().get("user_dictionary") or []
    if [list(each) for each in given] != [each for each in stored if WordTokenizer.can_keep(each[0])]:
        raise TokenizerError(
            f"--user-dict {path} holds other words than the checkpoint was trained with. Leave it out: the checkpoint "
            "has its own copy."
        )


def _filled_in(
    options: Options, texts: _Texts, preset: str | None, started_from: bool, speed: Callable[[Options], float]
) -> Options:
    """Options with the open ones chosen to fit the text, the time and the machine."""

    def of_reference(values: Mapping[str, Any]) -> float:
        return speed(Options(**values))

    circumstances = Circumstances(len(texts.train), len(texts.vocabulary), of_reference, started_from, preset)
    return Options(**filled_in(asdict(options), circumstances))


# --- text -------------------------------------------------------------------------------------------------------


def _read(
    sources: Sources,
    options: Options,
    tokenizer: Tokenizer,
    context: str,
    processes: int,
    vocabulary: Vocabulary | None,
    version: int,
) -> _Texts:
    lines = reads_lines(tokenizer.name, context)

    def tokenized(paths: list[str]) -> TokenizedCorpus:
        return tokenize_corpus(
            paths,
            tokenizer,
            lines=lines,
            encoding=sources.encoding,
            column=sources.column,
            progress=sources.progress,
            processes=processes,
        )

    corpus = tokenized(sources.corpus)
    N = len(corpus.ids)
    if N < 2:
        raise CorpusError(f"{' '.join(sources.corpus)} has {N} tokens; there is nothing to learn. Use a longer text.")
    valid_corpus = tokenized([sources.valid]) if sources.valid else None
    fraction = 0.0 if sources.valid else options.valid_fraction
    parts = split(corpus, fraction, context, version)
    counts = _counts(corpus, parts)
    if vocabulary is None:
        vocabulary = Vocabulary.build(corpus.tokens, counts[FIRST:], options.min_count, options.vocab_size)
    valid = None
    if valid_corpus is not None:
        valid = sequence(valid_corpus, vocabulary)
        if not len(valid):
            raise CorpusError(f"{sources.valid} has no tokens; nothing can be validated on it.")
    elif parts.held_out:
        valid = sequence(corpus, vocabulary, measured(corpus, parts.held_out, MOST_VALIDATED))
    mapping = np.concatenate([np.arange(FIRST), vocabulary.encode(corpus.tokens)])
    by_id = np.bincount(mapping, weights=counts, minlength=len(vocabulary))
    coverage = float(1 - by_id[UNK] / counts.sum())
    corpora = [corpus, valid_corpus] if valid_corpus is not None else [corpus]
    train = sequence(corpus, vocabulary, parts.train)
    notes = [] if parts.held_out or not fraction else [_nothing_held_out(corpus, context, fraction)]
    return _Texts(vocabulary, train, valid, coverage, by_id, corpora, parts.how, notes)


def _counts(corpus: TokenizedCorpus, parts: Split) -> Array:
    """How often each provisional id is in the training part; </s> also where a line is cut."""
    counts = corpus.counts()
    for stretch in parts.held_out:
        counts -= corpus.counts(stretch.start, stretch.stop)
    counts[EOS] += sum(stretch.cut for stretch in parts.train)
    return counts


def _nothing_held_out(corpus: TokenizedCorpus, context: str, fraction: float) -> str:
    lines = int(corpus.counts()[EOS])
    why = f"a text of {lines:,} line{'s' * (lines != 1)} has no place where about {fraction:g} of it can be cut off"
    remedy = "--valid FILE"
    if context == "stream":
        why = f"{fraction:g} of {len(corpus.ids):,} tokens would be too few"
    elif len(corpus.ids) > LONG_LINE * lines:
        remedy += ", or --context stream for text without lines"
    return f"Nothing is held out to validate on: {why}. All is learnt, and the last model is kept. Or use {remedy}."


def _baselines(texts: _Texts, options: Options) -> dict[str, Any]:
    """What simple models reach on the held-out part, to be recorded; nothing where none is held out or says as much."""
    if texts.valid is None or options.bidirectional:
        return {}
    assert options.context is not None
    rare, seconds = _rare(texts, options), options.time or math.inf
    try:
        found = measured_baselines(
            texts.train, texts.valid, options.level, options.context, texts.counts, rare, seconds
        )
    except MemoryError:  # no reason not to train
        return {}
    return {"baselines": found}


def _rare(texts: _Texts, options: Options) -> Array | None:
    """The words (V,) that are sometimes read as <unk>, so that it is known what an unknown one is like.

    None where the text shows that itself, by writing <unk> or having words that are left out of the vocabulary, and of
    a text so short that nearly every word is there once.
    """
    shown = options.min_count > 1 or texts.vocabulary.unknown
    return None if shown or len(texts.train) < TINY_TEXT else texts.counts == 1


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


def _asked(asked: Mapping[str, Any], before: Mapping[str, Any] | None, text_changed: bool) -> dict[str, Any]:
    """What is recorded of the command; of a training that is resumed, what is recorded of it `before`."""
    if before is not None:
        asked = checkpoint.section(before, "asked") | ({"changed_text": True} if text_changed else {})
    return {"asked": dict(asked)} if asked else {}


def _check_corpus(header: Mapping[str, Any], texts: _Texts, changed_text: bool) -> list[str]:
    """What is to be told where the texts are not those of the checkpoint; refused unless `changed_text` allows it."""
    if checkpoint.section(header, "training", "corpus").get("digest") == texts.digest:
        return []
    if not changed_text:
        raise CorpusError(
            "The text is not the one that this checkpoint was trained on (its content has changed). Resume with the "
            "same files in the same order and the same --column, say --changed-text to go on with this one, or start a "
            "new model from these weights with --init-from."
        )
    measured = " The best model is measured again on the present held-out text." if texts.valid is not None else ""
    return [
        "The text is not the one that this checkpoint was trained on. The training goes on at the same share of its "
        f"epoch with the vocabulary that it has; tokens that are new are read as <unk>.{measured}"
    ]


# --- what trains ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Machine:
    """What computes."""

    threads: int
    choice: EngineChoice
    workers: Workers

    def engine(self, network: Network, options: Options) -> Engine:
        """An engine that trains a network."""
        assert options.context is not None
        settings: dict[str, Any] = {"clip": options.clip, "objective": options.loss}
        settings |= {"weight_decay": options.weight_decay, "average": options.average_weights}
        settings["smoothing"] = options.label_smoothing
        if self.choice.name == NUMPY:
            return NumpyEngine(network, options.optimizer, options.context, threads=self.threads, **settings)
        from rnnlm.training.torch_engine import TorchEngine

        settings |= {"settings": self.choice.torch_settings(self.threads), "workers": self.workers}
        return TorchEngine(network, options.optimizer, options.context, **settings)

    def batches(self, texts: _Texts, options: Options) -> BatchSource:
        """What the engine of this worker reads."""
        assert options.batch_size is not None
        assert options.bptt is not None
        assert options.context is not None
        worker = (self.workers.rank, self.workers.size)
        settings: dict[str, Any] = {"rare": _rare(texts, options), "worker": worker}
        if options.bidirectional:
            return SentenceBatches(texts.train, options.batch_size, options.bptt, options.seed, **settings)
        settings["shift"] = options.shift
        return Batches(texts.train, options.batch_size, options.bptt, options.context, options.seed, **settings)

    def speed(self, options: Options, texts: _Texts) -> float:
        """Tokens per second that a network is trained with."""
        assert options.time is not None
        network, _ = build_network(
            replace(options, dropout=0.0, input_dropout=0.0), texts.vocabulary, texts.counts, None
        )
        engine, batches = self.engine(network, options), self.batches(texts, options)
        return tokens_per_second(engine, batches, MEASURING_SHARE * options.time, self.workers)


def _trainer(model: LanguageModel, texts: _Texts, options: Options, machine: _Machine) -> Trainer:
    assert options.lr is not None
    engine, clock = machine.engine(model.network, options), None
    if machine.workers.size > 1 and options.time:
        from rnnlm.training.distributed import SharedClock

        clock = SharedClock(machine.workers)
    config = TrainingConfig(
        epochs=options.epochs or 0.0,
        seconds=options.time or 0.0,
        lr=options.lr,
        schedule=options.schedule,
        warm_up=options.warm_up,
        patience=options.patience,
        seed=options.seed,
    )
    return Trainer(engine, machine.batches(texts, options), texts.valid, config, len(texts.vocabulary), clock)


def _parameters(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in arrays.items() if is_parameter(name)}
