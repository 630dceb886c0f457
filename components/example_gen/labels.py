"""data.merge_labels: makes several classes one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import Listing, first_few
from restem.example_gen.questions import alike


def merge_labels(listing: Listing, config: DataConfig) -> Listing:
    """The listing with merged classes, and a note of them."""
    wanted = config.merge_labels
    if not wanted:
        return listing
    mapping = dict(wanted) if isinstance(wanted, Mapping) else _by_size(listing)
    unknown = sorted(name for name in mapping if name not in set(listing.classes))
    used = {name: mapping[name] for name in listing.classes if name in mapping}
    notes = []
    if used:
        notes.append(f"merged classes (data.merge_labels): {first_few([f'{a!r} -> {b!r}' for a, b in used.items()])}")
    if unknown:
        notes.append(f"data.merge_labels names classes that the data do not have: {first_few(unknown)}")
    files = tuple(replace(file, label=used[file.label]) if file.label in used else file for file in listing.files)
    classes = tuple(sorted({used.get(name, name) for name in listing.classes}))
    return replace(listing, files=files, classes=classes, notes=(*listing.notes, *notes))


def _by_size(listing: Listing) -> dict[str, str]:
    """For names that are alike: each -> the one with the most images."""
    counts = Counter(file.label for file in listing.files)
    mapping = {}
    for names in alike(listing.classes):
        kept = max(sorted(names), key=lambda name: counts[name])
        mapping.update({name: kept for name in names if name != kept})
    return mapping
