"""rnnlm rescore: choose among the candidates of a recogniser."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rnnlm.blas import use_threads
from rnnlm.cli.common import (
    Number,
    Unknown,
    json_option,
    load_model,
    mix_option,
    model_option,
    note,
    print_json,
    threads_option,
)
from rnnlm.cli.lines import encoding_note
from rnnlm.cli.score_layouts import NATS_IN
from rnnlm.cli.streams import Collected

if TYPE_CHECKING:
    from rnnlm.inference.nbest import Candidate, Format, NbestList
    from rnnlm.inference.rescoring import Evidence, Weights
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import ScoredLine

FORMATS = ["plain", "kaldi", "srilm", "mikolov", "moses"]
MOST_WARNINGS = 10
MUCH_UNKNOWN = 1 / 3  # share of the tokens


@click.command()
@click.argument("file")
@model_option
@click.option(
    "--format", "format_name", type=click.Choice(FORMATS), default="plain", show_default=True, help="See above."
)
@click.option(
    "--lm-weight", type=Number(), default=1.0, show_default=True, help="Weight of the model's log probability."
)
@click.option(
    "--old-lm-weight", type=Number(), default=0.0, show_default=True, help="Weight of the LM score of srilm lists."
)
@click.option("--word-penalty", type=Number(), default=0.0, show_default=True, help="Added for every word.")
@click.option(
    "--oov-penalty",
    type=Number(),
    default=None,
    show_default="ln(1 / words seen once), times --lm-weight; n-gram: 0",
    help="Added for every unknown word.",
)
@click.option(
    "--output",
    type=click.Choice(["ranked", "best", "scores"]),
    default="ranked",
    show_default=True,
    help="The lists with the best line first; the best line of each; or the scores, the lines left in their order.",
)
@click.option("--lenient", is_flag=True, help="Pass lines that are not of the format through untouched.")
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the file, such as gb18030.")
@mix_option()
@threads_option
@json_option
def rescore(
    file: str,
    model_path: Path,
    format_name: str,
    lm_weight: float,
    old_lm_weight: float,
    word_penalty: float,
    oov_penalty: float | None,
    output: str,
    lenient: bool,
    encoding: str | None,
    mix: list[tuple[str, float]],
    threads: int | None,
    as_json: bool,
) -> None:
    """Rank the candidates of the n-best lists in FILE ("-": stdin).

    \b
    --format  a line                               lists                     base
    plain     words                                blank lines between them  e
    kaldi     utt-N words                          lines of one utt          e
    srilm     ascore lscore nwords words           blank lines between them  10
    mikolov   id words                             lines of one id           10
    moses     id ||| words ||| features ||| total  lines of one id           e

    \b
    total = incoming + lm-weight * logprob + word-penalty * words
            + old-lm-weight * old LM score + oov-penalty * unknown words

    in logarithms of the format's base. incoming is srilm's ascore or moses's total, else 0; old LM score is srilm's
    lscore, else 0; logprob is that of the model with </s> at the end; words is srilm's nwords, else the number of the
    model's tokens. The greatest total is the best; where two are equal, the one that came first.

    Every further word makes a sentence less probable: a --word-penalty above 0 makes up for that where candidates
    differ in length. One <unk> stands for all unknown words: the --oov-penalty, below 0, says how rare each of them is.

    Output has the input's format. srilm: lscore becomes logprob. moses: features get "RNNLM0= logprob", the total
    becomes the new one. The others have no place for scores, so with --output scores they print what their users
    expect: plain ln p, kaldi "utt-N cost" with the cost -ln p, mikolov log10 p. Output is UTF-8.

    <s> and </s> at the ends of a candidate are marks and no words, <unk> between spaces is the unknown word. An empty
    candidate has the probability of </s> alone.

    The lines of an id must stand together. Bad lines (no id, fields missing) end the program, or are passed through in
    their place with --lenient (with --json they are only reported).

    From a pipe, a list is answered once it is complete: plain and srilm at the blank line after it, so end each list
    with one; the others when the next id comes, or the input ends.
    """
    if old_lm_weight and format_name != "srilm":
        raise click.UsageError("--old-lm-weight is for --format srilm; the others have no LM score of their own.")
    from rnnlm.inference import nbest
    from rnnlm.inference.rescoring import Weights

    model = load_model(model_path, mix)
    warnings = _Warnings() if lenient else None
    form = nbest.FORMATS[format_name]
    if oov_penalty is None:
        oov_penalty = lm_weight * model.unknown_word_penalty / NATS_IN[form.unit]
    chooser = _Chooser(form, Weights(lm_weight, old_lm_weight, word_penalty, oov_penalty), model)
    output_text = Collected(_show)
    lists = _read(file, format_name, encoding, warnings, output_text.flush)
    chosen = map(chooser.choose, model.score_lists(lists, use_threads(threads)))
    if as_json:
        for each in chosen:
            if each.order:
                print_json(chooser.as_json(each))
    else:
        for line in nbest.with_ends(itertools.chain.from_iterable(chooser.lines(each, output) for each in chosen)):
            output_text.write(line)
        output_text.flush()
    if warnings is not None:
        warnings.finish()
    _warn(chooser, format_name)


def _warn(chooser: "_Chooser", format_name: str) -> None:
    """Say what may be wrong with the lists."""
    if chooser.lists > 1 and chooser.lists == chooser.candidates:
        by_blanks = format_name in ("plain", "srilm")
        why = "a blank line ends a list" if by_blanks else "lines of one list have one id, and it comes first"
        note(f"Warning: every list has a single candidate, so nothing was chosen; {why}.")
    _warn_of_unknown(chooser.unknown)


def _warn_of_unknown(unknown: Unknown) -> None:
    if unknown.unknown > MUCH_UNKNOWN * unknown.words:
        note(f"Warning: {unknown.unknown:,} of the {unknown.words:,} tokens of these lists are unknown to the model.")
    if hint := unknown.hint():
        note(hint)


class _Chosen(NamedTuple):
    """A list with all that is known of its candidates; order: their places from the best to the worst."""

    candidates: "NbestList"
    evidence: list["Evidence"]
    totals: list[float]
    order: list[int]


class _Chooser:
    """Ranks lists of one format."""

    def __init__(self, form: "Format", weights: "Weights", model: "LanguageModel") -> None:
        """Prepare for the scores of a model."""
        self._form, self._weights, self._ends = form, weights, model.line_end is not None
        self.unknown = Unknown(model, reads_marks=True)
        self._nats = NATS_IN[form.unit]
        self.lists = self.candidates = 0

    def choose(self, scored_list: tuple["NbestList", list["ScoredLine"]]) -> _Chosen:
        """Totals and ranking of a list."""
        from rnnlm.inference.rescoring import ranking

        candidates, scored = scored_list
        for line in scored:
            self.unknown.add(line)
        evidence = [self._evidence(*each) for each in zip(candidates.candidates, scored, strict=True)]
        totals = [self._weights.total(each) for each in evidence]
        self.lists += bool(totals)
        self.candidates += len(totals)
        return _Chosen(candidates, evidence, totals, ranking(totals))

    def _evidence(self, candidate: "Candidate", scored: "ScoredLine") -> "Evidence":
        from rnnlm.inference.rescoring import Evidence

        words = len(scored.tokens) - self._ends if candidate.words is None else candidate.words
        logprob = scored.logprob_nats / self._nats
        return Evidence(candidate.incoming, candidate.old_language_model, logprob, words, scored.oov)

    def lines(self, chosen: _Chosen, output: str) -> Iterator[str]:
        """What is printed of a list in its own format."""
        from rnnlm.inference import nbest

        arrange = {"ranked": nbest.ranked_lines, "best": nbest.best_lines, "scores": nbest.scored_lines}[output]
        write = self._form.score_line if output == "scores" else self._form.rescored
        entries = zip(chosen.candidates.candidates, chosen.evidence, chosen.totals, strict=True)
        written = [write(candidate, evidence.language_model, total) for candidate, evidence, total in entries]
        return arrange(chosen.candidates, chosen.order, written)

    def as_json(self, chosen: _Chosen) -> dict[str, Any]:
        """A list as an object: id, best, and candidates, ranked."""
        candidates, unit = chosen.candidates.candidates, self._form.unit
        ranked = [
            {
                "text": candidates[place].text,
                f"logprob_{unit}": chosen.evidence[place].language_model,
                f"total_{unit}": chosen.totals[place],
            }
            for place in chosen.order
        ]
        return {"id": chosen.candidates.list_id, "best": ranked[0]["text"], "candidates": ranked}


class _Warnings:
    """Says what is wrong with the first bad lines, and at the end how many there were."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, message: str) -> None:
        """Count, and say it if there were not too many yet."""
        self._count += 1
        if self._count <= MOST_WARNINGS:
            note(f"Warning: {message}")

    def finish(self) -> None:
        """Say how many there were if not all were shown."""
        if self._count > MOST_WARNINGS:
            note(f"Warning: {self._count:,} bad lines in all.")


def _read(
    path: str, format_name: str, encoding: str | None, warnings: _Warnings | None, before_waiting: Callable[[], None]
) -> Iterator["NbestList | None"]:
    from rnnlm.inference.nbest import read_lists
    from rnnlm.text.lines import read_lines
    from rnnlm.text.sources import open_sources

    with open_sources([path], live=True) as sources:
        for source in sources:
            lines = read_lines(source, encoding, encoding_note(source.name, encoding), before_waiting)
            yield from read_lists(lines, format_name, source.name, warnings)


def _show(text: str) -> None:
    """Print lines, bytes that could not be decoded as they were."""
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)
