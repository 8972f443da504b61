"""rnnlm lab onehot: show one-hot vectors, and that U times one is a column of U."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnlm.cli.lab.presentation import present, show_titled
from rnnlm.cli.lab.subjects import given, level_option, model_option, sentences_of, text_argument, tokenizer_of
from rnnlm.cli.languages import TranslatedCommand, counted, tr
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import say
from rnnlm.cli.shared_options import json_option
from rnnlm.cli.tables import token_cell
from rnnlm.cli.text_argument import read_text_argument
from rnnlm.cli.unknown_tokens import warn_of_unknown

if TYPE_CHECKING:
    from rnnlm.lab.one_hot import OneHot, Product
    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.numerics import Array
    from rnnlm.text.vocabulary import Vocabulary

SHOWN_ENTRIES = 16  # vectors and matrices wider than this are abbreviated


@click.command(cls=TranslatedCommand, short_help="Show how a word becomes a vector.")
@text_argument
@model_option("Checkpoint whose tokens, vocabulary and U to use.", "the vocabulary of TEXT")
@level_option
@json_option
@click.pass_context
def onehot(ctx: click.Context, text: str, model_path: Path | None, level: str, as_json: bool) -> None:
    """Show the one-hot vector of every token of TEXT ("-": stdin), and that U times it is a column of U."""
    from rnnlm.lab.one_hot import one_hots
    from rnnlm.lab.sentences import flat, vocabulary_of

    text = read_text_argument(text)
    if model_path is None:
        trained = None
        tokens = flat(sentences_of(text, tokenizer_of(level)))
        vocabulary = vocabulary_of(tokens)
    else:
        if given(ctx, "level"):
            raise click.UsageError("--level cannot be combined with --model: the checkpoint says what a token is.")
        trained = load_model(model_path)
        tokens, vocabulary = flat(sentences_of(text, trained.tokenizer)), trained.vocabulary
        warn_of_unknown(trained, text)
    vectors = one_hots(tokens, vocabulary)

    def show() -> None:
        if trained is None:
            _show_vocabulary(vocabulary, tokens)
        else:
            say(tr("The vocabulary of {file} has {size} entries.", file=model_path, size=f"{len(vocabulary):,}"))
            click.echo()
        _show_one_hots(vectors, trained)

    present(({"token": each.token, "id": each.id, "vector": each.vector.tolist()} for each in vectors), show)


def _show_vocabulary(vocabulary: Vocabulary, tokens: list[str]) -> None:
    from rnnlm.text.vocabulary import FIRST

    counts = Counter(tokens)
    rows: list[tuple[int, str, object]] = [(i, vocabulary.token(i), tr("reserved")) for i in range(FIRST)]
    for i in range(FIRST, len(vocabulary)):
        rows.append((i, token_cell(vocabulary.token(i)), counts[vocabulary.token(i)]))
    click.echo(tr("Vocabulary, {size} entries:", size=f"{len(vocabulary):,}") + "\n")
    show_titled(rows, ["id", "token", "count"], "rlr")
    click.echo()


def _show_one_hots(vectors: list[OneHot], trained: LanguageModel | None) -> None:
    from rnnlm.lab.one_hot import times_one_hot

    name, U = _first_rows(vectors[0].size, trained)
    products = [times_one_hot(U, each) for each in vectors]
    rows = [
        (token_cell(each.token), each.id, _abbreviated(each), _numbers(product.product))
        for each, product in zip(vectors, products, strict=True)
    ]
    show_titled(rows, ["token", "id", "one-hot vector x", "U x"], "lr")
    click.echo()
    _show_matrix(name, U)
    for paragraph in _verdict_on_columns(vectors, products):
        say(paragraph)


def _first_rows(size: int, trained: LanguageModel | None) -> tuple[str, Array]:
    """Return a name and the first rows of the model's U, or of a random U without a model."""
    import numpy as np

    from rnnlm.lab.one_hot import example_matrix

    if trained is None:
        U = example_matrix(size, np.random.default_rng(0))
        return tr("random numbers, {rows} rows", rows=len(U)), U
    params = trained.network.params
    if trained.network.config.embedding_size:
        U = params["embedding.weight"].T
        name = tr("embedding.weight, transposed: the model's first product")
    else:
        U, name = params["rnn.weight_ih_l0"], "rnn.weight_ih_l0"
    return tr("{name}, the first {shown} of {rows} rows", name=name, shown=min(3, len(U)), rows=f"{len(U):,}"), U[:3]


def _abbreviated(one_hot: OneHot) -> str:
    if one_hot.size <= SHOWN_ENTRIES:
        return " ".join(map(str, one_hot.vector))
    before, after = one_hot.id, one_hot.size - one_hot.id - 1
    left = "0 … 0 " if before > 2 else "0 " * before
    right = " 0 … 0" if after > 2 else " 0" * after
    return f"{left}1{right} " + tr("({size} entries, 1 at {place})", size=f"{one_hot.size:,}", place=one_hot.id)


def _numbers(values: Array) -> str:
    return " ".join(f"{value:5.2f}" for value in values)


def _show_matrix(name: str, U: Array) -> None:
    say(tr("U ({name}, {columns} columns):", name=name, columns=f"{U.shape[1]:,}"))
    click.echo()
    if U.shape[1] > SHOWN_ENTRIES:
        click.echo(f"  {tr('too wide to be shown')}\n")
        return
    rows = [[f"{value:.2f}" for value in row] for row in U]
    show_titled(rows, [str(column) for column in range(U.shape[1])], "r" * U.shape[1], keys=0)
    click.echo()


def _verdict_on_columns(vectors: list[OneHot], products: list[Product]) -> tuple[str, str]:
    first, product = vectors[0], products[0]
    equal = sum(each.equal for each in products)
    return (
        tr(
            "For {token} (id {id}) U x is {product}, and column {id} of U is {column}.",
            token=token_cell(first.token),
            id=first.id,
            product=_numbers(product.product).strip(),
            column=_numbers(product.column).strip(),
        ),
        tr(
            "{equal} of {products}, each multiplied out over all {size} entries of x, equal the column of U with the "
            "token's id:\nall other columns are multiplied by 0. So the program looks the column up and never makes "
            "the vector.",
            equal=f"{equal:,}",
            products=counted(len(products), "product"),
            size=first.size,
        ),
    )
