"""Files that survive: checkpoints, files replaced whole or not at all, one writer at a time."""
