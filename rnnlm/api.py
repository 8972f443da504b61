"""The Python API: load, train, train_ngram and tune_rescoring, with the options of the command line.

    import rnnlm
    model = rnnlm.train("corpus.txt", level="char", time="10m")
    model.predict("我 昨天 上学", k=5).candidates

NumPy and other large modules are imported when a function is called.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlm.blas import one_blas_thread, use_threads
from rnnlm.errors import RnnlmError, TrainingError, shown
from rnnlm.names import ENGINES, PRECISIONS, PRESETS
from rnnlm.schema import whole_number
from rnnlm.training.options import DECLARATIONS, DEFAULTS, FOR_EVERY_MODEL, options_of

if TYPE_CHECKING:
    from rnnlm.inference.list_files import Lists
    from rnnlm.language_model import LanguageModel
    from rnnlm.training.dataset import Sources
    from rnnlm.training.ensemble import AnyTrainer
    from rnnlm.training.machine import EngineChoice
    from rnnlm.training.origin import Origin
    from rnnlm.training.session import Session
    from rnnlm.training.trainer import Report
    from rnnlm.tuned_rescoring import Tuned

Text = str | PathLike[str] | Sequence[str | PathLike[str]]
Progress = bool | Callable[["Report"], object]
MOST_THREADS = 1024


def load(path: str | PathLike[str], *, lowercase: bool = False) -> LanguageModel:
    """Load a model from a checkpoint (.npz) or an ARPA file.

    lowercase: convert all text to lower case, for a model of lower-case text. A model that was trained with `lowercase`
    does this without being asked.

    Raises:
        CheckpointError: the file is missing, damaged, or not a model of rnnlm.
    """
    from rnnlm.language_model import LanguageModel

    with _parameter_names():
        model = LanguageModel.load(os.fspath(path))
    if lowercase:
        model.read_in_lower_case()
    return model


def tune_rescoring(
    model: LanguageModel,
    lists: Lists,
    references: str | PathLike[str] | Sequence[str] | Mapping[str, str],
    *,
    format: str = "plain",
    mix: Sequence[tuple[str | PathLike[str], float | None]] = (),
    measure: str | None = None,
    threads: int = 1,
    seed: int = 1,
    begin: Mapping[str, float | None] | None = None,
) -> Tuned:
    """Find the weights of `model.rescore` that give the fewest errors on n-best lists with known references.

    Args:
        model: The language model.
        lists: A path, or an iterable of lists. Each list holds texts, or pairs of a text and its score, or is an
            object with `hypotheses`.
        references: The correct texts: a path, texts in the order of the lists, or a mapping from list ids to texts.
        format: Format of the lists.
        mix: Files of models to mix with, each with its initial weight; None for an equal share.
        measure: Count errors in "words" or "characters". None: characters for Chinese and Japanese, else words.
        threads: Number of threads that compute scores.
        seed: Random seed of the search.
        begin: Initial weights by name; those left out have the defaults of `rescore`.

    Raises:
        RnnlmError: a file cannot be read, the references do not match the lists, or there is no list.
    """
    from rnnlm.tuned_rescoring import tune_rescoring as tune

    with _parameter_names():
        return tune(
            model, lists, references, format=format, mix=mix, measure=measure, threads=threads, seed=seed, begin=begin
        )


def train(
    corpus: Text | None = None,
    *,
    text: Iterable[str] | None = None,
    valid: str | PathLike[str] | Iterable[str] | None = None,
    encoding: str | None = None,
    column: str | None = None,
    resume: str | PathLike[str] | None = None,
    changed_text: bool = False,
    init_from: str | PathLike[str] | None = None,
    init_vocabulary: str = "refuse",
    preset: str | None = None,
    threads: int | None = None,
    engine: str = "numpy",
    device: str = "auto",
    precision: str = "float32",
    compiled: bool = False,
    progress: Progress = True,
    **options: Any,
) -> LanguageModel:
    """Train a recurrent network on a text and return the model that did best on the held-out part.

    The `history` of the model lists the evaluations of this call. Interrupting the training (Ctrl-C, the stop button
    of a notebook) ends it early and returns the best model so far; a second interrupt raises KeyboardInterrupt.

    Args:
        corpus: A file, a folder of files, or several of either; .gz files are unpacked.
        text: Lines, instead of a corpus, with or without line ends.
        valid: A file or lines to validate on, instead of a part of the text.
        encoding: Encoding of the files; detected if not given.
        column: Column of CSV and TSV files, or key of JSONL files, to read.
        resume: A checkpoint whose training to continue; `text` or `corpus` must be the one it was trained on.
        changed_text: Continue although the text has changed.
        init_from: A checkpoint with the initial weights of a new training.
        init_vocabulary: If the vocabulary of `init_from` differs from the text's: "refuse", "keep" the vocabulary of
            the checkpoint, or "map" its rows to the vocabulary of the text.
        preset: Name of a model size.
        threads: Number of threads to compute with; all cores if not given.
        engine: "numpy" or "torch".
        device: Device of torch: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: Precision of matrix products with torch: "float32", "tf32" or "bf16".
        compiled: Compile the output layer, with torch.
        progress: True for a progress bar in a notebook or terminal, False for none, or a function that is called with
            every `Report`, in every process. The function ends the training by returning False.
        **options: Any of the following; where the default is None, the value is chosen to fit the text.

    Raises:
        RnnlmError: a text, a checkpoint or a combination of options is not usable.
    """
    from rnnlm.training.machine import EngineChoice, Machine
    from rnnlm.training.session import Request, Session

    with _parameter_names():
        chosen = options_of(options)
        given = {name: getattr(chosen, name) for name, value in options.items() if value is not None}
        choice = EngineChoice(engine, device, precision, compiled)
        _check_words(preset, choice, progress, init_vocabulary)
        threads = None if threads is None else _whole("threads", threads, 1, MOST_THREADS)
        origin = _origin(resume, init_from, init_vocabulary, changed_text)
        if origin is None and "activation" in given and chosen.cell != "rnn":
            raise TrainingError(f"activation is for cell='rnn'; {chosen.cell} has its own.")
        request = Request(_sources(corpus, text, valid, encoding, column), chosen, given, origin, preset)
        workers = choice.meet()
        machine = Machine(threads or max(1, use_threads(None) // workers.local_size), choice, workers)
        try:
            with one_blas_thread():
                return _run(Session.prepare(request, machine), False if progress is True and workers.rank else progress)
        finally:
            workers.leave()


def train_ngram(
    corpus: Text | None = None,
    *,
    order: int = 3,
    text: Iterable[str] | None = None,
    encoding: str | None = None,
    column: str | None = None,
    **options: Any,
) -> LanguageModel:
    """Train an n-gram model (interpolated modified Kneser-Ney) on all of a text.

    Args:
        corpus: A file, a folder of files, or several of either; .gz files are unpacked.
        order: Order n of the model, 1 to 6.
        text: Lines, instead of a corpus, with or without line ends.
        encoding: Encoding of the files; detected if not given.
        column: Column of CSV and TSV files, or key of JSONL files, to read.
        **options: Options of reading the text.

    Raises:
        RnnlmError: the text or an option is not usable.
    """
    from rnnlm.baselines.ngram import LARGEST_ORDER
    from rnnlm.training.ngram import train_ngram as train_on

    with _parameter_names():
        if unfit := [name for name in options if name in DECLARATIONS and name not in FOR_EVERY_MODEL]:
            raise TrainingError(f"{unfit[0]} is for networks; an n-gram model has none.")
        order = _whole("order", order, 1, LARGEST_ORDER)
        trained = train_on(_sources(corpus, text, None, encoding, column), options_of(options), order)
    trained.model.notes += map(as_parameters, trained.notes)
    return trained.model


def _run(session: Session, progress: Progress) -> LanguageModel:
    """Train until the end or an interrupt, and return the model."""
    import numpy as np

    model, history, trainer = session.model, list[dict[str, Any]](), session.trainer
    model.notes += map(as_parameters, session.notes)
    if trainer.done():
        model.notes.append("This training is finished; to continue it, give more epochs or a longer time.")
    with _interruptible(trainer) as interrupts:
        with _shown(session, progress) as show, closing(session.run()) as reports:
            try:
                for report in reports:
                    if report.kind != "steps":
                        history.append(report.history())
                    answer = show(report)
                    if interrupts() or (isinstance(answer, bool | np.bool_) and not answer):
                        break
            except KeyboardInterrupt:
                if not trainer.progress.step or interrupts() > 1:
                    raise
        session.finish()
    model.history = history
    return model


@contextmanager
def _interruptible(trainer: AnyTrainer) -> Iterator[Callable[[], int]]:
    """End a training between two steps on the first interrupt, and at once on the second.

    A KeyboardInterrupt within the optimizer's step would leave some parameters updated and others not. Nothing is
    changed if another handler is installed, or outside the main thread, which receives no signals. Yields a function
    that returns the number of interrupts so far.
    """
    count = 0

    def handle(number: int, frame: object) -> None:
        nonlocal count
        count += 1
        trainer.interrupt()
        if count > 1 or trainer.at_rest:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    mine = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if mine:
        signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: count
    finally:
        if mine:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _shown(session: Session, progress: Progress) -> Iterator[Callable[[Report], object]]:
    """Yield a function that shows a report: in a progress bar, or by calling `progress`."""
    if progress is not True:
        yield progress or (lambda report: None)
        return
    from tqdm.auto import tqdm

    with tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| [{elapsed}<{remaining}{postfix}]") as bar:
        valid = ""
        for note in session.model.notes:
            bar.write(note)

        def show(report: Report) -> None:
            nonlocal valid
            if report.valid_nats_per_token is not None:
                valid = f", valid {report.valid_nats_per_token:.3f}"
            bar.set_postfix_str(f"loss {report.train_nats_per_token:.3f}{valid}", refresh=False)
            bar.update(100 * report.progress - bar.n)
            if report.message:
                bar.write(report.message)

        yield show


def _origin(
    resume: str | PathLike[str] | None,
    init_from: str | PathLike[str] | None,
    init_vocabulary: str,
    changed_text: bool,
) -> Origin | None:
    from rnnlm.training.origin import Origin

    if resume is not None and init_from is not None:
        raise TrainingError("resume continues a training, init_from starts a new one; give one of them.")
    if changed_text and resume is None:
        raise TrainingError("changed_text is for resume; a new training takes any text.")
    source = resume if init_from is None else init_from
    return None if source is None else Origin.read(Path(source), resume is not None, init_vocabulary, changed_text)


def _sources(
    corpus: Text | None,
    text: Iterable[str] | None,
    valid: str | PathLike[str] | Iterable[str] | None,
    encoding: str | None,
    column: str | None,
) -> Sources:
    from rnnlm.text.sources import lines_as_source
    from rnnlm.training.dataset import Sources

    if (corpus is None) == (text is None):
        raise TrainingError("Give the text as corpus=FILE, or as text=[lines]; exactly one of them.")
    held_out: Any = None
    if isinstance(valid, str | PathLike):
        held_out = os.fspath(valid)
    elif valid is not None:
        held_out = lines_as_source(valid, "valid")
    if encoding is not None and (text is not None or not isinstance(held_out, str | None)):
        raise TrainingError("encoding is for files; the lines are already text. Leave it out.")
    files: list[Any]
    if text is not None:
        files = [lines_as_source(text, "text")]
    else:
        try:
            files = [os.fspath(each) for each in ([corpus] if isinstance(corpus, str | PathLike) else corpus or ())]
        except TypeError:
            raise TrainingError(f"corpus is {shown(corpus)}; expected a path, or several.") from None
    return Sources(files, held_out, encoding, column)


def _check_words(preset: str | None, choice: EngineChoice, progress: Any, init_vocabulary: str) -> None:
    """Raise TrainingError if a parameter with a fixed set of values has another one."""
    families = {
        "preset": (preset or PRESETS[0], PRESETS),
        "engine": (choice.name, ENGINES),
        "precision": (choice.precision, PRECISIONS),
        "init_vocabulary": (init_vocabulary, ("refuse", "keep", "map")),
    }
    for name, (value, choices) in families.items():
        if value not in choices:
            raise TrainingError(f"{name} is {shown(value)}; expected one of {', '.join(choices)}.")
    if choice.name == "numpy" and (choice.device, choice.precision, choice.compiled) != ("auto", "float32", False):
        raise TrainingError("device, precision and compiled are for engine='torch'; NumPy has the CPU and float32.")
    if not isinstance(progress, bool | None) and not callable(progress):
        raise TrainingError(f"progress is {shown(progress)}; expected True, False or a function.")


def _whole(name: str, value: Any, least: int, most: int) -> int:
    """Return `value`, a Python or NumPy integer, as an int; raise TrainingError if it is not within the bounds."""
    number = whole_number(value)
    if number is None or not least <= number <= most:
        raise TrainingError(f"{name} is {shown(value)}; expected a whole number from {least} to {most}.")
    return number


# --- messages that name parameters, and signatures with every option ----------------------------------------------


@contextmanager
def _parameter_names() -> Iterator[None]:
    """Rewrite the messages of RnnlmErrors raised inside: keyword arguments instead of command-line options."""
    try:
        yield
    except RnnlmError as error:
        error.args = tuple(as_parameters(each) if isinstance(each, str) else each for each in error.args)
        raise


def as_parameters(message: str) -> str:
    """Return a message with command-line options rewritten as keyword arguments.

    >>> as_parameters("--loss mse needs it. Use --softmax full, or leave --tied out; --hidden-size 64 is too much.")
    "loss='mse' needs it. Use softmax='full', or leave tied out; hidden_size=64 is too much."
    """

    def replaced(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        name, value = found[1].replace("-", "_"), found[2] or ""
        if name.startswith("no_") and name.removeprefix("no_") in DECLARATIONS:
            return f"{name.removeprefix('no_')}=False{value}"
        word = value.strip()
        if name in DECLARATIONS and word in DECLARATIONS[name].choices:
            return f"{name}={word!r}"
        return f"{name}={word}" if re.fullmatch(r"\d+(\.\d+)?(e-?\d+)?", word) else name + value

    command = r"\brnnlm [a-z].*?(?=, |; |\. |\.?$)"  # a shell command, left unchanged
    return re.sub(rf"{command}|(?<![\w-])--([a-z]+(?:-[a-z]+)*)( [\w.-]*[\w])?", replaced, message)


def _describe(function: Callable[..., Any], names: Iterable[str]) -> None:
    """Add the named options of `training.options` to the signature and docstring of a function."""
    signature = inspect.signature(function)
    kept = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [inspect.Parameter(name, kind, default=DEFAULTS[name]) for name in names]
    function.__signature__ = signature.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    lines = []
    for each in options:
        declaration = DECLARATIONS[each.name]
        default = declaration.fitting or repr(each.default)
        choices = f" One of {', '.join(declaration.choices)}." if declaration.choices else ""
        said = f"{declaration.help}{choices} Default: {default}."
        lines.append(f"            {each.name}: {as_parameters(said)}")
    before, raises, after = (function.__doc__ or "").partition("\n    Raises:")
    function.__doc__ = "\n".join([before.rstrip(), *lines, raises + after])


_describe(train, DECLARATIONS)
_describe(train_ngram, FOR_EVERY_MODEL)
