"""Messages of `rnnlm train` before and after a training."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rnnlm.cli.languages import tr
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import DEFAULT_MODEL
from rnnlm.cli.tables import shortened
from rnnlm.inference.generation import SamplingOptions
from rnnlm.nn.kernels import compiled
from rnnlm.nn.optimizers import OPTIMIZERS
from rnnlm.text.running_text import Cohesion
from rnnlm.training.session import Session
from rnnlm.training.workers import Workers

WORTH_TELLING = 60.0  # seconds from which the expected time of a training is printed
LONGEST_SAMPLE = 2000  # characters; in a text without spaces a sampled "word" may be very long


def introduce(session: Session, threads: int, resumed: bool, workers: Workers, tell: Callable[[str], None]) -> None:
    """Print notes and a description of text, vocabulary, network and training."""
    model, dataset = session.model, session.dataset
    for message in session.notes:
        tell(message)
    held_out = "{valid} for validation" if session.valid_tokens else "none held out for validation"
    tell(
        tr(
            "Text        {characters} characters; {tokens} tokens for training, {held_out}",
            characters=f"{dataset.characters:,}",
            tokens=f"{len(dataset.train):,}",
            held_out=tr(held_out, valid=f"{session.valid_tokens:,}"),
        )
    )
    if dataset.cohesion is not None:
        tell(tr("Context     {context}", context=_context(dataset.cohesion)))
    if dataset.held_out:
        number, _, rest = dataset.held_out.partition(" ")  # such as "20 blocks spread over the text"
        how = tr(f"{{n}} {rest}", n=number) if number.isdecimal() else tr(dataset.held_out)
        tell(tr("Held out    {what}", what=how))
    size, coverage = f"{len(model.vocabulary):,}", f"{100 * dataset.coverage:.2f}"
    tell(
        tr(
            "Vocabulary  {size} {tokens}, covering {coverage} % of the training text",
            size=size,
            tokens=tr(f"{model.level}s"),
            coverage=coverage,
        )
    )
    tell(_network(session))
    tell(_training(session, threads, workers))
    if resumed:
        progress = session.trainer.progress
        finished = "finished; to go on, give more --epochs or a longer --time"
        where = tr(finished) if session.trainer.done() else tr("epoch {n}", n=progress.epoch + 1)
        tell(tr("Resumed     at step {step}, {where}", step=f"{progress.step:,}", where=where))


def _network(session: Session) -> str:
    """Return the line that describes the network."""
    options, network = session.recipe, session.model.network
    embedding = tr("embedding {size}" if options.embedding_size else "one-hot input", size=options.embedding_size)
    cell = options.cell.upper() + (f" ({options.activation})" if options.cell == "rnn" else "")
    cutoffs = ", ".join(f"{cutoff:,}" for cutoff in network.config.cutoffs)
    layer = ", adaptive softmax cut at {cutoffs}" if cutoffs else ", tied output" if options.tied else ""
    return tr(
        "Network     {network}{coupled}, {embedding}{output}, dropout {dropout}{more}; {parameters} parameters",
        network=f"{cell} {options.num_layers} x {options.hidden_size}",
        coupled=tr(" with coupled gates") if options.coupled_gates else "",
        embedding=embedding,
        output=tr(layer, cutoffs=cutoffs),
        dropout=f"{options.dropout:g}",
        more=_regularisers(session),
        parameters=f"{network.parameter_count:,}",
    )


def _training(session: Session, threads: int, workers: Workers) -> str:
    """Return the line that describes the training."""
    options = session.recipe
    return tr(
        "Training    {span}{networks}, batches of {columns} x {steps}{shifted}, {optimizer} {lr} {schedule}{more}; "
        "{threads}, {kernels}",
        span=f"{options.time:g} s" if options.time else tr("{n} epochs", n=f"{options.epochs:g}"),
        networks=tr(", {n} networks to be averaged", n=options.networks) if options.networks > 1 else "",
        columns=options.batch_size,
        steps=options.bptt,
        shifted=tr(" shifted") if options.shift else "",
        optimizer=options.optimizer,
        lr=f"{options.lr:g}",
        schedule=options.schedule,
        more=_smoothing(session),
        threads=_threads(threads, workers),
        kernels=_kernels(session),
    )


def _threads(threads: int, workers: Workers) -> str:
    counted = tr("1 thread" if threads == 1 else "{n} threads", n=threads)
    return counted + (tr(" of each of {n} workers", n=workers.size) if workers.size > 1 else "")


def about(seconds: float) -> str:
    """Return the expected time of a training, with a --time for a shorter one.

    >>> print(about(1570), about(8000), sep="\\n")
    about 26 minutes; --time 5m for less
    about 2.2 hours; --time 5m for less
    """
    minutes = round(seconds / 60)
    less = "5m" if minutes >= 10 else "1m" if minutes >= 3 else "30s"
    if minutes >= 100:
        return tr("about {hours} hours; --time {less} for less", hours=f"{seconds / 3600:.1f}", less=less)
    if minutes <= 1:
        return tr("about a minute; --time {less} for less", less=less)
    return tr("about {minutes} minutes; --time {less} for less", minutes=minutes, less=less)


def _context(before: Cohesion) -> str:
    """Return the description of the context, sentence or stream, and why it was chosen."""
    if before.tells:
        nats = f"{before.nats_per_token:.3f}"
        return tr("stream: as one text; lines help to predict the next ones ({nats} nats a token)", nats=nats)
    return tr("sentence: each line alone; lines do not help to predict the next")


def _kernels(session: Session) -> str:
    """Return what computes: PyTorch on a device, compiled kernels or NumPy kernels."""
    if device := getattr(session.trainer.engine, "device", None):
        return tr("PyTorch on {device}", device=device)
    return tr("compiled kernels" if compiled() else "NumPy kernels")


def _regularisers(session: Session) -> str:
    """Describe the kinds of dropout beside `dropout` that were asked for."""
    options = session.recipe
    rates = {
        ", of the input {rate}": options.input_dropout,
        ", of weights {rate}": options.weight_dropout,
        ", of tokens {rate}": options.embedding_dropout,
    }
    locked = options.locked_dropout and (options.dropout or options.input_dropout)
    parts = [tr(text, rate=f"{rate:g}") for text, rate in rates.items() if rate]
    return "".join([tr(" locked") if locked else "", *parts])


def _smoothing(session: Session) -> str:
    """Describe weight decay, weight averaging and label smoothing, where they differ from the default."""
    options = session.recipe
    usual = OPTIMIZERS[options.optimizer].weight_decay
    values = {
        ", weight decay {value}": options.weight_decay if options.weight_decay != usual else None,
        ", averaged by {value}": options.average_weights or None,
        ", labels smoothed by {value}": options.label_smoothing or None,
    }
    return "".join(tr(text, value=f"{value:g}") for text, value in values.items() if value is not None)


def conclude(session: Session, output: Path) -> None:
    """Print the best loss, a comparison with n-grams, a sample of the model, and the command to try."""
    progress, model, two_sided = session.trainer.progress, session.model, session.recipe.bidirectional
    best, name = progress.best_nats_per_token, "" if str(output) == DEFAULT_MODEL else f" -m {output}"
    if best is not None:
        kind = "valid" if session.valid_tokens else "train"
        measure = "pseudo-perplexity" if two_sided else "perplexity"
        note(
            tr(
                f"Best {kind} loss {{loss}} nats per token ({measure} {{perplexity}}) at step {{step}}",
                loss=f"{best:.4f}",
                perplexity=_perplexity(best),
                step=f"{progress.best_step:,}",
            )
        )
        if session.valid_tokens and not two_sided:
            note(tr("In bits: {bits}.", bits=in_bits(best, session)))
    if (averaged := model.training.get("averaged", 1)) > 1:
        units = f"{model.network.config.hidden_size:,}"
        note(tr("The model is the average of {n} networks, stored as one of {units} units.", n=averaged, units=units))
    if best is not None and (baselines := model.training.get("baselines")):
        together = model.training.get("mixture", {}).get("nats_per_token")
        for line in comparison(best, together, baselines, model.level, len(session.dataset.train)):
            note(line)
    if not two_sided:
        note(tr("A sample: {sample}", sample=_sample(session)))
    command = f"rnnlm {'fill' if two_sided else 'predict'}{name} TEXT"
    note(tr("Saved {file}. Try: {command}", file=output, command=command))


def in_bits(nats_per_token: float, session: Session) -> str:
    """Convert a loss to bits per token, character and byte, by the text's numbers of these per token."""
    corpora = session.dataset.corpora
    # The text of --valid, else the whole text that the held-out part belongs to.
    text, tokens = corpora[-1], len(corpora[-1].ids)
    bits = nats_per_token / math.log(2)
    # Tokens that are characters, and characters that are bytes, as in ASCII, are said once.
    names = {tokens: "token"} | {text.characters: "character"}
    names.setdefault(text.text_bytes, "byte")
    each = [tr(f"{{bits}} per {name}", bits=f"{bits * tokens / size:.4g}") for size, name in names.items() if size]
    found = tr(", ").join(each)
    return found if len(corpora) > 1 or session.model.level == "char" else tr("about {bits}", bits=found)


def _sample(session: Session) -> str:
    options, rng = SamplingOptions(length=60, temperature=0.8), np.random.default_rng(session.recipe.seed)
    ids = [step[0] for step in session.model.sample("", options, rng)]
    return shortened(session.model.render([i for i in ids if i is not None]).strip(), LONGEST_SAMPLE)


def comparison(best: float, together: float | None, found: dict[str, Any], level: str, train_tokens: int) -> list[str]:
    """Return lines that compare a network with the figures of `measured_baselines`.

    best: nats per token of the network. together: nats per token of network and n-gram mixed, if both are kept.
    """
    ngram, order = found["ngram_nats_per_token"], found["order"]
    unit = tr("character" if level == "char" else level)
    frequencies = found["unigram_nats_per_token"]
    shown = [_perplexity(nats) for nats in (best, ngram, frequencies)]
    perplexities = "Held-out perplexity: network {network}, {order}-gram {ngram}, {unit} frequencies {frequencies}."
    lines = [tr(perplexities, network=shown[0], order=order, ngram=shown[1], unit=unit, frequencies=shown[2])]
    if found["tokens"] < train_tokens:
        counted = "The {order}-gram has counted {counted} of the {tokens} tokens."
        lines.append(tr(counted, order=order, counted=f"{found['tokens']:,}", tokens=f"{train_tokens:,}"))
    if together is not None:
        both = "Both together: {perplexity}. The model holds both; --ngram 0 leaves the {order}-gram out."
        lines.append(tr(both, perplexity=_perplexity(together), order=order))
    elif ngram < best:
        better = "The {order}-gram of the same text is better. Train longer, or leave --ngram 0 out."
        lines.append(tr(better, order=order))
    return lines


def _perplexity(nats: float) -> str:
    return f"{math.exp(min(nats, 700)):.4g}"
