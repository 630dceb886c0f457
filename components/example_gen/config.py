"""The configuration's data section: where the images are, how they are split, and how many bad ones are tolerated."""

import math
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from restem.errors import RestemError
from restem.example_gen.group_pattern import compiled_group
from restem.images.config import ArrayAxes
from restem.images.header import MAX_DECODED_BYTES
from restem.section import Section

# Datasets that are included in the installation, as named in place of a path.
EMBEDDED_DIGITS = "embedded:digits"
EMBEDDED_DOCUMENTS = "embedded:documents"
EMBEDDED = (EMBEDDED_DIGITS, EMBEDDED_DOCUMENTS)

Layout = Literal["folders", "manifest", "tfrecord"]
# What folders can be, in data.folders.
CLASS, SPLIT, ANY = "class", "split", "any"
MOST_FOLDERS = 6
MANIFESTS = (".csv", ".tsv", ".tab", ".txt", ".parquet")
# Before the keyword of an element of DICOM files, in data.group and data.metadata.
DICOM_PREFIX = "dicom."
GROUP_TAGS = frozenset({"PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "AccessionNumber"})
# Elements that say nothing about a person: none is in the confidentiality profile of DICOM PS3.15, table E.1-1.
METADATA_TAGS = frozenset(
    {
        *("Modality", "BodyPartExamined", "ViewPosition", "ImageLaterality", "Laterality", "PatientPosition"),
        *("Manufacturer", "ManufacturerModelName", "PhotometricInterpretation", "PresentationIntentType"),
        *("KVP", "SliceThickness", "MagneticFieldStrength", "ConvolutionKernel", "ScanningSequence", "EchoTime"),
    }
)
_RECORDS = re.compile(r"\.tfrecords?\b|[*?]")
_OWN_FEATURES = frozenset(
    {"image_bytes", "path", "label", "label_index", "height", "width", "channels", "bit_depth", "format", "weight"}
)


class ColumnsConfig(Section):
    """The names of a manifest's columns; without a header line they are "column 1", "column 2" and so on."""

    path: str = Field(
        "path",
        min_length=1,
        description="The image's path, relative to the manifest (see data.images_folder), or absolute. In a Parquet "
        "file, the column may have the images themselves, as bytes or as Hugging Face's struct of bytes and path.",
    )
    label: str = Field("label", min_length=1, description="The image's class.")
    split: str | None = Field(
        "split",
        min_length=1,
        description="The image's split, train, val or test; the column is optional. null ignores a column split.",
    )
    one_hot: tuple[str, ...] = Field(
        (),
        description="Instead of label: columns that are named like the classes, of which exactly one is 1 in each row.",
    )


class FeaturesConfig(Section):
    """The names of the features in tf.Examples."""

    image: str = Field("image_bytes", min_length=1, description="The encoded image, with the content of an image file.")
    label: str = Field("label", min_length=1, description="The image's class: a name, or a whole number.")
    split: str | None = Field(None, description="The image's split: train, val or test.")
    path: str | None = Field(
        None, description="The image's name in reports. The default is the file's name and the record's number."
    )


class DataConfig(Section):
    """Where the images are, how they are laid out and split, and the limits."""

    path: str = Field(
        min_length=1,
        description="A folder of images; a manifest (.csv, .tsv, .txt or .parquet), or a pattern of them such as "
        "data/*.parquet; TFRecord files (a file, a pattern such as /data/*.tfrecord, or with layout: tfrecord a "
        "folder); or a dataset included in the installation: 'embedded:digits', scikit-learn's 1,797 handwritten "
        "digits, or 'embedded:documents', the same digits as overwritten documents in red, green, blue and near "
        "infrared. {SPAN} and {VERSION} match numbers, as in /data/day-{SPAN}; the newest is read.",
    )
    layout: Layout | None = Field(
        None,
        description="'folders': a folder for each class, named like the class, either directly in the path or inside "
        "its sub-folders train and test; 'manifest': a table with one row per image; 'tfrecord': tf.Examples. By "
        "default, the path's name decides.",
    )
    folders: str | None = Field(
        None,
        min_length=1,
        description="What the folders at each depth are, from the top: 'class', 'split' (named train, test and maybe "
        "val, in any case) or 'any', as in 'class', 'split/class', 'class/split', 'any/class' or 'any/split/class'. "
        "Deeper folders count as part of the last one. By default, the folders' names decide; where they leave two "
        "readings, the run stops and shows both.",
    )
    include: tuple[str, ...] = Field(
        (),
        description="Patterns such as '*.jpg' or 'site-?/*'; * also matches slashes. If there are any, only images "
        "whose path (relative to the folder, or as in the table) matches one are used; the number of others is said.",
    )
    exclude: tuple[str, ...] = Field(
        (), description="Patterns, as in include, of images that are not used, such as '*_mask.png'."
    )
    follow_links: bool = Field(
        False,
        description="Whether symbolic links are followed out of the data folder, also those that a manifest names. "
        "Otherwise such links are quarantined.",
    )
    allow_outside: bool = Field(
        False,
        description="Whether a manifest may name files outside its own folder and data.images_folder (on remote "
        "storage: outside their buckets), by absolute paths, '../' or URLs. Otherwise such rows are quarantined.",
    )
    columns: ColumnsConfig = Field(ColumnsConfig(), description="The names of a manifest's columns.")
    images_folder: str | None = Field(
        None,
        min_length=1,
        description="The folder that a manifest's paths start at: relative to the manifest, absolute, or a URL. The "
        "default is the manifest's own folder; if the files are not there, they are looked for in its sub-folders.",
    )
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="What separates a manifest's fields, such as ';' or '\\t'. By default, it is found.",
    )
    header: bool | None = Field(
        None,
        description="Whether a manifest's first line has the names of the columns. By default, it has none if it looks "
        "like the other lines.",
    )
    encoding: str | None = Field(
        None,
        min_length=1,
        description="A manifest's encoding, such as cp1252. By default, UTF-8, or UTF-16 where the file shows it.",
    )
    label_threshold: float | None = Field(
        None,
        description="For labels that are numbers, such as probabilities: the numbers below it are one class, the "
        "others the second one.",
    )
    numbers_are_names: bool = Field(
        False, description="Whether labels with decimals, such as 1.5, are the names of classes."
    )
    features: FeaturesConfig = Field(FeaturesConfig(), description="The names of the features in TFRecord files.")
    split: Literal["given", "hash", "stratified"] | None = Field(
        None,
        description="'given': by sub-folders train and test, or by the split column or feature; 'hash': by a hash of "
        "each path (or group), which never changes; 'stratified': the smallest hashes of every class, so that each "
        "class keeps its share. The default is 'given' if the data give splits, 'hash' with data.group, otherwise "
        "'stratified'.",
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="Images of one group stay in one split. The group is a manifest's column, a feature, or a regular "
        "expression with one group in parentheses that is searched in each path, such as 'patient-(\\d+)'. With DICOM "
        "files, 'dicom.PatientID' (or another identifier) is read from each file; neither it nor its hash is stored.",
    )
    weight: str | None = Field(
        None,
        min_length=1,
        description="A manifest's column, or a feature, with the weight of each image in training. "
        "All test images count the same.",
    )
    metadata: tuple[str, ...] = Field(
        (),
        description="A manifest's columns, or features, that are kept with each image as text, for evaluate.slices. "
        "With DICOM files also elements of the files that say nothing about a person, such as 'dicom.Modality'.",
    )
    classes: tuple[str, ...] | None = Field(
        None,
        min_length=2,
        description="The names of all classes. The run stops if one of them has no images, unless allow_class_changes "
        "is set. A class that is not listed is trained on, and named in the verdict and the report.",
    )
    merge_labels: bool | Mapping[str, str] = Field(
        False,
        description="Classes that are made one: a mapping such as {Cats: cat}, or true for all whose names differ only "
        "in case, spaces or Unicode form; these get the name with the most images.",
    )
    allow_class_changes: bool = Field(
        False,
        description="Whether a class of data.classes, or of the newest version under push.destination, may be missing. "
        "The answers of the new model then have another width.",
    )
    test_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="The share of the images that are held out for testing, if the splits are not given.",
    )
    val_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="The share of the training images that are held out for validation: for choosing an epoch and "
        "stopping early (train.keep, train.patience). 0 means none, unless the data have a split val.",
    )
    allow_leaks: bool = Field(False, description="Whether byte-identical images may be in more than one split.")
    allow_near_duplicates: bool | None = Field(
        None,
        description="Whether images that look the same (resized, compressed again, mirrored) may be in more than one "
        "split. false: the run looks for them and stops; true: it looks for them and the report counts them. By "
        "default, only restem inspect looks for them.",
    )
    spans: int = Field(1, ge=1, description="How many of the newest spans are read together, if path has {SPAN}.")
    max_quarantined: float = Field(
        0.05,
        ge=0,
        le=1,
        description="The maximum share of unreadable files; more stop the run.",
    )
    max_pixels: int = Field(
        100_000_000, ge=1, description="Images with more pixels (width x height) are refused before they are decoded."
    )
    max_decoded_bytes: int = Field(
        MAX_DECODED_BYTES,
        ge=1,
        description="Images that take more memory when they are decoded (in bytes: pixels x channels x bytes per "
        "value) are refused before that, and files that would take more than 2.5 times this to read.",
    )
    max_bytes: int = Field(
        256 * 2**20, ge=1, le=2**31 - 1, description="Larger files (in bytes) are refused before they are read."
    )

    array_axes: ArrayAxes = Field(
        "hwc",
        description="The axes of NumPy arrays (.npy) with three dimensions: 'hwc' is height, width, channels; 'chw' is "
        "channels, height, width, as PyTorch has them.",
    )

    @model_validator(mode="after")
    def _keys_suit_the_layout(self) -> "DataConfig":
        if "{VERSION}" in self.path and "{SPAN}" not in self.path:
            raise RestemError("path has {VERSION} without {SPAN}", expected="for example day-{SPAN}/version-{VERSION}")
        if self.spans > 1 and "{SPAN}" not in self.path:
            raise RestemError(
                "spans greater than 1 requires {SPAN} in path", given=f"spans: {self.spans}, path: {self.path}"
            )
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise RestemError("classes has duplicate names", expected="each class once", given=", ".join(self.classes))
        if isinstance(self.merge_labels, Mapping) and (
            again := sorted(set(self.merge_labels.values()) & set(self.merge_labels))
        ):
            what = "merge_labels has names on both sides, so it is unclear which class remains"
            raise RestemError(what, expected="old name: name of the class that remains", given=", ".join(again))
        self.folder_parts  # noqa: B018 - refuses what is none
        if taken := sorted(set(self.metadata) & _OWN_FEATURES):
            expected = "names that differ from the built-in features of examples"
            raise RestemError("metadata uses reserved names", expected=expected, given=", ".join(taken))
        _check_tags(self.group, GROUP_TAGS, "data.group")
        for name in self.metadata:
            _check_tags(name, METADATA_TAGS, "data.metadata")
        self._check_table_keys()
        if self.found_layout == "folders":
            if self.weight is not None or any(not name.startswith(DICOM_PREFIX) for name in self.metadata):
                what = "a folder of images has no columns, so there is no weight and no metadata"
                raise RestemError(what, remedy="Write a manifest with one row per image")
            if self.group is not None and not self.group.startswith(DICOM_PREFIX):
                compiled_group(self.group)
        return self

    def _check_table_keys(self) -> None:
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError:
                what = "encoding is not a text encoding that Python knows"
                raise RestemError(what, expected="for example utf-8, cp1252, shift_jis", given=self.encoding) from None
        if self.delimiter is not None and self.delimiter in '\r\n"\0':
            raise RestemError("delimiter cannot separate fields", given=repr(self.delimiter))
        if len(self.columns.one_hot) == 1:
            raise RestemError("columns.one_hot has one column", expected="a column for each class, at least two")
        if self.columns.one_hot and self.columns.label != "label":
            raise RestemError("columns has both label and one_hot", remedy="Remove one of them")
        if self.label_threshold is not None and self.numbers_are_names:
            raise RestemError("label_threshold and numbers_are_names exclude each other", remedy="Remove one of them")
        if self.label_threshold is not None and not math.isfinite(self.label_threshold):
            raise RestemError("label_threshold is not a finite number", given=f"{self.label_threshold:g}")
        if self.found_layout != "manifest":
            keys = ["images_folder", "delimiter", "header", "encoding", "allow_outside"]
            keys += ["label_threshold", "numbers_are_names"] if self.found_layout == "folders" else []
            if given := [key for key in keys if getattr(self, key) not in (None, False)]:
                raise RestemError(f"{given[0]} is only for a manifest", given=f"path: {self.path}")

    @property
    def folder_parts(self) -> tuple[str, ...] | None:
        """`folders` in parts: class, split or any at each depth; None if names decide.

        Raises:
          RestemError: it is not such a pattern.
        """
        if self.folders is None:
            return None
        parts = tuple(part.strip() for part in self.folders.split("/"))
        known = set(parts) <= {CLASS, SPLIT, ANY} and len(parts) <= MOST_FOLDERS
        if not known or parts.count(CLASS) != 1 or parts.count(SPLIT) > 1:
            raise RestemError(
                "this does not say what the folders are",
                where="data.folders",
                expected=f"class once, split at most once, and any, with slashes between them, at most {MOST_FOLDERS}",
                given=repr(self.folders),
                remedy="For example class, split/class, class/split or any/class",
            )
        return parts

    @property
    def found_layout(self) -> Layout:
        """The configured layout, or the one that follows from the path's name."""
        if self.layout is not None:
            return self.layout
        name = self.path.rpartition("/")[2].lower()
        if name.endswith(MANIFESTS):
            return "manifest"
        return "tfrecord" if looks_like_records(self.path) else "folders"

    def elsewhere(self, path: str) -> "DataConfig":
        """The configuration for other images with the same limits, without column names, groups and splits."""
        limits = self.model_dump(
            include={
                "test_share",
                "max_quarantined",
                "max_pixels",
                "max_bytes",
                "max_decoded_bytes",
                "allow_leaks",
                "array_axes",
                "follow_links",
            }
        )
        other = DataConfig(path=path, **limits)
        allowed = self.allow_outside and other.found_layout == "manifest"
        return other.model_copy(update={"allow_outside": allowed})


def _check_tags(name: str | None, accepted: frozenset[str], where: str) -> None:
    """Refuses an element of DICOM files that is not accepted there."""
    if name is None or not name.startswith(DICOM_PREFIX) or name.removeprefix(DICOM_PREFIX) in accepted:
        return
    raise RestemError(
        "this element of DICOM files is not accepted here, because it may identify a patient"
        if where == "data.metadata"
        else "this element of DICOM files does not identify a patient or a study",
        where=where,
        expected=", ".join(sorted(DICOM_PREFIX + one for one in accepted)),
        given=name,
        remedy="Put what you may use into a column of a manifest",
    )


def looks_like_records(path: str) -> bool:
    """Whether a path's last part is the name of TFRecord files, or a file pattern."""
    return _RECORDS.search(path.rpartition("/")[2].lower()) is not None
