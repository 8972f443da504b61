"""The help of `train` shows the ten most important options first, and every option once, in a group."""

import re

import click
import pytest

from rnnlm.cli.option_groups import FIRST, GROUPS, LAST, TEXT, TRAINING, group_of
from rnnlm.cli.train import train


def sections(text):
    """Return the options that a help text lists below each title."""
    parts = re.split(r"^(\S.*):\n", text, flags=re.MULTILINE)[1:]
    return {
        title: re.findall(r"^  (?:-\w, )?(--[\w-]+)", body, re.MULTILINE)
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_every_option_is_in_one_group(rnnlm):
    found = sections(rnnlm("train", "--help").out)
    assert list(found) == list(GROUPS)
    listed = [option for options in found.values() for option in options]
    expected = [max(each.opts, key=len) for each in train.params if isinstance(each, click.Option)]
    assert sorted(listed) == sorted([*expected, "--help"])


def test_the_ten_most_important_options_come_first(rnnlm):
    found = sections(rnnlm("train", "--help").out)
    assert found[FIRST] == [f"--{name.replace('_', '-')}" for name in GROUPS[FIRST]]
    assert len(found[FIRST]) == 10
    assert found[LAST][-1] == "--help"


@pytest.mark.parametrize(("name", "title"), [("hidden_size", FIRST), ("user_dict", TEXT), ("not_there_yet", TRAINING)])
def test_options_have_a_group_even_if_they_are_not_listed(name, title):
    assert group_of(name) == title


def test_all_listed_names_are_options():
    known = {each.name for each in train.params}
    assert {name for names in GROUPS.values() for name in names} <= known
