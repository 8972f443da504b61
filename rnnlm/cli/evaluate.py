"""rnnlm eval: measure how well a model predicts a text."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rnnlm.blas import use_threads
from rnnlm.cli.engines import engine_options
from rnnlm.cli.languages import TranslatedCommand, language_option, tr, translated
from rnnlm.cli.loading import check_cache, load_model
from rnnlm.cli.ngram_orders import LARGEST_ORDER, possible_contexts
from rnnlm.cli.printing import note, print_json, say, show_table
from rnnlm.cli.shared_options import (
    Function,
    NumberRange,
    cache_options,
    json_option,
    mix_option,
    model_option,
    threads_option,
    together,
    with_details,
)
from rnnlm.cli.text_file import TextFile
from rnnlm.training.machine import TORCH, EngineChoice

if TYPE_CHECKING:
    from rnnlm.comparison import CacheOptions, Comparison, Row
    from rnnlm.inference.dynamic import Learning
    from rnnlm.language_model import LanguageModel
    from rnnlm.results import Evaluation


def dynamic_options(function: Function) -> Function:
    """Add --dynamic and its options; the command's `dynamic` is a tuple (True, rule, rate, window), or None."""
    return together(
        click.option(
            "--dynamic",
            is_flag=True,
            callback=with_details("dynamic_rule", "dynamic_lr", "dynamic_window"),
            help="Also measure a copy of the network that keeps learning as it reads.",
        ),
        click.option(
            "--dynamic-rule",
            type=click.Choice(["rms", "sgd"]),
            default=None,
            show_default="rms; sgd if only --dynamic-lr is given",
            is_eager=True,
            help="Update rule. rms: gradients divided by their root mean square, with decay to the trained weights.",
        ),
        click.option(
            "--dynamic-lr",
            type=NumberRange(0, min_open=True),
            default=None,
            show_default="rms: 0.003, sgd: 0.5",
            is_eager=True,
            help="Learning rate of --dynamic.",
        ),
        click.option(
            "--dynamic-window",
            type=click.IntRange(1),
            default=20,
            show_default=True,
            is_eager=True,
            help="Tokens that --dynamic reads between two updates.",
        ),
    )(function)


@click.command("eval", cls=TranslatedCommand)
@click.argument("file", nargs=-1, required=True, type=TextFile())
@model_option
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the texts, such as gb18030.")
@click.option("--column", default=None, help="Column of CSV, TSV and JSONL texts to read, by name or number.")
@mix_option(needs_weights=False)
@click.option(
    "--tune",
    type=TextFile(),
    multiple=True,
    metavar="HELD_OUT",
    help="Find the weights of --mix and --cache on this text.",
)
@click.option(
    "--baseline",
    default=None,
    metavar="N|FILE",
    help="Compare with n-gram models of orders 1 to N, trained on --baseline-corpus, or with the model in a file.",
)
@click.option(
    "--baseline-corpus",
    type=TextFile(),
    multiple=True,
    metavar="TRAIN",
    help="The text that the model was trained on.",
)
@cache_options
@dynamic_options
@threads_option
@engine_options
@json_option
@language_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    file: tuple[str, ...],
    model_path: Path,
    encoding: str | None,
    column: str | None,
    mix: list[tuple[str, float | None]],
    tune: tuple[str, ...],
    baseline: str | None,
    baseline_corpus: tuple[str, ...],
    cache: tuple[int, float | None, float] | None,
    dynamic: tuple[bool, str | None, float | None, int] | None,
    threads: int | None,
    engine: EngineChoice,
    as_json: bool,
) -> None:
    """Measure the model on FILE: text files, folders, .gz, or "-" for stdin.

    \b
    nats per token    -ln p(text) / tokens; </s> is counted, <s> is not
    perplexity        exp(nats per token)
    bits per char     -log2 p(text) / characters, line ends included: compares
                      models of characters, pieces and words, whatever their
                      vocabularies; so does bits per byte, of UTF-8

    \b
    # beside 1-, 2- and 3-grams of the same text
    rnnlm eval test.txt --baseline 3 --baseline-corpus train.txt
    # weight 0.7 for the model, 0.3 for another
    rnnlm eval test.txt --mix ngram.npz:0.3
    # the best weights for valid.txt, on test.txt
    rnnlm eval test.txt --mix ngram.npz --tune valid.txt
    """
    order = _check_usage(ctx, mix, tune, baseline, baseline_corpus, bool(cache), bool(dynamic))
    threads = use_threads(threads)
    from rnnlm.comparison import Asked, compare

    model = load_model(model_path)
    if cache:
        check_cache(model, model_path)
    if engine.name == TORCH:
        if mix or cache or dynamic:
            raise click.UsageError("--engine torch measures a model as it is; leave out --mix, --cache and --dynamic.")
        engine.require()
        threads = _on_torch(model, engine, threads)
    learning, remembering = dynamic and _learning(*dynamic[1:]), cache and _remembering(*cache, tune)
    asked = Asked(mix, tune, order, None if order else baseline, baseline_corpus, learning, remembering)
    found = compare(model, str(model_path), file, encoding, asked, threads, column)
    for message in found.notes:
        note(message)
    if as_json:
        print_json(found.to_json())
        return
    _show_who_knows(found)
    _show(found.measured.evaluation, model)
    if found.groups:
        _show_rows(found, asked.tune)


def _learning(rule: str | None, lr: float | None, window: int) -> "Learning":
    """Return the update rule; a rate without a rule means SGD, which was the only rule until version 0.4.0."""
    from rnnlm.inference.dynamic import RATES, Learning

    rule = rule or ("rms" if lr is None else "sgd")
    return Learning(rule, RATES[rule] if lr is None else lr, window)


def _remembering(tokens: int, weight: float | None, theta: float, tune: tuple[str, ...]) -> "CacheOptions":
    """Return the options of the cache, without a weight if --tune is to find it."""
    from rnnlm.comparison import CacheOptions

    return CacheOptions(tokens, None if tune else weight, theta)


def _on_torch(model: "LanguageModel", engine: EngineChoice, threads: int) -> int:
    """Replace the model's predictor by one in PyTorch, which has its own threads; return the threads left for NumPy."""
    model.require_causal()  # refuses a bidirectional model
    from rnnlm.network_with_ngram import NetworkWithNgram
    from rnnlm.training.torch_engine import TorchModel

    network: Any = TorchModel(model.network, engine.torch_settings(threads))
    if isinstance(model.predictor, NetworkWithNgram):
        network = NetworkWithNgram(network, model.ngram, model.predictor.weights)
    model.predictor = network
    return 1


def _check_usage(
    ctx: click.Context,
    mix: list[tuple[str, float | None]],
    tune: tuple[str, ...],
    baseline: str | None,
    baseline_corpus: tuple[str, ...],
    has_cache: bool,
    dynamic: bool,
) -> int:
    """Check the combination of options, and return the largest order of the baselines to train; 0 for none."""
    missing = [path for path, weight in mix if weight is None]
    if tune and (len(missing) < len(mix) or not (mix or has_cache)):
        raise click.UsageError(
            "--tune finds the weights of --cache and of --mix FILE without a weight; give at least one of them."
        )
    if tune and ctx.get_parameter_source("cache_weight") == ParameterSource.COMMANDLINE:
        raise click.UsageError("--tune finds the weight of the cache; leave out --cache-weight.")
    if missing and not tune:
        raise click.UsageError(f"--mix {missing[0]} has no weight; write {missing[0]}:0.3, or let --tune find it.")
    if mix and dynamic:
        raise click.UsageError("--dynamic measures a network alone; leave out --mix.")
    order = int(baseline) if baseline is not None and baseline.isdecimal() and len(baseline) < 10 else 0
    if baseline != str(order):
        if baseline_corpus:
            raise click.UsageError("--baseline-corpus is for --baseline N, n-gram models to be trained on it.")
    else:
        if not 1 <= order <= LARGEST_ORDER:
            raise click.UsageError(f"--baseline {baseline}: n-gram models have the orders 1 to {LARGEST_ORDER}.")
        if not baseline_corpus:
            raise click.UsageError(
                f"--baseline {baseline} is trained on the spot: name the text that the model was trained on with "
                "--baseline-corpus TRAIN, or give the file of a model that `rnnlm ngram train` made."
            )
    return order


def _show_who_knows(found: "Comparison") -> None:
    """Tell which models are measured on the text that they were trained on."""
    parts = {"with a neural cache", "dynamic evaluation", *(row.name for row in found.groups.get("parts", []))}
    names = [row.name for row in found.rows[1:] if row.knows_text and row.name not in parts]
    if found.measured.knows_text and "mixture" not in found.groups:
        click.echo(tr("The model was trained on this text; a new text would be predicted less well."))
    if names:
        known = "{models} were trained on this text." if len(names) > 1 else "{models} was trained on this text."
        click.echo(tr(known, models=tr(" and ").join(names)))


def _show(result: "Evaluation", model: "LanguageModel") -> None:
    unit = tr("with </s> at each line's end" if model.reads_lines else "line ends included")
    tokens, oov = f"{result.tokens:,}", f"{result.oov:,}"
    say(tr("tokens                    {tokens} ({unit}), {oov} of them unknown", tokens=tokens, unit=unit, oov=oov))
    characters, size = f"{result.characters:,}", f"{result.text_bytes:,}"
    say(tr("characters                {characters}, of {bytes} bytes in UTF-8", characters=characters, bytes=size))
    figures = {
        "nats per token            {figure}   (-ln p(text) / tokens)": f"{result.nats_per_token:.4f}",
        "perplexity                {figure}   (exp(nats per token); OOV counted as <unk>)": f"{result.perplexity:.4g}",
        "perplexity excluding OOV  {figure}   (unknown words left out of the sum)": (
            f"{result.perplexity_excluding_oov:.4g}"
        ),
        "bits per character        {figure}   (-log2 p(text) / characters)": f"{result.bits_per_char:.4f}",
        "bits per byte             {figure}   (-log2 p(text) / bytes)": f"{result.bits_per_byte:.4f}",
    }
    for line, figure in figures.items():
        say(tr(line, figure=figure))


def _show_rows(found: "Comparison", tuned_on: Sequence[str]) -> None:
    """Print a table of all measured models, and explain its columns."""
    columns = {
        "model": lambda row: translated(row.name),
        "perplexity": lambda row: f"{row.evaluation.perplexity:.4g}",
        "bits per char": lambda row: f"{row.evaluation.bits_per_char:.4f}",
        "weight": lambda row: f"{row.facts['weight']:.4f}" if "weight" in row.facts else "",
        "size": lambda row: _megabytes(row.bytes),
        "contexts": _contexts,
    }
    cells = {title: [cell(row) for row in found.rows] for title, cell in columns.items()}
    shown = {title: column for title, column in cells.items() if any(column)}
    click.echo()
    show_table(zip(*shown.values(), strict=True), [tr(title) for title in shown], "l" + "r" * len(shown))
    click.echo()
    if "parts" in found.groups:
        say(tr("the model is both together: sum of weight x probability, weights found when it was trained"))
    if "mixture" in found.groups:
        source = tr("found by EM on {texts}" if tuned_on else "as given", texts=" ".join(tuned_on))
        say(tr("mixture: sum of weight x probability, weights {source}", source=source))
    if "cache" in found.groups:
        facts = found.groups["cache"][0].facts
        say(
            tr(
                "with a neural cache: part of the probability goes to the last {tokens} tokens except <unk>, more of "
                "it to those in contexts similar to the present one (theta {theta})",
                tokens=f"{facts['remembered']:,}",
                theta=f"{facts['theta']:g}",
            )
        )
    if "dynamic" in found.groups:
        facts = found.groups["dynamic"][0].facts
        say(
            tr(
                "dynamic evaluation: the model with a copy of its network that learns from every {window} tokens "
                "after it was measured on them (rule {rule}, lr {lr}); not comparable with one that only reads",
                window=f"{facts['window']:,}",
                rule=facts["rule"],
                lr=f"{facts['lr']:g}",
            )
        )
    if "contexts" in shown:
        say(tr("contexts: distinct contexts of n - 1 words that the n-gram model stores / that are possible"))
    if "size" in shown:
        say(tr("size: of the arrays that a prediction needs; a file for --resume holds more"))


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.2f} MB"


def _contexts(row: "Row") -> str:
    """Return the numbers of stored and of possible contexts of the highest order, as a cell."""
    if "contexts" not in row.facts:
        return ""
    return f"{row.facts['contexts'][-1]:,} / {possible_contexts(row.facts['vocabulary'], row.facts['order'])}"
