"""rnnlm rescore: rank the candidates of a recogniser (n-best lists)."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.blas import use_threads
from rnnlm.cli.error_tables import (
    command_of,
    outcome_json,
    outcome_rows,
    show_rates,
    tuned_json,
    tuned_rows,
)
from rnnlm.cli.languages import tr, translated
from rnnlm.cli.lines import encoding_note
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import json_line, note, print_json
from rnnlm.cli.shared_options import Number, json_option, lowercase_option, mix_option, model_option, threads_option
from rnnlm.cli.streams import Collected
from rnnlm.cli.text_file import TextFile
from rnnlm.cli.unknown_tokens import Unknown
from rnnlm.names import LIST_FORMATS

if TYPE_CHECKING:
    from rnnlm.inference.list_formats import NbestList
    from rnnlm.inference.references import References
    from rnnlm.language_model import LanguageModel
    from rnnlm.ranked_lists import RankedList
    from rnnlm.tuned_rescoring import Measured

MOST_WARNINGS = 10
MUCH_UNKNOWN = 1 / 3  # share of unknown tokens above which the user is warned
ERRORS = "errors"  # of --output

HELP = """Rank the candidates of the n-best lists in FILE ("-": stdin; several files are read one after the other).

\b
--format  a line                               lists                     base
plain     words                                blank lines between them  e
kaldi     utt-N words                          lines of one utt          e
srilm     ascore lscore nwords words           blank lines between them  10
mikolov   id words                             lines of one id           10
moses     id ||| words ||| features ||| total  lines of one id           e
tsv       words, a tab, score                  blank lines between them  e
json      {"id": "utt", "hypotheses": [{"text": "words", "score": -1.5}]}  e
espnet    FILE is a folder with 1best_recog/{text,score}, 2best_recog/..   e

\b
total = incoming + lm-weight * logprob + word-penalty * words
        + old-lm-weight * old LM score + oov-penalty * unknown words

All terms are logarithms to the format's base, penalties too: divide a penalty of base e by 2.303 for srilm or mikolov.
incoming is srilm's ascore, moses's total or the score of tsv, json and espnet, else 0; old LM score is srilm's lscore,
else 0; logprob is the model's, with </s> at the end; words is srilm's nwords, else the number of the model's tokens.
The greatest total is the best; of equal ones, the first.

Every word makes a sentence less probable: a --word-penalty above 0 makes up for that where candidates differ in
length. <unk> stands for all unknown words: the --oov-penalty, below 0, accounts for how rare each of them is. Find
good weights on lists with known references, which takes seconds:

\b
rnnlm rescore dev.txt --format srilm --ref dev.ref --tune
rnnlm rescore test.txt --format srilm --ref test.ref --lm-weight 8.2 ...

REF has the reference of one list on each line; for kaldi and espnet, lines `utt words` in any order; for json also
objects with id and text. --ref prints the word and character error rates of the first candidates, of the best
candidates (oracle) and of the chosen ones. --tune prints the command with the weights that it has found. The search
starts at the given weights; --mix needs no weight then.

Output has the input's format. srilm: lscore becomes logprob. moses: features get "RNNLM0= logprob", the new total
replaces the old one. tsv: the new total replaces the score. json gets logprob_nats and total_nats. espnet is written
as kaldi's lists, with --output best as a file text. The others have no place for scores, so --output scores prints
for plain ln p, for kaldi "utt-N cost" with the cost -ln p, for mikolov log10 p. Output is UTF-8.

<s> and </s> at the ends of a candidate are marks, not words; <unk> between spaces is the unknown word. An empty
candidate has the probability of </s> alone.

The lines of an id must be adjacent. Bad lines (no id, fields missing) end the program, or are passed through in
their place with --lenient (with --json they are only reported).

A list from a pipe is answered once it is complete: plain, srilm and tsv at the blank line after it, so end each list
with one; json at its line; the others at the next id or the end of the input.
"""


@click.command(help=HELP)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=TextFile())
@model_option
@click.option(
    "--format",
    "format_name",
    type=click.Choice(LIST_FORMATS),
    default="plain",
    show_default=True,
    help="Format of the lists, see above.",
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
@click.option("--ref", default=None, metavar="REF", help="File with the references of the lists: print error rates.")
@click.option(
    "--tune", is_flag=True, help="Find the weights, also those of --mix, with the fewest errors against --ref."
)
@click.option(
    "--measure",
    type=click.Choice(["words", "characters"]),
    default=None,
    show_default="words; Chinese, Japanese: characters",
    help="Unit in which --tune counts errors.",
)
@click.option(
    "--output",
    type=click.Choice(["ranked", "best", "scores", ERRORS]),
    default=None,
    show_default="ranked; with --ref errors",
    help="ranked: the lists with the best line first; best: the best line of each list; scores: the scores, lines in "
    "their old order; errors: only the error rates, which otherwise go to stderr.",
)
@click.option("--lenient", is_flag=True, help="Pass through lines that are not in the format.")
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the file, such as gb18030.")
@mix_option(needs_weights=False)
@lowercase_option
@threads_option
@json_option
def rescore(
    files: tuple[str, ...],
    model_path: Path,
    format_name: str,
    ref: str | None,
    tune: bool,
    measure: str | None,
    output: str | None,
    lenient: bool,
    encoding: str | None,
    mix: list[tuple[str, float | None]],
    lowercase: bool,
    threads: int | None,
    as_json: bool,
    **weights: float | None,
) -> None:
    """Rank lists, or tune the weights for ranking; see HELP."""
    _check(format_name, weights, ref, tune, measure, output, mix)
    if ref == "-" and "-" in files:
        raise click.UsageError("FILE and --ref are both standard input (-); give a file for one of them.")
    given = [(path, weight) for path, weight in mix if weight is not None]
    model = load_model(model_path, () if tune else given, lowercase=lowercase)
    warnings = _Warnings() if lenient else None
    output_text = Collected(_show)
    lists = _read(files, format_name, encoding, warnings, output_text)
    references = None
    if ref is not None:
        from rnnlm.inference.references import read_references

        references = read_references(ref, format_name, encoding)
    if tune:
        _tune(model, lists, references, format_name, mix, measure, use_threads(threads), weights, model_path, as_json)
    else:
        ranked = _ranked(model, lists, format_name, use_threads(threads), weights)
        shown = _Shown(model, format_name, output or (ERRORS if ref else "ranked"), references, as_json)
        shown.show(ranked, output_text)
    if warnings is not None:
        warnings.finish()


def _check(
    format_name: str,
    weights: dict[str, float | None],
    ref: str | None,
    tune: bool,
    measure: str | None,
    output: str | None,
    mix: list[tuple[str, float | None]],
) -> None:
    """Raise click.UsageError for options that cannot be combined."""
    if weights["old_lm_weight"] and format_name != "srilm":
        raise click.UsageError("--old-lm-weight is for --format srilm; lists of other formats have no LM score.")
    if ref is None and (tune or output == ERRORS):
        what = "--tune" if tune else "--output errors"
        raise click.UsageError(f"{what} counts errors: give references as --ref REF.")
    if measure and not tune:
        raise click.UsageError("--measure is for --tune; without it, errors in words and characters are both printed.")
    if tune and output:
        raise click.UsageError("--tune prints a command with weights, not lists; leave out --output.")
    without = [path for path, weight in mix if weight is None]
    if without and not tune:
        raise click.UsageError(f"--mix {without[0]} has no weight; write {without[0]}:0.3, or let --tune find it.")


def _ranked(
    model: "LanguageModel",
    lists: "Iterator[NbestList | None]",
    format_name: str,
    threads: int,
    weights: dict[str, float | None],
) -> "Iterator[RankedList]":
    return model.rescore(lists, format_name, threads=threads, **weights)


def _tune(
    model: "LanguageModel",
    lists: "Iterator[NbestList | None]",
    references: "References | None",
    format_name: str,
    mix: list[tuple[str, float | None]],
    measure: str | None,
    threads: int,
    weights: dict[str, float | None],
    model_path: Path,
    as_json: bool,
) -> None:
    """Tune the weights, and print the command line that uses them."""
    from rnnlm.tuned_rescoring import tune_rescoring

    assert references is not None
    found = tune_rescoring(
        model, lists, references, format=format_name, mix=mix, measure=measure, threads=threads, begin=weights
    )
    command = command_of(found, str(model_path), format_name, model.tokenizer.lowercase)
    if as_json:
        print_json(tuned_json(found, command))
        return
    show_rates(tuned_rows(found), found.before.incoming.lines, found.candidates, err=True)
    note(
        tr(
            "{lines} line searches for the weights with the fewest errors in {measure} took {searching} s, after "
            "{scoring} s of scoring. For other lists:",
            lines=f"{found.lines:,}",
            measure=tr(found.measure),
            searching=f"{found.seconds_searching:.1f}",
            scoring=f"{found.seconds_scoring:.1f}",
        )
    )
    click.echo(command)


class _Shown:
    """Prints ranked lists of one format, then error rates and warnings."""

    def __init__(
        self,
        model: "LanguageModel",
        format_name: str,
        output: str,
        references: "References | None",
        as_json: bool,
    ) -> None:
        from rnnlm.inference.list_formats import FORMATS

        self._name, self._form, self._output, self._as_json = format_name, FORMATS[format_name], output, as_json
        self._unknown = Unknown(model, reads_marks=True)
        self._measured = _measured(model, references)
        self._lists = self._candidates = 0

    def show(self, ranked: "Iterator[RankedList]", output_text: Collected) -> None:
        """Print lists as they come, then the error rates and warnings."""
        from rnnlm.inference.nbest import with_ends

        for line in with_ends(line for each in ranked for line in self._lines(each)):
            output_text.write(line)
        output_text.flush()
        self._show_rates()
        self._warn()

    def _lines(self, ranked: "RankedList") -> Iterator[str]:
        """Yield the output for a list."""
        from rnnlm.inference.nbest import output_lines

        for line in ranked.scored:
            self._unknown.add(line)
        self._lists += bool(ranked.order)
        self._candidates += len(ranked.order)
        errors: dict[str, Any] = {}
        counted = None
        if self._measured is not None and ranked.order:
            reference, counted = self._measured.add(ranked)
            errors = {"reference": {"words": len(reference.words), "characters": len(reference.characters)}}
        if self._output == ERRORS:
            return
        if self._as_json:
            if ranked.order:
                yield json_line(_as_json(ranked, self._form.unit, counted) | errors) + "\n"
            return
        scores = [each.language_model for each in ranked.evidence]
        yield from output_lines(ranked.source, self._form, ranked.order, scores, ranked.totals, self._output)

    def _show_rates(self) -> None:
        if self._measured is None:
            return
        if left := self._measured.finish():
            note(left)
        alone = self._output == ERRORS
        if alone and self._as_json:
            print_json(outcome_json(self._measured.outcome, self._candidates))
        else:
            show_rates(outcome_rows(self._measured.outcome), self._lists, self._candidates, err=not alone)

    def _warn(self) -> None:
        """Warn of lists with single candidates and of many unknown tokens."""
        if self._lists > 1 and self._lists == self._candidates:
            whole = "a line is a list, and its hypotheses are the candidates"
            by_ids = "lines of one list have one id, and it comes first"
            why = "a blank line ends a list" if self._form.blank_between else by_ids
            why = whole if self._form.parse_list else why
            note(tr("Warning: every list has a single candidate, so nothing was chosen; {why}.", why=tr(why)))
        unknown = self._unknown
        if unknown.unknown > MUCH_UNKNOWN * unknown.words:
            much = "Warning: {unknown} of the {tokens} tokens of these lists are unknown to the model."
            note(tr(much, unknown=f"{unknown.unknown:,}", tokens=f"{unknown.words:,}"))
        if hint := unknown.hint():
            note(hint)


def _measured(model: "LanguageModel", references: "References | None") -> "Measured | None":
    if references is None:
        return None
    from rnnlm.tuned_rescoring import Measured

    references.lowercase = model.tokenizer.lowercase
    return Measured(references)


def _as_json(ranked: "RankedList", unit: str, errors: Any) -> dict[str, Any]:
    """Return a ranked list as a JSON object: id, best, candidates."""
    evidence = ranked.evidence
    candidates = []
    for place, each in zip(ranked.order, ranked.candidates, strict=True):
        found = {
            "text": each.text,
            f"logprob_{unit}": evidence[place].language_model,
            f"total_{unit}": each.total,
            "logprob_nats": each.logprob_nats,
            "incoming": each.incoming,
            "old_lm": each.old_lm,
            "words": each.words,
            "oov": each.oov,
            "rank": each.rank,
        }
        if errors is not None:
            found |= {"word_errors": errors[place].words, "character_errors": errors[place].characters}
        candidates.append(found)
    return {"id": ranked.id, "best": ranked.best, "candidates": candidates}


class _Warnings:
    """Prints warnings about the first MOST_WARNINGS bad lines, and at the end their number."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, message: str) -> None:
        """Count a bad line, and print the warning if it is one of the first."""
        self._count += 1
        if self._count <= MOST_WARNINGS:
            note(tr("Warning: {message}", message=translated(message)))

    def finish(self) -> None:
        """Print the number of bad lines if not all were shown."""
        if self._count > MOST_WARNINGS:
            note(tr("Warning: {n} bad lines in all.", n=f"{self._count:,}"))


def _read(
    files: tuple[str, ...],
    format_name: str,
    encoding: str | None,
    warnings: _Warnings | None,
    output_text: Collected,
) -> "Iterator[NbestList | None]":
    from rnnlm.inference.list_files import read_files

    def report(name: str, codec: str) -> None:
        encoding_note(name, encoding)(codec)

    return read_files(files, format_name, encoding, warnings, report, output_text.flush)


def _show(text: str) -> None:
    """Print text; bytes that could not be decoded are written unchanged."""
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)
