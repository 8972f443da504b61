# The compiled twins of functions in these modules, which say what the arrays are.
from rnnlm.nn.cells.cifg import cifg_step as cifg_step
from rnnlm.nn.cells.cifg import cifg_step_backward as cifg_step_backward
from rnnlm.nn.cells.gru import gru_step as gru_step
from rnnlm.nn.cells.gru import gru_step_backward as gru_step_backward
from rnnlm.nn.cells.lstm import lstm_step as lstm_step
from rnnlm.nn.cells.lstm import lstm_step_backward as lstm_step_backward
from rnnlm.nn.cells.rnn import rnn_step as rnn_step
from rnnlm.nn.cells.rnn import rnn_step_backward as rnn_step_backward
from rnnlm.nn.numerics import exponentials as exponentials
from rnnlm.nn.optimizers import adam_update as adam_update
