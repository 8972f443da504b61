"""Read the n-best lists that ESPnet writes: one folder per rank.

    DIR/1best_recog/text    utt1 in the beginning        DIR/2best_recog/text    utt1 in a beginning
    DIR/1best_recog/score   utt1 tensor(-3.25)           DIR/2best_recog/score   utt1 tensor(-4.5)

A decoding with several jobs has such folders in output.1, output.2, ... of its logdir. All files list the utterances in
the same order; the files of a rank lack the utterances whose lists are shorter.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from rnnlm.errors import CorpusError, shown
from rnnlm.inference.list_formats import NUMBER, BadLineError, Candidate, NbestList
from rnnlm.text.lines import damage, read_lines
from rnnlm.text.sources import Source

_FOLDER = re.compile(r"([1-9][0-9]*)best_recog")
_JOB = re.compile(r"output\.([0-9]+)")
_TENSOR = re.compile(rf"(?:tensor\()?\[?({NUMBER.pattern})[\s,)\]].*")
Utterance = tuple[str, str]  # id and rest of the line


def is_espnet(path: str) -> bool:
    """Return whether a folder contains n-best lists of ESPnet."""
    return bool(_jobs(Path(path)))


def read_folder(path: str, encoding: str | None = None) -> Iterator[NbestList]:
    """Yield the lists of a folder that has 1best_recog, 2best_recog, ... in it, in output.N or in logdir/output.N.

    The `line` of a candidate is in Kaldi's format, `id-N words` with its rank N. Without a file `score`, scores are 0.

    Raises:
        BadLineError: The files do not match.
        CorpusError: There is no such folder, or a file cannot be read.
    """
    jobs = _jobs(Path(path))
    if not jobs:
        raise CorpusError(
            f"{path} has no folder 1best_recog with a file text, as ESPnet writes them; expected the folder of a "
            "decoding, its logdir, or one of its output.N."
        )
    for job in jobs:
        yield from _lists(job, encoding)


def _jobs(path: Path) -> list[Path]:
    for folder in (path, path / "logdir"):
        numbered = [(int(match[1]), each) for each in folder.glob("output.*") if (match := _JOB.fullmatch(each.name))]
        found = [each for each in [folder, *(each for _, each in sorted(numbered))] if _places(each)]
        if found:
            return found
    return []


def _places(job: Path) -> list[tuple[int, Path]]:
    """Return the ranks and folders of a job, by rank."""
    matches = ((_FOLDER.fullmatch(each.name), each) for each in job.glob("*best_recog"))
    return sorted((int(match[1]), each) for match, each in matches if match and (each / "text").is_file())


def _lists(job: Path, encoding: str | None) -> Iterator[NbestList]:
    places = _places(job)
    if places[0][0] != 1:
        raise CorpusError(f"{job} has no 1best_recog, but {places[0][1].name}; expected all places from the first on.")
    readers = [(place, _Candidates(folder, place, encoding)) for place, folder in places]
    first = readers[0][1]
    while (list_id := first.waiting) is not None:
        found = NbestList(list_id)
        for _, reader in readers:
            if reader.waiting == list_id:
                found.entries.append(reader.take())
        yield found
    for _, reader in readers:
        if reader.waiting is not None:
            raise BadLineError(
                f"{reader.name} has the id {shown(reader.waiting)} where {first.name} has it not, or in another order; "
                "expected the same utterances in the same order in all folders"
            )


class _Candidates:
    """Reader of the candidates of one rank; `waiting` is the id of the next candidate, None at the end."""

    def __init__(self, folder: Path, place: int, encoding: str | None) -> None:
        self.name, self._place = str(folder / "text"), place
        self._texts = _utterances(folder / "text", encoding)
        has_scores = (folder / "score").is_file()
        self._scores = _utterances(folder / "score", encoding) if has_scores else None
        self._score_name = str(folder / "score")
        self._next = next(self._texts, None)

    @property
    def waiting(self) -> str | None:
        return self._next[0] if self._next else None

    def take(self) -> Candidate:
        assert self._next is not None
        (list_id, text), self._next = self._next, next(self._texts, None)
        if self.waiting == list_id:
            raise BadLineError(f"{self.name} has the id {shown(list_id)} twice; expected each utterance once")
        line = f"{list_id}-{self._place} {text}".rstrip() + "\n"
        return Candidate(line, list_id, text, self._score(list_id))

    def _score(self, list_id: str) -> float:
        if self._scores is None:
            return 0.0
        for found, score in self._scores:
            if found == list_id:
                match = _TENSOR.fullmatch(f"{score} ")
                if match is None:
                    raise BadLineError(
                        f"{self._score_name} has {shown(score)} as the score of {shown(list_id)}; expected a number "
                        "or tensor(-1.5)"
                    )
                return float(match[1])
        raise BadLineError(f"{self._score_name} has no score of {shown(list_id)}, which {self.name} has; expected one")


def _utterances(path: Path, encoding: str | None) -> Iterator[Utterance]:
    """Yield id and rest of each line that is not blank."""
    for place, line in enumerate(read_lines(Source(str(path), None), encoding), 1):
        assert line is not None  # the source is not live
        if (found := damage(line)) is not None:
            raise BadLineError(f"Line {place} of {path} is not text: {found}. If it is in another encoding, name that")
        fields = line.strip().split(maxsplit=1)
        if fields:
            yield fields[0], "".join(fields[1:])
