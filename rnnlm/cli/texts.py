"""What the commands that learn from a text share: options that say how it is read, the tokenizer, a bar, a check.

The module itself is light; what it needs of the package is imported when it is used.
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.common import LEVELS
from rnnlm.errors import RnnlmError, TokenizerError

if TYPE_CHECKING:
    from rnnlm.cli.common import Function
    from rnnlm.text.tokenizers import Tokenizer

BAR_AFTER_SECONDS = 0.5  # a text that is read sooner needs none

OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "--level",
        type=click.Choice(LEVELS),
        default="auto",
        show_default=True,
        help="What a token is: a character, a word, or what stands between spaces (token: text that is tokenised "
        "already, where <unk> is the unknown word); auto = word.",
    ),
    click.option(
        "--context",
        type=click.Choice(["sentence", "stream"]),
        default=None,
        show_default="char: stream, else sentence",
        help="Every line for itself, or the text in one piece.",
    ),
    click.option(
        "--segmenter",
        type=click.Choice(["auto", "jieba", "spaces"]),
        default="auto",
        show_default=True,
        help="Chinese words by jieba or by the text's own spaces; auto looks at each line.",
    ),
    click.option("--hmm", is_flag=True, help="Let jieba guess words that are not in its dictionary."),
    click.option(
        "--user-dict", type=click.Path(dir_okay=False), default=None, help="More words for jieba, one a line."
    ),
    click.option("--encoding", default=None, show_default="detected", help="Encoding of the text, such as gb18030."),
    click.option(
        "--column",
        default=None,
        help="What to read of CSV, TSV and JSONL files: a column by its name or, from 1 on, its number; a key.",
    ),
    click.option(
        "--min-count",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Tokens seen less often become <unk>.",
    ),
    click.option(
        "--vocab-size", type=click.IntRange(4), default=None, show_default="all", help="Keep the most frequent."
    ),
]


def text_options(function: "Function") -> "Function":
    """Add the options of OPTIONS, in that order."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def make_tokenizer(level: str, segmenter: str, hmm: bool, user_dict: str | None) -> tuple["Tokenizer", list[str]]:
    """The tokenizer that the options ask for, and warnings about the user's dictionary.

    Raises:
        TokenizerError: the dictionary cannot be read, or options of words are given for another level.
    """
    from rnnlm.text.tokenizers import WordTokenizer, tokenizer_class
    from rnnlm.text.user_dictionary import read_user_dictionary

    kind = tokenizer_class(level)
    if kind is WordTokenizer:
        words, warnings = read_user_dictionary(user_dict, hmm) if user_dict else (None, [])
        if user_dict and segmenter == "spaces":
            warnings = [f"Warning: --user-dict {user_dict} has no effect: with --segmenter spaces jieba cuts nothing."]
        return WordTokenizer(segmenter, hmm, words), warnings
    given = {"--segmenter": segmenter != "auto", "--hmm": hmm, "--user-dict": user_dict is not None}
    if any(given.values()):
        option = next(name for name, is_given in given.items() if is_given)
        raise TokenizerError(f"{option} is for --level word; with --level {level} it has nothing to do. Leave it out.")
    return kind(), []


def check_output(output: Path, option: str = "--output") -> None:
    """Find out before hours of training that the result could not be written; "-" is stdout."""
    if str(output) == "-":
        return
    target = Path(os.path.realpath(output))
    folder = target.parent
    if not folder.is_dir():
        raise RnnlmError(f"The folder {folder} for {option} does not exist. Create it or choose another.")
    if target.exists() and not target.is_file():
        raise RnnlmError(f"{output} for {option} is not a file, but a device or a folder. Choose another name.")
    if target.exists() and not os.access(target, os.W_OK):
        raise RnnlmError(f"{output} for {option} is write-protected. Make it writable (chmod u+w) or choose another.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RnnlmError(f"No file can be written in the folder {folder} for {option}. Choose another folder.")


def check_not_a_text(written: Path, texts: Iterable[str], option: str) -> None:
    """Refuse to replace a text by what is learnt from it, and one result by another; "-" is a standard stream."""
    for text in texts:
        if "-" in (text, str(written)):
            continue
        both_there = written.exists() and os.path.exists(text)
        if os.path.samefile(written, text) if both_there else os.path.realpath(written) == os.path.realpath(text):
            if both_there and option == "--output":
                _refuse_model(text)
            raise RnnlmError(f"{option} {written} would replace {text}. Choose another file for {option}.")


def _refuse_model(path: str) -> None:
    """Say of a model that is given as a text what it is for, rather than that it would be replaced."""
    from rnnlm.text.sources import Source

    with closing(Source(path, None).blocks(lambda read: None)) as blocks:
        next(blocks, None)


def reading_bar() -> "Callable[[int, int], None] | None":
    """A bar for reading and tokenizing, shown in a terminal if it takes a while."""
    from rnnlm.cli.terminal import status_terminal

    terminal = status_terminal()
    if terminal is None:
        return None
    from tqdm import tqdm

    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        elapsed = time.monotonic() - started
        if done >= total:
            terminal.end_status()
        elif elapsed >= BAR_AFTER_SECONDS:
            terminal.show_status(
                lambda columns: tqdm.format_meter(
                    done, total, elapsed, ncols=columns, prefix="Reading", unit="B", unit_scale=True
                )
            )

    return progress
