"""Pictures with matplotlib: `figures` makes and saves them, the other modules draw what `rnnlm.lab` has computed."""
