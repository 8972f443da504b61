"""rnnlm train: learn from a text."""

import difflib
import math
import signal
import tomllib
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rnnlm.cli.common import DEFAULT_MODEL, NumberRange, note, threads_option, use_threads
from rnnlm.cli.engines import EngineChoice, engine_options, working_together
from rnnlm.cli.interruptions import Interrupted, Interruptions
from rnnlm.cli.tables import shortened
from rnnlm.cli.texts import check_not_a_text, check_output, reading_bar, text_options
from rnnlm.errors import SavingError, TrainingError, WorkerLostError, shown
from rnnlm.training.workers import Workers

if TYPE_CHECKING:
    from rnnlm.cli.progress import EventLog, History
    from rnnlm.cli.saving import Saver
    from rnnlm.cli.training_run import Run

LARGEST_CONFIG = 1 << 20
SETTLING = 5.0  # seconds in which several workers take two signals for one
GO_ON, SAVE, LEAVE = 0.0, 1.0, 2.0  # what a worker wants after a step; the most of it is done by all
LONGEST_SAMPLE = 2000  # characters: a text without spaces is a word


class Duration(click.ParamType[float]):
    """Seconds, minutes or hours, as 90s, 10m, 1.5h; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of a duration."""
        text = str(value).strip()
        unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
        try:
            seconds = float(text[:-1]) * unit if unit else float(text)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is not a duration; write 90s, 10m or 1.5h.", param, ctx)
        return seconds


def read_config(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    """Take options from a TOML file; the command line and environment variables go before them."""
    if value is None:
        return
    try:
        with value.open("rb") as file:
            written = file.read(LARGEST_CONFIG + 1)
        if len(written) > LARGEST_CONFIG:  # a model, or /dev/zero
            raise click.UsageError(f"--config {value} is larger than {LARGEST_CONFIG:,} bytes; expected a TOML file.")
        content = tomllib.loads(written.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"--config {value} can not be read: {error}.") from None
    known = {name: p for p in ctx.command.params for name in _names(p) if p.name not in ("config", "help")}
    settings: dict[str, Any] = {}
    for key, setting in content.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"--config {value} has the unknown key {key!r}.{hint}")
        settings[str(known[key].name)] = _setting(known[key], setting, f"--config {value}, {key}")
    ctx.default_map = {**settings, **(ctx.default_map or {})}


def _setting(parameter: click.Parameter, value: Any, place: str) -> Any:
    """A value of a configuration file as it would be written on the command line, so that it is checked alike."""
    if parameter.nargs == -1 and isinstance(value, list):
        return [_setting(click.Argument(["one"]), each, place) for each in value]
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    if is_flag == isinstance(value, bool) and isinstance(value, bool | int | float | str) and "\0" not in str(value):
        return value if is_flag else str(value)
    raise click.UsageError(f"{place}: {shown(value)} is not {'true or false' if is_flag else 'a text or a number'}.")


def _names(parameter: click.Parameter) -> list[str]:
    """Spellings of an option in a configuration file: as on the command line, or with underscores."""
    names = [str(parameter.name), *(name.lstrip("-") for name in parameter.opts)]
    return list(dict.fromkeys([*names, *(name.replace("-", "_") for name in names)]))


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
    help="Share of CORPUS, its last part, to validate on; 0 trains on everything.",
)
@click.option("--cell", type=click.Choice(["rnn", "gru", "lstm"]), default="lstm", help="Kind of recurrent cell.")
@click.option(
    "--activation", type=click.Choice(["tanh", "relu", "sigmoid", "identity"]), default="tanh", help="Of the rnn cell."
)
@click.option(
    "--hidden-size",
    type=click.IntRange(1, 65536),
    default=None,
    show_default="128 or 256 by the text's size",
    help="Units in a layer.",
)
@click.option("--num-layers", type=click.IntRange(1, 100), default=1, help="Recurrent layers.")
@click.option("--embedding-size", type=click.IntRange(0, 65536), default=128, help="0: one-hot input.")
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
    show_default="0.4 or 0.2 by the text's size",
    help="Share of the non-recurrent connections to drop.",
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
    "--bptt",
    type=click.IntRange(1),
    default=None,
    show_default="char: 64, word: 32",
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
    show_default="8 to 32 by the text's size",
    help="Columns read at once.",
)
@click.option(
    "--epochs",
    type=NumberRange(0, min_open=True),
    default=None,
    show_default="3 to 20 by the text's size",
    help="Passes over the text.",
)
@click.option("--time", type=Duration(), default=None, help="Train so long instead: 90s, 10m, 2h.")
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
    show_default="by the optimizer",
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
    show_default="adamw: 0.01, else 0",
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
@threads_option
@engine_options
@click.pass_context
def train(
    ctx: click.Context,
    /,
    corpus: tuple[str, ...],
    output: Path,
    encoding: str | None,
    valid: str | None,
    resume: bool,
    changed_text: bool,
    init_from: Path | None,
    init_vocabulary: str,
    history: Path | None,
    tensorboard: Path | None,
    threads: int | None,
    engine: EngineChoice,
    **chosen: Any,
) -> int:
    """Train a model on CORPUS: text files, folders of them, .gz, or "-" for stdin.

    The best model on the held-out part of the text is kept in the checkpoint. Ctrl-C saves and stops; --resume goes on.

    \b
    rnnlm train corpus.txt
    rnnlm train corpus.txt --time 10m --level char -o model.npz
    """
    _check_usage(ctx, resume, changed_text, init_from, chosen)
    check_output(output)
    texts = [*corpus, *([valid] if valid else [])]
    check_not_a_text(output, texts, "--output")
    if history is not None:
        check_not_a_text(history, [*texts, str(output)], "--history")
    if tensorboard is not None:
        _check_folder(tensorboard)
    cores = use_threads(threads)
    from rnnlm.checkpoint import Reservation
    from rnnlm.cli.progress import EventLog, History
    from rnnlm.cli.saving import Saver
    from rnnlm.cli.training_run import Options, Sources, prepare

    given = {n: v for n, v in chosen.items() if ctx.get_parameter_source(n) != ParameterSource.DEFAULT}
    saver: Saver | None = None
    with working_together(engine) as workers, Interruptions(SETTLING if workers.size > 1 else 0.0) as interruptions:
        threads = threads or max(1, cores // workers.local_size)
        tell = note if workers.rank == 0 else lambda message: None
        try:
            with ExitStack() as reserved:
                reservation = reserved.enter_context(Reservation(output)) if workers.rank == 0 else None
                run = prepare(
                    Sources(list(corpus), valid, encoding, reading_bar() if workers.rank == 0 else None),
                    Options(**chosen),
                    threads,
                    resume=output if resume else None,
                    init_from=init_from,
                    init_vocabulary=init_vocabulary,
                    given=given,
                    changed_text=changed_text,
                    engine=engine,
                    workers=workers,
                )
                _introduce(run, threads, resume, workers, tell)
                saver = Saver(run, output, reservation, resume)
                resumed_at = run.trainer.progress.step if resume else None
                log_path, events_path = (history, tensorboard) if workers.rank == 0 else (None, None)
                with History(log_path, resumed_at) as log, EventLog(events_path, resumed_at) as events:
                    _train(run, saver, [log, events], interruptions, workers)
            if interruptions.received:
                tell(f"Interrupted at step {run.trainer.progress.step:,}; {saver.on_disk()}.{saver.how_to_go_on()}")
                return 128 + interruptions.received
            if workers.rank == 0:
                _conclude(run, output)  # which a signal does not end: all is saved, and it takes a moment
        except Interrupted as error:
            tell(f"Interrupted; {saver.on_disk() if saver else 'nothing was written'}.")
            return 128 + error.number
    return 0


def _check_folder(folder: Path) -> None:
    """Refuse the root of a file system for files of a run, which belong into a folder of their own."""
    if folder.resolve().parent == folder.resolve():
        raise TrainingError(f"--tensorboard {folder} is the root of the file system; give a folder of its own.")


def _check_usage(
    ctx: click.Context, resume: bool, changed_text: bool, init_from: Path | None, chosen: dict[str, Any]
) -> None:
    if changed_text and not resume:
        raise click.UsageError("--changed-text is for --resume; a new training takes any text.")
    if resume and init_from:
        raise click.UsageError("--resume goes on with --output, --init-from starts anew; choose one.")
    if chosen["epochs"] and chosen["time"]:
        raise click.UsageError("--epochs and --time exclude each other.")
    if ctx.get_parameter_source("activation") != ParameterSource.DEFAULT and chosen["cell"] != "rnn":
        raise click.UsageError(f"--activation is for --cell rnn; {chosen['cell']} has its own.")


def _introduce(run: "Run", threads: int, resumed: bool, workers: Workers, tell: Callable[[str], None]) -> None:
    """Say what will be trained on what."""
    options, network, model = run.options, run.model.network, run.model
    for message in run.notes:
        tell(message)
    held_out = f"{run.valid_tokens:,} for validation" if run.valid_tokens else "none held out for validation"
    tell(f"Text        {run.characters:,} characters; {run.train_tokens:,} tokens for training, {held_out}")
    coverage = f"covering {100 * run.coverage:.2f} % of the training text"
    tell(f"Vocabulary  {len(model.vocabulary):,} {model.level}s, {coverage}")
    embedding = f"embedding {options.embedding_size}" if options.embedding_size else "one-hot input"
    cell = options.cell.upper() + (f" ({options.activation})" if options.cell == "rnn" else "")
    cutoffs = ", ".join(f"{cutoff:,}" for cutoff in network.config.cutoffs)
    layer = f", adaptive softmax cut at {cutoffs}" if cutoffs else ", tied output" if options.tied else ""
    tell(
        f"Network     {cell} {options.num_layers} x {options.hidden_size}, {embedding}{layer}, dropout "
        f"{options.dropout:g}{_regularisers(run)}; {network.parameter_count:,} parameters"
    )
    span = f"{options.time:g} s" if options.time else f"{options.epochs:g} epochs"
    shifted = " shifted" if options.shift else ""
    tell(
        f"Training    {span}, batches of {options.batch_size} x {options.bptt}{shifted}, {options.optimizer} "
        f"{options.lr:g} {options.schedule}{_smoothing(run)}; {threads} thread{'s' * (threads > 1)}"
        f"{' of each of ' + str(workers.size) + ' workers' if workers.size > 1 else ''}, {_kernels(run)}"
    )
    if resumed:
        progress = run.trainer.progress
        tell(f"Resumed     at step {progress.step:,}, epoch {progress.epoch + 1}")


def _kernels(run: "Run") -> str:
    """What computes."""
    from rnnlm.nn.kernels import compiled

    if device := getattr(run.trainer.engine, "device", None):
        return f"PyTorch on {device}"
    return f"{'compiled' if compiled() else 'NumPy'} kernels"


def _regularisers(run: "Run") -> str:
    """What else keeps the network from learning the text by heart, where it was asked for."""
    options = run.options
    rates = {"weights": options.weight_dropout, "tokens": options.embedding_dropout}
    found = " locked" if options.locked_dropout and options.dropout else ""
    return found + "".join(f", of {what} {rate:g}" for what, rate in rates.items() if rate)


def _smoothing(run: "Run") -> str:
    """What else is done to the gradients and to the weights that they lead to, where it was asked for."""
    from rnnlm.nn.optimizers import OPTIMIZERS

    options = run.options
    usual = OPTIMIZERS[options.optimizer].weight_decay
    decay = "" if options.weight_decay == usual else f", weight decay {options.weight_decay:g}"
    average = f", averaged by {options.average_weights:g}" if options.average_weights else ""
    labels = f", labels smoothed by {options.label_smoothing:g}" if options.label_smoothing else ""
    return decay + average + labels


def _train(
    run: "Run", saver: "Saver", logs: "list[History | EventLog]", interruptions: Interruptions, workers: Workers
) -> None:
    """Train to the end or to a signal, and save. Several workers do all of it together, step by step."""
    from rnnlm.cli.progress import Display

    trainer = run.trainer

    def stop() -> bool:
        trainer.interrupt()
        return trainer.at_rest and workers.size == 1  # else all of them leave after the same step

    with Display(hidden=workers.rank > 0) as display:
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


def _conclude(run: "Run", output: Path) -> None:
    """Say how good it became and let the model speak."""
    from rnnlm.language_model import network_of

    progress, model, two_sided = run.trainer.progress, run.model, run.options.bidirectional
    best = progress.best_nats_per_token
    if best is not None:
        kind = "valid" if run.valid_tokens else "train"
        measure = "pseudo-perplexity" if two_sided else "perplexity"
        note(
            f"Best {kind} loss {best:.4f} nats per token ({measure} {math.exp(min(best, 700)):.4g}) "
            f"at step {progress.best_step:,}"
        )
    model.predictor = network_of(model.network.config, run.trainer.best())
    if not two_sided:
        note("A sample: " + _sample(run))
    name = "" if str(output) == DEFAULT_MODEL else f" -m {output}"
    note(f"Saved {output}. Try: rnnlm {'fill' if two_sided else 'predict'}{name} TEXT")


def _sample(run: "Run") -> str:
    import numpy as np

    from rnnlm.inference.generation import SamplingOptions

    options, rng = SamplingOptions(length=60, temperature=0.8), np.random.default_rng(run.options.seed)
    ids = [step[0] for step in run.model.sample("", options, rng)]
    return shortened(run.model.render([i for i in ids if i is not None]).strip(), LONGEST_SAMPLE)
