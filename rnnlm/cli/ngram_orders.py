"""Orders of n-gram models: the largest, and what each would have to see."""

LARGEST_ORDER = 6  # that of baselines.ngram, which is not imported just for a help text


def possible_contexts(V: int, n: int) -> str:
    """Number of contexts of n - 1 words over a vocabulary of V, which is what an n-gram model would have to see."""
    number = V ** (n - 1)
    return f"{number:,}" if number < 10**7 else f"{number:.1e}"
