"""The transfer report: what a stem change keeps, as text, as plain values, and as a picture."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .fate import fate_text


@dataclasses.dataclass(frozen=True)
class TransferReport:
    """The origin of every weight of the new network, and the proof of the claim.

    Attributes:
        claim: `exact` (the source's function is kept on the inputs described in `about`, up to rounding) or
            `approximate`.
        error: the largest difference of the final features between the original and the modified network
            on the probe, divided by the largest feature.
        tolerance: upper limit of `error` for an exact claim; None for an approximate one.
        about: the inputs that the claim covers.
        probe: the images on which the error was measured.
        input: the network's input: channels, bands, value_range, preprocessing (`inside` or `outside`),
            and scale and offset per channel (applied inside, or by the caller).
        source: of the original: name, family, preprocessing, how that was decided, whether it is `trained` (False: it
            has random weights), bands in their order, scale and offset of each (raw 0..255), and `became`: what became
            of each band (fate.py).
        steps: what was done, in order, one sentence per step.
        approximations: the approximate rules, each with its measured error.
        weights: one entry per weight: name, shape, origin (`identical`, `derived`, `initialised`), rule.
        dropped: weights (or parts) of the original that the new network does not have.
        old_kernel, new_kernel: [side, side, channels, filters], for the picture.
    """

    claim: str
    error: float
    tolerance: float | None
    about: str
    probe: str
    input: dict[str, Any]
    source: dict[str, Any]
    spec: dict[str, Any]
    steps: tuple[str, ...]
    approximations: tuple[dict[str, Any], ...]
    weights: tuple[dict[str, Any], ...]
    dropped: tuple[dict[str, Any], ...]
    old_kernel: np.ndarray = dataclasses.field(repr=False, compare=False)
    new_kernel: np.ndarray = dataclasses.field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-compatible values, without the kernels."""
        fields = [f.name for f in dataclasses.fields(self) if not f.name.endswith("_kernel")]
        return json.loads(json.dumps({name: getattr(self, name) for name in fields}))

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict())

    def to_text(self) -> str:
        """The report as readable text, at most about forty lines: identical weights are counted, not listed."""
        inp = self.input
        lines = [
            f"Claim: {self.claim}. {self.about}",
            f"Largest relative difference of the final features: {self.error:.2g}"
            + (f" (allowed {self.tolerance:.2g})" if self.tolerance is not None else "")
            + f", on {self.probe}.",
            "",
            f"Input: [images, height, width, {inp['channels']}], channels {', '.join(inp['bands'])}, "
            f"values {inp['value_range'][0]:g} (black) to {inp['value_range'][1]:g} (white).",
        ]
        if inp["preprocessing"] == "inside":
            lines.append("Preprocessing is inside the network. Its input is raw pixels.")
        else:
            lines.append("Preprocessing is outside the network. Its input is value * scale + offset, per channel:")
            for band, scale, offset in zip(inp["bands"], inp["scale"], inp["offset"], strict=True):
                lines.append(f"  {band}: value * {scale:.9g} + ({offset:.9g})")
        about = self.source
        lines.append(f"The source's preprocessing: {about['preprocessing']} ({about['decided']}).")
        lines.append(f"The source's bands: {', '.join(about['bands'])}. Of these: {fate_text(about['became'])}.")
        lines += ["", "Steps:", *(f"  {i}. {step}" for i, step in enumerate(self.steps, 1))]
        if self.approximations:
            lines += ["", "Approximate rules:"]
            lines += [f"  {a['rule']}: {a['measure']} {a['error']:.3g}" for a in self.approximations]
        count = Counter(w["origin"] for w in self.weights)
        lines += ["", "Weights: " + ", ".join(f"{n} {origin}" for origin, n in count.items()) + "."]
        for w in self.weights:
            if w["origin"] != "identical":
                shape = "x".join(map(str, w["shape"]))
                lines.append(f"  {w['name']} [{shape}] {w['origin']}: {w['rule']}")
        if self.dropped:
            lines += ["", "Dropped from the original:", *(f"  {d['name']}: {d['why']}" for d in self.dropped)]
        return "\n".join(lines) + "\n"

    def save_picture(self, path: str | Path, filters: int = 16) -> None:
        """Saves a picture of the old and new kernels of the first filters (needs matplotlib)."""
        from .picture import draw_kernels

        draw_kernels(self.old_kernel, self.new_kernel, self.source["bands"], self.input["bands"], path, filters)
