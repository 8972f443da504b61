"""The laboratory: functions that demonstrate how a recurrent language model works, and return values to show.

They print nothing, so that notebooks can call them; `rnnlm.cli.lab` prints the results.
"""
