"""The public interface of rnnlm, read from the program: options, keys of --json, the Python API.

docs/contract.md promises to keep it stable. `python -m tests.contract` adds new parts to tests/contract.json, but
records nothing if a promise is broken. To break a promise, remove it from the file by hand, in a commit that says why.
"""

import contextlib
import inspect
import io
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import rnnlm
from rnnlm import results, scorer
from rnnlm.cli import cli, run
from rnnlm.language_model import LanguageModel

RECORDED = Path(__file__).with_name("contract.json")
WIDTH = 120

LINES = "the ferry left early\nthe old ferry was late\nit was early\nthe old house\n" * 8
FILES = {
    "text.txt": LINES,
    "lines.txt": "the ferry was early\nthe old zebra\n",
    "references.txt": "the ferry was late\nit was early\n",
    "lists.txt": "the ferry was late\nthe fairy was late\n\nit was early\nit was curly\n",
    "kaldi.txt": "u1-1 the ferry was late\nu1-2 the fairy was late\n",
}
TRAININGS = (
    "train text.txt --epochs 2 --hidden-size 8 --embedding-size 4 --ngram 0 --threads 1 --history history.jsonl",
    "train text.txt --epochs 1 --hidden-size 8 --embedding-size 4 --ngram 0 --threads 1 --bidirectional -o both.npz",
    "ngram train text.txt --order 2 -o ngram.npz",
)
# Each prints JSON; together they show every key that scripts rely on.
QUESTIONS = (
    "predict the -k 2",
    "predict --each the ferry",
    "predict --why the ferry",
    "predict --complete the fer -k 2",
    "predict --ahead 2 the -k 2",
    "decode --text 'the ferry|very was late' -k 2",
    "sample --length 3 --seed 1",
    "sample --length 3 --beam 2",
    "score lines.txt",
    "score lines.txt --base 2",
    "score lines.txt --base 10",
    "score lines.txt --tokens",
    "score lines.txt -m ngram.npz",
    "rescore lists.txt",
    "rescore kaldi.txt --format kaldi",
    "rescore lists.txt --ref references.txt",
    "rescore lists.txt --ref references.txt --tune",
    "fill 'the ____ was late' -k 2",
    "fill 'the ____ was late' -k 2 -m both.npz",
    "eval lines.txt",
    "eval lines.txt --mix ngram.npz:0.5",
    "info",
    "info ngram.npz",
    "plot history.jsonl",
    "plot --surprise 'the ferry was late'",
    "plot --embedding",
    "lab pairs 'the ferry was late'",
    "lab onehot 'the ferry was late'",
    "lab softmax 1 2 3",
    "lab unroll 'the ferry was late'",
    "lab bptt 'the ferry was late'",
    "lab gradflow text.txt --places 2",
    "lab gradcheck",
    "lab loss 1 2 3",
    "lab explode --steps 2",
)
WITHOUT_QUESTION = ("lab memory",)  # needs a model of one of the texts in corpora/

METHODS = {
    LanguageModel: (
        *("load", "save", "predict", "predict_each", "why", "generate", "fill"),
        *("score", "evaluate", "scorer", "mixed_with", "with_cache"),
    ),
    scorer.Scorer: ("start", "step", "steps", "ids"),
}
RESULTS = (
    *(results.Candidate, results.Prediction, results.Influence, results.Explanation),
    *(results.FilledText, results.ScoredLine, results.Evaluation, scorer.State),
)
ATTRIBUTES = {LanguageModel: ("history", "vocabulary", "level", "kind", "training")}


def commands(group: click.Group = cli, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command, without groups, with its full name such as "lab pairs"."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                yield from commands(command, f"{prefix}{name} ")
            elif command is not None:
                yield f"{prefix}{name}", command


def options_of(command: click.Command) -> dict[str, Any]:
    """Return all spellings of a command's options and the names of its arguments, each with its description."""
    with click.Context(command) as context:
        return {
            spelling: known(parameter, context)
            for parameter in command.params
            for spelling in (*parameter.opts, *parameter.secondary_opts)
        }


def known(parameter: click.Parameter, context: click.Context) -> dict[str, Any]:
    """Return the default of a parameter, its choices, and whether it is a flag or takes several values."""
    default = parameter.get_default(context)
    if not isinstance(default, bool | int | float | str | Path):  # no default, which click represents in several ways
        default = None
    flag = isinstance(parameter, click.Option) and parameter.is_flag
    found = {"default": bool(default) if flag else str(default) if isinstance(default, Path) else default}
    if isinstance(parameter.type, click.Choice):
        found["choices"] = [str(choice) for choice in parameter.type.choices]
    if flag:
        found["flag"] = True
    if parameter.multiple or parameter.nargs != 1:
        found["several"] = True
    return found


def all_options() -> dict[str, Any]:
    """Return the options of every command."""
    return {name: options_of(command) for name, command in commands()}


def kinds(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the paths of a JSON value, such as candidates[].token, with the type at each."""
    if isinstance(value, dict):
        yield path, "object"
        for key, entry in value.items():
            yield from kinds(entry, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield path, "list"
        for entry in value:
            yield from kinds(entry, f"{path}[]")
    else:
        names = {str: "text", bool: "true or false", int: "number", float: "number", type(None): "null"}
        yield path, names[type(value)]


def shape(objects: list[Any]) -> dict[str, list[str]]:
    """Return the types at every path of some JSON values."""
    found: dict[str, set[str]] = {}
    for each in objects:
        for path, kind in kinds(each):
            found.setdefault(path, set()).add(kind)
    return {path: sorted(kinds) for path, kinds in found.items() if path}


def all_keys(folder: Path) -> dict[str, Any]:
    """Return the keys of the JSON that the questions and a history give. Files are written to `folder`."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    with contextlib.chdir(folder):
        for training in TRAININGS:
            printed(training)
        found = {question: shape(printed(f"{question} --json")) for question in QUESTIONS}
        history = Path("history.jsonl").read_text(encoding="utf-8").splitlines()
        return found | {"history.jsonl": shape([json.loads(line) for line in history])}


def printed(command: str) -> list[Any]:
    """Run a command and return the JSON objects that it prints."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(shlex.split(command))
    if code:
        raise AssertionError(f"rnnlm {command} ended with {code}: {err.getvalue()}")
    out.seek(0)
    return [json.loads(line) for line in out.read().split("\n") if line and "--json" in command]


def parameters(function: Any) -> dict[str, Any]:
    """Return the parameters of a function in order: how each may be given, and its default as Python source."""
    kind = inspect.Parameter
    by_name = (kind.KEYWORD_ONLY, kind.VAR_KEYWORD)
    return {
        name: {"given": "by name" if each.kind in by_name else "by place or name"}
        | ({} if each.default is kind.empty else {"default": repr(each.default)})
        for name, each in inspect.signature(function).parameters.items()
        if name not in ("self", "cls")
    }


def python_api() -> dict[str, Any]:
    """Return names, signatures and fields of the Python API."""
    functions = {f"rnnlm.{name}": getattr(rnnlm, name) for name in ("train", "train_ngram", "load")}
    for owner, names in METHODS.items():
        functions |= {f"{owner.__name__}.{name}": getattr(owner, name, None) for name in names}
    fields = {each.__name__: fields_of(each) for each in RESULTS}
    return {
        "names": {name: {} for name in rnnlm.__all__},
        "functions": {name: parameters(each) for name, each in functions.items() if each is not None},
        "fields": {name: {key: {} for key in found} for name, found in fields.items()},
    }


def fields_of(kind: type) -> list[str]:
    """Return fields and properties of a result class."""
    fields = getattr(kind, "_fields", None) or list(getattr(kind, "__dataclass_fields__", ()))
    return [*fields, *(name for name, each in vars(kind).items() if isinstance(each, property))]


def present(folder: Path) -> dict[str, Any]:
    """Return the whole contract as this version keeps it."""
    return {"options": all_options(), "json": all_keys(folder), "python": python_api()}


def broken(recorded: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return a sentence for each broken promise; additions break none."""
    functions = recorded.get("python", {}).get("functions", {})
    moved = [rearranged(name, each, found["python"]["functions"].get(name, {})) for name, each in functions.items()]
    return [*changed(recorded, found, ()), *(sentence for sentences in moved for sentence in sentences)]


def changed(recorded: Any, found: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Return a sentence for each value that is missing or different."""
    what = ": ".join(path[1:])
    if isinstance(recorded, dict):
        for name, entry in recorded.items():
            if name in found:
                yield from changed(entry, found[name], (*path, name))
            else:
                yield f"{': '.join((*path[1:], name))} is gone; leave it as it is and add what is new beside it."
    elif path[-1] == "choices":
        if gone := sorted(set(recorded) - set(found)):
            yield f"{what} lack {', '.join(gone)}; leave them and add what is new beside them."
    elif path[0] == "json":
        if recorded != ["null"] and (more := sorted(set(found) - set(recorded))):
            yield f"{what} is {' or '.join(more)}; it was {' or '.join(recorded)} and has to stay so."
    elif recorded != found:
        yield f"{what} is {found!r}; it was {recorded!r} and has to stay so."


def rearranged(function: str, recorded: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """Return a sentence for each parameter that has moved, or is new and has no default."""
    before, after = (
        [name for name, each in those.items() if each["given"] == "by place or name"] for those in (recorded, found)
    )
    if set(before) <= set(after) and after[: len(before)] != before:
        yield f"{function} takes {', '.join(after)}; it took {', '.join(before)}. Put what is new behind them."
    for name in found.keys() - recorded.keys():
        if "default" not in found[name]:
            yield f"{function}: {name} is new and has to be given; let it have a default."


def read() -> dict[str, Any]:
    """Return the recorded contract."""
    recorded: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    return recorded


def main() -> None:
    """Record additions to the contract."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RNNLM_CACHE"] = str(Path(folder) / "cache")
        found = present(Path(folder))
    if gone := list(broken(read(), found)):
        sys.exit("Nothing is recorded, because promises are broken:\n" + "\n".join(gone))
    RECORDED.write_text(written(found) + "\n", encoding="utf-8")


def written(value: Any, indent: int = 0) -> str:
    """Format JSON with short values on one line, so that diffs are readable."""
    whole = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or (len(whole) + indent < WIDTH and not any(map(nested, value.values()))):
        return whole
    entries = [f"{json.dumps(name, ensure_ascii=False)}: {written(each, indent + 1)}" for name, each in value.items()]
    inner = ",\n".join(" " * (indent + 1) + entry for entry in entries)
    return f"{{\n{inner}\n{' ' * indent}}}"


def nested(value: Any) -> bool:
    """Return whether a value is a non-empty object."""
    return isinstance(value, dict) and bool(value)


if __name__ == "__main__":
    main()
