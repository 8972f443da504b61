"""Output layouts of `rnnlm score`: its own table, JSON, and those of SRILM, KenLM and Mikolov's rnnlm."""

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from rnnlm.cli.colors import color_of, painted
from rnnlm.cli.languages import counted, tr
from rnnlm.cli.printing import json_line
from rnnlm.cli.tables import table, token_cell, visible
from rnnlm.cli.terminal import harmless
from rnnlm.cli.wrapping import wrapped

if TYPE_CHECKING:
    from rnnlm.inference.lines import Totals
    from rnnlm.results import ScoredLine

UNIT_OF_BASE = {"e": "nats", "10": "log10", "2": "bits"}
NATS_IN = {"nats": 1.0, "log10": math.log(10), "bits": math.log(2)}
UNK = 2
TOKENS_INDENT = 14  # of the token table under a line
# Probability, rank and bits (the group) of a row of the token table.
_FIGURES = re.compile(r"(?<= {14})\S.* \d\.\d{6} +\d+ +(\d+\.\d\d|inf)$", re.MULTILINE)
# Line breaks, control characters, and surrogates, which cannot be encoded.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Source(NamedTuple):
    """Facts about the input and the model that layouts show.

    name: of the file. has_ends: whether every line's last token is its end. order: of an n-gram model; 0: no limit.
    """

    name: str
    has_ends: bool
    order: int


class Layout(NamedTuple):
    """Functions that format scored lines and their sums.

    line: formats a scored line. below: formats the text below all lines. shows_blank: whether blank lines, which no
    sum includes, are shown. above: text above all lines.
    """

    line: Callable[["ScoredLine"], str]
    below: Callable[["Totals"], str]
    shows_blank: bool = True
    above: str = ""


def one_line(text: str) -> str:
    r"""Return a text with control characters, line breaks and surrogates as escapes such as \t."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


# --- our own ------------------------------------------------------------------------------------------------------


def plain(unit: str, with_tokens: bool, width: int | None, paints: bool = False) -> Layout:
    """Return our own layout: log probability and line, and with `with_tokens` a table of the tokens below.

    width: columns of the terminal; None: no terminal. paints: whether tokens are coloured by surprise; in a terminal
    the text is made harmless first.
    """

    def line(scored: "ScoredLine") -> str:
        shown = f"{scored.logprob_nats / NATS_IN[unit]:12.4f}  {one_line(scored.text)}"
        shown = f"{shown if width is None else wrapped(shown, width)}\n"
        rows = _token_table(scored, width) if with_tokens else ""
        if not paints:
            return shown + rows
        if width is not None:
            shown, rows = harmless(shown), harmless(rows)
        return shown + _FIGURES.sub(lambda row: painted(row[0], color_of(float(row[1]))), rows)

    return Layout(line, lambda totals: "")


def _token_table(scored: "ScoredLine", width: int | None) -> str:
    if scored.ranks is None or not len(scored.tokens):
        return ""
    rows = [
        (
            token_cell(token) + (tr(" (unknown)") if each == UNK else ""),
            f"{math.exp(nats):.6f}",
            rank,
            f"{_bits(nats):.2f}",
        )
        for token, each, nats, rank in zip(
            scored.tokens, scored.ids, scored.log_probabilities, scored.ranks, strict=True
        )
    ]
    room = None if width is None else width - TOKENS_INDENT
    titles = [tr(title) for title in ("token", "probability", "rank", "bits")]
    lines = table(rows, titles, "lrrr", room).split("\n")
    return "".join(f"{'':{TOKENS_INDENT}}{row}\n" for row in lines)


def _bits(nats: float) -> float:
    return -nats / math.log(2) or 0.0  # 0.0 instead of -0.0 for probability 1


def as_json(unit: str, spans: Callable[["ScoredLine"], list[tuple[int, int]]] | None) -> Layout:
    """Return the JSON layout: an object per line with text, tokens, oov and logprob_UNIT.

    spans: returns the tokens' places in the text; then `tokens` is a list of objects, otherwise their number.
    """

    def line(scored: "ScoredLine") -> str:
        tokens: Any = len(scored.tokens) if spans is None else _token_objects(scored, spans(scored), unit)
        found = {"text": scored.text, "tokens": tokens, "oov": scored.oov}
        return json_line(found | {f"logprob_{unit}": scored.logprob_nats / NATS_IN[unit]}) + "\n"

    return Layout(line, lambda totals: "")


def _token_objects(scored: "ScoredLine", spans: list[tuple[int, int]], unit: str) -> list[dict[str, Any]]:
    assert scored.ranks is not None
    return [
        {
            "token": token,
            f"logprob_{unit}": nats / NATS_IN[unit],
            "rank": int(rank),
            "oov": bool(each == UNK),
            "start": start,
            "end": end,
        }
        for token, each, nats, rank, (start, end) in zip(
            scored.tokens, scored.ids, scored.log_probabilities, scored.ranks, spans, strict=True
        )
    ]


# --- other programs' layouts: log10, and words without white space ------------------------------------------------


def mikolov() -> Layout:
    """Return the layout of `rnnlm -rnnlm model -test file -nbest -independent -debug 0`: one log10 per line."""
    return Layout(lambda scored: f"{scored.logprob_nats / math.log(10):.6f}\n", lambda totals: "")


def kenlm(source: Source) -> Layout:
    """Return the layout of KenLM's `query`: word=id n log10 for every word, with id 0 for unknown words.

    n is the number of words that the probability depends on, including the word itself and <s>: all words so far for a
    recurrent network, at most the order for an n-gram model.
    """

    def line(scored: "ScoredLine") -> str:
        words = [
            f"{word}={0 if each == UNK else each} {_reach(place, source)} {nats / math.log(10):.8g}\t"
            for place, (word, each, nats) in enumerate(
                zip(_words(scored, source), scored.ids, scored.log_probabilities, strict=True)
            )
        ]
        return f"{''.join(words)}Total: {scored.logprob_nats / math.log(10):.8g} OOV: {scored.oov}\n"

    def below(totals: "Totals") -> str:
        return (
            f"Perplexity including OOVs:\t{totals.perplexity(with_oov=True):.10g}\n"
            f"Perplexity excluding OOVs:\t{totals.perplexity(with_oov=False):.10g}\n"
            f"OOVs:\t{totals.oov}\nTokens:\t{totals.tokens}\n"
        )

    return Layout(line, below)


def srilm(source: Source, debug: int) -> Layout:
    """Return the layout of SRILM's `ngram -ppl FILE -debug 0|1|2`.

    logprob, ppl and ppl1 do not include unknown words; blank lines are left out altogether.
    """
    from rnnlm.inference.lines import Totals

    def line(scored: "ScoredLine") -> str:
        if debug == 0:
            return ""
        words = _words(scored, source)
        own = Totals()
        own.add(scored.ids, scored.log_probabilities, source.has_ends, len(scored.text))
        shown = " ".join(words[: own.words]) + "\n"
        if debug == 2:
            shown += "".join(_srilm_word(scored, words, place, source) for place in range(len(words)))
        return f"{shown}{_srilm_sums(own)}\n"

    return Layout(line, lambda totals: f"file {source.name}: {_srilm_sums(totals)}", shows_blank=False)


def _srilm_word(scored: "ScoredLine", words: list[str], place: int, source: Source) -> str:
    known = [word if each != UNK else "<unk>" for word, each in zip(words, scored.ids, strict=True)]
    before = ["<s>", *known][place] + (" ..." if place else "")
    probability = "[OOV] 0 [ -inf ]"
    if scored.ids[place] != UNK:
        nats = float(scored.log_probabilities[place])
        probability = f"[{_reach(place, source)}gram] {math.exp(nats):.7g} [ {nats / math.log(10):.7g} ]"
    return f"\tp( {known[place]} | {before}{'' if place else ' '}) \t= {probability}\n"


def _srilm_sums(totals: "Totals") -> str:
    ppl, ppl1 = totals.perplexity(with_oov=False), totals.perplexity_per_word(with_oov=False)
    return (
        f"{totals.lines} sentences, {totals.words} words, {totals.oov} OOVs\n"
        f"0 zeroprobs, logprob= {totals.logprob(with_oov=False) / math.log(10):.7g} "
        f"ppl= {_defined(ppl)} ppl1= {_defined(ppl1)}\n"
    )


def _defined(perplexity: float) -> str:
    return "undefined" if math.isnan(perplexity) else f"{perplexity:.7g}"


def _reach(place: int, source: Source) -> int:
    """Return how many words a token's probability depends on: itself, earlier ones and <s>, at most `order`."""
    return min(place + 2, source.order or place + 2)


def _words(scored: "ScoredLine", source: Source) -> list[str]:
    """Return the tokens as words without white space; a line's end is </s> for every model."""
    words = [re.sub(r"\s", "_", visible(token)) for token in scored.tokens]
    return [*words[:-1], "</s>"] if source.has_ends else words


# --- the summary --------------------------------------------------------------------------------------------------


def summary(totals: "Totals", unit: str, width: int | None) -> str:
    """Return the sums over all lines with explanations. width: columns of the terminal; None: no terminal."""
    per_unit = NATS_IN[unit]
    rows = [
        (
            f"logprob_{unit}",
            *(f"{totals.logprob(oov) / per_unit:.4f}" for oov in (True, False)),
            tr("the sum over all"),
        ),
        (
            "ppl",
            *(_figure(totals.perplexity(oov)) for oov in (True, False)),
            tr("perplexity per token, ends of lines counted: exp(-ln p / tokens)"),
        ),
        (
            "ppl1",
            *(_figure(totals.perplexity_per_word(oov)) for oov in (True, False)),
            tr("the same sum over the tokens that end no line, as SRILM defines it"),
        ),
        (
            tr("bits per char"),
            _figure(totals.bits_per_char),
            "",
            tr("-log2 p / characters, line ends included: compares models whatever their tokens are"),
        ),
    ]
    head = tr(
        "{lines}, {tokens} ({ends} of them ends of lines), {oov} unknown (OOV), {characters}",
        lines=counted(totals.lines, "line"),
        tokens=counted(totals.tokens, "token"),
        ends=f"{totals.ends:,}",
        oov=f"{totals.oov:,}",
        characters=counted(totals.characters, "character"),
    )
    if totals.blank:
        head += "\n" + tr("blank lines, in none of these figures: {blank}", blank=f"{totals.blank:,}")
    if totals.oov:
        titles = ["", tr("with OOV"), tr("without OOV"), ""]
        note = tr("with OOV: an unknown word has the probability of <unk>; without: it is left out of sum and number")
        return f"{head}\n{table(rows, titles, 'lrrl', width)}\n{note}"
    known = [(name, value, meaning) for name, value, _, meaning in rows]
    return f"{head}\n{table(known, align='lrl', width=width)}"


def _figure(value: float) -> str:
    return tr("undefined") if math.isnan(value) else f"{value:.4f}"
