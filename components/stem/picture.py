"""Old and new kernels side by side (matplotlib, drawn without a display)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def draw_kernels(
    old: np.ndarray, new: np.ndarray, old_bands: Sequence[str], new_bands: Sequence[str], path: str | Path, filters: int
) -> None:
    """Writes one picture: each row a filter, the old kernel's channels left, the new one's right.

    Args:
        old, new: [side, side, channels, filters]; filter i of the new kernel comes from filter i of the old
            one where the rules keep the order (all but narrowing and deep stems).
        old_bands, new_bands: names of the channels; a last unnamed channel is the constant one.
        path: a file name whose ending matplotlib knows (.png, .svg, .pdf).
        filters: how many to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = min(filters, old.shape[3], new.shape[3])
    names = [*_names(old, old_bands, "old"), *_names(new, new_bands, "new")]
    planes = [old[:, :, c, :] for c in range(min(old.shape[2], 8))] + [
        new[:, :, c, :] for c in range(min(new.shape[2], 8))
    ]
    figure = Figure(figsize=(0.8 * len(planes) + 0.4, 0.6 * count + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, len(planes), squeeze=False)
    for row in range(count):
        for column, plane in enumerate(planes):
            ax = axes[row][column]
            own = old if column < min(old.shape[2], 8) else new
            limit = float(np.abs(own[:, :, :, row]).max()) or 1.0
            ax.imshow(plane[:, :, row], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
            ax.set_xticks([])
            ax.set_yticks([])
            if row == 0:
                ax.set_title(names[column], fontsize=6)
    figure.savefig(path, dpi=120)


def _names(kernel: np.ndarray, bands: Sequence[str], side: str) -> list[str]:
    channels = min(kernel.shape[2], 8)
    return [f"{side}\n{bands[c] if c < len(bands) else 'constant'}" for c in range(channels)]
