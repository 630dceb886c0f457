"""Pictures that show an image with many bands: its colours, and each other band in grey."""

from collections.abc import Sequence

import numpy as np

from restem.images.config import RGB


def panels(pixels: np.ndarray, names: Sequence[str] = ()) -> list[tuple[str, np.ndarray]]:
    """Splits an image into pictures.

    Args:
      pixels: uint8 [height, width] or [height, width, channels].
      names: the channels' names in order. Without them, the number of channels decides: grey, grey and alpha, RGB, RGB
        and alpha, or numbered bands.

    Returns:
      (caption, uint8 [height, width] or [height, width, 3]) pairs: first the colour picture, if there are bands named
      red, green and blue, then every other channel. Alpha is not shown.
    """
    if pixels.ndim == 2:
        return [("grey", pixels)]
    count = pixels.shape[2]
    if len(names) != count:
        if count <= 2:
            return [("grey", pixels[..., 0])]
        if count <= 4:
            return [("red, green, blue", pixels[..., :3])]
        names = [f"band {place}" for place in range(1, count + 1)]
    colours = [list(names).index(colour) for colour in RGB if colour in names]
    shown = [("red, green, blue", pixels[..., colours])] if len(colours) == len(RGB) else []
    rest = [place for place in range(count) if not shown or place not in colours]
    return shown + [(names[place], pixels[..., place]) for place in rest]
