"""The largest order of n-gram models, and the number of possible contexts."""

LARGEST_ORDER = 6  # as in baselines.ngram, which is too slow to import for a help text


def possible_contexts(V: int, n: int) -> str:
    """Return V^(n - 1), formatted: the number of contexts of n - 1 words over a vocabulary of V."""
    number = V ** (n - 1)
    return f"{number:,}" if number < 10**7 else f"{number:.1e}"
