"""Plots with matplotlib: `figures` creates and saves figures, the other modules draw the results of `rnnlm.lab`."""
