"""Read n-best lists from files, standard input or Python objects."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import Any

from rnnlm.errors import CorpusError, RnnlmError, shown
from rnnlm.inference.espnet import is_espnet, read_folder
from rnnlm.inference.list_formats import Candidate, NbestList
from rnnlm.inference.nbest import read_lists
from rnnlm.names import LIST_FORMATS
from rnnlm.text.lines import read_lines
from rnnlm.text.sources import open_sources

Lists = str | PathLike[str] | Iterable[Any]


def read_files(
    paths: Sequence[str | PathLike[str]],
    format_name: str,
    encoding: str | None = None,
    warn: Callable[[str], None] | None = None,
    report: Callable[[str, str], None] = lambda name, codec: None,
    before_waiting: Callable[[], None] = lambda: None,
) -> Iterator[NbestList | None]:
    """Yield the lists of files, one file after the other, and None when a pipe has no more yet; see `nbest.read_lists`.

    Args:
        paths: Files, "-" for standard input; folders for the format "espnet".
        format_name: One of `names.LIST_FORMATS`.
        encoding: Name of a Python codec; None to detect it.
        warn: Called with a message for each bad line, which is then passed through; None to raise an error instead.
        report: Called with the name of a file and the codec with which it is read.
        before_waiting: Called before waiting for more of a pipe.

    Raises:
        CorpusError: A file cannot be read, or a line is bad.
    """
    if format_name == "espnet":
        for path in paths:
            yield from read_folder(fspath(path), encoding)
        return
    for path in paths:
        if is_espnet(fspath(path)):
            raise CorpusError(f"{fspath(path)} holds n-best lists of ESPnet. Use --format espnet.")
    with open_sources(paths, live=True) as sources:
        for source in sources:
            lines = read_lines(source, encoding, _reporter(report, source.name), before_waiting)
            yield from read_lists(lines, format_name, source.name, warn)


def _reporter(report: Callable[[str, str], None], name: str) -> Callable[[str], None]:
    return lambda codec: report(name, codec)


def lists_of(lists: Lists, format_name: str = "plain") -> Iterator[NbestList | None]:
    """Yield lists from a file or from Python objects.

    Args:
        lists: The path of a file, or an iterable of lists. A list contains texts or pairs (text, score), or is a
            mapping with "hypotheses" as in the format json.
        format_name: Format of the file. For Python objects, it only determines the base of the scores.

    Raises:
        RnnlmError: `lists` or `format_name` is invalid.
    """
    if format_name not in LIST_FORMATS:
        raise RnnlmError(f"format is {shown(format_name)}; expected one of {', '.join(LIST_FORMATS)}.")
    if isinstance(lists, str | PathLike):
        yield from read_files([lists], format_name)
        return
    if not isinstance(lists, Iterable):
        raise RnnlmError(f"lists is {shown(lists)}; expected a path, or lists of candidates.")
    for number, each in enumerate(lists, 1):
        yield each if each is None or isinstance(each, NbestList) else _made(each, number)


def _made(value: Any, number: int) -> NbestList:
    list_id, hypotheses = str(number), value
    if isinstance(value, Mapping):
        list_id, hypotheses = str(value.get("id", number)), value.get("hypotheses")
    if isinstance(hypotheses, str) or not isinstance(hypotheses, Iterable):
        raise RnnlmError(f"List {number} is {shown(value)}; expected candidates: texts, or pairs of text and score.")
    return NbestList(list_id, [_candidate(each, list_id) for each in hypotheses])


def _candidate(value: Any, list_id: str) -> Candidate:
    text, score = value, 0.0
    if isinstance(value, Mapping):
        text, score = value.get("text"), value.get("score", 0.0)
    elif not isinstance(value, str) and isinstance(value, Sequence) and len(value) == 2:
        text, score = value
    try:
        return Candidate(_line(text), list_id, _line(text).strip(), float(score))
    except (TypeError, ValueError):
        raise RnnlmError(
            f"List {list_id} has the candidate {shown(value)}; expected a text of one line, or a text and a number."
        ) from None


def _line(text: Any) -> str:
    if not isinstance(text, str) or "\n" in text:
        raise TypeError
    return text
