"""The runs of a root, from a metadata database as TFX writes it."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from ml_metadata.proto import metadata_store_pb2 as mlmd

from restem.errors import RestemError
from restem.pipeline.commands import restem
from restem.pipeline.local.past_runs import find_runs, read_runs, report_inputs
from restem.run_record import Evaluation, ModelInput, ModelRecord, write_evaluation, write_history, write_model
from tests.pipeline.local.metadata import Database
from tests.report.conftest import history

EVALUATION = Evaluation(
    ("cat", "dog"),
    tuple(f"{i}.png" for i in range(40)),
    np.arange(40) % 2,
    np.eye(2, dtype=np.float32)[np.where(np.arange(40) < 4, 1 - np.arange(40) % 2, np.arange(40) % 2)],
)
RECORD = ModelRecord(
    role="candidate",
    backbone="ResNet50",
    weights="none",
    input=ModelInput(8, 8, 1, 1, ("grey",)),
    parameters=1,
    train_images=10,
    seed=0,
    config={"name": "pets", "train": {"seed": 0, "head": {"epochs": 2}}, "evaluate": {"min_accuracy": 0.1}},
)

MORE_OUTPUTS: dict[str, list[str]] = {}  # of steps, for the tests of other commands


class Root(Database):
    """A root folder with a metadata database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(path)

    def context(self, kind: str, name: str) -> mlmd.Context:
        found = self.store.get_context_by_type_and_name(kind, name)
        if found is None:
            self.store.put_contexts([mlmd.Context(type_id=self.kinds[kind], name=name)])
        return self.store.get_context_by_type_and_name(kind, name)

    def run(
        self,
        start: str,
        *,
        seed: int = 0,
        least: float = 0.5,
        baseline: str = "stock",
        calibrate: str = "none",
        blessed: bool = True,
        upto: str = "Report",
    ) -> None:
        """A run with the steps that the commands need, up to one of them; the rest failed."""
        outputs = {
            "ImageExampleGen": ["examples", "quarantine"],
            "Trainer": ["model_run"],
            "Baseline": ["model_run"],
            "Evaluator": ["evaluation", "blessing"],
            "Report": ["report"],
            **MORE_OUTPUTS,
        }
        state = mlmd.Execution.COMPLETE
        for step, keys in outputs.items():
            execution = mlmd.Execution(type_id=self.step, last_known_state=state)
            if step == "Evaluator":
                execution.custom_properties["gate"].string_value = json.dumps({"min_accuracy": least})
            if step == "Baseline":
                execution.custom_properties["baseline"].string_value = baseline
            made = []
            for key in keys if state == mlmd.Execution.COMPLETE else []:
                folder = self.path / "pipeline" / step / key / start
                folder.mkdir(parents=True)
                event = mlmd.Event(type=mlmd.Event.OUTPUT)
                event.path.steps.add().key = key
                made.append((mlmd.Artifact(type_id=self.folder, uri=str(folder)), event))
            contexts = [self.context("pipeline_run", start), self.context("node", f"pets.{step}")]
            self.store.put_execution(execution, made, contexts)
            if step == upto:
                state = mlmd.Execution.FAILED
        trained = self.path / "pipeline" / "Trainer" / "model_run" / start
        config = {**RECORD.config, "train": {"seed": seed, "head": {"epochs": 2}}}
        config["evaluate"] = {**RECORD.config["evaluate"], "calibrate": calibrate}
        write_model(trained, dataclasses.replace(RECORD, seed=seed, config=config))
        write_history(trained, history(0.9, 100))
        write_evaluation(trained, EVALUATION)
        if blessed and upto == "Report":
            (self.path / "pipeline" / "Evaluator" / "blessing" / start / "BLESSED").touch()
            (self.path / "pipeline" / "Report" / "report" / start / "index.html").write_text("the page")


@pytest.fixture
def root(tmp_path) -> Root:
    root = Root(tmp_path / "root")
    root.run("2026-11-25T03:00:00.000001")
    root.run("2026-11-26T03:00:00.000001", seed=1, least=0.9, blessed=False)
    root.run("2026-11-27T03:00:00.000001", upto="Trainer")
    return root


def test_the_newest_finished_run_is_meant_and_another_by_its_start(root):
    name = str(root.path)
    assert [run.start[8:10] for run in read_runs(root.path)] == ["25", "26", "27"]
    assert [run.start[8:10] for run in find_runs(name)] == ["25", "26"]
    assert find_runs(f"{name}@2026-11-25T03")[0].start == "2026-11-25T03:00:00.000001"
    with pytest.raises(RestemError, match="2026-11-26T03:00:00"):
        find_runs(f"{name}@2027")
    with pytest.raises(RestemError, match=r"metadata\.sqlite"):
        find_runs(str(root.path.parent))


def test_a_run_that_did_not_finish_says_which_step_is_missing(root):
    (run,) = find_runs(f"{root.path}@2026-11-27")
    with pytest.raises(RestemError, match="no result of the step Baseline"):
        report_inputs(run)


def test_the_results_of_a_root_that_was_moved_are_found(root):
    moved = root.path.rename(root.path.with_name("moved"))
    inputs = report_inputs(find_runs(str(moved))[0])
    assert all(folder.startswith(f"{moved}/") for folder in inputs.values())
    shutil.rmtree(moved / "pipeline" / "Baseline")
    with pytest.raises(RestemError, match="not where they were written"):
        report_inputs(find_runs(str(moved))[0])


def command(*arguments: str) -> str:
    done = CliRunner().invoke(restem, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_compare_shows_figures_and_the_settings_that_differ(root, tmp_path):
    page = tmp_path / "page.html"
    shown = json.loads(command("compare", str(root.path), "--json", "--out", str(page)))
    assert [row["blessed"] for row in shown["runs"]] == [True, False]
    # Its requirements are those of the run, not those of the run that trained a candidate from the cache.
    assert shown["settings"] == {"train.seed": [0, 1], "evaluate.min_accuracy": [0.5, 0.9]}
    assert all(row["accuracy"]["value"] == 0.9 for row in shown["runs"])
    assert [row["name"] for row in shown["runs"]] == ["root@2026-11-25T03:00:00", "root@2026-11-26T03:00:00"]
    assert shown["runs"][0]["difference"] is None
    assert shown["runs"][1]["difference"]["value"] == 0
    text = page.read_text(encoding="utf-8")
    assert "evaluate.min_accuracy" in text
    assert text.count("data:image/svg+xml") == 2
    assert "not approved" in command("compare", str(root.path))


def test_the_baseline_and_the_calibration_are_settings_too(tmp_path):
    root = Root(tmp_path / "root")
    root.run("2026-11-25T03:00:00.000001")
    root.run("2026-11-26T03:00:00.000001", baseline="latest_approved", calibrate="temperature")
    shown = json.loads(command("compare", str(root.path), "--json"))
    assert shown["settings"] == {
        "evaluate.calibrate": ["none", "temperature"],
        "evaluate.baseline": ["stock", "latest_approved"],
    }


def test_report_finds_the_page(root):
    (run,) = find_runs(f"{root.path}@2026-11-25")
    name = f"{root.path}@2026-11-25"
    assert command("report", name).strip() == f"{run.outputs['Report']['report']}/index.html"
