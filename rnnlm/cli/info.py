"""rnnlm info: show what is in a checkpoint."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnlm.cli.languages import tr, translated
from rnnlm.cli.loading import load_model
from rnnlm.cli.printing import print_json, say
from rnnlm.cli.shared_options import json_option, model_option
from rnnlm.cli.tables import shortened, visible
from rnnlm.cli.wrapping import filled

LONGEST_SENTENCE = 2000  # characters; in a text without spaces a sampled "word" may be very long
LABEL_WIDTH = 24  # columns

if TYPE_CHECKING:
    from rnnlm.language_model import LanguageModel


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@model_option
@json_option
def info(checkpoint: Path | None, model_path: Path, as_json: bool) -> None:
    """Describe a checkpoint or an ARPA file, then list its contents: tokenizer, vocabulary, network, training."""
    from rnnlm.foreign import is_arpa
    from rnnlm.storage.checkpoint import section

    path = checkpoint or model_path
    model = load_model(path)
    facts: dict[str, Any] = {
        "format": "ARPA" if is_arpa(path) else "rnnlm 1",
        "kind": model.kind,
        "bytes": path.stat().st_size,
        "level": model.level,
        "context": model.context,
        "tokenizer": {key: each for key, each in model.tokenizer.options().items() if key != "file"},
        "vocabulary": len(model.vocabulary),
        **(_ngram_facts(model) if model.kind == "ngram" else _network_facts(model)),
    }
    if as_json:
        print_json(facts)
        return
    _introduce(model, path)
    training = facts.pop("training")
    options = section(training, "options")
    del training["options"]
    if imported := training.get("imported"):
        training = {
            "training": tr("none: imported ({imported})", imported=imported)
            + (tr(". Start one from this with --init-from; --resume cannot go on") if model.kind == "rnn" else "")
        }
    for key, value in [*facts.items(), *training.items(), *((f"  {k}", v) for k, v in options.items())]:
        say(f"{filled(tr(key), LABEL_WIDTH)}{_shown(value)}")
    first = tr("most frequent" if any(model.vocabulary.counts) else "first words")
    tokens = " ".join(shortened(repr(token)) for token in model.vocabulary.tokens[:10])
    say(f"{filled(first, LABEL_WIDTH)}{tokens}")


def _introduce(model: "LanguageModel", path: Path) -> None:
    """Print the description of the model in sentences."""
    from rnnlm.description import description

    *said, last = description(model)
    written = datetime.fromtimestamp(path.stat().st_mtime)
    when = tr("The file was written on {date} at {time}.", date=f"{written:%Y-%m-%d}", time=f"{written:%H:%M}")
    for sentence in [*map(translated, said), when, translated(last)]:
        say(shortened(visible(sentence), LONGEST_SENTENCE))
    click.echo()


def _network_facts(model: "LanguageModel") -> dict[str, Any]:
    from rnnlm.storage.checkpoint import section

    config, training = model.network.config, model.training
    state, mixture = section(training, "state", "progress"), section(training, "mixture")
    return {
        "cell": config.cell,
        "activation": config.activation,
        "bidirectional": config.bidirectional,
        "hidden_size": config.hidden_size,
        "num_layers": config.num_layers,
        "embedding_size": config.embedding_size,
        "softmax": "adaptive" if config.output == "adaptive" else "full",
        "cutoffs": list(config.cutoffs),
        "tied": config.tied,
        "parameters": model.network.parameter_count,
        **({"averaged_networks": averaged} if (averaged := training.get("averaged", 1)) != 1 else {}),
        **_mixed_facts(model),
        "training": {
            "steps": state.get("step"),
            "epochs_done": state.get("epoch"),
            "finished": state.get("finished"),
            "best_nats_per_token": training.get("best_nats_per_token"),
            **({"mixed_nats_per_token": mixture["nats_per_token"]} if mixture else {}),
            "options": training.get("options"),
            **_imported(model),
        },
    }


def _mixed_facts(model: "LanguageModel") -> dict[str, Any]:
    """Return order, n-gram counts and weights of an n-gram model that is mixed with the network, if there is one."""
    from rnnlm.network_with_ngram import NetworkWithNgram

    if not isinstance(model.predictor, NetworkWithNgram):
        return {}
    ngram, weights = model.predictor.ngram, model.predictor.weights
    return {"mixed_ngram": {"order": ngram.order, "ngrams": ngram.ngram_counts(), "weights": weights}}


def _ngram_facts(model: "LanguageModel") -> dict[str, Any]:
    from rnnlm.storage.checkpoint import section

    corpus = section(model.training, "corpus")
    return {
        "cell": None,
        "order": model.ngram.order,
        "ngrams": model.ngram.ngram_counts(),
        "contexts": model.ngram.context_counts(),
        "parameters": sum(array.size for array in model.ngram.arrays().values()),
        "training": {
            "tokens": corpus.get("train_tokens"),
            "options": model.training.get("options"),
            **_imported(model),
        },
    }


def _imported(model: "LanguageModel") -> dict[str, Any]:
    return {key: model.training[key] for key in ("imported",) if key in model.training}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{tr(key)} {_shown(each)}" for key, each in value.items()) or "-"
    if isinstance(value, bool) or value is None:
        return "-" if value is None else tr("yes" if value else "no")
    if isinstance(value, list):
        numbers = all(type(each) in (int, float) for each in value)
        if not value:
            return "-"
        return " ".join(map(_shown, value)) if numbers else tr("{n} entries", n=len(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
