"""The exact small-image stem.

A stride-2 convolution on an image upsampled twice by nearest neighbour reads each small pixel through
several taps. At output i, tap u reads upsampled position 2i + u - p, that is small position
i + floor((u - p) / 2): adding the taps that share a small pixel gives a kernel of half the side, at
stride 1, with the same output on the small image, borders included (7x7, pad 3 -> 4x4, pad 2 and 1).
"""

from __future__ import annotations

import numpy as np


def collapse(kernel: np.ndarray, pad: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """Taps summed by the small pixel they read.

    Args:
        kernel: [side, side, channels, filters], of a stride-2 convolution.
        pad: zeros before and after each side of the image.

    Returns:
        The kernel [small side, small side, channels, filters] in float64 and its padding, for stride 1.
        Exact: equal to the old one on every nearest-upsampled image.
    """
    side = kernel.shape[0]
    before, after = pad
    reach = [(u - before) // 2 for u in range(side)]
    sums = np.zeros((reach[-1] - reach[0] + 1, side))
    for u, r in enumerate(reach):
        sums[r - reach[0], u] = 1
    new = np.einsum("au,bv,uvcf->abcf", sums, sums, np.asarray(kernel, np.float64))
    # As many outputs as the old stem has on the upsampled image of 2n: floor((2n + pads - side) / 2) + 1
    # = n + (pads - side) // 2 + 1 must equal n + new pads - new side + 1.
    total = (before + after - side) // 2 + new.shape[0]
    return new, (-reach[0], total + reach[0])
