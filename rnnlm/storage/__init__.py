"""Safe storage: checkpoints, atomic replacement of files, and locks that allow one writer at a time."""
