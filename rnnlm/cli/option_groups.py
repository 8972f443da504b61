"""Help of a command with many options, in groups; the most important options come first."""

from collections.abc import Mapping, Sequence

import click

from rnnlm.cli.languages import TranslatedCommand
from rnnlm.training.options import DECLARATIONS

FIRST = "Options that matter most"
TEXT, TRAINING, LAST = "Text", "Training", "Output"
GROUPS: Mapping[str, Sequence[str]] = {
    FIRST: (
        *("output", "level", "epochs", "time", "preset"),
        *("hidden_size", "dropout", "valid", "resume", "init_from"),
    ),
    TEXT: (
        *("context", "segmenter", "hmm", "user_dict", "min_count", "vocab_size", "encoding", "column"),
        *("valid_fraction", "changed_text", "init_vocabulary"),
    ),
    "Network": (
        *("cell", "coupled_gates", "activation", "num_layers", "embedding_size", "bidirectional", "softmax", "tied"),
        *("ngram", "networks", "init", "long_memory"),
    ),
    TRAINING: (
        *("batch_size", "bptt", "optimizer", "lr", "schedule", "warm_up", "clip", "loss", "patience"),
        *("shift", "line_resets", "seed", "config", "threads", "engine", "device", "precision", "compiled"),
    ),
    "Regularisation": (
        *("input_dropout", "shared_input_dropout", "locked_dropout", "weight_dropout", "embedding_dropout"),
        *("weight_decay", "label_smoothing", "average_weights"),
    ),
    LAST: ("history", "tensorboard", "force"),
}
GROUP_OF = {name: title for title, names in GROUPS.items() for name in names}


def group_of(name: str) -> str:
    """Return the group of an option; one that is in no list belongs to TEXT or, if not about reading text, TRAINING."""
    is_text = name in DECLARATIONS and DECLARATIONS[name].is_text
    return GROUP_OF.get(name, TEXT if is_text else TRAINING)


class GroupedCommand(TranslatedCommand):
    """A command whose help lists its options in the groups of `GROUPS`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group with its options in the order of its list."""
        for title, names in GROUPS.items():
            found = [
                each for each in self.params if isinstance(each, click.Option) and group_of(str(each.name)) == title
            ]
            found.sort(key=lambda each: names.index(each.name) if each.name in names else len(names))
            if title == LAST and (shows_help := self.get_help_option(ctx)):
                found.append(shows_help)
            with formatter.section(title):
                formatter.write_dl([row for each in found if (row := each.get_help_record(ctx)) is not None])
