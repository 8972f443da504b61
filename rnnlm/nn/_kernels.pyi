# The compiled twins of functions in these modules, whose docstrings describe the arguments.
from typing import Any

from rnnlm.baselines.levels import places_of as places_of
from rnnlm.nn.gradients import add_rows as add_rows
from rnnlm.nn.numerics import Array
from rnnlm.nn.numerics import log_softmax as log_softmax
from rnnlm.nn.numerics import shifted_log_softmax as shifted_log_softmax
from rnnlm.nn.numerics import softmax_error as softmax_error
from rnnlm.nn.optimizers import adam_update as adam_update
from rnnlm.nn.optimizers import momentum_update as momentum_update
from rnnlm.nn.optimizers import sgd_update as sgd_update

def choose(target: str) -> bool:
    """Select the target for all functions; return False if it is unknown or not supported by this processor."""

# Loops over all steps of a window: see `run` and `run_back` in nn/cells/loop.py, and the step functions of each cell.
def rnn_steps(weight: Array, gates: Array, keep: Array | None, bias: Array, h: Array, activation: str) -> None: ...
def lstm_steps(
    weight: Array, gates: Array, keep: Array | None, bias: Array, h: Array, c: Array, tanh_c: Array
) -> None: ...
def cifg_steps(
    weight: Array, gates: Array, keep: Array | None, bias: Array, h: Array, c: Array, tanh_c: Array
) -> None: ...
def gru_steps(weight: Array, gates: Array, keep: Array | None, bias: Array, h: Array, memory: Array) -> None: ...
def rnn_steps_backward(weight: Array, dh: Array, carried: Array, *arguments: Any) -> None: ...
def lstm_steps_backward(weight: Array, dh: Array, carried: Array, *arguments: Any) -> None: ...
def cifg_steps_backward(weight: Array, dh: Array, carried: Array, *arguments: Any) -> None: ...
def gru_steps_backward(weight: Array, dh: Array, carried: Array, *arguments: Any) -> None: ...
