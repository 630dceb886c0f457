"""What became of the source's bands."""

from __future__ import annotations

from .preprocessing import Preprocessing
from .rules.channels import Channels
from .spec import GREY


def fate(channels: Channels, source: Preprocessing) -> list[dict[str, str]]:
    """For each band of the source, in its order, and then for each channel that is new.

    Returns:
        Entries with `band`, `became` (`kept`, `dropped` or `new`) and `how`, the end of a sentence.
    """
    found = []
    for band in source.bands:
        readers = [name for name, read in zip(channels.bands, channels.reads, strict=True) if read in (band, GREY)]
        if readers:
            how = "its kernel reads " + ", ".join(readers)
            found.append({"band": band, "became": "kept", "how": how})
        else:
            found.append({"band": band, "became": "dropped", "how": "no channel of the images carries it"})
    for band, read, rule in zip(channels.bands, channels.reads, channels.rule, strict=True):
        if read is None:
            found.append({"band": band, "became": "new", "how": f"its kernel starts as {rule}"})
    return found


def fate_text(entries: list[dict[str, str]]) -> str:
    """The same in one line: "kept red, green, blue; dropped b1, b2; new nir"."""
    parts = []
    for became in ("kept", "dropped", "new"):
        names = [entry["band"] for entry in entries if entry["became"] == became]
        if names:
            parts.append(f"{became} {', '.join(names)}")
    return "; ".join(parts)
