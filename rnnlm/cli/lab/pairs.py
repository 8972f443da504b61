"""rnnlm lab pairs: show the training pairs of a text."""

import click

from rnnlm.cli.lab.presentation import present, show_titled
from rnnlm.cli.lab.subjects import level_option, sentences_of, text_argument, tokenizer_of
from rnnlm.cli.languages import TranslatedCommand, counted, tr
from rnnlm.cli.printing import note
from rnnlm.cli.shared_options import json_option
from rnnlm.cli.tables import token_cell
from rnnlm.cli.text_argument import read_text_argument


@click.command(cls=TranslatedCommand, short_help="Show what is learnt from a sentence: inputs and labels.")
@text_argument
@level_option
@json_option
def pairs(text: str, level: str, as_json: bool) -> None:
    """Show the training pairs of TEXT ("-": stdin): after every token, the network should predict the next one.

    Every line is a sentence of its own between <s> and </s>.
    """
    from rnnlm.lab.training_pairs import training_pairs

    lines = sentences_of(read_text_argument(text), tokenizer_of(level))
    found = [pair for tokens in lines for pair in training_pairs(tokens)]

    def show() -> None:
        rows = [(number, token_cell(read), "->", token_cell(label)) for number, (read, label) in enumerate(found, 1)]
        show_titled(rows, ["", "input", "", "label"], "r")
        tokens = counted(sum(map(len, lines)), "token")
        sentences, n = counted(len(lines), "sentence"), counted(len(found), "pair")
        note(tr("{tokens} in {sentences}: {pairs}.", tokens=tokens, sentences=sentences, pairs=n))

    present((pair._asdict() for pair in found), show)
