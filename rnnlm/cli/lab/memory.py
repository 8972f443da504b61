"""rnnlm lab memory: measure how far back a model remembers the word on which another depends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.lab.presentation import present, show_titled
from rnnlm.cli.lab.subjects import check_plot, given, model_option, plot_option, refuse_with_model
from rnnlm.cli.languages import TranslatedCommand, counted, tr
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import note, say, show_table
from rnnlm.cli.shared_options import json_option
from rnnlm.cli.tables import token_cell

if TYPE_CHECKING:
    from rnnlm.lab.agreement import Pair, Words
    from rnnlm.lab.memory import MinimalPair, Row
    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.numerics import Array

LANGUAGES = {"zh": "Chinese", "en": "English"}
DEFAULT_LANGUAGE = "zh"
EPOCHS = 12  # as in lab.memory, which is too slow to import for a help text
MOST_NAMED = 5  # unknown words
EXAMPLE_DISTANCE = 7


@dataclass(frozen=True)
class Question:
    """The test for the models.

    pairs: pairs of sentences. rows, drawn: groups of pairs for the table and for the picture. title: of the table's
    first column. example: a right and a wrong sentence; None for a user's own pairs. about: sentences that explain the
    test and the accuracy of chance.
    """

    pairs: Sequence[MinimalPair]
    rows: Sequence[Row]
    drawn: Sequence[Row]
    title: str
    example: tuple[str, str] | None
    about: Sequence[str]


@click.command(
    cls=TranslatedCommand,
    short_help="Measure how far back a model remembers the word on which another depends.",
    context_settings={"show_default": True},
)
@model_option("Model to test; repeatable.", "n-grams and networks are trained", several=True)
@click.option(
    "--pairs",
    "pairs_file",
    type=click.Path(dir_okay=False, allow_dash=True),
    default=None,
    show_default="those of a grammar",
    help='Test --model on your own pairs ("-": stdin), one per line: a right sentence, a tab, a wrong sentence, and '
    "optionally a tab and the name of a group; or JSON objects as in BLiMP.",
)
@click.option("--encoding", default=None, show_default="detected", help="Encoding of --pairs, such as gb18030.")
@click.option(
    "--language",
    type=click.Choice(list(LANGUAGES)),
    default=None,
    show_default="zh; with --model, the one with fewer unknown words",
    help="Language of the grammar's sentences.",
)
@click.option("--epochs", type=click.IntRange(1), default=EPOCHS, help="Epochs of the networks over the sentences.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Random seed of the sentences and the networks.")
@plot_option
@json_option
@click.pass_context
def memory(
    ctx: click.Context,
    /,
    model_paths: tuple[Path, ...],
    pairs_file: str | None,
    encoding: str | None,
    language: str | None,
    epochs: int,
    seed: int,
    **options: Any,
) -> None:
    """Show how far back a model remembers the word on which another depends.

    \b
    rnnlm lab memory
    rnnlm lab memory --language en --plot memory.png
    rnnlm lab memory -m rnnlm.npz -m 5gram.npz
    rnnlm lab memory -m rnnlm.npz --pairs pairs.tsv

    The two sentences of a pair differ in one word, and an earlier word decides which is right: "I lost my bag", not "I
    lost your bag". The model is asked which one is more probable.

    Without --model, n-grams, a basic RNN, a GRU and an LSTM learn 4,000 sentences of a small grammar in about 10
    seconds and are tested on others. An n-gram guesses if the deciding word is n or more words back. GRU and LSTM learn
    the task at every distance. The basic RNN needs longer: --epochs 40.

    With --model, the pairs come from the grammar that made a part of this project's texts (corpora/). Their sentences
    are not in these texts.

    Accuracy is the share of pairs in which the right sentence has the greater probability; a pair whose sentences are
    equally probable counts as half. In JSON, distance is the mean over a row's pairs, null if unknown.
    """
    _check_usage(ctx, model_paths, pairs_file)
    check_plot(ctx, *model_paths, pairs_file)
    from rnnlm.plots.memory import draw

    models: Iterable[tuple[str, LanguageModel]]
    if model_paths:
        models = list(zip(_names(model_paths), map(load_model, model_paths), strict=True))
        if pairs_file is not None:
            question = _own_question(pairs_file, encoding)
        else:
            question = _written_question(language, models[0])
    else:
        question = _distance_question(language or DEFAULT_LANGUAGE)
        models = _trained(language or DEFAULT_LANGUAGE, epochs, seed)
    answers = [(name, _answers(name, model, question.pairs)) for name, model in models]
    texts = [name for name, _ in answers] + [row.name for row in question.drawn]
    show, picture = partial(_show, question, answers), partial(draw, question.drawn, answers)
    present(_objects(question, answers), show, picture, texts)


def _check_usage(ctx: click.Context, model_paths: Sequence[Path], pairs_file: str | None) -> None:
    """Raise click.UsageError for options that cannot be combined."""
    if model_paths:
        refuse_with_model(ctx, "epochs", "seed")
    elif pairs_file is not None:
        raise click.UsageError("--pairs needs --model: models trained here know only the words of their grammar.")
    if pairs_file is not None and given(ctx, "language"):
        raise click.UsageError("--language is for the grammar's pairs; leave it out with --pairs.")
    if pairs_file is None and given(ctx, "encoding"):
        raise click.UsageError("--encoding needs --pairs.")


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the names of the files, or their paths if two names are the same."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


# --- questions


def _distance_question(language: str) -> Question:
    """Return held-out pairs of a grammar in which the deciding word is 2 to 20 words back."""
    from rnnlm.lab.agreement import pairs
    from rnnlm.lab.agreement_words import DISTANCES
    from rnnlm.lab.memory import PAIRS, by_distance, spaced_pairs

    found = pairs(DISTANCES[language], PAIRS)
    asked = spaced_pairs(found)
    rows, (example, asks) = by_distance(asked), _example(found, " ".join)
    chance = tr(
        "Chance is 50%: each pair has a twin in which right and wrong have changed places, so that a model which does "
        "not see the deciding word is right in exactly half of them."
    )
    return Question(asked, rows, rows, "distance", example, (asks, chance))


def _written_question(language: str | None, first: tuple[str, LanguageModel]) -> Question:
    """Return held-out pairs of the grammar of corpora/, by default in the language that the first model knows best."""
    from rnnlm.lab.agreement import pairs, written
    from rnnlm.lab.agreement_words import GRAMMARS
    from rnnlm.lab.memory import WRITTEN_PAIRS, by_band, by_group, written_pairs

    languages = GRAMMARS if language is None else (language,)
    found = {name: pairs(GRAMMARS[name], WRITTEN_PAIRS) for name in languages}
    asked = {name: written_pairs(each, GRAMMARS[name]) for name, each in found.items()}
    if language is None:
        name, model = first
        unknown = {key: len(model.unknown_tokens("\n".join(_texts(each)))) for key, each in asked.items()}
        language = min(unknown, key=unknown.__getitem__)
        guessed = "The pairs are {language}, as {name} seems to be; use --language for another."
        note(tr(guessed, language=tr(LANGUAGES[language]), name=name))
    here, space = asked[language], GRAMMARS[language].space
    example, asks = _example(found[language], lambda words: written(words, space))
    chance = tr(
        "Chance is 50%: a model that does not see the deciding word is right in exactly half of the pairs that have a "
        "twin, in which right and wrong have changed places, and in about half of those in which another person "
        "stands in between. A model that goes by that person is always wrong there."
    )
    return Question(here, by_group(here), by_band(here), "agreement", example, (asks, chance))


def _own_question(path: str, encoding: str | None) -> Question:
    """Return the pairs of a file."""
    from rnnlm.cli.lines import file_lines
    from rnnlm.lab.memory import by_group, read_pairs

    lines = (line for line in file_lines(path, encoding) if line is not None)
    asked = read_pairs(lines, "standard input" if path == "-" else path)
    rows = by_group(asked)
    about = tr(
        "Is the first sentence of a pair more probable than the second? A model that guesses reaches 50%; one that "
        "prefers short sentences or frequent words may be far from it."
    )
    return Question(asked, rows, rows[:-1] or rows, "group", None, (about,))


def _example(found: Sequence[Pair], text: Callable[[Words], str]) -> tuple[tuple[str, str], str]:
    """Return a pair as texts, and a sentence that explains the test and the words of the pair."""
    pair = min(found, key=lambda each: abs(each.distance - EXAMPLE_DISTANCE))
    decided = next(place for place, words in enumerate(zip(pair.good, pair.bad, strict=True)) if len(set(words)) > 1)
    deciding = pair.good[decided - pair.distance]
    asks = tr(
        'Is the right sentence of a pair more probable than the wrong one? Here "{deciding}" decides that "{good}" is '
        'right and "{bad}" wrong, {words} later.',
        deciding=deciding,
        good=pair.good[decided],
        bad=pair.bad[decided],
        words=counted(pair.distance, "word"),
    )
    return (text(pair.good), text(pair.bad)), asks


def _texts(pairs: Sequence[MinimalPair]) -> list[str]:
    """Return all right sentences, then all wrong ones."""
    return [pair.good for pair in pairs] + [pair.bad for pair in pairs]


# --- answers


def _trained(language: str, epochs: int, seed: int) -> Iterator[tuple[str, LanguageModel]]:
    """Train models on the sentences of a grammar; yield (name, model) one by one."""
    from rnnlm.lab.agreement import sentences
    from rnnlm.lab.agreement_words import DISTANCES
    from rnnlm.lab.memory import SENTENCES, learners
    from rnnlm.lab.sentences import flat, vocabulary_of
    from rnnlm.language_model import LanguageModel
    from rnnlm.text.tokenizers import TokenTokenizer

    texts = sentences(DISTANCES[language], SENTENCES, seed)
    vocabulary = vocabulary_of(flat(texts))
    note(
        tr(
            "{sentences} sentences of {words} different words; networks read them in {passes}.",
            sentences=f"{len(texts):,}",
            words=f"{len(vocabulary.tokens):,}",
            passes=tr("1 pass" if epochs == 1 else "{n} passes", n=f"{epochs:,}"),
        )
    )
    for name, learn in learners(texts, vocabulary, epochs, seed).items():
        note(tr("Training: {name}.", name=name))
        yield name, LanguageModel(TokenTokenizer(), vocabulary, learn(), "sentence")


def _answers(name: str, model: LanguageModel, pairs: Sequence[MinimalPair]) -> Array:
    """Return the (n,) result of `chosen_right` for a model's probabilities; warn of words that it does not know."""
    import numpy as np

    from rnnlm.lab.memory import chosen_right

    scored = list(model.score(_texts(pairs)))
    good, bad = np.split(np.array([each.logprob_nats for each in scored]), 2)
    unknown = sum(a.oov + b.oov > 0 for a, b in zip(scored[: len(pairs)], scored[len(pairs) :], strict=True))
    if unknown:
        words = model.unknown_tokens("\n".join(_texts(pairs)))
        shown = " ".join(map(token_cell, words[:MOST_NAMED])) + (" ..." if len(words) > MOST_NAMED else "")
        note(
            tr(
                "Warning: {unknown} of the {pairs} have words that {name} does not know and reads as <unk>; its "
                "accuracy there says little. These words are: {shown}",
                unknown=f"{unknown:,}",
                pairs=counted(len(pairs), "pair"),
                name=name,
                shown=shown,
            )
        )
    return chosen_right(good, bad)


def _objects(question: Question, answers: Sequence[tuple[str, Array]]) -> Iterator[dict[str, Any]]:
    for name, right in answers:
        for row in question.rows:
            yield {
                "model": name,
                "group": row.name,
                "distance": row.distance,
                "pairs": len(row.places),
                "accuracy": row.accuracy(right),
            }


def _show(question: Question, answers: Sequence[tuple[str, Array]]) -> None:
    """Print a table of each model's accuracy, an example and an explanation."""
    rows = [
        [_label(row, question.title), f"{len(row.places):,}", *(f"{row.accuracy(right):.1%}" for _, right in answers)]
        for row in question.rows
    ]
    align = "r" if question.title == "distance" else "l"
    show_titled(rows, [question.title, "pairs", *(token_cell(name) for name, _ in answers)], align + "r" * 20, keys=2)
    click.echo()
    if question.example is not None:
        show_table(zip((tr("right"), tr("wrong")), question.example, strict=True))
    for sentence in question.about:
        say(sentence)


def _label(row: Row, title: str) -> str:
    """Return the first cell of a row, translated; names of a user's groups stay as they are."""
    if title == "distance":
        return f"{row.distance:g}"
    if title == "group" or not (found := re.fullmatch(r"(?:(.+), )?distance (\S+)( and more)?", row.name)):
        return token_cell(row.name) if title == "group" else tr(row.name)
    kind, band, more = found.groups()
    return (tr(f"{kind}, ") if kind else "") + tr("distance {band}", band=band + (tr(" and more") if more else ""))
