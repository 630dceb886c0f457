"""What `restem init` proposes for values: image.value_range where black and white are unknown, and image.nodata."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restem.example_gen.config import DataConfig
from restem.example_gen.content import content
from restem.example_gen.dataset import ImageFile, Listing
from restem.images.arrays import read_array
from restem.images.formats.others import DICOM
from restem.images.header import Header, UnreadableImage, check_nodata
from restem.images.nodata import NAN, Nodata
from restem.images.probe import probe
from restem.images.values import missing

LOOKED_AT = 40  # files of the sample whose values are read
_DIGITS = 6  # significant ones of a proposed range


@dataclass(frozen=True)
class ValueSurvey:
    """The values of some files.

    Attributes:
        files: the number of files that were looked at.
        declared: the number of files by the value that they declare as no data.
        not_finite: the number of files with NaN or infinity.
        unfit: the number of files in which a stored value cannot be found (JPEG and others).
        value_range: the smallest and largest value, without those that are no data, of the files that need a range;
            None if none does.
    """

    files: int
    declared: Counter[str]
    not_finite: int
    unfit: int
    value_range: tuple[float, float] | None

    @property
    def nodata(self) -> str | None:
        """What is proposed as image.nodata; None if nothing is known, or if it would refuse files of the sample."""
        found = self.found
        return None if found is None or (self.unfit and found != NAN) else found

    @property
    def found(self) -> str | None:
        """The value that most files declare; NaN if none declares one and some files have it."""
        if self.declared:
            return min(self.declared.items(), key=lambda item: (-item[1], item[0]))[0]
        return NAN if self.not_finite else None


def survey_values(listing: Listing, sample: Sequence[ImageFile], data: DataConfig) -> ValueSurvey | None:
    """Looks at up to 40 files; None if none can be read, or one is a DICOM file, whose values another survey knows."""
    declared: Counter[str] = Counter()
    ranges: list[tuple[float, float]] = []
    not_finite, unfit, files = 0, 0, 0
    for file in sample[:: max(1, len(sample) // LOOKED_AT)]:
        try:
            encoded = content(listing.folder, file, data.max_bytes)
            header = probe(encoded, max_pixels=data.max_pixels, max_bytes=data.max_bytes, array_axes=data.array_axes)
            if header.format == DICOM:
                return None
            if header.nodata is not None:
                declared[header.nodata] += 1
            unfit += _is_unfit(header)
            files += 1
            if not header.needs_range:
                continue
            values = read_array(encoded, header, finite=False)
            not_finite += not np.isfinite(values).all()
            known = values[~missing(values, _rule(header.nodata))]
        except UnreadableImage:
            continue
        if known.size:
            ranges.append((float(known.min()), float(known.max())))
    return ValueSurvey(files, declared, not_finite, unfit, _range(ranges)) if files else None


def _rule(declared: str | None) -> Nodata:
    return Nodata(not_finite=True) if declared in (None, NAN) else Nodata(value=float(str(declared)))


def _is_unfit(header: Header) -> bool:
    try:
        check_nodata(header, Nodata(value=0.0))
    except UnreadableImage:
        return True
    return False


def _range(found: list[tuple[float, float]]) -> tuple[float, float] | None:
    if not found:
        return None
    low, high = (
        float(f"{value:.{_DIGITS}g}") for value in (min(low for low, _ in found), max(top for _, top in found))
    )
    return low, high if high > low else low + 1


def value_keys(found: ValueSurvey | None) -> dict:
    """Keys of the section image with which the sample's files are checked: those that are proposed."""
    if found is None:
        return {}
    keys = {"nodata": _as_value(found.nodata), "value_range": found.value_range}
    return {name: value for name, value in keys.items() if value is not None}


def _as_value(text: str | None) -> float | str | None:
    return text if text is None or text == NAN else float(text)


def value_lines(found: ValueSurvey | None) -> list[str]:
    """The lines of the section image."""
    if found is None:
        return []
    lines = []
    if found.value_range is not None:
        low, high = found.value_range
        without = "" if found.found is None else ", without those that are no data"
        lines.append(
            f"  value_range: [{low:.{_DIGITS}g}, {high:.{_DIGITS}g}]  # black and white: the smallest and largest "
            f"value in the sampled files{without}; a narrower range shows more, and values outside are clipped"
        )
    return lines + _nodata_lines(found)


def _nodata_lines(found: ValueSurvey) -> list[str]:
    if found.found is None:
        return []
    if found.declared:
        why = f"{found.declared[found.found]} of {found.files} sampled files declare it (GDAL's tag)"
        others = [f"{value} in {count}" for value, count in sorted(found.declared.items()) if value != found.found]
        if others:
            why += f"; other files declare another value, which would count as data: {', '.join(others)}"
        if found.not_finite and found.found != NAN:
            why += f"; {found.not_finite} have NaN or infinity too, and are refused unless it is nan"
    else:
        why = f"{found.not_finite} of {found.files} sampled files have NaN or infinity, and are refused without it"
    if found.nodata is None:
        return [
            f"  # nodata: {found.found} would be right for some files: {why}. But {found.unfit} of {found.files} have "
            "no exact values (JPEG and others), and would be quarantined"
        ]
    shown = "shown black, and in no channel's statistics"
    if found.declared:
        shown += "; remove this line if these pixels are data"
    return [
        f"  nodata: {found.nodata}  # {why}; {shown}",
        "  max_nodata: 0.5  # files in which a larger share of the pixels has no data are quarantined",
    ]
