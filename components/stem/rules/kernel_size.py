"""Kernel size: growing is exact; shrinking gives the closest smaller kernel under a chosen measure.

Every remaining tap reads the same pixel as before: rows are added or removed before and after the kernel so
that the padding stays balanced, and the padding changes accordingly (7 -> 9: 4 and 4; 7 -> 8: 3 and 4;
7 -> 6: 3 and 2). Which pixel a tap reads matters more than its value: padding='same' shifts by one pixel.
"""

from __future__ import annotations

import numpy as np

Pad = tuple[int, int]


def grow(kernel: np.ndarray, pad: Pad, side: int) -> tuple[np.ndarray, Pad]:
    """Adds zeros around the kernel. Exact: every output is the same sum."""
    before, after = _rows(pad, kernel.shape[0], side)
    new = np.pad(kernel, ((before, after), (before, after), (0, 0), (0, 0)))
    return new, (pad[0] + before, pad[1] + after)


def crop(kernel: np.ndarray, pad: Pad, side: int) -> tuple[np.ndarray, Pad]:
    """Keeps the middle of the kernel and drops the outer taps."""
    first = -_rows(pad, kernel.shape[0], side)[0]
    return kernel[first : first + side, first : first + side], _inner_pad(kernel, pad, side)


def bilinear(kernel: np.ndarray, pad: Pad, side: int) -> tuple[np.ndarray, Pad]:
    """Resizes the kernel like an image, times (old / new) squared to keep the response to flat areas."""
    resize = resize_matrix(kernel.shape[0], side)
    gain = (kernel.shape[0] / side) ** 2
    return gain * np.einsum("au,bv,uvcf->abcf", resize, resize, kernel), _inner_pad(kernel, pad, side)


def pseudo_inverse(kernel: np.ndarray, pad: Pad, side: int) -> tuple[np.ndarray, Pad]:
    """FlexiViT's resize: responds to a bilinearly resized patch as the old kernel does to the patch.

    min over w' of E (<x, w> - <B x, w'>)^2 for white x, B the bilinear resize of the patch: w' = pinv(B^T) w
    (Beyer et al. 2022, arXiv 2212.08013, section 3.4).
    """
    inverse = np.linalg.pinv(resize_matrix(kernel.shape[0], side).T)
    return np.einsum("au,bv,uvcf->abcf", inverse, inverse, kernel), _inner_pad(kernel, pad, side)


def least_squares(kernel: np.ndarray, pad: Pad, side: int, moment: np.ndarray) -> tuple[np.ndarray, Pad]:
    """The kernel with the smallest mean squared output error, for inputs with the given moments.

    min over w' of E (<x, w> - <x_inner, w'>)^2: w' = S_ii^-1 S_i,all w, where S = E[x x^T].

    Args:
        moment: [d, d] second moments of input patches of the old kernel's size (d = old * old * channels),
            in the order of kernel[:, :, :, f].ravel().
    """
    old = kernel.shape[0]
    channels, filters = kernel.shape[2:]
    first = -_rows(pad, old, side)[0]
    inside = np.zeros((old, old, channels), bool)
    inside[first : first + side, first : first + side] = True
    kept = inside.ravel()
    inner = moment[np.ix_(kept, kept)]
    ridge = 1e-9 * max(np.trace(inner) / len(inner), 1e-20) * np.eye(len(inner))
    weights = np.linalg.solve(inner + ridge, moment[kept] @ kernel.reshape(-1, filters))
    return weights.reshape(side, side, channels, filters), _inner_pad(kernel, pad, side)


def relative_error(kernel: np.ndarray, pad: Pad, smaller: np.ndarray, smaller_pad: Pad, moment: np.ndarray) -> float:
    """RMS error of the convolution's output, divided by the RMS of the old output.

    Args:
        moment: second moments of the inputs, as in `least_squares`.
    """
    first, last = pad[0] - smaller_pad[0], pad[1] - smaller_pad[1]
    gap = np.pad(smaller, ((first, last), (first, last), (0, 0), (0, 0))) - kernel
    gap, whole = gap.reshape(len(moment), -1), kernel.reshape(len(moment), -1)
    power = np.sum(whole * (moment @ whole))
    return float(np.sqrt(max(np.sum(gap * (moment @ gap)), 0) / power)) if power > 0 else 0.0


def resize_matrix(old: int, new: int) -> np.ndarray:
    """[new, old]: bilinear resize along one side, half-pixel centres, no antialiasing (as in FlexiViT)."""
    centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    weights = np.clip(1 - np.abs(np.arange(old)[None] - centre[:, None]), 0, None)
    return weights / weights.sum(1, keepdims=True)


def _rows(pad: Pad, old: int, new: int) -> tuple[int, int]:
    """Number of rows to add (negative: to remove) before and after, with balanced padding."""
    change = new - old
    total = pad[0] + pad[1] + change
    before = total // 2 if change > 0 else (total + 1) // 2
    low, high = min(change, 0), max(change, 0)
    first = min(max(before - pad[0], low), high)
    return first, change - first


def _inner_pad(kernel: np.ndarray, pad: Pad, side: int) -> Pad:
    before, after = _rows(pad, kernel.shape[0], side)
    return pad[0] + before, pad[1] + after
