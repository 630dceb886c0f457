"""The exact small-image stem.

A stride-2 convolution on an image upsampled by 2 (nearest neighbour) reads each small pixel through several
taps. At output i, tap u reads upsampled position 2i + u - p, which is small position i + floor((u - p) / 2).
Adding the taps that read the same small pixel gives a kernel of half the side, at stride 1, with the same
output on the small image, borders included (7x7, pad 3 -> 4x4, pad 2 and 1).
"""

from __future__ import annotations

import numpy as np


def collapse(kernel: np.ndarray, pad: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Adds the taps that read the same small pixel.

    Args:
        kernel: [side, side, channels, filters], of a stride-2 convolution.
        pad: zeros before and after the image, in height and in width.

    Returns:
        The kernel [small side, small side, channels, filters] in float64 and its padding, for stride 1.
        Exact: gives the old output for every image upsampled by nearest neighbour.
    """
    side = kernel.shape[0]
    before, after = pad
    reach = [(u - before) // 2 for u in range(side)]
    sums = np.zeros((reach[-1] - reach[0] + 1, side))
    for u, r in enumerate(reach):
        sums[r - reach[0], u] = 1
    new = np.einsum("au,bv,uvcf->abcf", sums, sums, np.asarray(kernel, np.float64))
    # The old stem's number of outputs on the upsampled image of side 2n, floor((2n + pads - side) / 2) + 1
    # = n + (pads - side) // 2 + 1, must equal n + new pads - new side + 1.
    total = (before + after - side) // 2 + new.shape[0]
    return new, (-reach[0], total + reach[0])
