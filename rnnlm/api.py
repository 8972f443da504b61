"""The Python API: train, train_ngram, load. The command line does the same with the same options.

    import rnnlm
    model = rnnlm.train("corpus.txt", level="char", time="10m")
    model.predict("我 昨天 上学", k=5).candidates

Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlm.errors import RnnlmError, TrainingError
from rnnlm.names import PRESETS
from rnnlm.training.options import DECLARATIONS, DEFAULTS, FOR_EVERY_MODEL, options_of

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel
    from rnnlm.training.dataset import Sources
    from rnnlm.training.session import Session
    from rnnlm.training.trainer import Report

Text = str | PathLike[str] | Sequence[str | PathLike[str]]
Progress = bool | Callable[["Report"], object]


def load(path: str | PathLike[str]) -> LanguageModel:
    """Load a model from a checkpoint (.npz) or an ARPA file.

    Raises:
        CheckpointError: the file is missing, damaged, or of another program.
    """
    from rnnlm.language_model import LanguageModel

    return LanguageModel.load(path)


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
    """Train a recurrent network on a text and return the best model on its held-out part.

    Its `history` has the evaluations. Interrupting the training (Ctrl-C, the stop button of a notebook) ends it early
    and returns the best model so far.

    Args:
        corpus: A file, a folder of them, or several; .gz is unpacked.
        text: Lines, instead of a corpus.
        valid: A file or lines to validate on, instead of a part of the text.
        encoding: Of the files; found out if it is not given.
        column: What to read of CSV, TSV and JSONL files.
        resume: A checkpoint whose training goes on; with it, `text` or `corpus` is the one it was trained on.
        changed_text: Go on although the text has changed.
        init_from: A checkpoint whose weights to start from.
        init_vocabulary: If its vocabulary differs: "refuse", "keep" the model's, or "map" its rows to the text's.
        preset: A size by name.
        threads: To compute with; all cores if it is not given.
        engine: "numpy" or "torch".
        device: Of torch: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: Of torch: of matrix products, "float32", "tf32" or "bf16".
        compiled: Of torch: compile the output layer.
        progress: True: a bar, in a notebook or a terminal; False: nothing; a function: called with every `Report`, in
            every process. It ends the training by returning False.
        **options: Any of the following; None, where it is the default, is what fits the text.

    Raises:
        RnnlmError: a text, a checkpoint or a combination of options does not do.
    """
    from rnnlm.training.machine import EngineChoice, Machine
    from rnnlm.training.origin import Origin
    from rnnlm.training.session import Request, Session

    with _parameter_names():
        chosen = options_of(options)
        given = {name: getattr(chosen, name) for name in options}
        if preset is not None and preset not in PRESETS:
            raise TrainingError(f"preset is {preset!r}; expected one of {', '.join(PRESETS)}.")
        if resume is not None and init_from is not None:
            raise TrainingError("resume goes on with a training, init_from starts a new one; give one of them.")
        source = resume or init_from
        origin = None
        if source is not None:
            origin = Origin.read(Path(source), resume is not None, init_vocabulary, changed_text)
        choice = EngineChoice(engine, device, precision, compiled)
        workers = choice.meet()
        machine = Machine(threads or max(1, _cores() // workers.local_size), choice, workers)
        request = Request(_sources(corpus, text, valid, encoding, column), chosen, given, origin, preset)
        try:
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
        corpus: A file, a folder of them, or several; .gz is unpacked.
        order: The n of n-gram, 1 to 6.
        text: Lines, instead of a corpus.
        encoding: Of the files; found out if it is not given.
        column: What to read of CSV, TSV and JSONL files.
        **options: How the text is read.

    Raises:
        RnnlmError: the text or an option does not do.
    """
    from rnnlm.baselines.ngram import LARGEST_ORDER
    from rnnlm.training.ngram import train_ngram as train_on

    with _parameter_names():
        if unfit := [name for name in options if name in DECLARATIONS and name not in FOR_EVERY_MODEL]:
            raise TrainingError(f"{unfit[0]} is for networks; an n-gram model has none.")
        if type(order) is not int or not 1 <= order <= LARGEST_ORDER:
            raise TrainingError(f"order is {order!r}; expected a whole number from 1 to {LARGEST_ORDER}.")
        trained = train_on(_sources(corpus, text, None, encoding, column), options_of(options), order)
    trained.model.notes += trained.notes
    return trained.model


def _run(session: Session, progress: Progress) -> LanguageModel:
    """Train to the end, or until it is interrupted."""
    model, history = session.model, []
    model.notes += session.notes
    with _shown(session, progress) as show, closing(session.run()) as reports:
        try:
            for report in reports:
                if report.kind != "steps":
                    history.append(report.history())
                if show(report) is False:
                    break
        except KeyboardInterrupt:
            if not session.trainer.progress.step:
                raise
    session.finish()
    model.history = history
    return model


@contextmanager
def _shown(session: Session, progress: Progress) -> Iterator[Callable[[Report], object]]:
    """What shows reports: a bar, or the function that was given."""
    if progress is not True:
        yield progress or (lambda report: None)
        return
    from tqdm.auto import tqdm

    with tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| [{elapsed}<{remaining}{postfix}]") as bar:
        valid = ""

        def show(report: Report) -> None:
            nonlocal valid
            if report.valid_nats_per_token is not None:
                valid = f", valid {report.valid_nats_per_token:.3f}"
            bar.set_postfix_str(f"loss {report.train_nats_per_token:.3f}{valid}", refresh=False)
            bar.update(100 * report.progress - bar.n)
            if report.message:
                bar.write(report.message)

        yield show


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
    if isinstance(text, str):
        raise TrainingError("text is a string; expected lines, such as text.splitlines(), or corpus=FILE.")
    files: list[Any]
    if text is not None:
        files = [lines_as_source(text, "text")]
    else:
        files = [os.fspath(each) for each in ([corpus] if isinstance(corpus, str | PathLike) else corpus or ())]
    held_out: Any = valid
    if valid is not None:
        held_out = os.fspath(valid) if isinstance(valid, str | PathLike) else lines_as_source(valid, "valid")
    return Sources(files, held_out, encoding, column)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- messages that name parameters, and a signature that names every option ---------------------------------------


@contextmanager
def _parameter_names() -> Iterator[None]:
    """Errors that are raised inside name parameters, not the options of the command line."""
    try:
        yield
    except RnnlmError as error:
        error.args = tuple(as_parameters(each) if isinstance(each, str) else each for each in error.args)
        raise


def as_parameters(message: str) -> str:
    """Return a message with the options of the command line written as keyword arguments.

    >>> as_parameters("--loss mse needs it. Use --softmax full, or leave --tied out; --hidden-size 64 is too much.")
    "loss='mse' needs it. Use softmax='full', or leave tied out; hidden_size=64 is too much."
    """

    def replaced(found: re.Match[str]) -> str:
        name, value = found[1].replace("-", "_"), found[2] or ""
        if name.startswith("no_") and name.removeprefix("no_") in DECLARATIONS:
            return f"{name.removeprefix('no_')}=False{value}"
        word = value.strip()
        if name in DECLARATIONS and word in DECLARATIONS[name].choices:
            return f"{name}={word!r}"
        return f"{name}={word}" if re.fullmatch(r"\d+(\.\d+)?(e-?\d+)?", word) else name + value

    return re.sub(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)( [\w.-]*[\w])?", replaced, message)


def _describe(function: Callable[..., Any], names: Iterable[str]) -> None:
    """Add options to the signature and the docstring of a function, as `training.options` declares them."""
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
