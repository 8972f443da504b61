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
        found, command, rest = super().resolve_command(ctx, args)
        if command and found and ctx.auto_envvar_prefix:
            _name_variables(command, f"{ctx.auto_envvar_prefix}_{_variable(found)}")
        return found, command, rest


def _name_variables(command: click.Command, prefix: str) -> None:
    """Let options come from the variables that bear their names as they are typed: RNNLM_PREDICT_JSON.

    Left alone, click looks for the names of the parameters in Python (RNNLM_PREDICT_AS_JSON), and does so afterwards.
    """
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        typed = _variable(max(option.opts, key=len).lstrip("-"))
        others = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
        if typed != _variable(str(option.name)) and f"{prefix}_{typed}" not in others:
            option.envvar = [f"{prefix}_{typed}", *others]


def _variable(name: str) -> str:
    return name.replace("-", "_").upper()
