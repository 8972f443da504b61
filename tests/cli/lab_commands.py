"""Runs the commands of the laboratory for tests."""

import json

from click.testing import CliRunner

from rnnlm.cli.lab import lab


def run(*arguments, code=0, stdin=None):
    """The result of a command that leaves with this exit code."""
    result = CliRunner().invoke(lab, [str(each) for each in arguments], input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def failure(kind, *arguments, stdin=None):
    """The sentence of an expected failure, after which nothing is on stdout."""
    result = CliRunner().invoke(lab, [str(each) for each in arguments], input=stdin)
    assert isinstance(result.exception, kind), (result.output, result.exception)
    assert result.stdout == ""
    return str(result.exception)


def objects(result):
    """What --json has printed."""
    return [json.loads(line) for line in result.stdout.splitlines()]
