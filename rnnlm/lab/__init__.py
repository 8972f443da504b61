"""The ideas of a recurrent language model made visible: functions on values that return what there is to show.

Nothing here prints; `rnnlm.cli.lab` does, and a notebook can call the same functions.
"""
