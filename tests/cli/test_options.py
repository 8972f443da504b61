"""Every option of every command, at its bounds and beyond, works or fails in one sentence, never with a traceback."""

import math
import sys
from importlib.util import find_spec

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.cli import cli, run
from rnnlm.cli.declared import Duration
from rnnlm.cli.shared_options import LARGEST_NUMBER, MixPart, Text

BASES = {
    "train": ["text.txt", "-o", "out.npz", "--hidden-size", "4", "--embedding-size", "3", "--epochs", "0.1"],
    "predict": ["我"],
    "chat": [],
    "sample": ["--length", "3"],
    "score": ["text.txt"],
    "rescore": ["text.txt"],
    "decode": ["text.txt"],
    "fill": ["我 ____"],
    "eval": ["text.txt"],
    "info": [],
    "export": ["--to", "safetensors", "-o", "out.safetensors", "--force"],
    "import": ["weights.safetensors", "-o", "imported.npz", "--force"],
    "ngram train": ["text.txt", "-o", "out.npz"],
    "serve": ["--port", "0"],
    "lab pairs": ["我 昨天"],
    "lab onehot": ["我 昨天"],
    "lab softmax": ["1", "2"],
    "lab loss": ["1", "2"],
    "lab explode": ["我 昨天"],
    "lab gradcheck": [],
    "lab gradflow": ["text.txt", "--places", "2"],
    "lab bptt": ["我 昨天"],
    "lab memory": ["-m", "rnnlm.npz"],
    "lab unroll": ["我 昨天"],
    "plot": ["history.jsonl"],
    "completion": ["bash"],
}
ANYWHERE = ["", "nan", "-inf", "1e400", "9" * 5000, "-1", "0", "1e-320", "٣", "x\x1b[31m", "a:nan", "/", "none/x"]
# Options whose large values are legal, but would run for very long.
ENDLESS = {"--epochs", "--time", "--hidden-size", "--num-layers", "--embedding-size", "--count", "--beam", "--length"}
LARGE = ["1" + "0" * 30, "1e30", "2147483648", "9223372036854775808"]


def commands(group=cli, name=""):
    """Yield all commands with their full names, without groups."""
    for each in group.list_commands(None):
        command = group.get_command(None, each)
        if isinstance(command, click.Group):
            yield from commands(command, f"{name}{each} ")
        else:
            yield f"{name}{each}", command


COMMANDS = dict(commands())
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option) and not option.is_flag
]
NUMBERS = [
    (f"{name} {option.opts[-1]}", option)
    for name, option in OPTIONS
    if isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    (folder / "text.txt").write_text("我 昨天 上学 迟到 了\n老师 批评 了 我\n" * 8, encoding="utf-8")
    small = ["--hidden-size", "4", "--epochs", "1", "--threads", "1"]
    model, weights = str(folder / "rnnlm.npz"), str(folder / "weights.safetensors")
    history = ["--history", str(folder / "history.jsonl")]
    assert run(["train", str(folder / "text.txt"), "-o", model, *small, *history]) == 0
    if find_spec("safetensors"):  # otherwise commands that need it name the missing package
        assert run(["export", "-m", model, "--to", "safetensors", "-o", weights]) == 0
    return folder


@pytest.fixture(autouse=True)
def _stopped_at_once(monkeypatch):
    """Make `rnnlm serve` return instead of waiting for requests."""
    if find_spec("uvicorn"):
        monkeypatch.setattr("rnnlm.playground.server.run", lambda app, listener: None)


def test_every_command_has_arguments_to_try():
    assert BASES.keys() == COMMANDS.keys()


def assert_ends_well(arguments, capsys):
    code = run(arguments)
    printed = capsys.readouterr()
    assert code in (0, 1, 2), (arguments, code)
    assert "Traceback" not in printed.err
    assert "RuntimeWarning" not in printed.err
    if code == 1 and "gradcheck" not in arguments:
        assert ("\n" + printed.err).count("\nError: ") == 1, (arguments, printed.err)
    if code == 2:
        assert "Error: " in printed.err
        assert not printed.out


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda value: getattr(value, "name", value))
def test_every_option_works_or_fails_in_one_sentence(name, option, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    spelling = option.opts[-1] if option.opts[-1].startswith("--") else option.opts[0]
    values = [*ANYWHERE, *(() if spelling in ENDLESS else LARGE)]
    if isinstance(option.type, click.IntRange | click.FloatRange):
        values += [str(bound) for bound in (option.type.min, option.type.max) if bound and abs(bound) <= 10]
    for value in values:
        joined = [f"{spelling}={value}"] if spelling.startswith("--") else [spelling, value]
        assert_ends_well([*name.split(), *BASES[name], *joined], capsys)


@pytest.mark.parametrize("name", [name for name, arguments in BASES.items() if arguments])
def test_every_argument_works_or_fails_in_one_sentence(name, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    for value in ["", " ", "\n", "-", "x\x1b[31m", "none/x", "____", "nan", "a" * 300, "/dev/null"]:
        with open("/dev/null", encoding="utf-8") as nothing:
            monkeypatch.setattr(sys, "stdin", nothing)
            assert_ends_well([*name.split(), *BASES[name][1:], "--", value], capsys)


def converted(kind, text):
    """Convert a text with a click type; None if it is refused with a message."""
    try:
        return kind.convert(text, None, None)
    except click.UsageError as error:
        message = error.format_message()
    assert message
    return None


@pytest.mark.parametrize(("name", "option"), NUMBERS, ids=lambda value: value if isinstance(value, str) else "")
@settings(max_examples=10, deadline=None)
@given(number=st.integers() | st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 1e30, 1.1e30, -1e31]))
def test_an_accepted_number_is_within_its_bounds(name, option, number):
    found = converted(option.type, str(number))
    if found is None:
        return
    assert found == type(found)(number)  # an integer may be rounded to the nearest float
    if isinstance(found, float):
        assert abs(found) <= LARGEST_NUMBER
    if isinstance(option.type, click.IntRange | click.FloatRange):
        assert option.type.min is None or option.type.min <= found
        assert option.type.max is None or found <= option.type.max


@pytest.mark.parametrize("kind", [Duration(), MixPart(), Text()], ids=lambda kind: kind.name)
@settings(max_examples=40)
@given(text=st.text(st.characters()) | st.from_regex(r"\A[-+.0-9einfa_]{0,6}[smh:]?[-+.0-9einfa]{0,6}\Z"))
def test_durations_mixture_parts_and_texts_are_valid_or_refused(kind, text):
    found = converted(kind, text)
    if found is None:
        return
    if isinstance(kind, Duration):
        assert 0 < found < math.inf
    elif isinstance(kind, MixPart):
        assert found[1] is None or 0 < found[1] < 1
    else:
        assert found.encode() == text.encode()


TOML = ["nan", "-inf", "1e400", "1.5", "-1", "true", "[]", "[1]", "{a = 1}", "2020-01-01", '"\\u0000"', '"x"', "9" * 30]


@pytest.mark.parametrize("option", COMMANDS["train"].params, ids=lambda option: option.name)
def test_every_value_in_a_configuration_file_works_or_fails_in_one_sentence(option, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    spelling = f"--{option.name.replace('_', '-')}"
    base = BASES["train"][:-2] if spelling in ("--epochs", "--time") else BASES["train"]
    for value in TOML:
        if spelling in ENDLESS and value in ("1.5", "9" * 30):
            continue
        (folder / "options.toml").write_text(f"{option.name} = {value}\n", encoding="utf-8")
        base_here = [each for each in base if each not in ("-o", "out.npz")] if option.name == "output" else base
        assert_ends_well(["train", *base_here, "--config", "options.toml"], capsys)


def test_the_command_line_outranks_a_configuration_file(folder, monkeypatch, rnnlm):
    monkeypatch.chdir(folder)
    (folder / "options.toml").write_text('lr = 0.5\nhidden-size = 4\ntied = false\ncell = "gru"\ntime = 1\n')
    said = rnnlm("train", "text.txt", "-o", "out.npz", "--config", "options.toml", "--time", "0.05", "--force").err
    assert "GRU 1 x 4" in said
    assert "adam 0.5" in said


@pytest.mark.parametrize(
    "content",
    [
        "lr = " + "[" * 10_000,
        "lr = " + "{a = " * 10_000,
        "lr = " + "9" * 4301,
        "lr = 0x" + "f" * 20_000,
        "a." * 30_000 + "b = 1",
        '"a".' * 15_000 + "b = 1",
        "lr = {" + "a." * 30_000 + "b = 1}",
        "k" * 60_000 + " = 1",
        "'" + "k" * 3000 + "' = 1",
        "lr = 1\nlr = 2",
        "\xff",
        "[lr]\na = 1",
    ],
    ids=range(12),
)
def test_a_hostile_configuration_file_gives_a_short_message(content, folder, rnnlm):
    (folder / "options.toml").write_bytes(content.encode("latin-1"))
    said = rnnlm("train", folder / "text.txt", "--config", folder / "options.toml", code=2).err
    assert "Traceback" not in said
    assert "--config" in said
    assert len(said) < 2000


def test_an_endless_configuration_file_is_refused(folder, rnnlm):
    assert "larger than" in rnnlm("train", "text.txt", "--config", "/dev/zero", code=2).err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "text.txt", "-o", "./text.txt"],
        ["train", "other.txt", "--valid", "text.txt", "-o", "text.txt"],
        ["train", "text.txt", "--history", "text.txt"],
        ["ngram", "train", "text.txt", "-o", "text.txt"],
        ["ngram", "train", "other.txt", "text.txt", "--arpa", "text.txt"],
    ],
)
def test_outputs_of_training_never_replace_a_text(arguments, folder, monkeypatch, rnnlm):
    monkeypatch.chdir(folder)
    before = (folder / "text.txt").read_bytes()
    (folder / "other.txt").write_bytes(before)
    assert "would replace" in rnnlm(*arguments, code=1).err
    assert (folder / "text.txt").read_bytes() == before
