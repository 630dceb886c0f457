"""What a change of stem kept: the transfer report, as text, as plain values, and as a picture."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class TransferReport:
    """Every weight of the new network and where it came from, and the proof of the claim.

    Attributes:
        claim: `exact` (the source's function is kept on the inputs named in `about`, up to rounding) or
            `approximate`.
        error: the largest difference of the final features between the original and the modified network
            on the probe, divided by the largest feature.
        tolerance: what `error` had to stay under for an exact claim; None for an approximate one.
        about: what the claim is about.
        probe: the images it was measured on.
        input: what the network takes: channels, bands, value_range, preprocessing (`inside` or `outside`),
            and scale and offset by channel (applied inside, or by the caller).
        source: family, preprocessing and band order of the original.
        steps: what was done, in order, one sentence each.
        approximations: the rules without an exact answer, each with its own measured error.
        weights: one entry a weight: name, shape, origin (`identical`, `derived`, `initialised`), rule.
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
        """Plain values only (what JSON holds), without the kernels."""
        fields = [f.name for f in dataclasses.fields(self) if not f.name.endswith("_kernel")]
        return json.loads(json.dumps({name: getattr(self, name) for name in fields}))

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict())

    def to_text(self) -> str:
        """The report for a person, about forty lines at most: identical weights are counted, not listed."""
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
            lines.append("Preprocessing is inside the network: give it raw pixels.")
        else:
            lines.append("Preprocessing is outside: give it value * scale + offset, by channel:")
            for band, scale, offset in zip(inp["bands"], inp["scale"], inp["offset"], strict=True):
                lines.append(f"  {band}: value * {scale:.9g} + ({offset:.9g})")
        lines += ["", "What was done:", *(f"  {i}. {step}" for i, step in enumerate(self.steps, 1))]
        if self.approximations:
            lines += ["", "Where no exact answer exists:"]
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
        """Old and new kernels of the first filters side by side, as a picture file (needs matplotlib)."""
        from .picture import draw_kernels

        draw_kernels(self.old_kernel, self.new_kernel, self.source["bands"], self.input["bands"], path, filters)
