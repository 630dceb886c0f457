"""`restem stem`: changes the stem of one network and reports what is kept."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from restem.pipeline.commands.options import json_option
from restem.pipeline.environment.quiet import quiet
from restem.stem.spec import BACKBONES, EXTRA_BANDS, NARROW_RULES, NORMALISE, SHRINK_RULES
from restem.visible import say

SOURCES = ("auto", "caffe", "tf", "torch", "none", "unit", "radimagenet")


@click.command()
@click.option("--backbone", default="ResNet50", show_default=True, type=click.Choice(BACKBONES, case_sensitive=False))
@click.option("--weights", default="imagenet", show_default=True, metavar="imagenet|none|FILE", help="Source weights.")
@click.option("--include-top", is_flag=True, help="Keep the classifier of the weights.")
@click.option("--channels", type=int, metavar="N", help="Input channels.")
@click.option("--bands", metavar="A,B,C", help="Names of the input channels; red, green, blue and grey are known.")
@click.option(
    "--extra-bands",
    default="zero",
    show_default=True,
    type=click.Choice(EXTRA_BANDS),
    help="Initial kernels of bands that the source does not have.",
)
@click.option("--kernel", type=int, metavar="K", help="Kernel size.")
@click.option("--shrink", default=SHRINK_RULES[0], show_default=True, type=click.Choice(SHRINK_RULES))
@click.option("--filters", type=int, metavar="F", help="Filters of the first convolution.")
@click.option("--narrow", default=NARROW_RULES[0], show_default=True, type=click.Choice(NARROW_RULES))
@click.option("--noise", default=0.25, show_default=True, help="Zero-sum noise between copies of a filter.")
@click.option("--batch-norm", is_flag=True, help="An extra BatchNormalization after the convolution.")
@click.option("--small-images", is_flag=True, help="4x4 at stride 1, equal to the source on images upsampled by 2.")
@click.option("--cifar", is_flag=True, help="3x3 at stride 1 without pool (not preserving).")
@click.option("--stride", type=int, metavar="1|2", help="Stride of the first convolution (not preserving).")
@click.option("--no-pool", is_flag=True, help="Remove the max pool (not preserving).")
@click.option("--deep", is_flag=True, help="Three 3x3 convolutions, as in ResNet-C and -D (not preserving).")
@click.option(
    "--deep-filters",
    nargs=2,
    type=int,
    metavar="F F",
    help="Filters of the first two convolutions of --deep. Default: half of the last.",
)
@click.option(
    "--value-range", nargs=2, type=float, metavar="BLACK WHITE", help="Raw values of black and white. Default: 0 255."
)
@click.option(
    "--band-statistics",
    multiple=True,
    metavar="BAND=MEAN,STD",
    help="Mean and standard deviation of a band, in raw units. Repeatable.",
)
@click.option(
    "--normalise",
    default=NORMALISE[0],
    show_default=True,
    type=click.Choice(NORMALISE),
    help="statistics: also normalise the known bands to the source's mean and standard deviation.",
)
@click.option("--images", metavar="FILE.npy", help="Raw images [n, height, width, channels] to fit inexact rules to.")
@click.option(
    "--source", default="auto", show_default=True, type=click.Choice(SOURCES), help="The source's preprocessing."
)
@click.option(
    "--source-bands",
    metavar="A,B,C",
    help="Names of the channels of a source other than red, green and blue, in the network's order.",
)
@click.option(
    "--source-scale",
    metavar="S[,S,...]",
    help="With --source-bands: the source's input is scale * raw + offset, raw 0..255.",
)
@click.option("--source-offset", metavar="O[,O,...]", help="See --source-scale; one number, or one for each band.")
@click.option("--preprocessing", default="inside", show_default=True, type=click.Choice(["inside", "outside"]))
@click.option("--seed", default=0, show_default=True)
@click.option("--out", metavar="FILE", help="Write the network: .keras or .weights.h5.")
@click.option("--picture", metavar="FILE.png", help="Draw the old and new kernels.")
@json_option
def stem(as_json: bool, out: str | None, picture: str | None, **given: Any) -> None:
    """Change one network's stem and print the transfer report: what is kept, exactly or approximately."""
    spec = _spec(given)
    from restem.stem.write import check_ending

    if out:
        check_ending(out)
    _check_files(given)
    with quiet():
        from restem.stem import load_backbone, modify_stem, save_network

        backbone = load_backbone(given["backbone"], given["weights"], include_top=given["include_top"])
        result = modify_stem(
            backbone,
            spec,
            preprocessing=given["preprocessing"],
            source=_source(given),
            images=_images(given["images"]),
            seed=given["seed"],
        )
        written = [str(path) for path in save_network(result.model, out)] if out else []
        if picture:
            result.report.save_picture(picture)
    text = result.report.to_text() + "".join(f"\nWritten: {path}" for path in written)
    if not as_json:
        say(text, flush=True)
        return
    say(text, file=sys.stderr, flush=True)
    print(json.dumps({**result.report.to_dict(), "written": written}), flush=True)


def _spec(given: dict[str, Any]) -> Any:
    from restem.stem import StemSpec

    fields: dict[str, Any] = {
        "channels": given["channels"],
        "bands": tuple(given["bands"].split(",")) if given["bands"] else None,
        "extra_bands": given["extra_bands"],
        "kernel": given["kernel"],
        "shrink": given["shrink"],
        "filters": given["filters"],
        "narrow": given["narrow"],
        "noise": given["noise"],
        "batch_norm": given["batch_norm"],
        "small_images": given["small_images"],
        "stride": given["stride"],
        "pool": not given["no_pool"],
        "deep": given["deep"],
        "deep_filters": given["deep_filters"],
        "value_range": given["value_range"] or (0.0, 255.0),
        "normalise": given["normalise"],
        "band_statistics": dict(_statistics(item) for item in given["band_statistics"]) or None,
    }
    return StemSpec.cifar(**fields) if given["cifar"] else StemSpec(**fields)


def _statistics(item: str) -> tuple[str, tuple[float, float]]:
    try:
        band, numbers = item.split("=")
        mean, std = (float(number) for number in numbers.split(","))
    except ValueError:
        raise click.UsageError(f"--band-statistics {item!r}: expected BAND=MEAN,STD, e.g. nir=1200,340.") from None
    return band, (mean, std)


def _source(given: dict[str, Any]) -> Any:
    numbers = {key: given[f"source_{key}"] for key in ("scale", "offset") if given[f"source_{key}"]}
    if not given["source_bands"]:
        if numbers:
            raise click.UsageError("--source-scale and --source-offset need --source-bands.")
        return given["source"]
    if given["source"] != "auto":
        raise click.UsageError("Give either --source or --source-bands.")
    from restem.stem import Preprocessing

    bands = tuple(name.strip().lower() for name in given["source_bands"].split(","))
    scale, offset = (
        _numbers(f"--source-{key}", numbers.get(key, default), len(bands))
        for key, default in (("scale", "1"), ("offset", "0"))
    )
    return Preprocessing("given" if numbers else "none", bands, scale, offset)


def _numbers(option: str, text: str, count: int) -> tuple[float, ...]:
    """One number for each band."""
    try:
        found = tuple(float(number) for number in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in (1, count):
        raise click.UsageError(f"{option} {text!r}: expected one number, or {count}, one for each band.")
    return found * count if len(found) == 1 else found


def _check_files(given: dict[str, Any]) -> None:
    """Checks that the input files exist, and that the checkpoint is one of this network, before heavy imports."""
    from restem.errors import RestemError

    weights = given["weights"]
    if weights not in ("imagenet", "none"):
        path = Path(weights)
        if not path.exists() and not path.with_name(f"{path.name}.index").is_file():
            raise RestemError(
                "there is no such file",
                where="--weights",
                expected="imagenet, none, or the path of a checkpoint",
                given=weights,
            )
        from restem.stem.contents import check_contents

        check_contents(path, given["backbone"])
    if given["images"] and not Path(given["images"]).is_file():
        raise RestemError("there is no such file", where="--images", expected="a .npy file", given=given["images"])


def _images(path: str | None) -> Any:
    if path is None:
        return None
    import numpy as np

    from restem.errors import RestemError

    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise RestemError(
            "this is not an array", where=f"--images {path}", expected="a file written by numpy.save", given=str(error)
        ) from error
