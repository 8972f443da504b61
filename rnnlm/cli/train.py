"""rnnlm train: train a model on a text."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rnnlm.blas import use_threads
from rnnlm.cli.command_line import asked_for, equivalent
from rnnlm.cli.configuration_file import read_config
from rnnlm.cli.declared import declared_options
from rnnlm.cli.engines import engine_options, working_together
from rnnlm.cli.interruptions import Interrupted, Interruptions
from rnnlm.cli.languages import language_option, tr, translated
from rnnlm.cli.option_groups import GroupedCommand
from rnnlm.cli.outputs import check_not_a_text, check_output
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import DEFAULT_MODEL, force_option, threads_option
from rnnlm.cli.text_file import TextFile
from rnnlm.cli.texts import reading_bar, text_options
from rnnlm.errors import SavingError, TrainingError, WorkerLostError
from rnnlm.names import PRESETS
from rnnlm.training.machine import EngineChoice, Machine
from rnnlm.training.options import DECLARATIONS, FOR_EVERY_MODEL, Options
from rnnlm.training.workers import Workers

if TYPE_CHECKING:
    from rnnlm.cli.progress import EventLog, History
    from rnnlm.cli.saving import Saver
    from rnnlm.training.advice import Advisor
    from rnnlm.training.session import Request, Session

SETTLING = 5.0  # seconds in which several workers count repeated signals as one
GO_ON, SAVE, LEAVE = 0.0, 1.0, 2.0  # what a worker wants after a step; all workers do the largest


TRAINED_OPTIONS = [name for name in DECLARATIONS if name not in FOR_EVERY_MODEL]  # options of networks only
BEFORE_PRESET, AFTER_PRESET = (
    TRAINED_OPTIONS[: TRAINED_OPTIONS.index("time")],
    TRAINED_OPTIONS[TRAINED_OPTIONS.index("time") :],
)


@click.command(cls=GroupedCommand, context_settings={"show_default": True})
@click.argument("corpus", nargs=-1, required=True, type=TextFile())
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_MODEL,
    help="Checkpoint to write.",
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    help="TOML file with options, such as hidden-size = 512.",
)
@text_options
@click.option("--valid", type=TextFile(), default=None, help="Text to validate on, instead of a part of CORPUS.")
@declared_options(BEFORE_PRESET)
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default=None,
    help="Size by name: 64, 128, 256, 512 or 1,024 units, fewer for a short text, with matching --epochs.",
)
@declared_options(AFTER_PRESET)
@click.option("--resume", is_flag=True, help="Continue the training that wrote --output.")
@click.option("--changed-text", is_flag=True, help="With --resume: continue although CORPUS has changed.")
@click.option(
    "--init-from",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Start from another model's weights.",
)
@click.option(
    "--init-vocabulary",
    type=click.Choice(["refuse", "keep", "map"]),
    default="refuse",
    help="If the vocabulary of --init-from differs: refuse, keep the model's, or map its rows to the text's.",
)
@click.option(
    "--history",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="JSON Lines file for losses and speed at each evaluation.",
)
@click.option(
    "--tensorboard",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    metavar="DIR",
    help="Folder for the same as TensorBoard events; a new training replaces the previous one there.",
)
@force_option
@threads_option
@engine_options
@language_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    corpus: tuple[str, ...],
    output: Path,
    encoding: str | None,
    column: str | None,
    valid: str | None,
    resume: bool,
    changed_text: bool,
    init_from: Path | None,
    init_vocabulary: str,
    preset: str | None,
    history: Path | None,
    tensorboard: Path | None,
    force: bool,
    threads: int | None,
    engine: EngineChoice,
    **chosen: Any,
) -> int:
    """Train a model on CORPUS: text files, folders of them, .gz, or "-" for stdin.

    @chinese and @english are texts that come with rnnlm. The checkpoint keeps the model that is best on the held-out
    part of the text. Ctrl-C saves and stops; --resume continues. An existing file is only replaced if it is a model
    that the same command made from the same text.

    \b
    rnnlm train corpus.txt
    rnnlm train corpus.txt --time 10m --level char -o model.npz
    """
    _check_usage(ctx, resume, changed_text, init_from, force, chosen)
    check_output(output)
    texts = [*corpus, *([valid] if valid else [])]
    check_not_a_text(output, texts, "--output")
    if history is not None:
        check_not_a_text(history, [*texts, str(output)], "--history")
    if tensorboard is not None:
        _check_folder(tensorboard)
    cores = use_threads(threads)
    with working_together(engine) as workers, Interruptions(SETTLING if workers.size > 1 else 0.0) as interruptions:
        machine = Machine(threads or max(1, cores // workers.local_size), engine, workers)
        return _learn(ctx, chosen, machine, interruptions)


def _learn(ctx: click.Context, chosen: dict[str, Any], machine: Machine, interruptions: Interruptions) -> int:
    """Prepare, train and save; return the exit code."""
    from rnnlm.cli.saving import Saver
    from rnnlm.cli.training_messages import conclude
    from rnnlm.storage.lock import Reservation

    output, resume, workers = ctx.params["output"], ctx.params["resume"], machine.workers
    tell = note if workers.rank == 0 else lambda message: None
    saver: Saver | None = None
    try:
        with ExitStack() as reserved:
            reservation = reserved.enter_context(Reservation(output)) if workers.rank == 0 else None
            session, advisor = _prepare(ctx, chosen, machine, tell)
            saver = Saver(session, output, reservation, resume)
            with _logs(ctx, session, workers) as logs:
                _train(session, saver, logs, interruptions, workers, advisor)
        if interruptions.received:
            at, saved = f"{session.trainer.progress.step:,}", translated(saver.on_disk())
            how = translated(saver.how_to_go_on())
            tell(tr("Interrupted at step {step}; {saved}.{how}", step=at, saved=saved, how=how))
            return 128 + interruptions.received
        if workers.rank == 0:
            conclude(session, output)  # signals are not checked here: all is saved, and this is short
    except Interrupted as error:
        saved = translated(saver.on_disk()) if saver else tr("nothing was written")
        tell(tr("Interrupted; {saved}.", saved=saved))
        return 128 + error.number
    return 0


def _prepare(
    ctx: click.Context, chosen: dict[str, Any], machine: Machine, tell: Callable[[str], None]
) -> "tuple[Session, Advisor]":
    """Make a session from the command line and print its description; return it and its advisor.

    Raises:
        CheckpointError: the training would replace another model or history.
    """
    from rnnlm.cli.replacement import check_history, check_model
    from rnnlm.cli.training_messages import WORTH_TELLING, about, introduce
    from rnnlm.training.dataset import Sources
    from rnnlm.training.estimate import expected_seconds
    from rnnlm.training.origin import Origin
    from rnnlm.training.session import Request, Session

    typed, asked = ctx.params, asked_for(ctx)
    output, resume, force, history = typed["output"], typed["resume"], typed["force"], typed["history"]
    given = {n: v for n, v in chosen.items() if ctx.get_parameter_source(n) != ParameterSource.DEFAULT}
    replaced = None
    if not (resume or force):
        replaced = check_model(output, "rnn", given | {"time": chosen["time"]}, asked)
    if history is not None and not force:
        check_history(history, replaced, resume)
    bar = reading_bar() if machine.workers.rank == 0 else None
    sources = Sources(typed["corpus"], typed["valid"], typed["encoding"], typed["column"], bar)
    source = output if resume else typed["init_from"]
    origin = Origin.read(source, resume, typed["init_vocabulary"], typed["changed_text"]) if source else None
    request = Request(sources, Options(**chosen), given, origin, typed["preset"], asked)
    session = Session.prepare(request, machine, replaced)
    introduce(session, machine.threads, resume, machine.workers, tell)
    if not resume:
        tell(tr("Equals      {command}", command=equivalent(ctx, chosen, _choices(session))))
        if (seconds := expected_seconds(session, machine)) is not None and seconds > WORTH_TELLING:
            tell(tr("Time        {span}", span=about(seconds)))
    return session, _advisor(request, session, tell)


def _choices(session: "Session") -> dict[str, Any]:
    """Return the training's final options, without those that could not have another value."""
    choices = asdict(session.recipe)
    if not choices["line_resets"]:  # sentences and characters have no line resets
        del choices["line_resets"]
    return choices


@contextmanager
def _logs(ctx: click.Context, session: "Session", workers: Workers) -> "Iterator[list[History | EventLog]]":
    """Yield the logs of the training: history and TensorBoard events, which only the first worker writes."""
    from rnnlm.cli.progress import EventLog, History

    resumed_at = session.trainer.progress.step if ctx.params["resume"] else None
    paths = [ctx.params["history"], ctx.params["tensorboard"]] if workers.rank == 0 else [None, None]
    with History(paths[0], resumed_at) as log, EventLog(paths[1], resumed_at) as events:
        yield [log, events]


def _advisor(request: "Request", session: "Session", tell: Callable[[str], None]) -> "Advisor":
    """Print the advice before a training begins, and return the advisor for its reports."""
    from rnnlm.training.advice import Advisor, facts_of

    advisor = Advisor(facts_of(session, has_network=request.origin is not None))
    for line in [] if request.resumed else advisor.opening():  # a resumed training had its advice when it began
        tell(tr("Advice      {line}", line=translated(line)))
    return advisor


def _check_folder(folder: Path) -> None:
    """Raise TrainingError if a folder for events is the root of the file system."""
    if folder.resolve().parent == folder.resolve():
        raise TrainingError(f"--tensorboard {folder} is the root of the file system; give a folder of its own.")


def _check_usage(
    ctx: click.Context,
    resume: bool,
    changed_text: bool,
    init_from: Path | None,
    force: bool,
    chosen: dict[str, Any],
) -> None:
    if changed_text and not resume:
        raise click.UsageError("--changed-text is for --resume; a new training takes any text.")
    if resume and force:
        raise click.UsageError("--resume continues the training in --output, --force replaces it; choose one.")
    if resume and init_from:
        raise click.UsageError("--resume continues the training in --output, --init-from starts a new one; choose one.")
    if ctx.get_parameter_source("activation") != ParameterSource.DEFAULT and chosen["cell"] != "rnn":
        raise click.UsageError(f"--activation is for --cell rnn; {chosen['cell']} has its own.")


def _train(
    session: "Session",
    saver: "Saver",
    logs: "list[History | EventLog]",
    interruptions: Interruptions,
    workers: Workers,
    advisor: "Advisor",
) -> None:
    """Train to the end or until a signal, and save; several workers agree after each step on what to do."""
    from rnnlm.cli.progress import Display

    trainer = session.trainer

    def stop() -> bool:
        trainer.interrupt()
        return trainer.at_rest and workers.size == 1  # several workers must leave after the same step

    with Display(workers.rank > 0, advisor.after) as display:
        interruptions.asked = stop
        try:
            with closing(
                trainer.run()
            ) as reports:  # close the generator now, not when it is collected, where a second signal could hit
                for report in reports:
                    display.show(report)
                    if report.kind != "steps":
                        for log in logs:
                            log.write(report, display.line)
                    wanted = workers.largest(LEAVE if interruptions.received else SAVE if saver.is_due() else GO_ON)
                    at_the_end = wanted == LEAVE or trainer.done()  # `finish` saves then
                    if (report.kind == "evaluation" or wanted == SAVE) and not at_the_end:
                        saver.try_to_save(display)
                    if wanted == LEAVE or (
                        interruptions.received and workers.size == 1
                    ):  # a signal may have come while saving
                        break
        except Interrupted as error:
            if error.at_once:
                raise
        except WorkerLostError as error:
            if not saver.rescue():
                raise click.exceptions.Exit(1) from None
            raise WorkerLostError(f"{error.args[0]}; {saver.on_disk()}.{saver.how_to_go_on()}") from None
        except MemoryError:
            raise _out_of_memory(trainer.at_rest, saver) from None
        finally:
            interruptions.asked = lambda: False
        if workers.size > 1 and not trainer.progress.finished and not interruptions.received:
            interruptions.received = signal.SIGTERM  # another worker received it
        saver.finish(display, interruptions)


def _out_of_memory(at_rest: bool, saver: "Saver") -> TrainingError:
    """Return the error for exhausted memory, after saving unless a step is half done."""
    if at_rest:
        with suppress(SavingError):
            saver.save()
    return TrainingError(
        f"The memory is used up; {saver.on_disk()}. Free some and go on with --resume, or train anew with a smaller "
        "--batch-size, --bptt, --hidden-size or --vocab-size."
    )
