"""Values that options may have. Imports nothing, so that the command line starts without NumPy.

The registries of the implementations, such as `nn.cells.CELLS`, have the same names; a test compares them.
"""

LEVELS = ("char", "word", "token")
CONTEXTS = ("sentence", "stream")
SEGMENTERS = ("auto", "jieba", "spaces")
CELLS = ("rnn", "gru", "lstm", "cifg", "mingru")
ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")
SOFTMAXES = ("full", "adaptive")
INITIALIZERS = ("uniform", "xavier", "orthogonal", "identity", "normal", "article")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
SCHEDULES = ("constant", "step", "cosine", "linear", "plateau")
LOSSES = ("cross-entropy", "mse")
LIST_FORMATS = ("plain", "kaldi", "srilm", "mikolov", "moses", "tsv", "json", "espnet")
PRESETS = ("tiny", "small", "medium", "large", "best")
ENGINES = ("numpy", "torch")
PRECISIONS = ("float32", "tf32", "bf16")
OWN_TEXTS = ("chinese", "english")
