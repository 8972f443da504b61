"""Resets of the state inside a window, for recurrent kernels without resets.

In sentence context, a column has several sentences in sequence, and the state is zero at the beginning of each.
torch.nn.LSTM and similar modules cannot reset the state inside a sequence. So the columns are cut at the resets into
segments, which are batched as a packed sequence, longest first. There is no padding, every token is computed once, and
the number of steps is the length of the longest segment.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


class Segments(NamedTuple):
    """Mapping between the places t B + b of a window (T, B) and a packed sequence of S segments.

    order (N,): place of each packed token. inverse (N,): packed position of each place. sizes: number of unfinished
    segments at each step of the packed sequence. columns (S,): column of each segment. carried (S, 1): 1 if the segment
    continues the state of its column, 0 if it starts from zero. last (B,): last segment of each column.
    """

    order: Tensor
    inverse: Tensor
    sizes: Tensor
    columns: Tensor
    carried: Tensor
    last: Tensor

    @classmethod
    def of(cls, keep: Array, device: torch.device) -> "Segments":
        """Cut columns of T steps before each step t with keep[t, b] = 0; keep is (T, B)."""
        T, B = keep.shape
        begins = (keep == 0).T.copy()
        anew = begins[:, 0].copy()
        begins[:, 0] = True
        columns, starts = np.nonzero(begins)
        lengths = np.diff(columns * T + starts, append=B * T)
        longest_first = np.argsort(-lengths, kind="stable")
        sizes = len(lengths) - np.cumsum(np.bincount(lengths))[:-1]  # number of segments longer than 0, 1, 2, ...
        steps = np.repeat(np.arange(len(sizes)), sizes)
        segments = longest_first[np.arange(B * T) - np.repeat(np.cumsum(sizes) - sizes, sizes)]
        order = (starts[segments] + steps) * B + columns[segments]
        inverse, ranks = np.empty_like(order), np.empty_like(longest_first)
        inverse[order], ranks[longest_first] = np.arange(len(order)), np.arange(len(ranks))
        last = ranks[np.searchsorted(columns, np.arange(B), side="right") - 1]
        carried = (starts == 0) & ~anew[columns]
        return cls(
            torch.from_numpy(order).to(device),
            torch.from_numpy(inverse).to(device),
            torch.from_numpy(sizes),  # PyTorch requires it in CPU memory
            torch.from_numpy(columns[longest_first]).to(device),
            torch.from_numpy(carried[longest_first].astype(np.float32)).to(device)[:, None],
            torch.from_numpy(last).to(device),
        )
