"""Input channels: the mixture of pretrained kernels for each new channel.

Every rule here is linear. Let u be the new network's (rescaled) input channels and W_c the kernel of the
source's channel c. The new kernel of channel j is sum_c mix[c, j] W_c. Convolution is linear, so the new
stem on u equals the old stem on the input s_c = sum_j mix[c, j] u_j + constant[c], at every pixel. If s
equals the image after the source's preprocessing, the rule is exact.

Zero padding comes after preprocessing, so a shift of the input cannot be folded into the bias without
errors at the borders. If a shift remains (`constant`), the network appends a channel that is 1 inside the
image and is zero-padded like the others.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..errors import StemError
from ..preprocessing import Preprocessing
from ..spec import COLOURS, GREY, StemSpec


@dataclasses.dataclass(frozen=True)
class Channels:
    """How the new input channels map to the source's kernels.

    Attributes:
        bands: names of the new channels, in input order.
        reads: for each new channel, the source band whose image it carries, `grey` (the same image in all
            source bands), or None (an extra band that the source does not have).
        scale, offset: u_j = scale_j * raw_j + offset_j, raw in the spec's value range.
        mix: [source channels, new channels].
        constant: [source channels (+ 1)], weights of the constant-one channel; if all are zero, there is no
            such channel. The last entry exists only if the source itself reads such a channel.
        rule: one sentence per new channel.
        exact: whether the source's function is kept on images that match `reads`, except for `lost`.
        lost: source bands that no new channel carries.
    """

    bands: tuple[str, ...]
    reads: tuple[str | None, ...]
    scale: np.ndarray
    offset: np.ndarray
    mix: np.ndarray
    constant: np.ndarray
    rule: tuple[str, ...]
    exact: bool
    lost: tuple[str, ...]

    @property
    def needs_ones(self) -> bool:
        return bool(np.any(self.constant != 0))


def plan_channels(spec: StemSpec, source: Preprocessing, source_constant: bool = False) -> Channels:
    """Determines the mixture for `spec` on a source with the given preprocessing. Raises StemError.

    Args:
        source_constant: the source's kernel has one more channel, which is always one.
    """
    bands = _bands(spec, source)
    reads, kinds = _reads(bands, spec, source)
    n, k = len(source.bands), len(bands)
    grey_scale, grey_offset = _common(source.scale), _common(source.offset)
    mix = np.zeros((n, k))
    constant = np.zeros(n)
    scale, offset, rules = np.zeros(k), np.zeros(k), []
    for j, (read, kind) in enumerate(zip(reads, kinds, strict=True)):
        if kind == "own":
            c = source.bands.index(read)
            copies = reads.count(read)
            mix[c, j] = 1 / copies
            scale[j], offset[j] = source.scale[c], source.offset[c]
            rules.append(f"kernel of {read}" + (f" / {copies} (one of {copies} copies)" if copies > 1 else ""))
        elif kind == "grey":
            share = reads.count(GREY)
            gain = np.asarray(source.scale) / grey_scale
            shift = np.asarray(source.offset) - gain * grey_offset
            mix[:, j] = gain / share
            constant += shift / share
            scale[j], offset[j] = grey_scale, grey_offset
            rules.append(
                f"sum of the kernels of {', '.join(source.bands)}" + (f" / {share}" if share > 1 else "")
                if np.all(gain == 1)
                else f"sum of the kernels of {', '.join(source.bands)}, weighted by their scales"
                + (f" / {share}" if share > 1 else "")
            )
        else:
            mix[:, j] = 1 / n if spec.extra_bands == "mean" else 0
            scale[j], offset[j] = grey_scale, grey_offset
            rules.append(f"mean of the kernels of {', '.join(source.bands)}" if spec.extra_bands == "mean" else "zeros")
    scale, offset = _to_range(scale, offset, spec.value_range)
    _apply_statistics(spec, source, bands, reads, scale, offset)
    carried = set(source.bands) if GREY in reads else {r for r in reads if r}
    lost = tuple(b for b in source.bands if b not in carried)
    mixed_in = spec.extra_bands == "mean" and "extra" in kinds
    constant = np.where(np.abs(constant) < 1e-12, 0, constant)
    if source_constant:
        mix, constant = np.pad(mix, ((0, 1), (0, 0))), np.append(constant, 1.0)
    return Channels(
        bands=bands,
        reads=reads,
        scale=scale,
        offset=offset,
        mix=mix,
        constant=constant,
        rule=tuple(rules),
        exact=not mixed_in,
        lost=lost,
    )


def mix_channels(kernel: np.ndarray, channels: Channels) -> np.ndarray:
    """[h, w, source channels, filters] -> [h, w, new channels (+ 1), filters], float64. Exact (see above)."""
    matrix = channels.mix
    if channels.needs_ones:
        matrix = np.concatenate([matrix, channels.constant[:, None]], axis=1)
    return np.einsum("hwcf,cj->hwjf", np.asarray(kernel, np.float64), matrix)


def _bands(spec: StemSpec, source: Preprocessing) -> tuple[str, ...]:
    if spec.bands is not None:
        return spec.bands
    n = spec.channels or len(source.bands)
    usual = COLOURS if set(source.bands) == set(COLOURS) else source.bands
    if n == len(usual):
        return usual
    if n == len(COLOURS) and set(COLOURS) <= set(source.bands):
        return COLOURS
    if n == 1:
        return (GREY,)
    if n < len(usual):
        return tuple(f"{GREY}_{i + 1}" for i in range(n))
    return tuple(usual[i % len(usual)] + (f"_{i // len(usual) + 1}" if i >= len(usual) else "") for i in range(n))


def _reads(
    bands: tuple[str, ...], spec: StemSpec, source: Preprocessing
) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """What each band carries, and its rule: `own`, `grey` or `extra`."""
    if spec.bands is None and not set(bands) <= set(source.bands) and len(bands) > 1:
        if len(bands) < len(source.bands):  # fewer channels, no names: each gets a share of the grey image
            return (GREY,) * len(bands), ("grey",) * len(bands)
        usual = COLOURS if set(source.bands) == set(COLOURS) else source.bands
        return tuple(usual[i % len(usual)] for i in range(len(bands))), ("own",) * len(bands)
    if len(bands) == 1 and bands[0] not in source.bands:
        return (GREY,), ("grey",)
    reads = tuple(b if b in source.bands or b == GREY else None for b in bands)
    if not any(reads):
        if spec.extra_bands == "mean":  # nothing distinguishes them: equal shares of the grey image
            return (GREY,) * len(bands), ("grey",) * len(bands)
        raise StemError(
            f"None of the bands {', '.join(bands)} has a pretrained kernel (the source has {', '.join(source.bands)}), "
            "so the stem would start at zero. Use the source's band names, or set extra_bands to 'mean', so that each "
            "starts with an equal share of the pretrained kernels. (In the library, channels without names use the "
            "source's kernels in turn.)"
        )
    return reads, tuple("grey" if r == GREY else "own" if r else "extra" for r in reads)


def _common(values: tuple[float, ...]) -> float:
    """The mean; if all values are equal, that value without rounding."""
    return values[0] if len(set(values)) == 1 else float(np.mean(values))


def _to_range(scale: np.ndarray, offset: np.ndarray, value_range: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    low, high = value_range
    if (low, high) == (0.0, 255.0):
        return scale, offset
    gain = 255.0 / (high - low)
    return scale * gain, offset - scale * gain * low


def _apply_statistics(
    spec: StemSpec,
    source: Preprocessing,
    bands: tuple[str, ...],
    reads: tuple[str | None, ...],
    scale: np.ndarray,
    offset: np.ndarray,
) -> None:
    """Scales bands with statistics to the mean and spread of the source's training images, in place.

    Extra bands always; known bands only with normalise='statistics'.
    """
    source_mean, source_std = source.statistics()
    for name, mean, std in spec.statistics:
        if name not in bands:
            raise StemError(f"band_statistics contains {name!r}, which is not one of the bands {', '.join(bands)}.")
        j = bands.index(name)
        if reads[j] is None or reads[j] == GREY:
            target_mean = 0.0 if reads[j] is None else float(np.mean(source_mean))
            target_std = float(np.mean(source_std))
        else:
            c = source.bands.index(reads[j])
            target_mean, target_std = source_mean[c], source_std[c]
        if reads[j] is None or spec.normalise == "statistics":
            scale[j] = target_std / std
            offset[j] = target_mean - scale[j] * mean
