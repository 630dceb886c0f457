"""Writes a run to MLflow, with MLflow's own client."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from restem.run_record import Epoch, ModelRecord, Scores
from restem.track.config import MlflowConfig

ID_TAG = "restem.id"  # of the run: a repeated attempt continues what it began
# MLflow's limits for one request, one name and one value.
BATCH, LONGEST_KEY, LONGEST_VALUE = 100, 250, 6000
# Of an unreachable server, MLflow's own limits would take minutes.
LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

log = logging.getLogger("restem")


@dataclass(frozen=True)
class Tracked:
    """What is written.

    Attributes:
      id: identifies the run; repeated attempts have the same.
      name: the pipeline's name.
      models: by role.
      histories: the epochs of both trainings, by role.
      metrics: by role and name, as in the verdict.
      tags: further facts.
      files: name -> content.
    """

    id: str
    name: str
    models: Mapping[str, ModelRecord]
    histories: Mapping[str, tuple[Epoch, ...]]
    metrics: Mapping[str, Mapping[str, float]]
    tags: Mapping[str, str]
    files: Mapping[str, bytes]


def track(config: MlflowConfig, run: Tracked) -> None:
    """Writes a run; never raises: a failure is a warning."""
    try:
        with _limited():
            where = _write(config, run)
    except Exception as error:  # whatever it is, the run's result must not depend on it
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        log.warning("track.mlflow: the run was not written to %s: %s", config.tracking_uri, first)
    else:
        log.info("MLflow: %s", where)


def parameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The configuration as MLflow's parameters: {"train": {"seed": 7}} -> {"train.seed": "7"}."""
    found: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= parameters(value, f"{name}.")
        elif value is not None:
            found[name[:LONGEST_KEY]] = str(value)[:LONGEST_VALUE]
    return found


def figures(run: Tracked) -> dict[str, float]:
    """The metrics without steps: those of the verdict, and the scores by split; without NaN and infinity."""
    found = {f"{role}/{name}": value for role, values in run.metrics.items() for name, value in values.items()}
    for role, model in run.models.items():
        for split, scores in model.scores.items():
            names = [field.name for field in fields(Scores) if field.name != "images"]
            found |= {f"{role}/{split}/{name}": getattr(scores, name) for name in names}
        found[f"{role}/parameters"] = float(model.parameters)
    return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}


def _write(config: MlflowConfig, run: Tracked) -> str:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = _experiment(client, config.experiment or run.name)
    begun = client.search_runs([experiment], filter_string=f"tags.`{ID_TAG}` = '{run.id}'", max_results=1)
    if begun:
        written = begun[0]
        client.update_run(written.info.run_id, status="RUNNING")
    else:
        written = client.create_run(experiment, run_name=run.name, tags={ID_TAG: run.id})
    # With the same time, a repeated attempt does not double the points of a curve.
    key, now = written.info.run_id, written.info.start_time
    metrics = [Metric(name, value, now, 0) for name, value in figures(run).items()]
    for role, epochs in run.histories.items():
        for step, epoch in enumerate(epochs, start=1):
            values = {name: value for name, value in epoch.figures().items() if value is not None}
            metrics += [
                Metric(f"{role}/epoch/{name}", value, now, step)
                for name, value in values.items()
                if math.isfinite(value)
            ]
    settings = [Param(name, value) for name, value in parameters(run.models["candidate"].config).items()]
    tags = [RunTag(name, value[:LONGEST_VALUE]) for name, value in run.tags.items()]
    for first in range(0, max(len(metrics), len(settings), len(tags)), BATCH):
        part = slice(first, first + BATCH)
        client.log_batch(key, metrics[part], settings[part], tags[part])
    with tempfile.TemporaryDirectory() as folder:
        for name, content in run.files.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(key, folder)
    client.set_terminated(key)
    return f"experiment {config.experiment or run.name}, run {key} in {config.tracking_uri}"


def _experiment(client: Any, name: str) -> str:
    """The id of an experiment; a new one if there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name)
        except MlflowException:  # another run was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return found.experiment_id


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Within this context MLflow's client gives up earlier, unless the environment says otherwise."""
    added = [name for name in LIMITS if name not in os.environ]
    os.environ.update({name: LIMITS[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
