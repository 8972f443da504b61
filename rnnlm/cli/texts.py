"""What the commands that learn from a text share: options that say how it is read, the tokenizer, a bar, a check.

The module itself is light; what it needs of the package is imported when it is used.
"""

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.errors import RnnlmError

if TYPE_CHECKING:
    from rnnlm.cli.common import Function
    from rnnlm.text.tokenizers import Tokenizer

OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "--level",
        type=click.Choice(["auto", "char", "word"]),
        default="auto",
        show_default=True,
        help="What a token is; auto = word.",
    ),
    click.option(
        "--context",
        type=click.Choice(["sentence", "stream"]),
        default=None,
        show_default="word: sentence, char: stream",
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


def make_tokenizer(level: str, segmenter: str, hmm: bool, dictionary: Iterable[Any] | None) -> "Tokenizer":
    """The tokenizer that the options ask for; `dictionary` is that of `segmentation.read_user_dictionary`."""
    from rnnlm.text.tokenizers import WordTokenizer, tokenizer_class

    kind = tokenizer_class(level)
    return WordTokenizer(segmenter, hmm, dictionary) if kind is WordTokenizer else kind()


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


def reading_bar() -> Any:
    """A bar for reading and tokenizing, shown in a terminal if it takes a while."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar = tqdm(file=sys.stderr, unit="B", unit_scale=True, desc="Reading", delay=0.5, leave=False)

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return progress
