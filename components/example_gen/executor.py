"""What ImageExampleGen does: lists the files, reads them on Beam, and writes examples, quarantine and schema."""

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.utils import io_utils, proto_utils

from components.errors import RestemError
from components.example_gen.artifacts import Quarantine
from components.example_gen.config import DataConfig
from components.example_gen.driver import data_folder
from components.example_gen.folder import SPLITS, Listing, check_counts, check_listing
from components.example_gen.reading import Accepted, ImageReader, Limits, Refused, Source, file_bytes
from components.example_gen.schema import complete_schema
from components.example_gen.stored import WriteStoredTFRecords

_LOG = logging.getLogger("restem")
_SHOWN = 20
_GROUP_FILES = 256
_PROGRESS_SECONDS = 5.0
_REFUSED, _COUNTED = "refused", "counted"


class Executor(BaseBeamExecutor):
    """Executor of ImageExampleGen."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Makes examples, quarantine and schema.

        Raises:
          RestemError: the folder cannot be trained on (see `check_listing`), too many files are bad, or a class is left
            without readable training images.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        settings = json.loads(exec_properties["settings"])
        config = DataConfig(path=exec_properties["input_base"], **settings["data"])
        input_config = example_gen_pb2.Input()
        proto_utils.json_to_proto(exec_properties["input_config"], input_config)
        folder = data_folder(exec_properties["input_base"], input_config.splits[0].pattern)

        listing = check_listing(folder, config)
        _LOG.info("%s files in %d classes in %s", f"{len(listing.files):,}", len(listing.classes), folder)
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        quarantine_uri = artifact_utils.get_single_uri(output_dict["quarantine"])
        parts = os.path.join(quarantine_uri, "parts")
        fileio.makedirs(parts)

        limits = Limits(config.max_pixels, config.max_bytes, settings["bands"])
        with self._make_beam_pipeline() as pipeline:
            _build(pipeline, listing, limits, examples, parts)
        refused = [Refused(**one) for one in _read_lines(parts, _REFUSED)]
        refused += [Refused(one.path, one.reason, file_bytes(folder, one.path)) for one in listing.strays]
        refused.sort(key=lambda one: one.path)
        counts = _read_counts(parts)
        fileio.rmtree(parts)

        _check_quarantine(refused, len(listing.files) + len(listing.strays), config, folder)
        check_counts(listing.classes, counts, folder, given_splits=listing.layout == "split", readable=True)
        _write_quarantine(quarantine_uri, refused, listing.classes, counts)
        schema_file = os.path.join(artifact_utils.get_single_uri(output_dict["schema"]), "schema.pbtxt")
        io_utils.write_pbtxt_file(schema_file, complete_schema(listing.classes))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")
        _LOG.info(
            "%s training images, %s test images, %d quarantined",
            *(f"{sum(counts[split].values()):,}" for split in SPLITS),
            len(refused),
        )


def _build(pipeline: beam.Pipeline, listing: Listing, limits: Limits, examples: types.Artifact, parts: str) -> None:
    """Reads the listing's files, and writes the examples of each split, the refused files and the counts.

    The listing travels as a file: a pipeline that held it would be too large to submit for a million images. It is
    shuffled by a hash of the paths, so that the examples come shuffled, and, from one worker, always in the same order.
    """
    listed = os.path.join(parts, "listing.jsonl")
    with fileio.open(listed, "w") as file:
        file.write("".join(line + "\n" for line in listing_lines(listing)))
    outcomes = (
        pipeline
        | "ReadListing" >> beam.io.ReadFromText(listed)
        | "Group" >> beam.Map(_group)
        | "Shuffle" >> beam.GroupByKey()
        | "ReadImages"
        >> beam.ParDo(ReadImages(listing.folder, limits, len(listing.files))).with_outputs(*SPLITS, _REFUSED, _COUNTED)
    )
    for split in SPLITS:
        target = os.path.join(artifact_utils.get_split_uri([examples], split), "data_tfrecord")
        _ = outcomes[split] | f"Write[{split}]" >> WriteStoredTFRecords(target)
    _ = outcomes[_REFUSED] | "WriteRefused" >> beam.io.WriteToText(os.path.join(parts, _REFUSED))
    _ = (
        outcomes[_COUNTED]
        | "Add" >> beam.CombinePerKey(sum)
        | "CountToJson" >> beam.MapTuple(_count_line)
        | "WriteCounts" >> beam.io.WriteToText(os.path.join(parts, _COUNTED))
    )


class ReadImages(beam.DoFn):
    """A group of files -> serialized examples (outputs `train` and `test`), JSON lines of refused files, and counts."""

    def __init__(self, folder: str, limits: Limits, total: int) -> None:
        self._folder = folder
        self._limits = limits
        self._total = total

    def setup(self) -> None:
        """TensorFlow's graph cannot be sent to a worker; it is made there."""
        self._reader = ImageReader(self._folder, self._limits)
        self._done = 0
        self._reported = time.monotonic()

    def process(self, group: tuple[int, Iterable[str]]) -> Iterator[Any]:
        """Reads one group of listing lines."""
        ranked = sorted(json.loads(line) for line in group[1])
        sources = [Source(*fields) for _, *fields in ranked]
        counts: Counter = Counter()
        for outcome in self._reader.read(sources):
            if isinstance(outcome, Accepted):
                counts[outcome.source.split, outcome.source.label] += 1
                yield beam.pvalue.TaggedOutput(outcome.source.split, outcome.example)
            else:
                yield beam.pvalue.TaggedOutput(_REFUSED, _refused_line(outcome))
            self._done += 1
            self._report()
        for key, count in counts.items():
            yield beam.pvalue.TaggedOutput(_COUNTED, (key, count))

    def _report(self) -> None:
        if time.monotonic() - self._reported >= _PROGRESS_SECONDS:
            self._reported = time.monotonic()
            _LOG.info("%s of %s files read", f"{self._done:,}", f"{self._total:,}")


def listing_lines(listing: Listing) -> Iterator[str]:
    """One JSON array a file, shuffled by a hash of the path: rank, path, label, label_index, split."""
    positions = {name: position for position, name in enumerate(listing.classes)}
    shuffled = sorted(listing.files, key=lambda file: hashlib.sha256(file.path.encode()).digest())
    for rank, file in enumerate(shuffled):
        yield json.dumps([rank, file.path, file.label, positions[file.label], file.split])


def _group(line: str) -> tuple[int, str]:
    return json.loads(line)[0] // _GROUP_FILES, line


def _refused_line(refused: Refused) -> str:
    return json.dumps({"path": refused.path, "reason": refused.reason, "bytes": refused.bytes})


def _count_line(key: tuple[str, str], count: int) -> str:
    return json.dumps([*key, count])


def _read_lines(parts: str, name: str) -> Iterator[Any]:
    for shard in sorted(fileio.glob(os.path.join(parts, f"{name}-*"))):
        with fileio.open(shard) as lines:
            yield from (json.loads(line) for line in lines.read().splitlines())


def _read_counts(parts: str) -> dict[str, Counter]:
    counts = {split: Counter() for split in SPLITS}
    for split, label, count in _read_lines(parts, _COUNTED):
        counts[split][label] = count
    return counts


def _check_quarantine(refused: list[Refused], files: int, config: DataConfig, folder: str) -> None:
    if len(refused) <= config.max_quarantined * files:
        return
    shown = "".join(f"\n  {one.path}: {one.reason}" for one in refused[:_SHOWN])
    more = f"\n  and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    raise RestemError(
        f"{len(refused)} of {files} files are no images that can be read",
        where=f"data.path ({folder})",
        expected=f"at most the share data.max_quarantined = {config.max_quarantined:g}",
        given=f"{len(refused) / files:.3g}",
        remedy=f"Mend or remove them, or raise data.max_quarantined:{shown}{more}",
    )


def _write_quarantine(uri: str, refused: list[Refused], classes: tuple[str, ...], counts: dict[str, Counter]) -> None:
    with fileio.open(os.path.join(uri, Quarantine.LINES), "w") as file:
        file.write("".join(_refused_line(one) + "\n" for one in refused))
    images = {split: sum(counts[split].values()) for split in SPLITS}
    summary = {
        "files": sum(images.values()) + len(refused),
        "quarantined": len(refused),
        "classes": list(classes),
        "splits": {
            split: {"images": images[split], "by_class": {name: counts[split][name] for name in classes}}
            for split in SPLITS
        },
    }
    with fileio.open(os.path.join(uri, Quarantine.SUMMARY), "w") as file:
        file.write(json.dumps(summary, indent=2) + "\n")
