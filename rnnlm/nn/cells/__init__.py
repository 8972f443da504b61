"""Recurrent cells, one file each: formulas, step functions, forward and backward pass, and a description.

The basic network is that of hanbt (hanbingtao), "零基础入门深度学习(5) - 循环神经网络" (Deep learning from zero, 5:
recurrent neural networks), https://zybuluo.com/hanbingtao/note/541458:

    s_t = f(U x_t + W s_{t-1})        o_t = g(V s_t)

    the article           here
    x_t                   ids (T, B), which stand for one-hot vectors, or rows of `embedding.weight` (V, D)
    s_t, the state        h, (T, B, H); likewise s'_t of the backward network, with parameters named `..._reverse`
    o_t, the output       probabilities (T, B, V)
    U                     `rnn.weight_ih_l0` (GH, D): the slabs of the G gates, stacked
    W                     `rnn.weight_hh_l0` (GH, H)
    V                     `output.weight` (V, H); [V V'] (V, 2H) in a bidirectional network
    f, g                  `--activation`; softmax
    net_t                 the argument of f, a_t in the formulas
    delta_t = dE/dnet_t   delta, (T, B, GH)
    E_t                   -log p of the token at t, in nats

Error terms are propagated back in time by delta_{t-1} = (W^T delta_t) * f'(a_{t-1}), and dE/dW = sum of
delta_t s_{t-1}^T. Names and shapes of parameters are PyTorch's, which has two biases: b = b_ih + b_hh.

Work that does not depend on the previous step is done in `nn.layers.recurrent`, for all cells: the products U x_t
before the loop, the weight gradients after it. A forward function receives

    gates             (T, B, GH)  U x_t, overwritten
    weight            (GH, H)     weight_hh; None for a cell without recurrent matrix (`Cell.recurrent` is false)
    bias_ih, bias_hh  (GH,)       bias_hh is None for such a cell
    state             (S, B, H)   initial state: h, and for LSTMs also c
    keep              (T, B, 1)   0 where a column's state is reset before step t, else 1; None if there is no reset
    activation                    a key of ACTIVATIONS; only the basic cell uses it

and returns its outputs (T, B, H), the final state (S, B, H), and a `Trace` for the backward function. The backward
function receives dE/dh_t for every step and the gradient of the final state. It returns the gradients of the gates'
arguments on the input side and on the recurrent side (the same array except for the GRU; the latter is None without
recurrent matrix) and of the initial state.

To add a cell:

1. Write its file here: `..._step` and `..._step_backward` (see `loop`), forward, backward, and its `Cell`, which
   describes it to the rest of the package. Add it to CELLS below, and its name to `rnnlm.names.CELLS`.
2. If torch.nn has no such layer, write one in `training/torch_cells.py`, for `--engine torch`.
3. Write a step-by-step reference in `tests/nn/torch_cells.py`. The tests run over CELLS: gradients, chunked equals
   whole, precision, resume, both engines, files for other programs.

A compiled twin of its loop is optional: two functions for some units of a row in `_kernels_loops.h`, and two that
check the arguments in `_kernels.c` (see `run` and `run_back` in `loop`).
"""

from rnnlm.nn.cells.cifg import CIFG
from rnnlm.nn.cells.gru import GRU
from rnnlm.nn.cells.loop import Cell
from rnnlm.nn.cells.lstm import LSTM
from rnnlm.nn.cells.mingru import MINGRU
from rnnlm.nn.cells.rnn import RNN

CELLS: dict[str, Cell] = {"rnn": RNN, "gru": GRU, "lstm": LSTM, "cifg": CIFG, "mingru": MINGRU}
