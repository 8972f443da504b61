"""rnnlm eval: how well a model predicts a text."""

from pathlib import Path

import click

from rnnlm.cli.common import json_option, load_model, model_option, note, print_json, threads_option, use_threads


@click.command("eval")
@click.argument("file", nargs=-1, required=True)
@model_option
@click.option("--encoding", default=None, show_default="detected", help="Encoding of the text, such as gb18030.")
@threads_option
@json_option
def evaluate(file: tuple[str, ...], model_path: Path, encoding: str | None, threads: int | None, as_json: bool) -> None:
    """Measure the model on FILE: text files, folders, .gz, or "-" for stdin.

    \b
    nats per token    -ln p(text) / tokens; </s> is counted, <s> is not
    perplexity        exp(nats per token)
    bits per char     -log2 p(text) / characters, line ends included: the one figure that compares character and
                      word models, whatever their vocabularies
    """
    threads = use_threads(threads)
    from rnnlm.text.corpus import tokenize_corpus

    model = load_model(model_path)
    corpus = tokenize_corpus(list(file), model.tokenizer, lines=model.reads_lines, encoding=encoding)
    for message in corpus.notes:
        note(message)
    result = model.evaluate(corpus, threads)
    if as_json:
        print_json(
            {
                "tokens": result.tokens,
                "oov": result.oov,
                "characters": result.characters,
                "logprob_nats": result.logprob_nats,
                "nats_per_token": result.nats_per_token,
                "perplexity": result.perplexity,
                "perplexity_excluding_oov": result.perplexity_excluding_oov,
                "bits_per_char": result.bits_per_char,
            }
        )
        return
    unit = "with </s> at each line's end" if model.reads_lines else "line ends included"
    click.echo(f"tokens                    {result.tokens:,} ({unit}), {result.oov:,} of them unknown")
    click.echo(f"characters                {result.characters:,}")
    click.echo(f"nats per token            {result.nats_per_token:.4f}   (-ln p(text) / tokens)")
    click.echo(f"perplexity                {result.perplexity:.4g}   (exp of it; unknown words counted as <unk>)")
    click.echo(f"perplexity excluding OOV  {result.perplexity_excluding_oov:.4g}   (unknown words left out of the sum)")
    click.echo(f"bits per character        {result.bits_per_char:.4f}   (-log2 p(text) / characters)")
