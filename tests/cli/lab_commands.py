"""Run the commands of the laboratory in tests."""

import json

from click.testing import CliRunner

from rnnlm.cli.lab import lab


def run(*arguments, code=0, stdin=None):
    """Run a command that must exit with `code`, and return the result."""
    result = CliRunner().invoke(lab, [str(each) for each in arguments], input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def failure(kind, *arguments, stdin=None):
    """Run a command that must fail with one sentence and no output; return the sentence."""
    result = CliRunner().invoke(lab, [str(each) for each in arguments], input=stdin)
    assert isinstance(result.exception, kind), (result.output, result.exception)
    assert result.stdout == ""
    return str(result.exception)


def objects(result):
    """Return the objects that --json printed."""
    return [json.loads(line) for line in result.stdout.splitlines()]
