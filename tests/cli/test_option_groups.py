"""The help of train: the ten options that matter first, and every option once, with others of its kind."""

import re

import click
import pytest

from rnnlm.cli.option_groups import FIRST, GROUPS, LAST, TEXT, TRAINING, group_of
from rnnlm.cli.train import train


def sections(text):
    """Title -> the options that the help lists below it."""
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


def test_the_ten_that_matter_stand_first(rnnlm):
    found = sections(rnnlm("train", "--help").out)
    assert found[FIRST] == [f"--{name.replace('_', '-')}" for name in GROUPS[FIRST]]
    assert len(found[FIRST]) == 10
    assert found[LAST][-1] == "--help"


@pytest.mark.parametrize(("name", "title"), [("hidden_size", FIRST), ("user_dict", TEXT), ("not_there_yet", TRAINING)])
def test_an_option_that_is_in_no_list_has_a_group(name, title):
    assert group_of(name) == title


def test_every_name_in_the_lists_is_an_option():
    known = {each.name for each in train.params}
    assert {name for names in GROUPS.values() for name in names} <= known
