"""Resets of the state inside a window, for recurrent kernels that know none.

In sentence context a column holds several sentences one after the other, and the state is zero where one begins.
torch.nn.LSTM and its relatives (cuDNN behind them) read a sequence without a pause. So the columns are cut at the
resets into segments, which lie side by side, longest first, as a packed sequence: no padding is computed, every token
is in it once, and there are as many steps as the longest segment has.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


class Segments(NamedTuple):
    """Where the places t B + b of a window (T, B) are in the packed sequence, and which states go in and come out.

    order (N,): the place of each packed token; inverse (N,): the packed position of each place; sizes: of each step of
    the packed sequence, the number of segments that are still going on. columns (S,), carried (S, 1): the
    column of each segment, and 1 where it goes on with that column's state, 0 where it begins anew. last (B,): the
    segment with which each column ends.
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
        sizes = len(lengths) - np.cumsum(np.bincount(lengths))[:-1]  # how many are longer than 0, 1, 2, ...
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
            torch.from_numpy(sizes),  # which PyTorch wants in the memory of the host
            torch.from_numpy(columns[longest_first]).to(device),
            torch.from_numpy(carried[longest_first].astype(np.float32)).to(device)[:, None],
            torch.from_numpy(last).to(device),
        )
