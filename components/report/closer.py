"""The closer look at the candidate's test images, for the page: what the Trainer found, with the images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from restem import files
from restem.closer_record import (
    FEATURES,
    PICTURES,
    SALIENCY,
    Explained,
    Neighbours,
    Saliency,
    read_neighbours,
    read_saliency,
)
from restem.record_files import DamagedRecord, Folder
from restem.report.pictures import Thumbnail, data_uri
from restem.run_record import Evaluation

SHOWN = 6  # of each kind: one row on the page, or two
MOST_BYTES = 200_000  # of one picture
SAME = 0.01  # mean difference of the pixels below which a pair is counted as nearly identical

log = logging.getLogger("restem")


@dataclass(frozen=True)
class Pair:
    """A test image and its nearest training image.

    distance: 0..2; difference: of the pixels, 0..1, None: not measured; picture: of the training image, a data URI.
    """

    path: str
    label: str
    predicted: str
    thumbnail: Thumbnail | None
    nearest: str
    picture: str | None
    distance: float
    difference: float | None


@dataclass(frozen=True)
class Similarity:
    """What the Trainer found about similar training images, with the images that are shown.

    Attributes:
      record: as the Trainer wrote it; if it was skipped, there is nothing else.
      unusual: the test images that are farthest from all training images, the farthest first.
      alike: the pairs whose pixels differ least.
      same, measured: how many pairs differ by less than `SAME`, of how many whose pixels were compared.
      median: of all distances.
    """

    record: Neighbours
    unusual: tuple[Pair, ...] = ()
    alike: tuple[Pair, ...] = ()
    same: int = 0
    measured: int = 0
    median: float = 0.0


@dataclass(frozen=True)
class Focus:
    """What the network looked at in one test image; the pictures are data URIs."""

    about: Explained
    seen: str
    heat: str


@dataclass(frozen=True)
class Attention:
    """What the Trainer wrote about it, with the images whose pictures are all there."""

    record: Saliency
    mistakes: tuple[Focus, ...]
    right: tuple[Focus, ...]


@dataclass(frozen=True)
class Closer:
    """Both parts; None: the run has no such file, as those of older versions."""

    similarity: Similarity | None = None
    attention: Attention | None = None


def shown_paths(found: Neighbours, evaluation: Evaluation) -> tuple[list[int], list[int]]:
    """Positions in `found` of the test images that are shown: the unusual ones, and those of the most similar pairs."""
    ours = set(evaluation.paths)
    known = [path in ours for path in found.paths]
    far = [int(i) for i in np.argsort(-found.distance, kind="stable") if known[i]][:SHOWN]
    measured = np.where(np.isnan(found.difference), np.inf, found.difference)
    near = [int(i) for i in np.argsort(measured, kind="stable") if known[i] and np.isfinite(measured[i])][:SHOWN]
    return far, near


def neighbours_of(uri: Folder) -> Neighbours | None:
    """The run's features.npz; None if it has none that can be read."""
    try:
        return read_neighbours(uri) if files.exists(f"{uri}/{FEATURES}") else None
    except DamagedRecord as damage:
        log.warning("Report: %s", damage)
        return None


def similarity(
    uri: Folder, found: Neighbours | None, evaluation: Evaluation, thumbnails: Mapping[str, Thumbnail]
) -> Similarity | None:
    """The part about similar training images.

    Args:
      uri: the run's folder.
      found: of `neighbours_of`.
      evaluation: of the same network.
      thumbnails: of the test images of `shown_paths`.
    """
    if found is None or found.skipped:
        return None if found is None else Similarity(found)
    place = {path: i for i, path in enumerate(evaluation.paths)}
    picture = _pictures(uri)

    def pair(i: int) -> Pair:
        path, at = found.paths[i], place[found.paths[i]]
        file = found.pictures.get(found.nearest[i])
        difference = float(found.difference[i])
        return Pair(
            path=path,
            label=evaluation.classes[evaluation.labels[at]],
            predicted=evaluation.classes[evaluation.predicted[at]],
            thumbnail=thumbnails.get(path),
            nearest=found.nearest[i],
            picture=picture(file) if file else None,
            distance=float(found.distance[i]),
            difference=None if np.isnan(difference) else difference,
        )

    far, near = shown_paths(found, evaluation)
    measured = found.difference[~np.isnan(found.difference)]
    return Similarity(
        found,
        unusual=tuple(map(pair, far)),
        alike=tuple(map(pair, near)),
        same=int(np.sum(measured < SAME)),
        measured=len(measured),
        median=float(np.median(found.distance)),
    )


def attention(uri: Folder) -> Attention | None:
    """The part about what the network looked at."""
    try:
        found: Saliency | None = read_saliency(uri) if files.exists(f"{uri}/{SALIENCY}") else None
    except DamagedRecord as damage:
        log.warning("Report: %s", damage)
        return None
    if found is None:
        return None
    picture = _pictures(uri)

    def focus(one: Explained) -> Focus | None:
        seen, heat = picture(one.seen), picture(one.heat)
        return Focus(one, seen, heat) if seen and heat else None

    mistakes, right = (tuple(filter(None, map(focus, part))) for part in (found.mistakes, found.right))
    return Attention(found, mistakes, right)


def _pictures(uri: Folder) -> Callable[[str], str | None]:
    def picture(name: str) -> str | None:
        """A data URI; None: it is missing, or no picture for a page."""
        media_type = {"png": "image/png", "jpeg": "image/jpeg"}.get(name.rpartition(".")[2])
        if media_type is None or "/" in name or not files.exists(f"{uri}/{PICTURES}/{name}"):
            return None
        content = files.read(f"{uri}/{PICTURES}/{name}")
        return data_uri(content, media_type) if len(content) <= MOST_BYTES else None

    return picture
