"""Click groups that suggest similar command names and read options from environment variables."""

import click

from rnnlm.cli.languages import TranslatedGroup


class SuggestingGroup(TranslatedGroup):
    """A group that suggests similar names for an unknown command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return name and command for the first argument, and the other arguments; fail with suggestions if unknown."""
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
    """Let options come from environment variables named as the option is typed, such as RNNLM_PREDICT_JSON.

    By default click uses the name of the Python parameter (RNNLM_PREDICT_AS_JSON), which stays valid as a fallback.
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
