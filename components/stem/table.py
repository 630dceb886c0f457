"""Measures what each change keeps, exactly or approximately, and writes a Markdown table.

    python -m restem.stem.table                                  # ResNet50 and ResNet50V2, a few minutes
    python -m restem.stem.table --write components/stem/README.md
    python -m restem.stem.table --backbones all --json results.json

Without --weights, the networks have random weights and random BatchNorm statistics, so that the exact rows
prove the algebra for any checkpoint. The approximate rows are then worse than with pretrained kernels, which
are smoother.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .load import load_backbone
from .modify import modify_stem
from .spec import BACKBONES, StemSpec

START, END = "<!-- stem table: made by python -m restem.stem.table -->", "<!-- end of stem table -->"
RGBN = ("nir", "red", "green", "blue")

# Text of the first column, and the specification.
ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("3 → 3, raw RGB in, preprocessing inside", {}),
    ("3 → 1 (grey)", {"channels": 1}),
    ("3 → 4, bands nir, red, green, blue; nir at zero", {"bands": RGBN}),
    ("the same, nir at the mean of the kernels", {"bands": RGBN, "extra_bands": "mean"}),
    ("3 → 6 by repetition", {"channels": 6}),
    ("kernel 7 → 9", {"kernel": 9}),
    ("kernel 7 → 8", {"kernel": 8}),
    ("kernel 7 → 5, least squares", {"kernel": 5}),
    ("kernel 7 → 5, pseudo-inverse", {"kernel": 5, "shrink": "pseudo_inverse"}),
    ("kernel 7 → 5, bilinear", {"kernel": 5, "shrink": "bilinear"}),
    ("kernel 7 → 5, crop", {"kernel": 5, "shrink": "crop"}),
    ("filters 64 → 128", {"filters": 128}),
    ("filters 64 → 32, least squares", {"filters": 32}),
    ("filters 64 → 32, means folded", {"filters": 32, "narrow": "mean"}),
    ("filters 64 → 32, dropped", {"filters": 32, "narrow": "drop"}),
    ("extra BatchNorm", {"batch_norm": True}),
    ("small images (4x4, stride 1)", {"small_images": True}),
    ("grey, 9x9, 128 filters, BatchNorm, small images", {
        "channels": 1, "kernel": 9, "filters": 128, "batch_norm": True, "small_images": True,
    }),
    ("grey, 5x5, 128 filters, BatchNorm", {"channels": 1, "kernel": 5, "filters": 128, "batch_norm": True}),
    ("stride 2 → 1", {"stride": 1}),
    ("no max pool", {"pool": False}),
    ("CIFAR stem (3x3, stride 1, no pool)", {"kernel": 3, "stride": 1, "pool": False}),
    ("deep stem (three 3x3)", {"deep": True}),
)  # fmt: skip


def measure(backbones: Iterable[str], weights: str, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """One entry per row and backbone: change, backbone, precision, claim, about, error, own_error, seconds."""
    results = []
    for name in backbones:
        backbone = load_backbone(name, weights)
        if weights == "none":
            _randomise(backbone)
        for change, fields in ROWS:
            start = time.perf_counter()
            report = modify_stem(backbone, StemSpec(**fields)).report
            seconds = time.perf_counter() - start
            own = report.approximations[0]["error"] if report.approximations else None
            results.append(
                {
                    "change": change,
                    "backbone": name,
                    "precision": keras.config.floatx(),
                    "claim": report.claim,
                    "about": report.about,
                    "error": report.error,
                    "own_error": own,
                    "seconds": seconds,
                }
            )
            say(f"{name} {change}: {report.claim} {report.error:.2g} ({seconds:.1f} s)")
            keras.backend.clear_session(free_memory=True)
    return results


def benchmark(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results in the format of tests/benchmarks/results.json: name, value, unit, compared_with."""
    return [
        {
            "name": f"stem: {r['change']} ({r['backbone']}, {r['precision']}, {r['claim']})",
            "value": r["error"],
            "unit": "largest relative difference of the final features",
            "compared_with": "the original network on the corresponding input",
        }
        for r in results
    ]


def markdown(results: list[dict[str, Any]]) -> str:
    """The table: one row per change, one error column per backbone."""
    backbones = list(dict.fromkeys(r["backbone"] for r in results))
    lines = [
        "| change | claim | " + " | ".join(f"error, {b}" for b in backbones) + " | rule error |",
        "|---|---|" + "---:|" * len(backbones) + "---:|",
    ]
    for change, _ in ROWS:
        row = [next(r for r in results if r["change"] == change and r["backbone"] == b) for b in backbones]
        own = [f"{r['own_error']:.2f}" for r in row if r["own_error"] is not None]
        cells = [change, row[0]["claim"], *(f"{r['error']:.1e}" for r in row), " / ".join(own)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def put_into(path: Path, table: str) -> None:
    """Replaces the text between the two markers of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    path.write_text(f"{before}{START}\n{table}{END}{after}", encoding="utf-8")


def _randomise(model: keras.Model) -> None:
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.gamma.shape[0]
            layer.set_weights(
                [rng.uniform(0.5, 1.5, n), rng.normal(0, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.5, 1.5, n)]
            )
        elif isinstance(layer, keras.layers.Conv2D) and layer.use_bias:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints the table, and writes the requested files."""
    parser = argparse.ArgumentParser(prog="python -m restem.stem.table", description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", default="ResNet50,ResNet50V2", help="names separated by commas, or all")
    parser.add_argument("--weights", default="none", help="none (random), imagenet, or a file (one backbone only)")
    parser.add_argument("--precision", default="float64", choices=["float32", "float64"])
    parser.add_argument("--write", type=Path, help="a Markdown file that contains the two table markers")
    parser.add_argument("--json", type=Path, help="a JSON file for the results")
    options = parser.parse_args(arguments)
    keras.config.set_floatx(options.precision)
    keras.config.set_dtype_policy(options.precision)
    names = BACKBONES if options.backbones == "all" else options.backbones.split(",")
    results = measure(names, options.weights)
    table = markdown(results)
    print(table)
    if options.write:
        put_into(options.write, table)
    if options.json:
        options.json.write_text(json.dumps(benchmark(results), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
