"""Check whether a command may replace a file: only its own output for the same text, unless --force is given."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rnnlm.cli.command_line import BESIDE, FILES, GIVEN, OPEN
from rnnlm.errors import CheckpointError, shown
from rnnlm.foreign import beginning
from rnnlm.storage.checkpoint import read_header, section
from rnnlm.text.vocabulary import SPECIALS
from rnnlm.training.dataset import Dataset
from rnnlm.training.options import FILE_OPTIONS, Recipe, before_options

BEGIN = 4096  # bytes at the beginning of a file by which its kind is recognised
MOST_SHOWN = 3  # differing options in an error message


class Replaced:
    """The model that a training will replace; text and options are compared as soon as they are known."""

    def __init__(self, path: Path, header: Mapping[str, Any], is_timed: bool) -> None:
        """Keep the header of the file. is_timed: whether automatic choices may differ between runs, as with --time."""
        self._path, self._header, self._is_timed = path, header, is_timed

    def check_text(self, digest: str, files: Sequence[str] = ()) -> None:
        """Check that the model has learnt from the same text.

        Raises:
            CheckpointError: it has learnt from another text.
        """
        corpus = section(self._header, "training", "corpus")
        if corpus.get("digest") != digest and not (files and corpus.get("files") == list(files)):
            raise _refusal(self._path, f"{_description(self._header)} of another text", _can_go_on(self._header))

    def check_dataset(self, dataset: Dataset) -> None:
        """Check that the network has learnt from the same text.

        Raises:
            CheckpointError: it has learnt from another text.
        """
        self.check_text(dataset.digest, dataset.corpora[0].files if len(dataset.corpora) == 1 else ())

    def check_recipe(self, recipe: Recipe) -> None:
        """Check that the network was trained by the same recipe.

        Raises:
            CheckpointError: it was trained by another recipe.
        """
        self.check_options(recipe.to_header())

    def wrote_history(self, path: Path) -> bool:
        """Return whether a file is this model's history: it ends with the model's last step and has its best loss."""
        try:
            reports = [json.loads(line) for line in path.read_bytes().splitlines()]
            last, losses = reports[-1]["step"], [report["valid_nats_per_token"] for report in reports]
        except (ValueError, LookupError, TypeError):
            return False
        best = section(self._header, "training").get("best_nats_per_token")
        return bool(last == _progress(self._header).get("step") and (best in losses or set(losses) == {None}))

    def wrote_arpa(self, path: Path) -> bool:
        """Return whether a file is this model as ARPA: as many n-grams of each order, and the same first words."""
        begin, arrays = _begin(path), section(self._header, "arrays")
        counts = [int(number) for number in re.findall(rb"ngram \d+=(\d{1,15})\n", begin)]
        words = re.findall(rb"^-[\d.e+-]+\t(\S+)\t-?\d[\d.e+-]*\n", begin.partition(b"\n\n\\2-grams")[0], re.MULTILINE)
        known = [*SPECIALS, *section(self._header, "vocabulary").get("tokens", [])]
        return counts == [arrays[f"ngram.{k}.keys"]["shape"][0] for k in range(1, len(arrays) // 3 + 1)] and (
            b"# rnnlm escapes" in begin or words == [word.encode() for word in known[: len(words)]]
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Check that the model was trained with the same options, once the automatic ones are chosen.

        Raises:
            CheckpointError: it was trained with other options.
        """
        if not self._is_timed and (found := _difference(_options(self._header), options)):
            raise _other_command(self._path, self._header, found)


def check_model(path: Path, kind: str, options: Mapping[str, Any], asked: Mapping[str, Any]) -> Replaced | None:
    """Check that an existing file is a model that this command made; return it, or None if there is no file.

    kind: "rnn" or "ngram". options: known values of options, `time` among them; None or "auto" stands for one that is
    not chosen yet. asked: what a checkpoint records beside them, see `command_line.asked_for`.

    Raises:
        CheckpointError: the file is something else, an unfinished training, or the model of another command.
    """
    if not path.is_file() or not path.stat().st_size:
        return None
    try:
        header = read_header(path)
    except CheckpointError:
        raise _refusal(path, _sort_of_file(path)) from None
    training, found = section(header, "training"), _description(header)
    if header.get("kind") != kind or _is_unfinished(header) or not isinstance(training.get("options"), dict):
        raise _refusal(path, found, kind == "rnn" and _can_go_on(header))
    chosen = {n: v for n, v in options.items() if n == "time" or (n not in FILE_OPTIONS and v not in OPEN)}
    before, is_timed = section(training, "asked"), chosen.get("time") is not None
    if is_timed and not before:  # an earlier version did not record them; the options are compared instead
        asked, is_timed = {name: asked[name] for name in BESIDE if name in asked}, False
    now = {**dict.fromkeys(before), **asked}
    if difference := _difference(_options(header), chosen) or _difference(before, now):
        raise _other_command(path, header, difference)
    return Replaced(path, header, is_timed)


def check_history(path: Path, replaced: Replaced | None, resumed: bool = False) -> None:
    """Check that a file may be replaced by the history of a training, or extended if the training is resumed.

    replaced: the model that is replaced; its history may be replaced, too.

    Raises:
        CheckpointError: the file is not a history, or is that of another training.
    """
    is_history = _begin(path).startswith(b'{"step": ')
    known = resumed or (replaced is not None and is_history and replaced.wrote_history(path))
    if path.is_file() and path.stat().st_size and not (is_history and known):
        found = "the history of another training" if is_history else _sort_of_file(path)
        raise _refusal(path, found, option="--history", by_force=not resumed)


def check_arpa(path: Path, replaced: Replaced | None) -> None:
    """Check that a file may be replaced by an ARPA file; "-" is stdout.

    Raises:
        CheckpointError: the file is not an ARPA file, or is that of another model than `replaced`.
    """
    is_arpa = b"\\data\\" in _begin(path)
    known = is_arpa and replaced is not None and replaced.wrote_arpa(path)
    if str(path) != "-" and path.is_file() and path.stat().st_size and not known:
        found = "another model as an ARPA file" if is_arpa else _sort_of_file(path)
        raise _refusal(path, found, option="--arpa")


def _refusal(
    path: Path, found: str, can_go_on: bool = False, option: str = "-o", by_force: bool = True
) -> CheckpointError:
    """Return the error: what the file holds, and what the user can do."""
    ways = ["go on with it with --resume"] * can_go_on + [f"choose another name with {option}"]
    ways += ["replace it with --force"] * by_force
    sentence = ", or ".join([", ".join(ways[:-1]), ways[-1]]) if len(ways) > 1 else ways[0]
    return CheckpointError(f"{path} holds {found}. {sentence[0].upper()}{sentence[1:]}.")


# --- the kind of a file -----------------------------------------------------------------------------------------------


def _progress(header: Mapping[str, Any]) -> dict[str, Any]:
    return section(header, "training", "state", "progress")


def _can_go_on(header: Mapping[str, Any]) -> bool:
    return bool(_progress(header))


def _is_unfinished(header: Mapping[str, Any]) -> bool:
    return _can_go_on(header) and _progress(header).get("finished") is not True


def _description(header: Mapping[str, Any]) -> str:
    """Describe a model in a few words: its kind, its size, and how far it was trained."""
    if header.get("kind") == "ngram":
        return f"an n-gram model of order {shown(header.get('order'))}"
    network, training = section(header, "network"), section(header, "training")
    cell, layers, width = (network.get(name) for name in ("cell", "num_layers", "hidden_size"))
    size = f"{shown(cell).strip(chr(39)).upper()} {shown(layers)} x {shown(width)}"
    if "imported" in training:
        return f"an imported model ({size})"
    if not _can_go_on(header):
        return f"a model ({size})"
    step = _progress(header).get("step")
    if not _is_unfinished(header):
        return f"a finished training ({size}, {shown(step)} steps)"
    return f"an unfinished training ({size}, step {shown(step)}{_of_about(training)})"


def _of_about(training: Mapping[str, Any]) -> str:
    """Return the planned length of a training, such as " of about 400" steps, or "" if unknown."""
    options, state = section(training, "options"), section(training, "state")
    epochs, per_epoch, seconds = options.get("epochs"), state.get("batches_per_epoch"), options.get("time")
    if seconds is not None:
        return f", {shown(seconds).removesuffix('.0')} s asked for"
    if isinstance(epochs, int | float) and isinstance(per_epoch, int) and 0 < epochs * per_epoch < 1e18:
        return f" of about {max(1, round(epochs * per_epoch))}"
    return ""


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describe the first options of `now` whose value differs from `then`; None is an option that was not given."""

    def value(name: str, options: Mapping[str, Any]) -> str:
        if options.get(name) is None:
            return "not given"
        if name in GIVEN:
            return "given"
        return "another file" if name in FILES else shown(options[name]).removesuffix(".0").strip("'")

    names = [name for name in now if then.get(name) != now[name]]
    parts = [f"--{name.replace('_', '-')}: {value(name, then)} then, {value(name, now)} now" for name in names]
    return "; ".join(parts[:MOST_SHOWN]) + "; ..." * (len(names) > MOST_SHOWN)


def _other_command(path: Path, header: Mapping[str, Any], difference: str) -> CheckpointError:
    return _refusal(path, f"{_description(header)} by another command ({difference})", _can_go_on(header))


def _options(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a model was trained with; options newer than its version have their earlier value."""
    return before_options(section(header, "training", "options"))


def _sort_of_file(path: Path) -> str:
    """Describe the contents of a file: a model, an archive, a text or data."""
    begin = _begin(path)
    with suppress(CheckpointError):
        return _description(read_header(path))
    if begin.startswith(b"PK"):
        return "an archive that is not a model of this version of rnnlm"
    if begin and not re.search(rb"[^\t-\r\x1b\x20-\x7e\x80-\xff]", begin):  # of any encoding but UTF-16
        return "a text"
    return "data that are not a model of rnnlm"


def _begin(path: Path) -> bytes:
    return beginning(path)[:BEGIN]
