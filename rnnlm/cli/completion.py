"""rnnlm completion: what a shell needs to complete commands, options, their values and files."""

import click

from rnnlm.errors import RnnlmError

SHELLS = ("bash", "zsh", "fish", "powershell")
VARIABLE = "_RNNLM_COMPLETE"  # by which the script asks; click answers it


@click.command(short_help="Print a script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes rnnlm's commands, options, their values and files by Tab.

    \b
    ~/.bashrc       eval "$(rnnlm completion bash)"
    ~/.zshrc        eval "$(rnnlm completion zsh)"
    config.fish     rnnlm completion fish | source
    $PROFILE        rnnlm completion powershell | Out-String |
                        Invoke-Expression
    """
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise RnnlmError(f"This version of click knows nothing of {shell}. A newer one does: pip install -U click")
    script = ShellComplete.source(found(ctx.find_root().command, {}, "rnnlm", VARIABLE))  # does not look for the shell
    click.echo(script)
