"""The configuration's section for where the images are, how they are split, and what becomes of bad ones."""

import re
from typing import Literal

from pydantic import Field, model_validator

from restem.errors import RestemError
from restem.section import Section

# Images that come with the installation, by the words that name them in place of a path.
EMBEDDED_DIGITS = "embedded:digits"
EMBEDDED_DOCUMENTS = "embedded:documents"
EMBEDDED = (EMBEDDED_DIGITS, EMBEDDED_DOCUMENTS)

Layout = Literal["folders", "manifest", "tfrecord"]
MANIFESTS = (".csv", ".tsv", ".parquet")
_RECORDS = re.compile(r"\.tfrecords?\b|[*?]")
_OWN_FEATURES = frozenset(
    {"image_bytes", "path", "label", "label_index", "height", "width", "channels", "bit_depth", "format", "weight"}
)


class ColumnsConfig(Section):
    """What a manifest's columns are called."""

    path: str = Field("path", min_length=1, description="The image's path, relative to the manifest, or absolute.")
    label: str = Field("label", min_length=1, description="The image's class.")
    split: str = Field(
        "split", min_length=1, description="Which split the image is in, train or test; the column may be missing."
    )


class FeaturesConfig(Section):
    """What the features of tf.Examples are called."""

    image: str = Field("image_bytes", min_length=1, description="The encoded image, as it would lie in a file.")
    label: str = Field("label", min_length=1, description="The image's class: a name, or a whole number.")
    split: str | None = Field(None, description="Which split the image is in: train or test.")
    path: str | None = Field(
        None, description="What the image is called in reports; none: the file's name and the record's number."
    )


class DataConfig(Section):
    """Where the images are, how they are laid out and split, and what is tolerated."""

    path: str = Field(
        min_length=1,
        description="A folder of images; a manifest (.csv, .tsv or .parquet); TFRecord files (a file, a pattern such "
        "as /data/*.tfrecord, or with layout: tfrecord a folder); or what comes with the installation: "
        "'embedded:digits', scikit-learn's 1,797 handwritten digits, or 'embedded:documents', the same digits as "
        "overwritten documents in red, green, blue and near infrared. "
        "{SPAN} and {VERSION} in it stand for numbers, as in /data/day-{SPAN}: the newest is read.",
    )
    layout: Layout | None = Field(
        None,
        description="'folders': a folder for each class, named like the class, either directly in the path or inside "
        "its sub-folders train and test; 'manifest': a table with a row an image; 'tfrecord': tf.Examples. None: what "
        "the path's name says.",
    )
    columns: ColumnsConfig = Field(ColumnsConfig(), description="The names of a manifest's columns.")
    features: FeaturesConfig = Field(FeaturesConfig(), description="The names of the features in TFRecord files.")
    split: Literal["given", "hash", "stratified"] | None = Field(
        None,
        description="'given': by sub-folders train and test, or the column or feature of that name; 'hash': by a hash "
        "of each path (or group), which never changes; 'stratified': the smallest hashes of every class, so that each "
        "class keeps its share. None: 'given' where there is such a thing, else 'hash'.",
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="What must not be in two splits: a manifest's column, a feature, or a regular expression with "
        "one group in parentheses that is looked for in each path, such as 'patient-(\\d+)'.",
    )
    weight: str | None = Field(
        None,
        min_length=1,
        description="A manifest's column, or a feature, with the weight of each image in training. "
        "Test images count alike, whatever their weight.",
    )
    metadata: tuple[str, ...] = Field(
        (),
        description="A manifest's columns, or features, that are kept beside each image as text, for evaluate.slices.",
    )
    test_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="The share of the images that are kept for testing, where the splits are not given. "
        "A hash of its path decides for each file, so it never changes sides when others come or go.",
    )
    allow_leaks: bool = Field(
        False, description="Whether an identical image, byte for byte, may be in both train and test."
    )
    spans: int = Field(1, ge=1, description="How many of the newest spans are read together, where path has {SPAN}.")
    max_quarantined: float = Field(
        0.05,
        ge=0,
        le=1,
        description="The share of files that may be unreadable; more of them stop the run.",
    )
    max_pixels: int = Field(
        100_000_000, ge=1, description="Images of more pixels (width x height) are refused before they are decoded."
    )
    max_bytes: int = Field(
        256 * 2**20, ge=1, le=2**31 - 1, description="Larger files (in bytes) are refused before they are read."
    )

    @model_validator(mode="after")
    def _keys_suit_the_layout(self) -> "DataConfig":
        if "{VERSION}" in self.path and "{SPAN}" not in self.path:
            raise RestemError(
                "path has {VERSION} without {SPAN}", expected="day-{SPAN}/version-{VERSION}, for instance"
            )
        if self.spans > 1 and "{SPAN}" not in self.path:
            raise RestemError(
                "spans are counted where path has {SPAN}", given=f"spans: {self.spans}, path: {self.path}"
            )
        if taken := sorted(set(self.metadata) & _OWN_FEATURES):
            expected = "columns with other names than the examples' own features"
            raise RestemError("metadata names what every example has", expected=expected, given=", ".join(taken))
        if self.found_layout == "folders":
            if self.weight is not None or self.metadata:
                what = "a folder of images has no columns, so there is no weight and no metadata"
                raise RestemError(what, remedy="Write a manifest with a row an image")
            if self.group is not None:
                compiled_group(self.group)
        return self

    @property
    def found_layout(self) -> Layout:
        """The layout as configured, or as the path's name says."""
        if self.layout is not None:
            return self.layout
        name = self.path.rpartition("/")[2].lower()
        if name.endswith(MANIFESTS):
            return "manifest"
        return "tfrecord" if looks_like_records(self.path) else "folders"

    def elsewhere(self, path: str) -> "DataConfig":
        """Other images under the same limits: names of columns, groups and splits say nothing about those."""
        limits = self.model_dump(include={"test_share", "max_quarantined", "max_pixels", "max_bytes", "allow_leaks"})
        return DataConfig(path=path, **limits)


def looks_like_records(path: str) -> bool:
    """Whether a path's last part names TFRecord files, or is a pattern of files."""
    return _RECORDS.search(path.rpartition("/")[2].lower()) is not None


def compiled_group(pattern: str) -> re.Pattern:
    """data.group as a regular expression.

    Raises:
      RestemError: it is none, or it has not exactly one group in parentheses.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RestemError(
            "this is not a regular expression", where="data.group", given=f"{pattern!r}: {error}"
        ) from None
    if compiled.groups != 1:
        raise RestemError(
            "the regular expression must have one group in parentheses",
            where="data.group",
            expected=r"what names the patient, slide or scene in a path, such as 'patient-(\d+)'",
            given=repr(pattern),
        )
    return compiled
