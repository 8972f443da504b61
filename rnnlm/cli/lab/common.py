"""What the commands of the laboratory share: how a text is given, read and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from rnnlm.cli.common import Text
from rnnlm.errors import CorpusError

if TYPE_CHECKING:
    from rnnlm.text.tokenizers import Tokenizer

text_argument = click.argument("text", type=Text())
level_option = click.option(
    "--level",
    type=click.Choice(["auto", "char", "word"]),
    default="auto",
    show_default=True,
    help="What a token is; auto: word.",
)


def given(ctx: click.Context, parameter: str) -> bool:
    """Whether an option stands on the command line."""
    return ctx.get_parameter_source(parameter) == ParameterSource.COMMANDLINE


def tokenizer_of(level: str) -> Tokenizer:
    """The tokenizer that --level asks for."""
    from rnnlm.text.tokenizers import tokenizer_class

    return tokenizer_class(level)()


def sentences_of(text: str, tokenizer: Tokenizer) -> list[list[str]]:
    """Tokens of every line of TEXT.

    Raises:
        CorpusError: there are none.
    """
    from rnnlm.lab.sentences import sentences

    found = sentences(text, tokenizer)
    if not found:
        raise CorpusError("TEXT has no tokens. Give at least one word.")
    return found


def counted(number: int, name: str) -> str:
    """A number of things, such as "1 token" or "1,200 tokens"."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"
