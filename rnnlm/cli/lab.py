"""rnnlm lab: the article's steps on the user's own words, with live numbers."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from rnnlm.cli.common import (
    Number,
    Text,
    json_option,
    load_model,
    note,
    print_json,
    read_text_argument,
    use_threads,
    warn_of_unknown,
)
from rnnlm.cli.tables import table, token_cell
from rnnlm.errors import CorpusError

if TYPE_CHECKING:
    import numpy as np

    from rnnlm.lab.gradients import CheckedGradient, Data, GradientCheck
    from rnnlm.lab.one_hot import OneHot, Product
    from rnnlm.lab.softmax import Softmax
    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.network import NetworkConfig
    from rnnlm.nn.numerics import Array
    from rnnlm.text.tokenizers import Tokenizer
    from rnnlm.text.vocabulary import Vocabulary

SHOWN_ENTRIES = 16  # vectors and matrices wider than this are abbreviated


text_argument = click.argument("text", type=Text())
level_option = click.option(
    "--level",
    type=click.Choice(["auto", "char", "word"]),
    default="auto",
    show_default=True,
    help="What a token is; auto: word.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """The steps of a recurrent language model with live numbers.

    \b
    rnnlm lab pairs "我 昨天 上学 迟到 了"
    rnnlm lab onehot "我 昨天 上学 迟到 了"
    rnnlm lab softmax 1 2 3 4
    rnnlm lab gradcheck --cell lstm
    """


# --- pairs ----------------------------------------------------------------------------------------------------------


@lab.command(short_help="What is learnt from a sentence: inputs and labels.")
@text_argument
@level_option
@json_option
def pairs(text: str, level: str, as_json: bool) -> None:
    """Show the training set that TEXT ("-": stdin) makes: at every token the network should answer the next one.

    Every line is a sentence of its own between <s> and </s>.
    """
    from rnnlm.lab.training_pairs import training_pairs

    lines = _sentences(read_text_argument(text), _tokenizer(level))
    found = [pair for tokens in lines for pair in training_pairs(tokens)]
    if as_json:
        for pair in found:
            print_json(pair._asdict())
        return
    rows = [(number, token_cell(read), "->", token_cell(label)) for number, (read, label) in enumerate(found, 1)]
    click.echo(table(rows, ["", "input", "", "label"], "r"))
    tokens = sum(map(len, lines))
    note(f"{_count(tokens, 'token')} in {_count(len(lines), 'sentence')}: {_count(len(found), 'pair')}.")


def _tokenizer(level: str) -> Tokenizer:
    from rnnlm.text.tokenizers import tokenizer_class

    return tokenizer_class(level)()


def _sentences(text: str, tokenizer: Tokenizer) -> list[list[str]]:
    from rnnlm.lab.sentences import sentences

    found = sentences(text, tokenizer)
    if not found:
        raise CorpusError("TEXT has no tokens. Give at least one word.")
    return found


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


# --- onehot ---------------------------------------------------------------------------------------------------------


@lab.command(short_help="How a word becomes a vector.")
@text_argument
@click.option(
    "-m",
    "--model",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    show_default="none: the vocabulary of TEXT",
    help="Checkpoint whose tokens, vocabulary and U to use.",
)
@level_option
@json_option
@click.pass_context
def onehot(ctx: click.Context, text: str, model: Path | None, level: str, as_json: bool) -> None:
    """Show the one-hot vector of every token of TEXT ("-": stdin), and that U times it is a column of U."""
    use_threads(1)
    from rnnlm.lab.one_hot import one_hots
    from rnnlm.lab.sentences import flat, vocabulary_of

    text = read_text_argument(text)
    if model is None:
        trained = None
        tokens = flat(_sentences(text, _tokenizer(level)))
        vocabulary = vocabulary_of(tokens)
    else:
        if _given(ctx, "level"):
            raise click.UsageError("--level can not be combined with --model: the checkpoint says what a token is.")
        trained = load_model(model)
        tokens, vocabulary = flat(_sentences(text, trained.tokenizer)), trained.vocabulary
        warn_of_unknown(trained, text)
    vectors = one_hots(tokens, vocabulary)
    if as_json:
        for each in vectors:
            print_json({"token": each.token, "id": each.id, "vector": each.vector.tolist()})
        return
    if trained is None:
        _show_vocabulary(vocabulary, tokens)
    else:
        click.echo(f"The vocabulary of {model} has {len(vocabulary):,} entries.\n")
    _show_one_hots(vectors, trained)


def _given(ctx: click.Context, parameter: str) -> bool:
    return ctx.get_parameter_source(parameter) == ParameterSource.COMMANDLINE


def _show_vocabulary(vocabulary: Vocabulary, tokens: list[str]) -> None:
    from rnnlm.text.vocabulary import FIRST

    counts = Counter(tokens)
    rows: list[tuple[int, str, object]] = [(i, vocabulary.token(i), "reserved") for i in range(FIRST)]
    for i in range(FIRST, len(vocabulary)):
        rows.append((i, token_cell(vocabulary.token(i)), counts[vocabulary.token(i)]))
    click.echo(f"Vocabulary, {len(vocabulary):,} entries:\n")
    click.echo(table(rows, ["id", "token", "count"], "rlr") + "\n")


def _show_one_hots(vectors: list[OneHot], trained: LanguageModel | None) -> None:
    from rnnlm.lab.one_hot import times_one_hot

    name, U = _first_rows(vectors[0].size, trained)
    products = [times_one_hot(U, each) for each in vectors]
    rows = [
        (token_cell(each.token), each.id, _abbreviated(each), _numbers(product.product))
        for each, product in zip(vectors, products, strict=True)
    ]
    click.echo(table(rows, ["token", "id", "one-hot vector x", "U x"], "lr") + "\n")
    _show_matrix(name, U)
    click.echo(_verdict_on_columns(vectors, products))


def _first_rows(size: int, trained: LanguageModel | None) -> tuple[str, Array]:
    """A name and the first rows of the model's U, or of an example's."""
    import numpy as np

    from rnnlm.lab.one_hot import example_matrix

    if trained is None:
        U = example_matrix(size, np.random.default_rng(0))
        return f"random numbers, {len(U)} rows", U
    params = trained.network.params
    if trained.network.config.embedding_size:
        U = params["embedding.weight"].T
        name = "embedding.weight, transposed: the model's first product"
    else:
        U, name = params["rnn.weight_ih_l0"], "rnn.weight_ih_l0"
    return f"{name}, the first {min(3, len(U))} of {len(U):,} rows", U[:3]


def _abbreviated(one_hot: OneHot) -> str:
    if one_hot.size <= SHOWN_ENTRIES:
        return " ".join(map(str, one_hot.vector))
    before, after = one_hot.id, one_hot.size - one_hot.id - 1
    left = "0 … 0 " if before > 2 else "0 " * before
    right = " 0 … 0" if after > 2 else " 0" * after
    return f"{left}1{right} ({one_hot.size:,} entries, 1 at {one_hot.id})"


def _numbers(values: Array) -> str:
    return " ".join(f"{value:5.2f}" for value in values)


def _show_matrix(name: str, U: Array) -> None:
    click.echo(f"U ({name}, {U.shape[1]:,} columns):\n")
    if U.shape[1] > SHOWN_ENTRIES:
        click.echo("  too wide to be shown\n")
        return
    rows = [[f"{value:.2f}" for value in row] for row in U]
    click.echo(table(rows, [str(column) for column in range(U.shape[1])], "r" * U.shape[1]) + "\n")


def _verdict_on_columns(vectors: list[OneHot], products: list[Product]) -> str:
    first, product = vectors[0], products[0]
    equal = sum(each.equal for each in products)
    return (
        f"For {token_cell(first.token)} (id {first.id}) U x is {_numbers(product.product).strip()}, "
        f"and column {first.id} of U is {_numbers(product.column).strip()}.\n"
        f"{equal:,} of {_count(len(products), 'product')}, each multiplied out over all {first.size:,} entries of x, "
        "equal the column of U with the token's id:\nall other columns are multiplied by 0. So the program looks the "
        "column up and never makes the vector."
    )


# --- softmax --------------------------------------------------------------------------------------------------------


@lab.command(
    "softmax",
    short_help="How numbers become probabilities.",
    context_settings={"ignore_unknown_options": True},  # -1 is a number
)
@click.argument("numbers", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--temperature",
    type=Number(),
    default=1.0,
    show_default=True,
    help="Divides the numbers first; below 1 sharper, above 1 flatter.",
)
@json_option
def softmax_command(numbers: tuple[str, ...], temperature: float, as_json: bool) -> None:
    """Show the softmax of NUMBERS ("-": those on stdin), step by step.

    \b
    rnnlm lab softmax 1 2 3 4
    rnnlm lab softmax -1.5 0 2 --temperature 0.5
    """
    from rnnlm.lab.softmax import softmax

    if not 0 < temperature < math.inf:
        raise click.BadParameter(f"{temperature} is not a positive finite number.", param_hint="--temperature")
    inputs = [_number(word) for word in _words(numbers)]
    if not inputs:
        raise click.UsageError("There are no numbers on standard input.")
    steps = softmax(inputs, temperature)
    if as_json:
        print_json({"inputs": steps.inputs, "probabilities": steps.probabilities})
    else:
        _show_softmax(steps)


def _words(arguments: tuple[str, ...]) -> list[str]:
    return [
        word for argument in arguments for word in (read_text_argument("-").split() if argument == "-" else [argument])
    ]


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        if word.startswith("--"):
            raise click.NoSuchOption(word) from None
        raise click.BadParameter(f"{token_cell(word)!r} is not a number.", param_hint="NUMBERS") from None
    if not math.isfinite(value):
        raise click.BadParameter(f"{word!r} is not a finite number.", param_hint="NUMBERS")
    return value


def _show_softmax(steps: Softmax) -> None:
    T = "" if steps.temperature == 1 else f" / {steps.temperature:g}"
    power = f"e^(x{T})" if T else "e^x"
    shifted = f"e^((x - max){T})" if T else "e^(x - max)"
    columns = zip(steps.inputs, steps.exponentials, steps.shifted, steps.probabilities, strict=True)
    rows = [(f"{x:g}", _power(e), _power(s), f"{p:.6f}") for x, e, s, p in columns]
    rows.append(("sum", _power(steps.total), _power(steps.shifted_total), f"{math.fsum(steps.probabilities):.6f}"))
    click.echo(table(rows, ["x", power, shifted, "probability"], "rrrr") + "\n")
    inputs = ", ".join(f"{x:g}{T}" for x in steps.inputs)
    click.echo(f"softmax({inputs}) = {' '.join(f'{p:.2f}' for p in steps.probabilities)}\n")
    click.echo(
        f"probability = {power} / sum of all {power}: each is positive, and together they are sum / sum = 1.\n"
        "Subtracting the largest x first changes nothing, for the factor e^-max cancels; but then no power exceeds 1."
    )
    if steps.overflows:
        click.echo(f"Here it is needed: the sum of {power} is no number that a computer can divide by.")


def _power(value: float) -> str:
    return "too large" if math.isinf(value) else f"{value:.6g}"


# --- gradcheck ------------------------------------------------------------------------------------------------------


@lab.command(short_help="Whether back-propagation is right.", context_settings={"show_default": True})
@click.argument("text", required=False, type=Text())
@click.option("--cell", type=click.Choice(["rnn", "gru", "lstm"]), default="rnn", help="Recurrent cell.")
@click.option(
    "--activation",
    type=click.Choice(["tanh", "relu", "sigmoid", "identity"]),
    default="tanh",
    help="The function f of the basic cell (rnn); the other cells have their own.",
)
@click.option("--hidden-size", type=click.IntRange(2, 512), default=4, help="Entries of the state s, H.")
@click.option("--num-layers", type=click.IntRange(1, 16), default=1, help="Recurrent layers, L.")
@click.option("--embedding-size", type=click.IntRange(0, 512), default=0, help="Entries of an embedding; 0: one-hot.")
@click.option("--steps", type=click.IntRange(1, 1000), default=5, help="Time steps of random data, T.")
@click.option("--batch-size", type=click.IntRange(1, 100), default=2, help="Columns of random data, B.")
@click.option("--loss", type=click.Choice(["cross-entropy", "mse"]), default="cross-entropy", help="The loss E.")
@click.option("--entries", type=click.IntRange(0, 1000), default=3, help="Entries of each parameter to compare.")
@level_option
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the random weights, data and entries.")
@json_option
@click.pass_context
def gradcheck(
    ctx: click.Context,
    text: str | None,
    cell: str,
    activation: str,
    hidden_size: int,
    num_layers: int,
    embedding_size: int,
    steps: int,
    batch_size: int,
    loss: str,
    entries: int,
    level: str,
    seed: int,
    as_json: bool,
) -> None:
    """Compare the gradients of back-propagation with those of the definition, (E(w + d) - E(w - d)) / 2d.

    All of them are checked: U, W, V, the biases and the initial state, along a random direction and at random entries,
    in float64, with random weights. The data are the training pairs of TEXT ("-": stdin), else random. The exit code
    is 1 when a relative error exceeds 1e-6.
    """
    use_threads(1)
    import numpy as np

    from rnnlm.lab.gradients import gradient_check
    from rnnlm.nn.network import NetworkConfig

    if text is not None and (_given(ctx, "steps") or _given(ctx, "batch_size")):
        raise click.UsageError("--steps and --batch-size are for random data; TEXT has its own length.")
    if cell != "rnn" and _given(ctx, "activation"):
        note(f"--activation {activation} is not used: the cell {cell} has sigmoid and tanh built in.")
    rng = np.random.default_rng(seed)
    data, size = _random_data(steps, batch_size, rng) if text is None else _text_data(text, level)
    config = NetworkConfig(size, cell, activation, hidden_size, num_layers, embedding_size)
    _refuse_too_many_kinks(config, data.inputs.size)
    check = gradient_check(config, data, rng, loss, entries)
    if as_json:
        for gradient in check.gradients:
            print_json(dataclasses.asdict(gradient))
    else:
        click.echo(_gradient_table(check) + "\n")
    T, B = data.inputs.shape
    note(f"{_count(T, 'step')}, {_count(B, 'column')}, {size:,} tokens in the vocabulary; {_definition(check)}")
    click.echo(_verdict_on_gradients(check), err=as_json)
    ctx.exit(1 if check.wrong else 0)


def _refuse_too_many_kinks(config: NetworkConfig, inputs: int) -> None:
    from rnnlm.lab.gradients import RELU_ARGUMENTS, has_kinks

    arguments = inputs * config.hidden_size * config.num_layers
    if has_kinks(config) and arguments > RELU_ARGUMENTS:
        raise click.UsageError(
            f"relu would be applied {arguments:,} times (steps x columns x hidden size x layers). At most "
            f"{RELU_ARGUMENTS:,} will do, or too many are so close to 0 that the definition can not be computed there."
        )


RANDOM_VOCABULARY = 10


def _random_data(steps: int, batch_size: int, rng: np.random.Generator) -> tuple[Data, int]:
    from rnnlm.lab.gradients import random_data

    return random_data(RANDOM_VOCABULARY, steps, batch_size, rng), RANDOM_VOCABULARY


def _text_data(text: str, level: str) -> tuple[Data, int]:
    from rnnlm.lab.gradients import text_data
    from rnnlm.lab.sentences import flat, vocabulary_of

    lines = _sentences(read_text_argument(text), _tokenizer(level))
    vocabulary = vocabulary_of(flat(lines))
    return text_data(lines, vocabulary), len(vocabulary)


def _gradient_table(check: GradientCheck) -> str:
    rows = [
        (
            gradient.symbol,
            gradient.name,
            _place(gradient),
            f"{gradient.expected: .10f}",
            f"{gradient.actual: .10f}",
            f"{gradient.relative_error:.1e}" + ("" if gradient.passes else "  WRONG"),
        )
        for gradient in check.gradients
    ]
    return table(rows, ["", "parameter", "at", "expected", "actual", "relative error"], "lllrrl")


def _place(gradient: CheckedGradient) -> str:
    return "direction" if gradient.index is None else f"[{', '.join(map(str, gradient.index))}]"


def _definition(check: GradientCheck) -> str:
    return f"relative error = |expected - actual| / max(|expected| + |actual|, {check.floor:.1e})."


def _verdict_on_gradients(check: GradientCheck) -> str:
    worst = check.worst
    text = f"Worst relative error {worst.relative_error:.1e} ({worst.symbol}, {worst.name} {_place(worst)}): "
    if not check.wrong:
        return text + f"all {_count(len(check.gradients), 'gradient')} agree to 1e-6."
    symbols = ", ".join(dict.fromkeys(gradient.symbol for gradient in check.wrong))
    return text + f"{len(check.wrong)} of {_count(len(check.gradients), 'gradient')} are wrong, in {symbols}."
