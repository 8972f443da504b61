"""The language of messages: English, or Chinese if --lang or the system's settings ask for it.

Texts are written in English in the code, and `tr` looks up their translation in a table. JSON, error messages and the
output of models are the same in every language.
"""

from __future__ import annotations

import inspect
import os

import click

from rnnlm.cli.wrapping import wrapped
from rnnlm.sentences import Sentence

LANGUAGES = ("en", "zh")
SETTINGS = ("LC_ALL", "LC_MESSAGES", "LANG")  # environment variables; the first one that is set counts
_CHOSEN = "rnnlm.language"


def language() -> str:
    """Return one of LANGUAGES: from --lang, else from the system's settings, else English."""
    context = click.get_current_context(silent=True)
    chosen: str | None = context.meta.get(_CHOSEN) if context is not None else None
    if chosen is not None:
        return chosen
    setting = next((value for name in SETTINGS if (value := os.environ.get(name))), "")
    return "zh" if setting.lower().startswith("zh") else "en"


def tr(text: str, /, **values: object) -> str:
    """Return a text in the user's language, or in English if it has no translation, with {names} replaced by values.

    >>> tr("{count} of them", count=3)
    '3 of them'
    """
    if language() == "zh":
        from rnnlm.cli.chinese import CHINESE

        text = CHINESE.get(text, text)
    return text.format(**values) if values else text


def translated(text: str) -> str:
    """Return a `Sentence` of the library in the user's language; any other text as it is."""
    if not isinstance(text, Sentence) or language() == "en":
        return text
    values = {name: translated(value) if isinstance(value, str) else value for name, value in text.values.items()}
    return tr(text.template, **values)


def counted(number: int, name: str) -> str:
    """Return a number of things, such as "1 token" or "1,200 tokens", in the user's language."""
    if language() != "en":
        return tr(f"{{n}} {name}", n=f"{number:,}")
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _choose(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_CHOSEN] = value


language_option = click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    default=None,
    envvar="RNNLM_LANG",
    is_eager=True,
    expose_value=False,
    callback=_choose,
    show_default="that of LANG, else en",
    help="Language of tables and messages; JSON is the same in both.",
)


class _Translated(click.Command):
    """Mixin that translates the first paragraph of a command's help and its line in the group's list."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help text, its first paragraph translated."""
        first, _, rest = inspect.cleandoc(self.help or "").partition("\n\n")
        english = " ".join(first.split())
        if (translated := tr(english)) == english:
            return super().format_help_text(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            margin = " " * formatter.current_indent
            room = formatter.width - len(margin)
            formatter.write("".join(f"{margin}{line}\n" for line in wrapped(translated, room).split("\n")))
            if rest:
                formatter.write_paragraph()
                formatter.write_text(rest)
        return None

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the translated line for the group's list of commands."""
        english = super().get_short_help_str(limit)
        return english if language() == "en" else tr(self.short_help or english)


class TranslatedCommand(_Translated):
    """A command whose first paragraph of help is in the user's language."""


class TranslatedGroup(_Translated, click.Group):
    """A group whose first paragraph of help is in the user's language."""
