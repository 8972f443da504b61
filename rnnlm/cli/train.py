"""rnnlm train: learn from a text."""

import math
import re
import signal
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rnnlm.cli.blas import use_threads
from rnnlm.cli.command_line import asked_for, equivalent
from rnnlm.cli.common import CELL_NAMES, DEFAULT_MODEL, NumberRange, force_option, note, threads_option
from rnnlm.cli.configuration_file import read_config
from rnnlm.cli.engines import EngineChoice, engine_options, working_together
from rnnlm.cli.interruptions import Interrupted, Interruptions
from rnnlm.cli.texts import check_not_a_text, check_output, reading_bar, text_options
from rnnlm.errors import SavingError, TrainingError, WorkerLostError
from rnnlm.training.workers import Workers

if TYPE_CHECKING:
    from rnnlm.cli.progress import EventLog, History
    from rnnlm.cli.saving import Saver
    from rnnlm.cli.training_run import Run
    from rnnlm.training.advice import Advisor

SETTLING = 5.0  # seconds in which several workers take two signals for one
GO_ON, SAVE, LEAVE = 0.0, 1.0, 2.0  # what a worker wants after a step; the most of it is done by all


NUMBER = r"(\d+\.?\d*|\.\d+)"
DURATION = re.compile(
    rf"(?:{NUMBER}\s*(?:hours?|hrs?|h))?\s*(?:{NUMBER}\s*(?:minutes?|mins?|m))?\s*(?:{NUMBER}\s*(?:seconds?|secs?|s))?",
    re.ASCII | re.IGNORECASE,
)


class Duration(click.ParamType[float]):
    """Hours, minutes and seconds, as 90s, 10m, 5min, 1.5h, 1h30m; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of a duration."""
        text = str(value).strip()
        try:
            if found := DURATION.fullmatch(text):
                parts = (float(number or 0) for number in found.groups())
                seconds = sum(unit * part for unit, part in zip((3600, 60, 1), parts, strict=True))
            else:
                seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is not a duration; write 90s, 10m, 5min, 1.5h or 1h30m.", param, ctx)
        return seconds


@click.command(context_settings={"show_default": True})
@click.argument("corpus", nargs=-1, required=True)
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
@click.option("--valid", type=str, default=None, help="Text to validate on, instead of a part of CORPUS.")
@click.option(
    "--valid-fraction",
    type=NumberRange(0, 1, max_open=True),
    default=0.1,
    help="Share of CORPUS to validate on: blocks of lines from all over it, of a stream its last part; 0: none.",
)
@click.option(
    "--cell",
    type=click.Choice(CELL_NAMES),
    default="lstm",
    help="Kind of recurrent cell; cifg: LSTM with coupled gates.",
)
@click.option(
    "--activation", type=click.Choice(["tanh", "relu", "sigmoid", "identity"]), default="tanh", help="Of the rnn cell."
)
@click.option(
    "--hidden-size",
    type=click.IntRange(1, 65536),
    default=None,
    show_default="what fits the text and the time",
    help="Units in a layer.",
)
@click.option("--num-layers", type=click.IntRange(1, 100), default=1, help="Recurrent layers.")
@click.option(
    "--embedding-size",
    type=click.IntRange(0, 65536),
    default=None,
    show_default="64, or half of --hidden-size for a large vocabulary",
    help="0: one-hot input.",
)
@click.option(
    "--bidirectional",
    is_flag=True,
    help="Learn to fill blanks from both sides, instead of predicting what comes next.",
)
@click.option(
    "--softmax",
    type=click.Choice(["auto", "full", "adaptive"]),
    default="auto",
    help="Output layer. adaptive: rare words in clusters, for large vocabularies; auto: adaptive from 8,000 tokens on.",
)
@click.option("--tied", is_flag=True, help="One matrix for embedding and output; needs equal sizes, a full softmax.")
@click.option(
    "--dropout",
    type=NumberRange(0, 1, max_open=True),
    default=None,
    show_default="0 to 0.6, the more passes the more",
    help="Share of the hidden units to drop, between layers and before the output.",
)
@click.option(
    "--input-dropout",
    type=NumberRange(0, 1, max_open=True),
    default=None,
    show_default="half of --dropout",
    help="Share of the embedding's entries to drop.",
)
@click.option(
    "--locked-dropout/--no-locked-dropout",
    default=False,
    help="Drop the same units in all steps of a batch.",
)
@click.option(
    "--weight-dropout",
    type=NumberRange(0, 1, max_open=True),
    default=0.0,
    help="Share of the entries of the recurrent matrices to drop, the same in all steps of a batch.",
)
@click.option(
    "--embedding-dropout",
    type=NumberRange(0, 1, max_open=True),
    default=0.0,
    help="Share of the tokens of the vocabulary whose input to drop from a batch.",
)
@click.option(
    "--init",
    type=click.Choice(["uniform", "xavier", "orthogonal", "identity", "normal", "article"]),
    default="uniform",
    help="Initial weights; article: +-1e-4.",
)
@click.option(
    "--long-memory",
    type=NumberRange(0, 1),
    default=None,
    show_default="0.25; words of a small text: 0.5, of a small vocabulary: 1",
    help="Share of the units whose gates keep what they hold for up to 64 steps when training begins.",
)
@click.option(
    "--bptt",
    type=click.IntRange(1),
    default=None,
    show_default="64; words of a text of 100,000 tokens or more: 32",
    help="Steps to propagate back through time.",
)
@click.option(
    "--shift/--no-shift",
    default=False,
    help="Begin every epoch at another place of the text, so that BPTT ends at others; with --context stream.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=None,
    show_default="4 to 32 by the text's size",
    help="Columns read at once.",
)
@click.option(
    "--epochs",
    type=NumberRange(0, min_open=True),
    default=None,
    show_default="3 to 40 by the text's size",
    help="Passes over the text; beside --time at most so many.",
)
@click.option(
    "--preset",
    type=click.Choice(["tiny", "small", "medium", "large", "best"]),
    default=None,
    help="Size by name: a width of 64, 128, 256, 512 or 1,024, or less for a short text, and its passes.",
)
@click.option("--time", type=Duration(), default=None, help="Train so long instead: 90s, 10m, 1h30m.")
@click.option(
    "--optimizer",
    type=click.Choice(["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]),
    default="adam",
    help="How gradients change the weights.",
)
@click.option(
    "--lr",
    type=NumberRange(0, min_open=True),
    default=None,
    show_default="by the optimizer; adam, adamw: by the width",
    help="Learning rate at its highest.",
)
@click.option(
    "--schedule",
    type=click.Choice(["constant", "step", "cosine", "linear", "plateau"]),
    default="cosine",
    help="Its course.",
)
@click.option("--warm-up", type=NumberRange(0, 1), default=0.02, help="Share of the training over which it rises.")
@click.option(
    "--weight-decay",
    type=NumberRange(0),
    default=None,
    show_default="adam, adamw: the smaller of 0.1 and 0.01 / --lr; else 0; with --init-from adamw: 0.01, else 0",
    help="Share of the weights, times the learning rate, to take off in each step: of the matrices and of the rows of "
    "the embedding that a batch reads, not of the biases.",
)
@click.option(
    "--average-weights",
    type=NumberRange(0, 1, max_open=True),
    default=0.0,
    help="Keep and evaluate a moving average of the weights with this decay, such as 0.999; 0: the weights themselves.",
)
@click.option("--clip", type=NumberRange(0), default=1.0, help="Largest gradient norm; 0: no limit.")
@click.option("--loss", type=click.Choice(["cross-entropy", "mse"]), default="cross-entropy", help="What is minimised.")
@click.option(
    "--label-smoothing",
    type=NumberRange(0, 1, max_open=True),
    default=0.0,
    help="Share of each target that is spread over the whole vocabulary; with the full softmax.",
)
@click.option(
    "--patience",
    type=click.IntRange(0),
    default=0,
    help="Stop after so many evaluations without improvement; 0: never.",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="Of all randomness.")
@click.option("--resume", is_flag=True, help="Go on with the training that wrote --output.")
@click.option("--changed-text", is_flag=True, help="With --resume: go on although CORPUS has changed.")
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
    help="If its vocabulary differs: refuse, keep the model's, or map its rows to the text's.",
)
@click.option(
    "--history",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="JSON Lines file for the course of the training.",
)
@click.option(
    "--tensorboard",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    metavar="DIR",
    help="Folder for the same, as TensorBoard shows it; a new training takes the place of the one before.",
)
@force_option
@threads_option
@engine_options
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

    The best model on the held-out part of the text is kept in the checkpoint. Ctrl-C saves and stops; --resume goes on.
    A file that is there already is replaced if it is a model that the same command has made of the same text.

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
    from rnnlm.checkpoint import Reservation
    from rnnlm.cli.guidance import facts_of
    from rnnlm.cli.progress import EventLog, History
    from rnnlm.cli.replacement import check_history, check_model
    from rnnlm.cli.saving import Saver
    from rnnlm.cli.training_messages import conclude, introduce
    from rnnlm.cli.training_options import Options
    from rnnlm.cli.training_run import Sources, prepare
    from rnnlm.training.advice import Advisor

    given = {n: v for n, v in chosen.items() if ctx.get_parameter_source(n) != ParameterSource.DEFAULT}
    asked = asked_for(ctx)
    saver: Saver | None = None
    with working_together(engine) as workers, Interruptions(SETTLING if workers.size > 1 else 0.0) as interruptions:
        threads = threads or max(1, cores // workers.local_size)
        tell = note if workers.rank == 0 else lambda message: None
        try:
            with ExitStack() as reserved:
                reservation = reserved.enter_context(Reservation(output)) if workers.rank == 0 else None
                replaced = (
                    None if resume or force else check_model(output, "rnn", given | {"time": chosen["time"]}, asked)
                )
                if history is not None and not force:
                    check_history(history, replaced, resume)
                run = prepare(
                    Sources(list(corpus), valid, encoding, column, reading_bar() if workers.rank == 0 else None),
                    Options(**chosen),
                    threads,
                    resume=output if resume else None,
                    init_from=init_from,
                    init_vocabulary=init_vocabulary,
                    given=given,
                    changed_text=changed_text,
                    engine=engine,
                    workers=workers,
                    preset=preset,
                    asked=asked,
                    replaced=replaced,
                )
                introduce(run, threads, resume, workers, tell)
                if not resume:
                    tell(f"Equals      {equivalent(ctx, chosen, asdict(run.options))}")
                advisor = Advisor(facts_of(run, given, resume, init_from is not None))
                for line in advisor.opening():
                    tell(f"Advice      {line}")
                saver = Saver(run, output, reservation, resume)
                resumed_at = run.trainer.progress.step if resume else None
                log_path, events_path = (history, tensorboard) if workers.rank == 0 else (None, None)
                with History(log_path, resumed_at) as log, EventLog(events_path, resumed_at) as events:
                    _train(run, saver, [log, events], interruptions, workers, advisor)
            if interruptions.received:
                tell(f"Interrupted at step {run.trainer.progress.step:,}; {saver.on_disk()}.{saver.how_to_go_on()}")
                return 128 + interruptions.received
            if workers.rank == 0:
                conclude(run, output)  # which a signal does not end: all is saved, and it takes a moment
        except Interrupted as error:
            tell(f"Interrupted; {saver.on_disk() if saver else 'nothing was written'}.")
            return 128 + error.number
    return 0


def _check_folder(folder: Path) -> None:
    """Refuse the root of a file system for files of a run, which belong into a folder of their own."""
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
        raise click.UsageError("--resume goes on with --output, --force starts anew in its place; choose one.")
    if resume and init_from:
        raise click.UsageError("--resume goes on with --output, --init-from starts anew; choose one.")
    if ctx.get_parameter_source("activation") != ParameterSource.DEFAULT and chosen["cell"] != "rnn":
        raise click.UsageError(f"--activation is for --cell rnn; {chosen['cell']} has its own.")


def _train(
    run: "Run",
    saver: "Saver",
    logs: "list[History | EventLog]",
    interruptions: Interruptions,
    workers: Workers,
    advisor: "Advisor",
) -> None:
    """Train to the end or to a signal, and save. Several workers do all of it together, step by step."""
    from rnnlm.cli.progress import Display

    trainer = run.trainer

    def stop() -> bool:
        trainer.interrupt()
        return trainer.at_rest and workers.size == 1  # else all of them leave after the same step

    with Display(workers.rank > 0, advisor.after) as display:
        interruptions.asked = stop
        try:
            with closing(trainer.run()) as reports:  # not whenever it is collected: a second signal may come then
                for report in reports:
                    display.show(report)
                    if report.kind != "steps":
                        for log in logs:
                            log.write(report, display.line)
                    wanted = workers.largest(LEAVE if interruptions.received else SAVE if saver.is_due() else GO_ON)
                    at_the_end = wanted == LEAVE or trainer.done()  # which is saved below
                    if (report.kind == "evaluation" or wanted == SAVE) and not at_the_end:
                        saver.try_to_save(display)
                    if wanted == LEAVE or (interruptions.received and workers.size == 1):  # perhaps while it was saved
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
    """What to say; where nothing is half done, it is saved first."""
    if at_rest:
        with suppress(SavingError):
            saver.save()
    return TrainingError(
        f"The memory is used up; {saver.on_disk()}. Free some and go on with --resume, or train anew with a smaller "
        "--batch-size, --bptt, --hidden-size or --vocab-size."
    )
