"""The stylesheet of the pages."""

import re
from pathlib import Path

import restem.report


def contrast(first, second):
    """WCAG 2.1: (L1 + 0.05) / (L2 + 0.05) of the relative luminances."""

    def luminance(colour):
        digits = colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_enough_contrast_in_light_and_dark():
    css = (Path(restem.report.__file__).parent / "report.css").read_text()
    start = css.index("@media screen and (prefers-color-scheme: dark)")
    end = css.index("@media print")
    modes = {"light": css[:start], "dark": css[start:end]}
    for mode, part in modes.items():
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", part))
        pairs = [
            *((text, ground) for text in ("ink", "quiet") for ground in ("ground", "wash", "tint", "cell", "frame")),
            *((text, "ground") for text in ("candidate", "baseline", "good", "bad")),
            ("ink", "approved"),
            ("good", "approved"),
            ("bad", "tint"),
        ]
        cells = re.findall(r"table\.matrix td\.[rw]\d \{ background: (#[0-9a-f]{6})", part)
        assert len(cells) == 16
        for text, ground in [*pairs, *(("ink", cell) for cell in cells)]:
            assert contrast(colours[text], colours.get(ground, ground)) >= 4.5, (mode, text, ground)
