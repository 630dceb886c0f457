"""Counts the pixels without data (`image.nodata`) of a dataset, with the same words for `restem inspect` and a run."""

import json
import math
from collections import Counter
from dataclasses import dataclass

from restem.images.header import percent
from restem.images.nodata import NAN, Nodata
from restem.visible import visible


@dataclass(frozen=True, slots=True)
class Missing:
    """What a readable file says of pixels without data.

    share: of its pixels.
    declares: the value that the file itself declares as no data (GDAL's TIFF tag 42113), or None.
    """

    path: str
    share: float
    declares: str | None

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps([self.path, self.share, self.declares])

    @classmethod
    def from_line(cls, line: str) -> "Missing":
        """The inverse of `to_line`."""
        return cls(*json.loads(line))


class MissingCounts:
    """The readable files with pixels without data, and those that declare a value which image.nodata does not name."""

    def __init__(self, rule: Nodata | None) -> None:
        self._rule = rule
        self.files, self._sum = 0, 0.0
        self.largest, self.largest_path = 0.0, ""
        self.declared: Counter[str] = Counter()

    def add(self, one: Missing) -> None:
        """Counts a file. The order of files decides nothing but the last digits of the mean share."""
        if one.share:
            self.files += 1
            self._sum += one.share
            # Of equal shares the first path, in any order of files.
            if (-one.share, one.path) < (-self.largest, self.largest_path):
                self.largest, self.largest_path = one.share, one.path
        if one.declares is not None and not self._is_named(one.declares):
            self.declared[one.declares] += 1

    def _is_named(self, declared: str) -> bool:
        """Whether image.nodata covers it: the same number, as far as 32 bits tell, or a mask in its place."""
        rule = self._rule
        if rule is None or rule.mask is not None or rule.value is None or declared == NAN:
            return rule is not None and (rule.mask is not None or declared == rule.text)
        return math.isclose(float(declared), rule.value, rel_tol=1e-7)

    @property
    def share(self) -> float:
        """The mean share of pixels without data in the files that have some."""
        return self._sum / self.files if self.files else 0.0

    def sentences(self, images: int) -> list[str]:
        """For people: what was found in so many readable images; nothing if there is nothing to say."""
        told = []
        if self._rule is not None:
            named = f"image.nodata: {self._rule.text}"
            found = f"No data: {self.files:,} of {images:,} images have pixels without data ({named})"
            if self.files:
                found += (
                    f", {percent(self.share)} of their pixels on average and {percent(self.largest)} at most "
                    f"({visible(self.largest_path)})"
                )
            told.append(found)
        if self.declared:
            values = ", ".join(f"{value} in {count:,}" for value, count in sorted(self.declared.items(), key=_by_count))
            first = min(self.declared.items(), key=_by_count)[0]
            now = "is not set" if self._rule is None else f"is {self._rule.text}"
            told.append(
                f"{self.declared.total():,} of {images:,} images declare a value for no data (GDAL's tag: {values}), "
                f"but image.nodata {now}: these values are used like all others. If they are no data, set "
                f"image.nodata: {first}"
            )
        return told

    def to_dict(self) -> dict:
        """For JSON."""
        return {
            "rule": None if self._rule is None else self._rule.text,
            "files": self.files,
            "share": round(self.share, 6),
            "largest_share": round(self.largest, 6),
            "largest_path": self.largest_path or None,
            "declared": dict(self.declared),
        }


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
