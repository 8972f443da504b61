"""rnnlm completion: print a shell script that completes commands, options, their values and files."""

import click

from rnnlm.errors import RnnlmError

SHELLS = ("bash", "zsh", "fish", "powershell")
VARIABLE = "_RNNLM_COMPLETE"  # environment variable by which the script asks click for completions


@click.command(short_help="Print a script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete rnnlm's commands, options, their values and files with Tab.

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
        raise RnnlmError(f"This version of click does not support {shell}. Install a newer one: pip install -U click")
    script = ShellComplete.source(found(ctx.find_root().command, {}, "rnnlm", VARIABLE))  # does not require the shell
    click.echo(script)
