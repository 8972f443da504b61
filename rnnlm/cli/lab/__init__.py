"""rnnlm lab: the article's steps on the user's own text, with real numbers; one module for each command."""

import click

from rnnlm.cli.groups import SuggestingGroup
from rnnlm.cli.lab import bptt, explode, gradcheck, gradflow, loss, memory, onehot, pairs, softmax, unroll
from rnnlm.cli.languages import language_option
from rnnlm.cli.shared_options import product_threads_option


@click.group(cls=SuggestingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """Explain a recurrent language model step by step, with numbers.

    \b
    rnnlm lab pairs "我 昨天 上学 迟到 了"
    rnnlm lab onehot "我 昨天 上学 迟到 了"
    rnnlm lab softmax 1 2 3 4
    rnnlm lab loss 1 2 3 4 --label 1
    rnnlm lab gradcheck --cell lstm
    rnnlm lab unroll "我 昨天 上学 迟到 了" --bidirectional
    rnnlm lab bptt "我 昨天 上学 迟到 了"
    rnnlm lab explode
    rnnlm lab gradflow "我 昨天 上学 迟到 了"
    rnnlm lab gradflow text.txt --compare cells --plot cells.png
    rnnlm lab memory --plot memory.png
    """


for command in (
    pairs.pairs,
    onehot.onehot,
    softmax.softmax_command,
    loss.loss,
    gradcheck.gradcheck,
    gradflow.gradflow,
    explode.explode,
    bptt.bptt,
    unroll.unroll,
    memory.memory,
):
    lab.add_command(product_threads_option(language_option(command)))
