"""A user's own images in a manifest, some of them unusual, on this machine and on Kubeflow.

Each image is converted, or quarantined with the reason. On Kubeflow there are three runs: one with a step killed in the
middle, which gives the figures of the run on this machine; one whose baseline is the model that the first run pushed;
and a repetition of the second.
"""

import html
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import QUICK

# The first test of a module waits for its run.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

CONFIG = """
data: {path: images.csv, max_quarantined: 0.2, metadata: [site], val_share: 0.2}
image: {size: 32, channels: 3, store: none, normalise: dataset}
model: {backbone: ResNet26}
stem: {kernel: 5, filters: 128, batch_norm: true}
tune: {trials: 2, over: {train.head.learning_rate: {min: 2.0e-3, max: 2.0e-2, scale: log}}}
evaluate: {slices: [site]}
"""


# A class is text: neither an option, nor HTML, nor a command of a shell.
BRIGHT = "--bright <script>ones $(touch hacked)"
SECRET = "s3cr3t"
# On this machine the run is told about only if it fails, so the address is not called.
WEBHOOK = [f"--set=notify.webhook=http://127.0.0.1:9/hook?token={SECRET}", "--set=notify.on=[failed]"]


@pytest.fixture(scope="module", autouse=True)
def secrets():
    """The environment of all runs of this module has secrets."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_TOKEN", "RESTEM_KUBEFLOW_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, f"{SECRET}-{name}")
        yield


@pytest.fixture(scope="module")
def volume(tmp_path_factory) -> Path:
    """The persistent volume: a folder that every step can access."""
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def folder(volume):
    """Two classes of 20 images each, three unusual files that can be converted and three that cannot be read."""
    folder = volume / "own"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, level in ((BRIGHT, 170), ("düster", 40)):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(level - 30, level + 30, (24 + i, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{i:02}.{'png' if i % 2 else 'jpg'}")
    odd = folder / "images" / "düster"
    dark = Image.fromarray(np.full((20, 20, 3), 30, np.uint8))
    jpeg = io.BytesIO()
    Image.fromarray(rng.integers(0, 80, (64, 64, 3)).astype(np.uint8)).save(jpeg, "JPEG")
    (odd / "truncated.jpg").write_bytes(jpeg.getvalue()[: jpeg.tell() // 2])
    (odd / "text.png").write_text("this is a note, not an image")
    (odd / "empty.png").write_bytes(b"")
    dark.convert("CMYK").save(odd / "cmyk.jpg")
    Image.fromarray(np.full((20, 20), 8000, np.uint16)).save(odd / "sixteen.png")
    dark.save(odd / "animated.gif", save_all=True, append_images=[dark.rotate(90)])
    files = sorted((folder / "images").glob("*/*"))
    rows = [
        f"images/{file.parent.name}/{file.name},{file.parent.name},{'Ulm' if i % 3 else 'Köln'}"
        for i, file in enumerate(files)
    ]
    (folder / "images.csv").write_text("\n".join(["path,label,site", *rows]), encoding="utf-8")
    (folder / "own.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def run(folder, restem, tmp_path_factory):
    root = tmp_path_factory.mktemp("own-root")
    done = restem("run", "--config", folder / "own.yaml", "--root", root, "--json", *QUICK, *WEBHOOK)
    assert done.code == 0, done.err[-3000:]
    return done, root


def written_with(secret: str, folder: Path) -> list[str]:
    """The files below a folder that hold the text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    return [str(path) for path in files if secret.encode() in path.read_bytes()]


def test_no_secret_is_in_anything_that_a_run_writes_or_says(run):
    """The address of the webhook, and the environment: in logs, records, the report, the model, the database."""
    done, root = run
    assert written_with(SECRET, root) == []
    assert SECRET not in done.out + done.err


def test_no_secret_is_in_anything_that_a_run_on_kubeflow_writes(on_kubeflow, volume):
    assert written_with(SECRET, on_kubeflow.cluster.folder) == []
    assert written_with(SECRET, volume) == []
    assert SECRET not in "".join(attempt.log for attempt in on_kubeflow.cluster.attempts)


def test_each_unusual_file_is_converted_or_quarantined_with_the_reason(run):
    done, root = run
    assert done.result["quarantined"] == 3
    lines = next((root / "pipeline").glob("ImageExampleGen/quarantine/*/quarantine.jsonl")).read_text().splitlines()
    reasons = {entry["path"].rpartition("/")[2]: entry["reason"] for entry in map(json.loads, lines)}
    assert set(reasons) == {"truncated.jpg", "text.png", "empty.png"}
    assert all(len(reason) > 15 for reason in reasons.values())
    summary = json.loads(next((root / "pipeline").glob("ImageExampleGen/quarantine/*/summary.json")).read_text())
    assert summary["files"] == 46
    assert sum(split["images"] for split in summary["splits"].values()) == 43


def test_the_report_and_the_result_show_both_models_by_site(run):
    done, _ = run
    slices = done.result["slices"]
    assert [(part["column"], part["value"]) for part in slices] == [("site", "Köln"), ("site", "Ulm")]
    assert sum(part["images"] for part in slices) == done.result["metrics"]["candidate"]["images"]
    for role in ("candidate", "baseline"):
        right = sum(part["images"] * part[role] for part in slices)
        whole = done.result["metrics"][role]
        assert right == pytest.approx(whole["accuracy"] * whole["images"], abs=1e-4)
    page = Path(done.result["report"]).read_text("utf-8")
    assert "Results by slice" in page
    assert html.escape(BRIGHT, quote=False) in page
    assert "<script" not in page


def test_both_models_are_trained_with_the_values_that_were_tuned(run):
    done, root = run
    tuned = done.result["tuned"]
    assert (tuned["trials"], tuned["failed"], tuned["metric"]) == (2, 0, "accuracy")
    rate = tuned["values"]["train.head.learning_rate"]  # the default, 0.001, is not in the range
    for step in ("Trainer", "Baseline"):
        (file,) = (root / "pipeline").glob(f"{step}/model_run/*/model.json")
        config = json.loads(file.read_text())["config"]
        assert config["train"]["head"]["learning_rate"] == rate
        assert "tune" not in config
    assert done.result["scores"]["candidate"]["val"]["accuracy"] == pytest.approx(tuned["value"])
    assert f"{rate:g}</td>" in Path(done.result["report"]).read_text("utf-8")


def test_a_smaller_kernel_with_more_filters_and_batch_norm_reaches_serving(run, folder, restem):
    """5x5 kernels, 128 filters and an extra BatchNormalization, through the whole pipeline."""
    done, _ = run
    assert done.result["blessed"], done.result["reason"]
    predicted = restem("predict", done.result["pushed_to"], folder / "images" / BRIGHT / "01.png")
    assert predicted.code == 0, predicted.err
    assert BRIGHT in predicted.out
    assert "düster" in predicted.out


def test_the_pushed_version_says_what_approved_it(run, restem):
    done, _ = run
    pushed = Path(done.result["pushed_to"])
    (version,) = restem("models", "--destination", pushed.parent, "--json").result["versions"]
    assert (version["path"], version["served"], version["problem"]) == (str(pushed), True, None)
    assert (version["reason"], version["baseline"]) == (done.result["reason"], "the stock network")
    assert version["figures"] == done.result["metrics"]
    assert all(version[key] for key in ("run", "data", "code"))
    assert "Which decision does the model support" in (pushed / "assets.extra" / "model_card.md").read_text("utf-8")


def test_the_latest_approved_version_is_the_next_runs_baseline_and_nothing_is_pushed_twice(run, folder, restem):
    done, root = run
    pushed = Path(done.result["pushed_to"])
    assert done.result["baseline"] == {"kind": "stock", "version": None, "path": None, "skipped": []}
    arguments = ["run", "--config", folder / "own.yaml", "--root", root, "--json", *QUICK]
    latest = "--set=evaluate.baseline=latest_approved"
    second, third = restem(*arguments, latest), restem(*arguments, latest, "--set=retention.runs=1")
    assert second.code == third.code == 0, second.err[-3000:] + third.err[-3000:]
    for again in (second, third):
        expected = {"kind": "latest_approved", "version": pushed.name, "path": str(pushed), "skipped": []}
        assert again.result["baseline"] == expected
        assert again.result["blessed"], again.result["reason"]
        # The candidate equals the approved model: nothing in its training changed.
        metrics, before = again.result["metrics"], done.result["metrics"]["candidate"]
        assert metrics["candidate"] == pytest.approx(before, abs=1e-5)
        assert metrics["baseline"] == pytest.approx(before, abs=1e-5)
        assert again.result["pushed_to"] == str(pushed)
    assert {"Transform", "Tuner", "Trainer"} <= set(second.result["cached"])
    assert not {"Baseline", "Evaluator", "Report", "Pusher"} & set(second.result["cached"])
    assert f"the newest version, {pushed}, is already this model" in second.err
    assert set(third.result["cached"]) == set(third.result["seconds"]) - {"start-up"}
    assert [path.name for path in pushed.parent.iterdir()] == [pushed.name]
    assert f"compared with the approved version {pushed.name}" in Path(second.result["report"]).read_text("utf-8")
    # Only the third run is kept. It has the first one's network from the cache, but not its baseline; and the pushed
    # version keeps the first one's report.
    assert third.result["cleaned"]["problems"] == []
    assert "retention: removed" in third.err
    gone = {Path(item["path"]).relative_to(root).parts[1:3] for item in third.result["cleaned"]["removed"]}
    assert {("Baseline", "model"), ("Pusher", "pushed_model")} <= gone
    assert not {("Trainer", "model"), ("Baseline", "model_run"), ("Report", "report")} & gone
    assert Path(done.result["report"]).is_file()
    compared = restem("compare", root, "--json")
    assert compared.result["settings"] == {"evaluate.baseline": ["stock", "latest_approved", "latest_approved"]}


def test_on_kubeflow_every_step_ran_and_the_killed_one_was_retried(on_kubeflow):
    assert on_kubeflow.succeeded, on_kubeflow.cluster.attempts[-1].log[-3000:]
    tried = [attempt.step for attempt in on_kubeflow.cluster.attempts]
    assert set(tried) == set(on_kubeflow.cluster.tasks)
    assert tried.count("trainer") == 2
    assert len(tried) == len(on_kubeflow.cluster.tasks) + 1


def test_kubeflows_metrics_equal_those_of_the_same_run_on_this_machine(on_kubeflow, run):
    here, _ = run
    decided = on_kubeflow.cluster.verdict()
    assert here.result["blessed"] is decided["blessed"] is True
    assert here.result["reason"] == decided["reason"]
    for role in ("candidate", "baseline"):
        for name, value in here.result["metrics"][role].items():
            assert decided["metrics"][role][name] == pytest.approx(value, abs=1e-6), (role, name)


def test_the_approved_model_is_on_the_volume_with_its_manifest(on_kubeflow, volume):
    serving = volume / "serving" / "own"
    (version,) = [folder for folder in serving.iterdir() if folder.name.isdigit()]
    assert (version / "saved_model.pb").is_file()
    assert on_kubeflow.cluster.properties("pusher", "pushed_model")["pushed_destination"] == str(version)
    assert "storageUri: pvc://restem/serving/own" in (serving / "kserve" / "inference-service.yaml").read_text()


def test_the_report_is_in_the_store(on_kubeflow):
    page = on_kubeflow.cluster.output("report", "report") / "index.html"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE")


def test_the_second_runs_baseline_is_the_first_runs_pushed_model(again_on_kubeflow, on_kubeflow, volume):
    assert again_on_kubeflow.succeeded, again_on_kubeflow.cluster.attempts[-1].log[-3000:]
    ran = {attempt.step for attempt in again_on_kubeflow.cluster.attempts}
    assert ran == {"fingerprints", "baseline", "evaluator", "report", "pusher"}
    found = json.loads((again_on_kubeflow.cluster.output("baseline", "model_run") / "baseline.json").read_text())
    pushed = on_kubeflow.cluster.properties("pusher", "pushed_model")
    assert (found["kind"], found["path"]) == ("latest_approved", pushed["pushed_destination"])
    before = on_kubeflow.cluster.verdict()["metrics"]["candidate"]["accuracy"]
    decided = again_on_kubeflow.cluster.verdict()
    assert decided["metrics"]["baseline"]["accuracy"] == pytest.approx(before, abs=1e-6)
    assert not decided["blessed"]
    assert len([folder for folder in (volume / "serving" / "own").iterdir() if folder.name.isdigit()]) == 1


def test_an_unchanged_run_on_kubeflow_computes_nothing(again_on_kubeflow, cluster):
    before = again_on_kubeflow.cluster
    again = cluster(before.package, before.folder, cache=before.cache)
    assert again.run()
    assert [attempt.step for attempt in again.attempts] == ["fingerprints"]
    assert set(again.cached) == set(again.tasks) - {"fingerprints"}


def test_a_step_without_retries_left_fails_the_run_with_its_own_error(compile_pipeline, cluster, volume, tmp_path):
    cluster = cluster(
        compile_pipeline(
            "--set=model.weights=none",
            f"--set=data.path={volume}/nothing.csv",
            "--set=kubeflow.step_defaults={retry: {count: 1, wait_seconds: 0}}",
        ),
        tmp_path,
    )
    assert not cluster.run()
    assert [(attempt.step, attempt.code) for attempt in cluster.attempts] == [("fingerprints", 1)] * 2
    last = cluster.log("fingerprints").strip().splitlines()[-1]
    assert last.startswith("restem: ")
    assert f"{volume}/nothing.csv" in last
