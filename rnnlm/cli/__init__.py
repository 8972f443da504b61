"""The command line. Results go to stdout, messages about them to stderr.

Exit codes: 0 success, 1 an expected failure told in one sentence, 2 wrong usage, 130 interrupted (SIGINT) and 143
terminated (SIGTERM), after saving.
"""

import atexit
import contextlib
import importlib
import io
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from rnnlm import __version__
from rnnlm.blas import limit_blas
from rnnlm.cli.colors import AUTO, Wanted, color_option, colored, write_message
from rnnlm.cli.groups import SuggestingGroup
from rnnlm.cli.interruptions import SIGNALS
from rnnlm.cli.languages import language_option, tr
from rnnlm.cli.streams import open_closed_streams
from rnnlm.cli.terminal import end_status, set_up_streams
from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# A command's module is imported only when the command or its help is asked for, so `rnnlm --help` and
# `rnnlm predict` start fast however many commands there are.
COMMANDS = {
    "train": ("rnnlm.cli.train:train", "Train a model on a text."),
    "predict": ("rnnlm.cli.predict:predict", "Show the most probable next tokens after a text."),
    "chat": ("rnnlm.cli.chat:chat", "Type, and see what the model expects next."),
    "sample": ("rnnlm.cli.sample:sample", "Generate text."),
    "score": ("rnnlm.cli.score:score", "Print the log probability of every line."),
    "rescore": ("rnnlm.cli.rescore:rescore", "Choose among the candidates of a recogniser (n-best lists)."),
    "decode": ("rnnlm.cli.decode:decode", "Find the best text among candidates, or from pinyin."),
    "fill": ("rnnlm.cli.fill:fill", "Rank what fits into the blanks of a sentence."),
    "eval": ("rnnlm.cli.evaluate:evaluate", "Measure a model on a text: perplexity, bits per character."),
    "ngram": ("rnnlm.cli.ngram:ngram", "Train an n-gram model, the baseline."),
    "info": ("rnnlm.cli.info:info", "Show what is in a checkpoint."),
    "export": ("rnnlm.cli.export:export", "Write a model for PyTorch, safetensors or ONNX."),
    "import": ("rnnlm.cli.import_:import_", "Make a model from weights of another program."),
    "serve": ("rnnlm.cli.serve:serve", "Serve models over HTTP, with a page to play with them."),
    "lab": ("rnnlm.cli.lab:lab", "Explain a recurrent language model step by step, with numbers."),
    "plot": ("rnnlm.cli.plot:plot", "Draw learning curves, surprise along a text, the embedding."),
    "completion": ("rnnlm.cli.completion:completion", "Print a script that completes commands in a shell."),
}


INTERRUPTED = 128  # a command ended by a signal exits with 128 + the signal's number
MEMORY_USED_UP = "The memory is used up. Use a smaller --batch-size, --hidden-size or --vocab-size."


class ReaderGoneError(Exception):
    """The reader of stdout has closed the pipe."""


class LazyGroup(SuggestingGroup):
    """A group that lists its commands with their one-line help without importing them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raise ReaderGoneError where click would exit with code 1 on a closed pipe."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGoneError from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which a new user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Return the commands that begin with `incomplete`, without importing them, and matching options."""
        from click.shell_completion import CompletionItem

        named = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands for the help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, tr(text)) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "RNNLM",
        "max_content_width": 120,
        "color": True,  # otherwise click would strip from text printed to a pipe all that looks like a colour code
    },
)
@click.version_option(__version__, prog_name="rnnlm")
@language_option
@color_option
def cli() -> None:
    """Train a recurrent neural network language model on your text, and ask it things.

    \b
    rnnlm train corpus.txt            learn from a text; writes rnnlm.npz
    rnnlm predict "我 昨天 上学"        which word comes next?
    rnnlm sample                      let it write
    """
    limit_blas(1)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; an expected failure becomes one sentence and an exit code."""
    open_closed_streams()
    set_up_streams()
    code = run(sys.argv[1:] if arguments is None else arguments)
    if code > INTERRUPTED:
        _leave(code)
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # from here on Ctrl-C may end Python's own shutdown, without a traceback
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """Exit without waiting for threads that still compute; further signals are ignored."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    Wanted.when = AUTO
    try:
        try:
            result: Any = _command(arguments).main(arguments, prog_name="rnnlm", standalone_mode=False)
        finally:
            end_status()
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        if isinstance(error, click.MissingParameter):
            example = _example(error.ctx)
            error = click.MissingParameter(example, error.ctx, error.param, error.param_hint, error.param_type)
        shown = io.StringIO()
        error.show(shown)
        _say(shown.getvalue())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130
    except (BrokenPipeError, ReaderGoneError, SystemExit):  # such as `rnnlm sample | head`
        _forget_output()
        return 0
    except (RnnlmError, MemoryError, OSError, RuntimeError) as error:
        message = _sentence(error) + _where()
        with contextlib.suppress(BrokenPipeError):
            _say(f"Error: {message}\n")
        return 1
    return result if isinstance(result, int) else 0


def _command(arguments: list[str]) -> click.Command:
    """Return the command for a command line: our group of commands, or the options of Mikolov's rnnlm."""
    if "-rnnlm" not in arguments:  # the usual case, which imports nothing
        return cli
    from rnnlm.cli.mikolov import is_asked, mikolov

    return mikolov if is_asked(arguments) else cli


def _say(failure: str) -> None:
    """Write an error message to stderr, its label coloured if stderr has colours."""
    if colored(sys.stderr):
        write_message(sys.stderr, failure)
    else:
        click.echo(failure, err=True, color=True, nl=False)  # color: see the settings of `cli`


def _example(ctx: click.Context | None) -> str:
    """Return "For example: ..." with the first example call in the help of a command or its group, or ""."""
    helps = [each.command.help or "" for each in (ctx, ctx and ctx.parent) if each]
    calls = [line.strip() for text in helps for line in text.splitlines()]
    found = next((line for line in calls if ctx and line.startswith(f"{ctx.command_path} ")), "")
    return f"For example: {re.split(' {3,}', found)[0]}" if found else ""


def _sentence(error: Exception) -> str:
    """Return the message for an expected failure; raise any other again."""
    if isinstance(error, RnnlmError):
        return str(error)
    if isinstance(error, MemoryError):
        return MEMORY_USED_UP
    if isinstance(
        error, OSError
    ):  # code that reads or writes files raises RnnlmError; what is left is stdout, such as on a full disk
        _forget_output()
        name = "The output" if error.filename is None else str(error.filename)
        return f"{name} cannot be read or written: {error.strerror or error}."
    if "can't start new thread" in str(error):
        return "The system starts no more threads: memory or processes are limited. Use --threads 1."
    raise error


def _where() -> str:
    """Return a sentence if the current folder was removed, which explains most errors that follow from it, else ""."""
    try:
        os.getcwd()
    except OSError:
        return " The current folder has been removed; change to one that exists (cd)."
    return ""


def _forget_output() -> None:
    """Redirect stdout to os.devnull, so that Python's flush at exit does not fail."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # no stdout, or one without a file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
