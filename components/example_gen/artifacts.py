"""The artifact that holds what was refused."""

from tfx.types.artifact import Artifact


class Quarantine(Artifact):
    """The files that did not become examples, and the counts of those that did.

    - `quarantine.jsonl`: one object a line, sorted by path: `path` (relative to the data folder), `reason` (a
      sentence), `bytes` (the file's size, -1 where it cannot be told).
    - `summary.json`: `files` (all that were looked at), `quarantined`, `classes` (names in the order of label_index),
      `splits`: name -> `images` and `by_class` (class name -> images), `duplicates`: how many `groups` of equal images
      there are, of them `leaks` (in both splits) and `conflicts` (different labels), and `spans` (the numbers read).
    - `duplicates.jsonl`: one object a group of equal images: `leak`, `conflict`, `copies` (path, label, split).
    """

    TYPE_NAME = "restem.Quarantine"
    LINES = "quarantine.jsonl"
    SUMMARY = "summary.json"
    DUPLICATES = "duplicates.jsonl"
