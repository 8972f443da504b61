"""Tables and JSON of the error rates of `rnnlm rescore --ref`, and the command line with tuned weights."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnnlm.cli.languages import tr
from rnnlm.cli.printing import note, show_table

if TYPE_CHECKING:
    from rnnlm.inference.error_rates import ErrorRates
    from rnnlm.tuned_rescoring import Outcome, Tuned


def show_rates(rows: "Mapping[str, ErrorRates]", lists: int, candidates: int, err: bool) -> None:
    """Print a table of error rates, one row for each way of choosing candidates."""
    headers = ["", *map(tr, ("word errors", "rate", "character errors", "rate"))]
    cells = [
        (
            tr(name),
            f"{rates.word_errors:,}",
            f"{100 * rates.word_error_rate:.2f} %",
            f"{rates.character_errors:,}",
            f"{100 * rates.character_error_rate:.2f} %",
        )
        for name, rates in rows.items()
    ]
    show_table(cells, headers, "lrrrr", err=err)
    first = next(iter(rows.values()))
    note(
        tr(
            "{lists} lists, {candidates} candidates; {words} words and {characters} characters in the references.",
            lists=f"{lists:,}",
            candidates=f"{candidates:,}",
            words=f"{first.words:,}",
            characters=f"{first.characters:,}",
        )
    )


def outcome_rows(outcome: "Outcome") -> "dict[str, ErrorRates]":
    """Return the rows for lists that were ranked: the error rates by name."""
    return {"as they came": outcome.incoming, "oracle": outcome.oracle, "chosen": outcome.chosen}


def outcome_json(outcome: "Outcome", candidates: int) -> dict[str, Any]:
    """Return the error rates of ranked lists as a JSON object."""
    first = outcome.incoming
    return {
        "lists": first.lines,
        "candidates": candidates,
        "words": first.words,
        "characters": first.characters,
        "incoming": _rates_json(outcome.incoming),
        "oracle": _rates_json(outcome.oracle),
        "chosen": _rates_json(outcome.chosen),
    }


def _rates_json(rates: "ErrorRates") -> dict[str, float]:
    return {
        "word_errors": rates.word_errors,
        "word_error_rate": rates.word_error_rate,
        "character_errors": rates.character_errors,
        "character_error_rate": rates.character_error_rate,
    }


def tuned_rows(tuned: "Tuned") -> "dict[str, ErrorRates]":
    """Return the rows for lists that weights were tuned on: the error rates by name."""
    before, after = tuned.before, tuned.after
    return {
        "as they came": before.incoming,
        "oracle": before.oracle,
        "before tuning": before.chosen,
        "tuned": after.chosen,
    }


def tuned_json(tuned: "Tuned", command: str) -> dict[str, Any]:
    """Return the tuned weights, the error rates before and after, and the command, as a JSON object."""
    return {
        **outcome_json(tuned.after, tuned.candidates),
        "before": _rates_json(tuned.before.chosen),
        "measure": tuned.measure,
        **{f"{name}_{tuned.unit}" if "penalty" in name else name: value for name, value in tuned.options().items()},
        "mix": [{"model": path, "weight": weight} for path, weight in tuned.mix],
        "command": command,
        "seconds_scoring": tuned.seconds_scoring,
        "seconds_searching": tuned.seconds_searching,
    }


def command_of(tuned: "Tuned", model: str, format_name: str, lowercase: bool) -> str:
    """Return the command line that ranks other lists with the tuned weights; TEST stands for their file."""
    weights = tuned.options()
    if format_name != "srilm":
        del weights["old_lm_weight"]
    words = ["rnnlm", "rescore", "TEST", "-m", model, "--format", format_name]
    for name, value in weights.items():
        words += [f"--{name.replace('_', '-')}", f"{value:.12g}"]
    for path, weight in tuned.mix:
        words += ["--mix", f"{path}:{weight:.12g}"]
    return " ".join([*map(shlex.quote, words), *(["--lowercase"] if lowercase else [])])
