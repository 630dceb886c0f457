"""The artifact with the refused files."""

from tfx.types.artifact import Artifact


class Quarantine(Artifact):
    """The files that did not become examples, and the counts of those that did.

    - `quarantine.jsonl`: one object per line, sorted by path: `path` (relative to the data folder), `reason` (a
      sentence), `bytes` (the file's size, -1 if unknown).
    - `summary.json`: `files` (all files that were checked), `quarantined`, `classes` (names in the order of
      label_index), `splits`: name -> `images` and `by_class` (class name -> images), `duplicates`: the number of
      `groups` of identical images, of `leaks` (groups in both splits) and of `conflicts` (groups with different
      labels), `spans` (the span numbers that were read), and `nodata`: the `rule` (image.nodata), how many `files` have
      pixels without data, their mean `share`, the `largest_share` with its path, and the values that other files
      `declared`.
    - `duplicates.jsonl`: one object per group of identical images: `leak`, `conflict`, `copies` (path, label, split).
    """

    TYPE_NAME = "restem.Quarantine"
    LINES = "quarantine.jsonl"
    SUMMARY = "summary.json"
    DUPLICATES = "duplicates.jsonl"
