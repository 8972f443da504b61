# The compiled twins of functions in `gates`, which says what the arrays are.
from rnnlm.nn.gates import gru_step as gru_step
from rnnlm.nn.gates import gru_step_backward as gru_step_backward
from rnnlm.nn.gates import lstm_step as lstm_step
from rnnlm.nn.gates import lstm_step_backward as lstm_step_backward
from rnnlm.nn.gates import rnn_step as rnn_step
from rnnlm.nn.gates import rnn_step_backward as rnn_step_backward
