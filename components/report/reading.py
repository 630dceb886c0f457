"""Reads `ReportData` from the folders of the pipeline's artifacts, by URI."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from tfx.dsl.io import fileio

from restem import files
from restem.baseline.choice import FILE as BASELINE
from restem.baseline.choice import Choice
from restem.errors import RestemError
from restem.evaluator.outcome import Outcome
from restem.evaluator.serving import ServingCost
from restem.evaluator.verdict import with_notes
from restem.example_gen.classes import ClassChange
from restem.example_gen.dataset import Refused
from restem.images.config import ImageConfig
from restem.images.nodata import Nodata
from restem.pusher.classes import class_change
from restem.pusher.release import read_release
from restem.record_files import read_json
from restem.report.answers import choose_answers
from restem.report.closer import Closer, attention, neighbours_of, shown_paths, similarity
from restem.report.data import (
    DataSummary,
    ReportData,
    Run,
    Slice,
    StemTransfer,
    Verdict,
)
from restem.report.page import SHOWN_QUARANTINE
from restem.report.pictures import Thumbnail, picture_uri, thumbnail
from restem.run_record import EVENTS, EXTRA, STEM, read_evaluation, read_history, read_model
from restem.start.choice import FILE as START
from restem.start.choice import Start
from restem.tuner.trials import read_tuning

BATCH = 256  # examples parsed at a time when searching for the images that are shown

log = logging.getLogger("restem")


def read_report_data(
    *,
    title: str,
    made_at: str,
    versions: Mapping[str, str],
    verdict: Mapping[str, Any],
    candidate_uri: str,
    baseline_uri: str,
    quarantine_uri: str,
    examples_uri: str,
    tuning_uri: str | None = None,
    serving: ServingCost | None = None,
    destination: str | None = None,
    release_uri: str | None = None,
) -> ReportData:
    """Reads what the report shows.

    Args:
      title: the page's heading.
      made_at: the time of writing, as shown on the page.
      versions: software versions, as shown on the page.
      verdict: the result of `restem.evaluator.verdict.read_verdict`.
      candidate_uri: the candidate's run folder (see run_record.py).
      baseline_uri: the baseline's run folder.
      quarantine_uri: the folder with summary.json and quarantine.jsonl.
      examples_uri: the raw examples; the images that are shown are read from the split `test`.
      tuning_uri: the Tuner's results.
      serving: the result of `restem.evaluator.serving.read_serving`.
      destination: the folder of approved versions, to notice a change of the classes.
      release_uri: the Report's output `release`, if it exists: which change was noticed when the run was made.

    Raises:
      RestemError: the two runs have no test image in common.
    """
    candidate, baseline = read_run(candidate_uri), read_run(baseline_uri)
    candidate, baseline = on_the_same_images(candidate, baseline)
    image = candidate.model.config.get("image") or {}
    bands = tuple(image.get("bands") or ())
    rule = None if image.get("nodata") is None else ImageConfig.model_validate(image).nodata_rule
    near = neighbours_of(candidate_uri)
    also = {near.paths[i] for part in shown_paths(near, candidate.evaluation) for i in part} if near else set()
    thumbnails: dict[str, Thumbnail] = {}

    def pictures(paths: set[str]) -> dict[str, Thumbnail]:
        thumbnails.update(_find_pictures(examples_uri, paths | also, bands, rule))  # in one pass over the images
        return thumbnails

    answers = choose_answers(candidate.evaluation, baseline.evaluation, pictures)
    data = _read_data_summary(quarantine_uri)
    changes = _class_changes(data, destination, release_uri)
    evaluations = {"candidate": candidate.evaluation, "baseline": baseline.evaluation}
    return ReportData(
        title=title,
        made_at=made_at,
        verdict=_verdict(with_notes(verdict, evaluations, changes)),
        candidate=candidate,
        baseline=baseline,
        **answers,
        data=data,
        class_changes=changes,
        tuning=read_tuning(tuning_uri) if tuning_uri else None,
        serving=serving,
        closer=Closer(similarity(candidate_uri, near, candidate.evaluation, thumbnails), attention(candidate_uri)),
        versions=dict(versions),
    )


def _optional_bytes(uri: str, name: str) -> bytes | None:
    path = f"{uri}/{name}"
    return files.read(path) if files.exists(path) else None


def read_run(uri: str) -> Run:
    """Reads a run's folder as the Trainer and the Baseline write it."""
    origin, start = _optional_bytes(uri, BASELINE), _optional_bytes(uri, START)
    return Run(
        model=read_model(uri),
        history=read_history(uri),
        evaluation=read_evaluation(uri),
        stem=_read_stem(uri),
        origin=Choice.from_json(origin.decode("utf-8")) if origin else None,
        events=find_events(uri),
        start=Start.from_json(start.decode("utf-8")) if start else None,
    )


def find_events(uri: str) -> str | None:
    """The folder with a run's event files; None if it has none, as of an adopted model."""
    return f"{uri}/{EVENTS}" if files.exists(f"{uri}/{EVENTS}") else None


def _read_stem(uri: str) -> StemTransfer | None:
    content = _optional_bytes(uri, STEM)
    if content is None:
        return None
    report, text, picture = json.loads(content), _optional_bytes(uri, "stem.txt"), _optional_bytes(uri, "stem.png")
    return StemTransfer(
        claim=report["claim"],
        error=report.get("error"),
        weights=tuple(report.get("weights") or ()),
        dropped=tuple(f"{one['name']} ({one['why']})" for one in report.get("dropped") or ()),
        text=text.decode("utf-8") if text else "",
        picture=picture_uri(picture) if picture else None,
        trained=(report.get("source") or {}).get("trained", True),
    )


def on_the_same_images(candidate: Run, baseline: Run) -> tuple[Run, Run]:
    """Both runs, limited to their common test images, in the candidate's order.

    Normally both have the same images; an adopted baseline may have them in a different order.

    Raises:
      RestemError: they have no image in common.
    """
    ours, theirs = candidate.evaluation, baseline.evaluation
    if ours.paths == theirs.paths:
        return candidate, baseline
    place = {path: i for i, path in enumerate(theirs.paths)}
    shared = [(i, place[path]) for i, path in enumerate(ours.paths) if path in place]
    if not shared:
        raise RestemError(
            "the candidate and the baseline were not evaluated on the same images",
            where="report",
            expected="the same test split for both",
            given=f"{len(ours.paths)} and {len(place)} images with none in common",
            remedy="Run the pipeline from the start, so that both are evaluated on the same data.",
        )
    if len(shared) < max(len(ours.paths), len(place)):
        log.info("Report: the comparison uses the %d test images that both models were evaluated on", len(shared))
    mine, others = (np.array(side) for side in zip(*shared, strict=True))
    return (
        dataclasses.replace(candidate, evaluation=ours.at(mine)),
        dataclasses.replace(baseline, evaluation=theirs.at(others)),
    )


def _verdict(verdict: Mapping[str, Any]) -> Verdict:
    return Verdict(
        blessed=bool(verdict["blessed"]),
        reason=verdict["reason"],
        metrics=verdict["metrics"],
        requirements=tuple(Outcome.from_dict(entry) for entry in verdict["requirements"]),
        slices=tuple(_slice(entry) for entry in verdict["slices"]),
    )


def _slice(entry: Mapping[str, Any]) -> Slice:
    return Slice(**{name: value for name, value in entry.items() if name not in ("columns", "values")})


def _find_pictures(
    examples_uri: str, wanted: set[str], bands: tuple[str, ...], rule: Nodata | None
) -> dict[str, Thumbnail]:
    """Thumbnails of the wanted paths, read in one pass that stops when all are found."""
    found: dict[str, Thumbnail] = {}
    missing = set(wanted)
    if missing:
        for path, encoded in _test_images(examples_uri):
            if path in missing:
                missing.discard(path)
                picture = thumbnail(encoded, bands, rule)
                if picture is not None:
                    found[path] = picture
                if not missing:
                    break
    if len(found) < len(wanted):
        log.warning("Report: %d of %d images cannot be shown", len(wanted) - len(found), len(wanted))
    return found


def _test_images(examples_uri: str) -> Iterator[tuple[str, bytes]]:
    """(path, encoded image) of the split `test`."""
    import tensorflow as tf

    shards = sorted(fileio.glob(f"{examples_uri}/Split-test/*"))
    features = {"path": tf.io.FixedLenFeature([], tf.string), "image_bytes": tf.io.FixedLenFeature([], tf.string)}
    for compression, names in _by_compression(shards):
        records = tf.data.TFRecordDataset(names, compression_type=compression)
        for batch in records.batch(BATCH).map(lambda batch: tf.io.parse_example(batch, features)).as_numpy_iterator():
            for path, encoded in zip(batch["path"].tolist(), batch["image_bytes"].tolist(), strict=True):
                yield path.decode("utf-8"), encoded


def _by_compression(files: Iterable[str]) -> list[tuple[str, list[str]]]:
    packed = [name for name in files if PurePosixPath(name).suffix == ".gz"]
    plain = [name for name in files if PurePosixPath(name).suffix != ".gz"]
    return [(kind, names) for kind, names in (("GZIP", packed), ("", plain)) if names]


def _class_changes(data: DataSummary, destination: str | None, release_uri: str | None) -> tuple[ClassChange, ...]:
    if release_uri is not None:
        release = read_release(f"{release_uri}/{EXTRA}")
        return () if release is None else release.class_changes
    released = class_change(destination, data.classes) if destination else None
    return tuple(change for change in (released, data.class_change) if change is not None)


def _read_data_summary(uri: str) -> DataSummary:
    summary = read_json(uri, "summary.json")
    lines = (_optional_bytes(uri, "quarantine.jsonl") or b"").decode("utf-8").splitlines()
    return DataSummary(
        files=summary["files"],
        classes=tuple(summary["classes"]),
        splits={name: dict(split["by_class"]) for name, split in summary["splits"].items()},
        quarantined=summary["quarantined"],
        quarantine=tuple(Refused.from_json(line) for line in lines[:SHOWN_QUARANTINE]),
        equal=summary["duplicates"]["groups"],
        leaks=summary["duplicates"]["leaks"],
        conflicts=summary["duplicates"]["conflicts"],
        spans=tuple(summary["spans"]),
        class_change=ClassChange.from_dict(change) if (change := summary.get("class_change")) else None,
        notes=tuple(summary.get("notes", ())),
    )
