"""Networks on arrays: cells, layers, outputs, optimizers. Knows ids and floats, never text.

Shape letters, used everywhere: T time steps, B batch columns, V vocabulary, D embedding, H hidden, L layers,
G gate slabs of a cell (1 of the basic one), S state slabs (1 for h; 2 for h and c).
"""
