"""Networks on arrays: cells, layers, outputs, optimizers. Knows ids and floats, never text.

Shape letters, used everywhere: T time steps, B batch columns, V vocabulary, D embedding, H hidden, L layers,
G gate slabs of a cell (RNN 1, GRU and CIFG 3, LSTM 4), S state slabs (1 for h; 2 for h and c).
"""
