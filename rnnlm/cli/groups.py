"""Groups of commands."""

import click

from rnnlm.cli.languages import TranslatedGroup


class SuggestingGroup(TranslatedGroup):
    """A group that names the commands whose names are like one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, and the other arguments."""
        name, names = args[0], self.list_commands(ctx)
        if name not in names and not name.startswith("-"):
            import difflib

            like = " or ".join(difflib.get_close_matches(name.lower(), names))
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {like}?" if like else ""))
        return super().resolve_command(ctx, args)
