"""The Report step, the last before the Pusher: writes the page about the run."""

from __future__ import annotations

import datetime
import importlib.metadata
import logging
import platform
from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from restem.example_gen.artifacts import Quarantine
from restem.fingerprint import code_fingerprint
from restem.pusher.artifacts import ReleaseNotes
from restem.report.artifacts import HtmlReport
from restem.report.data import ReportData
from restem.report.notes import write_notes
from restem.report.page import render
from restem.report.reading import read_report_data

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
        data = data_of(exec_properties["title"], uris)
        folder = artifact_utils.get_single_uri(output_dict["report"])
        fileio.makedirs(folder)
        with fileio.open(f"{folder}/{PAGE}", "wb") as file:
            file.write(render(data).encode("utf-8"))
        write_notes(artifact_utils.get_single_uri(output_dict["release"]), data)
        log.info("Report: %s/%s", folder, PAGE)


def data_of(title: str, uris: Mapping[str, str]) -> ReportData:
    """What the page shows, as it is now.

    Args:
      title: the page's heading.
      uris: the folders of the step's inputs, by their keys.

    Raises:
      RestemError: the two models have no test image in common.
    """
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
        tuning: BaseChannel | None = None,
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
          tuning: the Tuner's `tuner_results`.
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
                # Changed code invalidates the cached page.
                code=code_fingerprint("report.component"),
                report=Channel(type=HtmlReport),
                release=Channel(type=ReleaseNotes),
            )
        )
