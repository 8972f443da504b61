"""Parameter type for the name of a text on the command line."""

from typing import TYPE_CHECKING

import click

from rnnlm.names import OWN_TEXTS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class TextFile(click.types.StringParamType):
    """The name of a text; a shell completes it as a file or as a text of the package (@chinese, @english)."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem[str]]":
        """Return the completions of a name that begins with `incomplete`."""
        from click.shell_completion import CompletionItem

        own = [CompletionItem(f"@{name}") for name in OWN_TEXTS if incomplete and f"@{name}".startswith(incomplete)]
        return own or [CompletionItem(incomplete, type="file")]
