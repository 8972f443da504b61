"""What the README says is so: its commands run, its options and keys exist, its files are there."""

import functools
import json
import re
import shlex
import shutil

import click
import pytest

import rnnlm
from rnnlm.cli import COMMANDS, cli, run
from tests.pages import ROOT, blocks, quick

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(README)
LATER: set[str] = set()  # not built yet, and not to be promised


def all_commands(group: click.Group, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Every command with its path, those of groups too."""
    found: dict[tuple[str, ...], click.Command] = {}
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found[*prefix, name] = command
            if isinstance(command, click.Group):
                found |= all_commands(command, (*prefix, name))
    return found


EVERY = all_commands(cli)


def commands_of(language: str) -> list[str]:
    """Lines of the README's blocks that call rnnlm."""
    lines = [line for kind, block in BLOCKS if kind == language for line in block.splitlines()]
    starts = "$ rnnlm " if language == "console" else "rnnlm "
    return [line.removeprefix("$ ").split("#")[0].strip() for line in lines if line.startswith(starts)]


def test_the_tour_runs_from_its_first_to_its_last_command(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "corpora", tmp_path / "corpora")
    monkeypatch.chdir(tmp_path)
    commands = commands_of("console")
    assert len(commands) >= 8
    for command in commands:
        arguments = quick(shlex.split(command)[1:])
        capsys.readouterr()
        assert run(arguments) == 0, command
        printed = capsys.readouterr()
        if arguments[0] not in ("train", "ngram"):
            assert printed.out.strip(), command


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    """Each block for itself and from its first to its last line, with trainings of a moment."""
    shutil.copytree(ROOT / "corpora", tmp_path / "corpora")
    monkeypatch.chdir(tmp_path)
    quickly = functools.partial(rnnlm.train, epochs=0.05, hidden_size=8, progress=False)
    monkeypatch.setattr(rnnlm, "train", quickly, raising=False)
    blocks = [block for kind, block in BLOCKS if kind == "python" and "import torch" not in block]
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("command", commands_of("sh") + commands_of("console"))
def test_every_command_line_has_only_options_that_exist(command):
    words = shlex.split(command)[1:]
    path = tuple(words[:2]) if tuple(words[:2]) in EVERY else tuple(words[:1])
    options = {name for parameter in EVERY[path].params for name in parameter.opts}
    assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= options


def test_every_option_that_is_named_anywhere_exists():
    known = {name for command in EVERY.values() for parameter in command.params for name in parameter.opts}
    other_programs = r"python (?:benchmarks|tests/stress)/[^`]*|torchrun .*?(?=-m rnnlm)"  # with options of their own
    ours = re.sub(other_programs, "", README)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert named - known <= {"--help", "--version"}
    assert {"--resume", "--json", "--valid"} <= named


def test_the_table_of_commands_is_complete():
    named = set(re.findall(r"^\| `rnnlm (\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS)
    assert not LATER & named


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_and_every_option_has_a_help_text(path, capsys):
    assert run([*path, "--help"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 3
    for parameter in EVERY[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts}"


def test_the_pytorch_example_gives_the_probabilities_of_the_model(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    (example,) = [block for kind, block in BLOCKS if kind == "python" and "import torch" in block]
    assert "import rnnlm" not in example
    assert "weights_only=True" in example
    monkeypatch.chdir(tmp_path)
    corpus = str(ROOT / "corpora" / "chinese.txt")
    size = ["--epochs", "0.05", "--hidden-size", "8", "--num-layers", "2"]
    assert run(["train", corpus, *size, "--ngram", "0"]) == 0
    assert run(["export", "--to", "torch"]) == 0
    capsys.readouterr()
    exec(compile(example, "README.md", "exec"), {})
    printed = [line.split(" ") for line in capsys.readouterr().out.splitlines()]
    assert run(["predict", "我 昨天 上学", "-k", "4", "--json"]) == 0
    candidates = json.loads(capsys.readouterr().out)["candidates"]
    expected = [(each["token"], each["probability"]) for each in candidates]
    assert len(printed) == 3
    shown = [(token, float(probability)) for probability, token in printed if token != "<unk>"]  # which is not ranked
    assert len(shown) >= 2
    for (token, probability), (its_token, its_probability) in zip(shown, expected, strict=False):
        assert (token, probability) == (its_token, pytest.approx(its_probability, abs=1e-4))


def test_json_keys_are_those_of_the_readme(tmp_path, capsys):
    text, model = tmp_path / "t.txt", str(tmp_path / "m.npz")
    text.write_text("a b c .\n" * 50, encoding="utf-8")
    assert run(["train", str(text), "-o", model, "--epochs", "1", "--hidden-size", "8"]) == 0
    expected = {
        ("eval", str(text)): {
            *("tokens", "oov", "characters", "logprob_nats", "nats_per_token"),
            *("perplexity", "perplexity_excluding_oov", "bits_per_char"),
        },
        ("predict", "a b"): {"context", "candidates"},
        ("sample",): {"text"},
        ("fill", "a ____ c"): {"text", "candidates"},
        ("score", str(text)): {"text", "tokens", "oov", "logprob_nats"},
        ("info",): {"format", "level", "cell", "vocabulary", "parameters", "training"},
    }
    for arguments, keys in expected.items():
        capsys.readouterr()
        assert run([*arguments, "-m", model, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out.splitlines()[0])
        assert keys <= answer.keys(), arguments
        for key in keys:
            assert f"`{key}`" in README, key


def test_files_and_folders_that_are_named_are_there():
    for name in re.findall(r"`((?:rnnlm|tests|benchmarks|corpora)/[\w./-]*)`", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"^(rnnlm/\w+) ", README, re.MULTILINE):
        assert (ROOT / name).is_dir(), name


def test_no_placeholder_is_left():
    assert not re.search(r"@[A-Z]+@|TODO|FIXME", README)
