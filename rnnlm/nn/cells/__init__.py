"""Recurrent cells, a file for each: formulas, the work of a step, forward and backward pass, and a description.

The basic network is that of hanbt (hanbingtao), "零基础入门深度学习(5) - 循环神经网络" (Deep learning from zero, 5:
recurrent neural networks), https://zybuluo.com/hanbingtao/note/541458:

    s_t = f(U x_t + W s_{t-1})        o_t = g(V s_t)

    the article           here
    x_t                   ids (T, B), which stand for one-hot vectors, or rows of `embedding.weight` (V, D)
    s_t, the state        h, (T, B, H); s'_t of the backward network the same, with names that end in `_reverse`
    o_t, the output       probabilities (T, B, V)
    U                     `rnn.weight_ih_l0` (GH, D): the slabs of the G gates lie one below the other
    W                     `rnn.weight_hh_l0` (GH, H)
    V                     `output.weight` (V, H), [V V'] (V, 2H) of a bidirectional network
    f, g                  `--activation`; softmax
    net_t                 the argument of f, a_t in the formulas
    delta_t = dE/dnet_t   delta, (T, B, GH)
    E_t                   -log p of the token at t, in nats

Its error terms go back in time by delta_{t-1} = (W^T delta_t) * f'(a_{t-1}), and dE/dW = sum of delta_t s_{t-1}^T.
Names and shapes are PyTorch's, which has two biases: b = b_ih + b_hh.

What does not wait for the step before is done in `nn.layers.recurrent`, once for all cells: the product U x_t for all
steps before the loop, the weight gradients after it. A forward function receives

    gates             (T, B, GH)  U x_t, overwritten
    weight            (GH, H)     weight_hh; None for a cell whose description says that it has no recurrent matrix
    bias_ih, bias_hh  (GH,)       bias_hh is None for such a cell
    state             (S, B, H)   initial state: h, and for LSTMs also c
    keep              (T, B, 1)   0 where a column's state is reset before step t, else 1; None when there is no reset
    activation                    a name in ACTIVATIONS, which the basic cell alone heeds

and returns its outputs (T, B, H), the final state (S, B, H), and what the backward function needs. That one receives
dE/dh_t for every step and the gradient by the final state, and returns the gradients by the gates' arguments on the
input side and on the recurrent side (one array but for the GRU, None without recurrent matrix), and by the initial
state.

To add a cell:

1. Write its file here: `..._step` and `..._step_backward` (see `loop`), forward, backward, and its `Cell`, which says
   what the rest of the package asks about it. Enter it in CELLS below, and its name in `rnnlm.names.CELLS`.
2. If torch.nn has no such layer, write one in `training/torch_cells.py`, for `--engine torch`.
3. Write it out step by step in `tests/nn/torch_cells.py`. The tests run over CELLS: gradients, chunked equals whole,
   precision, resume, both engines, files for other programs.

A compiled twin of all its steps is optional: two functions for some units of a row in `_kernels_loops.h`, and in
`_kernels.c` what checks the arrays (see `run` and `run_back` in `loop`).
"""

from rnnlm.nn.cells.cifg import CIFG
from rnnlm.nn.cells.gru import GRU
from rnnlm.nn.cells.loop import Cell
from rnnlm.nn.cells.lstm import LSTM
from rnnlm.nn.cells.mingru import MINGRU
from rnnlm.nn.cells.rnn import RNN

CELLS: dict[str, Cell] = {"rnn": RNN, "gru": GRU, "lstm": LSTM, "cifg": CIFG, "mingru": MINGRU}
