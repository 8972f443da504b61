"""Plot the embedding: tokens as points in the plane of the first two principal components."""

from typing import TYPE_CHECKING

import numpy as np

from rnnlm.lab.embedding import EmbeddingMap
from rnnlm.plots.figures import new_figure, plain, use_fonts
from rnnlm.plots.labels import place_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(found: EmbeddingMap) -> "tuple[Figure, int]":
    """Draw a figure; return it and the number of tokens whose label had no room, so that only their point is drawn."""
    figure, (axes,) = new_figure(size=(8.0, 6.4))
    sizes = 5 + 25 * np.sqrt(np.array(found.counts) / max(1, *found.counts))
    axes.scatter(*found.places.T, s=sizes, color="C0", alpha=0.45, linewidths=0)
    axes.margins(0.06)
    axes.grid(alpha=0.2)
    for set_label, place in ((axes.set_xlabel, 0), (axes.set_ylabel, 1)):
        ordinal = ("first", "second")[place]
        set_label(f"{ordinal} principal component ({100 * found.explained[place]:.1f} % of the variance)")
    axes.set_title(f"{len(found.tokens):,} most frequent tokens by {found.source}", fontsize="medium")
    labels = [plain(token) for token in found.tokens]
    use_fonts(figure)
    return figure, place_labels(figure, axes, found.places, labels)
