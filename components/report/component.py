"""The Report step, the last before the Pusher: writes the page about the run."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import logging
import platform
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from restem import files
from restem.example_gen.artifacts import Quarantine
from restem.fingerprint import code_fingerprint
from restem.pusher.artifacts import ReleaseNotes
from restem.report.artifacts import HtmlReport
from restem.report.data import ReportData
from restem.report.notes import write_notes
from restem.report.page import render
from restem.report.reading import read_report_data
from restem.track.config import TrackConfig
from restem.track.mlflow import Tracked, track

PAGE = "index.html"
SHOWN_PACKAGES = ("restem", "tfx", "tensorflow", "keras", "apache-beam", "numpy")

log = logging.getLogger("restem")


class ReportExecutor(BaseExecutor):
    """Reads the run's artifacts by URI and writes the page."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `index.html` into the output `report`, and what a push adds to the model into `release`.

        Raises:
          RestemError: the two models have no test image in common.
        """
        uris = {key: artifact_utils.get_single_uri(artifacts) for key, artifacts in input_dict.items() if artifacts}
        data = data_of(exec_properties["title"], uris, exec_properties["destination"])
        folder = artifact_utils.get_single_uri(output_dict["report"])
        page = render(data).encode("utf-8")
        files.write(f"{folder}/{PAGE}", page)
        notes = write_notes(artifact_utils.get_single_uri(output_dict["release"]), data)
        log.info("Report: %s/%s", folder, PAGE)
        if exec_properties.get("track"):
            config = TrackConfig.model_validate_json(exec_properties["track"])
            if config.mlflow is not None:
                track(config.mlflow, tracked(data, uris, {PAGE: page, **notes}))


def data_of(title: str, uris: Mapping[str, str], destination: str | None = None) -> ReportData:
    """What the page shows, as it is now.

    Args:
      title: the page's heading.
      uris: the folders of the step's inputs, by their keys; of a run that was reported also its output `release`.
      destination: the folder of approved versions.

    Raises:
      RestemError: the two models have no test image in common.
    """
    from restem.evaluator.serving import read_serving
    from restem.evaluator.verdict import read_verdict

    return read_report_data(
        title=title,
        made_at=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        versions=_versions(),
        verdict=read_verdict(uris["evaluation"], uris["blessing"]),
        candidate_uri=uris["candidate_run"],
        baseline_uri=uris["baseline_run"],
        quarantine_uri=uris["quarantine"],
        examples_uri=uris["examples"],
        tuning_uri=uris.get("tuning"),
        serving=read_serving(uris["evaluation"]),
        destination=destination,
        release_uri=uris.get("release"),
    )


def tracked(data: ReportData, uris: Mapping[str, str], written: Mapping[str, bytes]) -> Tracked:
    """What a tracker keeps of a run.

    Args:
      data: the page's content.
      uris: as for `data_of`.
      written: name -> content of the files.
    """
    runs = {"candidate": data.candidate, "baseline": data.baseline}
    about = f"{uris['candidate_run']} {uris['evaluation']}"  # the same for every attempt to report this run
    made = data.candidate.model.made_of
    tags = {
        "restem.approved": str(data.verdict.blessed).lower(),
        "restem.reason": data.verdict.reason,
        "restem.images": made.images if made else "",
        "restem.code": data.candidate.model.code or "",
        **{f"restem.version.{name}": version for name, version in data.versions.items()},
    }
    return Tracked(
        hashlib.sha256(about.encode()).hexdigest()[:32],
        data.title,
        {role: run.model for role, run in runs.items()},
        {role: run.history for role, run in runs.items()},
        data.verdict.metrics,
        {name: value for name, value in tags.items() if value},
        written,
    )


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for name in SHOWN_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a source checkout that is on the path but not installed
    return versions


class ReportSpec(ComponentSpec):
    """Inputs, outputs and parameters of `Report`."""

    PARAMETERS = {  # noqa: RUF012 - TFX requires plain dicts
        "title": ExecutionParameter(type=str),
        "destination": ExecutionParameter(type=str),
        "track": ExecutionParameter(type=str, optional=True),  # the section track, if anything is tracked
        "code": ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "candidate_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "baseline_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "quarantine": ChannelParameter(type=Quarantine),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "tuning": ChannelParameter(type=standard_artifacts.TunerResults, optional=True),
    }
    OUTPUTS = {  # noqa: RUF012
        "report": ChannelParameter(type=HtmlReport),
        "release": ChannelParameter(type=ReleaseNotes),
    }


class Report(BaseComponent):
    """Writes one self-contained HTML page about the run: `index.html` in the output `report` (HtmlReport).

    The output `release` (ReleaseNotes) has the model card and the record of the approval, for the Pusher.
    """

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = ExecutorClassSpec(ReportExecutor)

    def __init__(
        self,
        *,
        candidate_run: BaseChannel,
        baseline_run: BaseChannel,
        evaluation: BaseChannel,
        blessing: BaseChannel,
        quarantine: BaseChannel,
        examples: BaseChannel,
        title: str,
        destination: str,
        tuning: BaseChannel | None = None,
        track: TrackConfig | None = None,
    ) -> None:
        """Describes the step.

        Args:
          candidate_run: the candidate Trainer's `model_run`.
          baseline_run: the Baseline's `model_run`.
          evaluation: the Evaluator's `evaluation`.
          blessing: the Evaluator's `blessing`.
          quarantine: ImageExampleGen's `quarantine`.
          examples: ImageExampleGen's raw `examples`.
          title: the page's heading.
          destination: the folder of approved versions; a change of the classes is told.
          tuning: the Tuner's `tuner_results`.
          track: where the run is tracked.
        """
        super().__init__(
            spec=ReportSpec(
                candidate_run=candidate_run,
                baseline_run=baseline_run,
                evaluation=evaluation,
                blessing=blessing,
                quarantine=quarantine,
                examples=examples,
                tuning=tuning,
                title=title,
                destination=destination,
                track=track.model_dump_json() if track is not None and track.mlflow is not None else None,
                # Changed code invalidates the cached page.
                code=code_fingerprint("report.component"),
                report=Channel(type=HtmlReport),
                release=Channel(type=ReleaseNotes),
            )
        )
