# The compiled twins of functions in these modules, which say what the arrays are.
from rnnlm.nn.gates import cifg_step as cifg_step
from rnnlm.nn.gates import cifg_step_backward as cifg_step_backward
from rnnlm.nn.gates import gru_step as gru_step
from rnnlm.nn.gates import gru_step_backward as gru_step_backward
from rnnlm.nn.gates import lstm_step as lstm_step
from rnnlm.nn.gates import lstm_step_backward as lstm_step_backward
from rnnlm.nn.gates import rnn_step as rnn_step
from rnnlm.nn.gates import rnn_step_backward as rnn_step_backward
from rnnlm.nn.numerics import exponentials as exponentials
from rnnlm.nn.optimizers import adam_update as adam_update
