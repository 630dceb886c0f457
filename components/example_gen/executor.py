"""The executor of ImageExampleGen: lists the images, reads them on Beam, and writes examples, quarantine and schema."""

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from operator import itemgetter
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.utils import io_utils

from restem import storage
from restem.errors import RestemError
from restem.example_gen.artifacts import Quarantine
from restem.example_gen.classes import ClassChange, listed_change
from restem.example_gen.config import DataConfig
from restem.example_gen.content import with_size
from restem.example_gen.dataset import TITLES, ExampleFields, ImageFile, Listing, Refused
from restem.example_gen.duplicates import Duplicates, check_leaks, digest_line, find_duplicates
from restem.example_gen.listing import check_counts, check_listing
from restem.example_gen.missing import Missing, MissingCounts
from restem.example_gen.near import Look, NearDuplicates, check_near, find_near, look_of
from restem.example_gen.questions import missing_sentence
from restem.example_gen.reading import Accepted, ImageReader, Limits, limits_of
from restem.example_gen.schema import complete_schema
from restem.images.config import Requirements
from restem.images.nodata import Nodata
from restem.tfrecords import WriteStoredTFRecords

_LOG = logging.getLogger("restem")
_SHOWN = 20
_GROUP_FILES = 256
_PROGRESS_SECONDS = 5.0
_REFUSED, _COUNTED, _DIGESTS, _LOOKS, _MISSING = "refused", "counted", "digests", "looks", "missing"


class Executor(BaseBeamExecutor):
    """The executor of ImageExampleGen."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Makes examples, quarantine and schema.

        Raises:
          RestemError: the data are not suitable for training (see `check_listing`), too many files are bad, a class has
            no readable training images, or the same image is in both splits.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        settings = json.loads(exec_properties["settings"])
        config = data_config(exec_properties)
        quarantine_uri = artifact_utils.get_single_uri(output_dict["quarantine"])
        parts = os.path.join(quarantine_uri, "parts")
        fileio.makedirs(parts)

        listing = check_listing(config.path, config, scratch=parts)
        _LOG.info("%s images in %d classes in %s", f"{len(listing.files):,}", len(listing.classes), config.path)
        for note in listing.notes:
            _LOG.warning("%s", note)
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(listing.splits))
        if listing.spans:
            _LOG.info("spans: %s", ", ".join(str(number) for number in listing.spans))
            examples.span = listing.spans[-1]

        limits = limits_of(config, Requirements(**settings["image"]))
        fields = ExampleFields(listing.classes, config.weight is not None, tuple(config.metadata))
        with self._make_beam_pipeline() as pipeline:
            _build(pipeline, listing, fields, limits, examples, parts, looks=config.allow_near_duplicates is not None)
        refused = [Refused.from_json(line) for line in _lines(parts, _REFUSED)]
        refused += [with_size(listing.folder, one) for one in listing.refused]
        refused.sort(key=lambda one: one.path)
        counts = _read_counts(parts, listing.splits)
        duplicates = find_duplicates(lambda: _lines(parts, _DIGESTS))
        near = _read_near(parts) if config.allow_near_duplicates is not None else None
        missing = MissingCounts(limits.image.nodata)
        for line in _lines(parts, _MISSING):
            missing.add(Missing.from_line(line))
        fileio.rmtree(parts)

        _check_quarantine(refused, len(listing), config)
        check_counts(listing.classes, counts, config.path, given_splits=listing.given_splits, readable=True)
        check_leaks(duplicates, config, config.path)
        notes = list(listing.notes)
        if near is not None:
            near = near.without({copy.path for group in duplicates.leaks for copy in group})
            check_near(near, config, config.path)
            if near.sentence:
                _LOG.warning("near-duplicates: %s", near.sentence)
            notes.append(near.sentence or f"Near-duplicates: none in {near.compared:,} images that were compared")
            notes += near.examples()
        for sentence in missing.sentences(sum(sum(counts[split].values()) for split in listing.splits)):
            _LOG.warning("%s", sentence)
            notes.append(sentence)
        if untested := missing_sentence(listing.classes, counts):
            _LOG.warning("%s", untested)
            notes.append(untested)
        change = listed_change(config, listing.classes)
        _write_quarantine(quarantine_uri, refused, listing, counts, duplicates, change, notes, missing)
        schema_file = os.path.join(artifact_utils.get_single_uri(output_dict["schema"]), "schema.pbtxt")
        io_utils.write_pbtxt_file(schema_file, complete_schema(fields))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")
        _LOG.info(
            "%s, %d quarantined",
            ", ".join(f"{sum(counts[split].values()):,} {TITLES[split]} images" for split in listing.splits),
            len(refused),
        )
        if duplicates.groups:
            _LOG.warning("identical images: %s (see duplicates.jsonl in the quarantine)", duplicates.counts())


def data_config(exec_properties: dict[str, Any]) -> DataConfig:
    """The data section from the step's properties: the path in two parts, and the rest in the settings."""
    settings = json.loads(exec_properties["settings"])
    return DataConfig(path=storage.join(exec_properties["input_base"], settings["below"]), **settings["data"])


def _build(
    pipeline: beam.Pipeline,
    listing: Listing,
    fields: ExampleFields,
    limits: Limits,
    examples: types.Artifact,
    parts: str,
    *,
    looks: bool,
) -> None:
    """Reads the listed images, and writes the examples of each split, the refused files, counts and digests.

    With `looks` it also writes what each image looks like.

    Workers read the listing from a file, because a pipeline that contained a million images would be too large to
    submit. The listing is shuffled by a hash of the paths, so that the examples are shuffled too, and always in the
    same order with one worker.
    """
    listed = os.path.join(parts, "listing.jsonl")
    with fileio.open(listed, "w") as file:
        for line in listing_lines(listing):
            file.write(line + "\n")
    outcomes = (
        pipeline
        | "ReadListing" >> beam.io.ReadFromText(listed)
        | "Group" >> beam.Map(_group)
        | "Shuffle" >> beam.GroupByKey()
        | "ReadImages"
        >> beam.ParDo(ReadImages(listing.folder, limits, fields, len(listing.files), looks=looks)).with_outputs(
            *listing.splits, _REFUSED, _COUNTED, _DIGESTS, _LOOKS, _MISSING
        )
    )
    for split in listing.splits:
        target = os.path.join(artifact_utils.get_split_uri([examples], split), "data_tfrecord")
        _ = outcomes[split] | f"Write[{split}]" >> WriteStoredTFRecords(target)
    _ = outcomes[_REFUSED] | "WriteRefused" >> beam.io.WriteToText(os.path.join(parts, _REFUSED))
    if looks:
        _ = outcomes[_LOOKS] | "WriteLooks" >> beam.io.WriteToText(os.path.join(parts, _LOOKS))
    _ = outcomes[_MISSING] | "WriteMissing" >> beam.io.WriteToText(os.path.join(parts, _MISSING))
    _ = outcomes[_DIGESTS] | "WriteDigests" >> beam.io.WriteToText(os.path.join(parts, _DIGESTS))
    _ = (
        outcomes[_COUNTED]
        | "Add" >> beam.CombinePerKey(sum)
        | "CountToJson" >> beam.MapTuple(_count_line)
        | "WriteCounts" >> beam.io.WriteToText(os.path.join(parts, _COUNTED))
    )


class ReadImages(beam.DoFn):
    """A group of images -> serialized examples (`train` and `test`); lines of refused files; counts; digests."""

    def __init__(self, folder: str, limits: Limits, fields: ExampleFields, total: int, *, looks: bool = False) -> None:
        self._looks = looks
        self._folder = folder
        self._limits = limits
        self._fields = fields
        self._total = total

    def setup(self) -> None:
        """Builds the TensorFlow graph on the worker, because it cannot be sent there."""
        self._reader = ImageReader(self._folder, self._limits, self._fields)
        self._done = 0
        self._reported = time.monotonic()

    def process(self, group: tuple[int, Iterable[str]]) -> Iterator[Any]:
        """Reads one group of listing lines."""
        ranked = sorted(map(_ranked, group[1]), key=itemgetter(0))
        counts: Counter = Counter()
        for outcome in self._reader.read(file for _, file in ranked):
            if isinstance(outcome, Accepted):
                file = outcome.file
                counts[file.split, file.label] += 1
                yield beam.pvalue.TaggedOutput(file.split, outcome.example)
                line = digest_line(outcome.digest, file.path, file.label, file.split)
                yield beam.pvalue.TaggedOutput(_DIGESTS, line)
                if outcome.missing or outcome.declares is not None:
                    seen = Missing(file.path, outcome.missing, outcome.declares)
                    yield beam.pvalue.TaggedOutput(_MISSING, seen.to_line())
                if self._looks:
                    yield beam.pvalue.TaggedOutput(_LOOKS, _look_line(outcome, self._limits.image.nodata))
            else:
                yield beam.pvalue.TaggedOutput(_REFUSED, outcome.to_json())
            self._done += 1
            self._report()
        for key, count in counts.items():
            yield beam.pvalue.TaggedOutput(_COUNTED, (key, count))

    def _report(self) -> None:
        if time.monotonic() - self._reported >= _PROGRESS_SECONDS:
            self._reported = time.monotonic()
            _LOG.info("%s of %s files read", f"{self._done:,}", f"{self._total:,}")


def listing_lines(listing: Listing) -> Iterator[str]:
    """One line per image, shuffled by a hash of the path: its rank, a tab, and the `ImageFile` as JSON."""
    shuffled = sorted(listing.files, key=lambda file: hashlib.sha256(file.path.encode()).digest())
    for rank, file in enumerate(shuffled):
        yield f"{rank}\t{file.to_json()}"


def _ranked(line: str) -> tuple[int, ImageFile]:
    rank, _, file = line.partition("\t")
    return int(rank), ImageFile.from_json(file)


def _group(line: str) -> tuple[int, str]:
    return int(line.partition("\t")[0]) // _GROUP_FILES, line


def _count_line(key: tuple[str, str], count: int) -> str:
    return json.dumps([*key, count])


def _lines(parts: str, name: str) -> Iterator[str]:
    for shard in sorted(fileio.glob(os.path.join(parts, f"{name}-*"))):
        with fileio.open(shard) as lines:
            yield from lines


def _look_line(accepted: Accepted, rule: Nodata | None) -> str:
    """What an image looks like; an empty line if it is too plain to be compared."""
    stored = tf.train.Example.FromString(accepted.example).features.feature["image_bytes"].bytes_list.value[0]
    values = look_of(stored, rule=rule)
    file = accepted.file
    return "" if values is None else Look(file.path, file.label, file.split, values).to_line()


def _read_near(parts: str) -> NearDuplicates:
    looks, plain = [], 0
    for line in _lines(parts, _LOOKS):
        if line.strip():
            looks.append(Look.from_line(line))
        else:
            plain += 1
    return find_near(looks, plain)


def _read_counts(parts: str, splits: tuple[str, ...]) -> dict[str, Counter]:
    counts: dict[str, Counter] = {split: Counter() for split in splits}
    for split, label, count in map(json.loads, _lines(parts, _COUNTED)):
        counts[split][label] = count
    return counts


def _check_quarantine(refused: list[Refused], files: int, config: DataConfig) -> None:
    if len(refused) <= config.max_quarantined * files:
        return
    shown = "".join(f"\n  {one.path}: {one.reason}" for one in refused[:_SHOWN])
    more = f"\n  and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    raise RestemError(
        f"{len(refused)} of {files} files cannot be read as images",
        where=f"data.path ({config.path})",
        expected=f"at most a share of data.max_quarantined = {config.max_quarantined:g}",
        given=f"{len(refused) / files:.3g}",
        remedy=f"Fix or remove them, or raise data.max_quarantined:{shown}{more}",
    )


def _write_quarantine(
    uri: str,
    refused: list[Refused],
    listing: Listing,
    counts: dict[str, Counter],
    duplicates: Duplicates,
    change: ClassChange | None,
    notes: list[str],
    missing: MissingCounts,
) -> None:
    with fileio.open(os.path.join(uri, Quarantine.LINES), "w") as file:
        file.write("".join(one.to_json() + "\n" for one in refused))
    with fileio.open(os.path.join(uri, Quarantine.DUPLICATES), "w") as file:
        file.write("".join(line + "\n" for line in duplicates.lines()))
    images = {split: sum(counts[split].values()) for split in listing.splits}
    summary = {
        "files": sum(images.values()) + len(refused),
        "quarantined": len(refused),
        "classes": list(listing.classes),
        "splits": {
            split: {"images": images[split], "by_class": {name: counts[split][name] for name in listing.classes}}
            for split in listing.splits
        },
        "duplicates": duplicates.counts(),
        "nodata": missing.to_dict(),
        "spans": list(listing.spans),
        "class_change": None if change is None else asdict(change),
        "notes": notes,
    }
    with fileio.open(os.path.join(uri, Quarantine.SUMMARY), "w") as file:
        file.write(json.dumps(summary, indent=2) + "\n")
