"""Finds images that look the same in more than one split: resized, compressed again, a little brighter, or mirrored.

Each image is reduced to 18 x 18 grey values. Differences of neighbouring means of 2 x 2 of them are its hash, the
difference hash (N. Krawetz, "Kind of Like That", 2013) in both directions: 128 bits. Images of different splits that
have one of the hash's eight parts in common and differ in at most 16 bits are compared by the correlation of their 324
values. The thresholds are from a measurement, see tests/example_gen/test_near.py and the README.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import imagecodecs
import numpy as np
from PIL import Image

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import SPLITS
from restem.images.arrays import read_array
from restem.images.container import SIGNATURE, unpack
from restem.images.formats.pillow import exif_orientation, open_image
from restem.images.header import Header
from restem.images.nodata import Nodata
from restem.images.probe import probe
from restem.images.values import filled
from restem.visible import visible

SIDE = 18
_FLAT = 4  # of 255 grey levels: smaller differences are noise
_PARTS, _MOST_BITS = 8, 16
CORRELATION, CORRELATION_PLAIN = 0.98, 0.995
_INFORMATIVE = 64  # bits of 128 whose difference is more than noise; a plainer image needs the higher correlation
_LEAST_RANGE = 8  # grey levels between the darkest and the brightest of the 324; a plainer image is not compared
_AT_ONCE = 2_000_000  # candidate pairs
_MOST_PAIRS = 30_000_000  # candidate pairs for one part of the hash; more are not compared, and said
_SHOWN = 20
_ONES = np.array([value.bit_count() for value in range(65536)], np.uint8)
_TURNS = {
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_270],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_90],
}


@dataclass(frozen=True, slots=True)
class Look:
    """What an image looks like: 18 x 18 grey values from its darkest to its brightest, as bytes."""

    path: str
    label: str
    split: str
    values: bytes

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps([self.path, self.label, self.split, base64.b85encode(self.values).decode("ascii")])

    @classmethod
    def from_line(cls, line: str) -> Look:
        """The inverse of `to_line`."""
        path, label, split, values = json.loads(line)
        return cls(path, label, split, base64.b85decode(values))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images of different splits that look the same; the first is of the later split (test, val, train)."""

    first: Look
    second: Look
    correlation: float
    mirrored: bool


@dataclass(frozen=True)
class NearDuplicates:
    """The pairs, most similar first: for each image of a later split the most similar one of each earlier split.

    compared: how many images were compared.
    plain: how many images are too plain to be compared.
    complete: whether all candidates were compared.
    """

    pairs: tuple[Pair, ...] = ()
    compared: int = 0
    plain: int = 0
    complete: bool = True

    @property
    def sentence(self) -> str:
        """What was found, for people; empty if nothing was."""
        told = []
        if self.pairs:
            images = len({pair.first.path for pair in self.pairs})
            mirrored = sum(pair.mirrored for pair in self.pairs)
            which = "1 image looks" if images == 1 else f"{images:,} images look"
            mirror = f", {mirrored:,} of them mirrored" if mirrored else ""
            told.append(f"{which} like one in another split (resized, compressed again, or the same scene){mirror}")
        if not self.complete:
            told.append("There are too many plain images to compare all of them")
        return ". ".join(told)

    def without(self, paths: Collection[str]) -> NearDuplicates:
        """Without images that are byte-identical to others, which are told elsewhere."""
        left = [pair for pair in self.pairs if not (pair.first.path in paths and pair.second.path in paths)]
        return replace(self, pairs=tuple(left))

    def examples(self) -> list[str]:
        """Lines with the first pairs."""
        return [
            f"{visible(pair.first.path)} ({pair.first.split}) ~ {visible(pair.second.path)} ({pair.second.split})"
            f"{', mirrored' if pair.mirrored else ''}, correlation {pair.correlation:.3f}"
            for pair in self.pairs[:_SHOWN]
        ]


def look_of(data: bytes, header: Header | None = None, *, rule: Nodata | None = None) -> bytes | None:
    """What an image looks like, as in `Look`; None if it cannot be decoded here or is too plain to be compared.

    Args:
      data: an image file, or the bytes that an example stores.
      header: the file's, if it is known.
      rule: which values are no data (image.nodata); they look like the mean of the others.
    """
    try:
        grey = _grey(data, header, rule)
    except Exception:  # Only a hint depends on it, and decoders may raise anything; the image itself was read before.
        return None
    if not np.isfinite(grey).all():
        return None
    low, high = float(grey.min()), float(grey.max())
    if high - low < _LEAST_RANGE:
        return None
    return np.round((grey - low) * (255 / (high - low))).astype(np.uint8).tobytes()


def _grey(data: bytes, header: Header | None, rule: Nodata | None = None) -> np.ndarray:
    """float32 [18, 18] in steps of 8-bit grey levels, whatever the image's depth."""
    if data.startswith(SIGNATURE):
        return _reduced(filled(unpack(data), rule, "mean"))
    header = header or probe(data, max_pixels=2**40, max_bytes=2**31)
    if not header.in_graph:
        return _reduced(filled(read_array(data, header, finite=rule is None), rule, "mean"))
    if rule is not None and rule.needs_exact_values and header.format == "PNG":
        return _reduced(filled(np.atleast_3d(imagecodecs.png_decode(data)), rule, "mean"))
    with open_image(data, header) as opened:
        turns = _TURNS.get(exif_orientation(opened), []) if header.format == "JPEG" else []
        opened.draft("L", (4 * SIDE, 4 * SIDE))  # JPEG: decodes a smaller picture
        image: Image.Image = opened
        if image.mode.startswith("I") or image.mode == "F":
            return _reduced(np.asarray(image)[..., None])
        if image.mode not in ("L", "RGB"):
            image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
        small = image.resize((SIDE, SIDE), Image.Resampling.BOX).convert("F")
    for turn in turns:
        small = small.transpose(turn)
    return np.asarray(small, np.float32)


def _reduced(pixels: np.ndarray) -> np.ndarray:
    """[height, width, channels] -> float32 [18, 18], scaled to 0..255 as far as the type or the values tell."""
    step = max(1, min(pixels.shape[:2]) // (8 * SIDE))
    grey = pixels[::step, ::step].astype(np.float32).mean(axis=-1)
    top = 255.0 if pixels.dtype == np.uint8 else max(float(np.abs(grey).max()), 1e-30)
    image = Image.fromarray(np.ascontiguousarray(grey * (255.0 / top), np.float32))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)


def find_near(looks: Sequence[Look], plain: int = 0) -> NearDuplicates:
    """Finds images of different splits that look the same; byte-identical ones are among them.

    Args:
      looks: of all images.
      plain: how many more were too plain.
    """
    if not looks:
        return NearDuplicates(plain=plain)
    looks = sorted(looks, key=lambda look: look.path)  # so that equally similar images are chosen by their names
    values = np.frombuffer(b"".join(look.values for look in looks), np.uint8).reshape(-1, SIDE, SIDE)
    splits = np.array([SPLITS.index(look.split) for look in looks])
    hashes, informative = _hashes(values)
    mirrored, _ = _hashes(values[:, :, ::-1])
    best: dict[tuple[int, int], tuple[float, int, bool]] = {}
    complete = True
    present = sorted(set(splits.tolist()))
    for earlier, later in itertools.combinations(present, 2):
        ours, theirs = np.flatnonzero(splits == later), np.flatnonzero(splits == earlier)
        for flip, own in ((False, hashes), (True, mirrored)):
            for candidates in _candidates(own[ours], hashes[theirs]):
                if candidates is None:
                    complete = False
                    continue
                left, right = ours[candidates[0]], theirs[candidates[1]]
                shown = values[left][:, :, ::-1] if flip else values[left]
                similar = _correlation(shown, values[right])
                enough = np.where(
                    np.minimum(informative[left], informative[right]) >= _INFORMATIVE, CORRELATION, CORRELATION_PLAIN
                )
                for at in np.flatnonzero(similar >= enough).tolist():
                    key = int(left[at]), earlier
                    if key not in best or best[key][0] < similar[at]:
                        best[key] = float(similar[at]), int(right[at]), flip
    pairs = [Pair(looks[one], looks[other], value, flip) for (one, _), (value, other, flip) in best.items()]
    pairs.sort(key=lambda pair: (-pair.correlation, pair.first.path))
    return NearDuplicates(tuple(pairs), len(looks), plain, complete)


def _hashes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 18, 18] -> the hash, uint16 [N, 8], and how many of its 128 differences are more than noise, [N]."""
    parts, counts = [], []
    for start in range(0, len(values), 65536):
        some = values[start : start + 65536]
        means = some.reshape(len(some), SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4), dtype=np.float32)
        across = means[:, :-1, 1:] - means[:, :-1, :-1]
        down = means[:, 1:, :-1] - means[:, :-1, :-1]
        differences = np.concatenate([across.reshape(len(some), -1), down.reshape(len(some), -1)], axis=1)
        parts.append(np.packbits(differences > _FLAT, axis=1).view(np.uint16))
        counts.append((np.abs(differences) > _FLAT).sum(axis=1))
    return np.concatenate(parts), np.concatenate(counts)


def _candidates(ours: np.ndarray, theirs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray] | None]:
    """Positions of hashes that have a part in common and differ in few bits; None where there are too many."""
    for part in range(_PARTS):
        order = np.argsort(theirs[:, part], kind="stable")
        ordered = theirs[order, part]
        first = np.searchsorted(ordered, ours[:, part], "left")
        counts = np.searchsorted(ordered, ours[:, part], "right") - first
        total = np.cumsum(counts)
        if len(total) and total[-1] > _MOST_PAIRS:
            # The most frequent parts belong to plain images.
            limit = np.sort(counts)[np.searchsorted(np.cumsum(np.sort(counts)), _MOST_PAIRS) - 1]
            counts = np.where(counts > limit, 0, counts)
            total = np.cumsum(counts)
            yield None
        start = 0
        while start < len(ours):
            before = total[start - 1] if start else 0
            end = max(start + 1, int(np.searchsorted(total, before + _AT_ONCE, "right")))
            some = counts[start:end]
            left = np.repeat(np.arange(start, end), some)
            offset = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
            right = order[np.repeat(first[start:end], some) + offset]
            bits = np.zeros(len(left), np.int16)
            for other in range(_PARTS):
                bits += _ONES[ours[left, other] ^ theirs[right, other]]
            near = bits <= _MOST_BITS
            yield left[near], right[near]
            start = end


def _correlation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """uint8 [N, 18, 18] twice -> float32 [N]."""
    one, other = (part.reshape(len(part), SIDE * SIDE).astype(np.float32) for part in (left, right))
    one -= one.mean(axis=1, keepdims=True)
    other -= other.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.maximum(norms, 1e-6)


def check_near(found: NearDuplicates, config: DataConfig, where: str) -> None:
    """Refuses images that look the same in several splits.

    Raises:
      RestemError: there are some and data.allow_near_duplicates is false.
    """
    if not found.pairs or config.allow_near_duplicates is not False:
        return
    raise RestemError(
        found.sentence,
        where=f"data.path ({where})",
        expected="images in one split only that look the same; otherwise the test measures memorisation",
        remedy="Look at them (restem inspect --near-duplicates FILE.png), give them the same group (data.group), "
        "remove them, or set data.allow_near_duplicates: true:" + "".join(f"\n  {line}" for line in found.examples()),
    )
