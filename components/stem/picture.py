"""Draws old and new kernels in one picture (matplotlib, without a display)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

CHANNELS = 8  # maximum drawn


def draw_kernels(
    old: np.ndarray,
    new: np.ndarray,
    old_bands: Sequence[str],
    new_bands: Sequence[str],
    path: str | Path | IO[bytes],
    filters: int,
    sides: tuple[str, str] = ("old", "new"),
) -> None:
    """Writes one picture: one column per filter, with the old kernel's channels above the new kernel's.

    Args:
        old, new: [side, side, channels, filters]; filter i of the new kernel comes from filter i of the old
            one if the rules keep the order (all except narrowing and deep stems).
        old_bands, new_bands: names of the channels; a last channel without a name is the constant-one channel.
        path: a file name with an extension that matplotlib supports (.png, .svg, .pdf), or an open file for a PNG.
        filters: maximum number of filters to draw.
        sides: what the two kernels are called.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = min(filters, old.shape[3], new.shape[3])
    parts = [(kernel, c) for kernel in (old, new) for c in range(min(kernel.shape[2], CHANNELS))]
    names = [*_names(old, old_bands, sides[0]), *_names(new, new_bands, sides[1])]
    cell = max(old.shape[0], new.shape[0]) + 1
    # One image for all cells, because a grid of axes takes seconds.
    canvas = np.full((len(parts) * cell - 1, count * cell - 1), np.nan)
    for column in range(count):
        for row, (kernel, c) in enumerate(parts):
            side = kernel.shape[0]
            start = (cell - 1 - side) // 2
            # The channels share a scale to be comparable. The constant-one channel is far larger and has its own.
            named = len(old_bands if kernel is old else new_bands)
            shared = kernel[:, :, :named, column] if c < named else kernel[:, :, c, column]
            limit = float(np.abs(shared).max()) or 1.0
            top, left = row * cell + start, column * cell + start
            canvas[top : top + side, left : left + side] = kernel[:, :, c, column] / limit
    figure = Figure(figsize=(0.55 * count + 1.2, 0.55 * len(parts) + 0.1), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.imshow(canvas, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest", aspect="equal")
    ax.set_yticks([row * cell + (cell - 2) / 2 for row in range(len(parts))], names, fontsize=7)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure.savefig(path, dpi=120)


def _names(kernel: np.ndarray, bands: Sequence[str], side: str) -> list[str]:
    channels = min(kernel.shape[2], CHANNELS)
    return [f"{side} {bands[c] if c < len(bands) else 'constant'}" for c in range(channels)]
