"""Networks on NumPy arrays: cells, layers, outputs, optimizers. Works on ids and floats, never on text.

Shape letters, used everywhere: T time steps, B batch columns, V vocabulary, D embedding, H hidden, L layers,
G gate slabs of a cell (1 for the basic cell), S state slabs (1 for h; 2 for h and c).
"""
