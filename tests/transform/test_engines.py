"""Runs the data steps on Beam workers that share only storage, so that every function is pickled and sent to them.

`processes` uses worker processes on Beam's default runner. Prism is Beam's small server and represents Flink and Spark;
it is tested if its binary is available.
"""

import os
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from restem.example_gen.component import ImageExampleGen
from restem.example_gen.config import DataConfig
from restem.example_gen.validator import example_validator, statistics_gen
from restem.images.config import ImageConfig
from restem.pipeline.config.beam import BeamConfig
from restem.transform.component import transform
from tests.example_gen.conftest import image_bytes
from tests.local_run import run_locally

PRISM = os.environ.get("PRISM") or shutil.which("prism")
IMAGE = ImageConfig(size=8, channels=1)
WANTED = {name: tf.io.FixedLenFeature([], tf.string) for name in ("pixels", "path")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two classes of 20 images, and a file that is not an image."""
    folder = tmp_path_factory.mktemp("images")
    for i in range(40):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(image_bytes(seed=i))
    (folder / "a" / "note.png").write_text("not an image")
    return folder


def data_steps(root: Path, folder: Path, beam: BeamConfig) -> tuple[dict[str, list], str]:
    """Split -> (path, pixels) of Transform's output, sorted because the order of workers varies; and the quarantine."""
    gen = ImageExampleGen(DataConfig(path=str(folder), max_quarantined=0.5), IMAGE)
    statistics = statistics_gen(gen.outputs["examples"])
    validator = example_validator(statistics.outputs["statistics"], gen.outputs["schema"])
    transformed = transform(gen.outputs["examples"], gen.outputs["schema"], IMAGE)
    run_locally([gen, statistics, validator, transformed], root, beam)
    made = root / "pipeline"
    found = {}
    for split in ("train", "test"):
        files = [str(path) for path in (made / "Transform" / "transformed_examples").glob(f"*/Split-{split}/*.gz")]
        records = tf.data.TFRecordDataset(files, "GZIP").map(lambda one: tf.io.parse_single_example(one, WANTED))
        found[split] = sorted((row["path"], row["pixels"]) for row in records.as_numpy_iterator())
    (quarantine,) = (made / "ImageExampleGen" / "quarantine").glob("*/quarantine.jsonl")
    return found, quarantine.read_text()


@pytest.fixture(scope="module")
def here(folder, tmp_path_factory):
    return data_steps(tmp_path_factory.mktemp("here"), folder, BeamConfig())


@pytest.mark.parametrize(
    "beam",
    [
        BeamConfig(args=("--direct_running_mode=multi_processing", "--direct_num_workers=2")),
        pytest.param(
            BeamConfig(runner="prism", args=(f"--prism_location={PRISM}",)),
            marks=pytest.mark.skipif(
                PRISM is None,
                reason="no Prism: go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0, or PRISM=/path/to/it",
            ),
        ),
    ],
    ids=["processes", "prism"],
)
def test_other_workers_give_the_same_output(beam, here, folder, tmp_path):
    found, quarantine = data_steps(tmp_path, folder, beam)
    assert sum(map(len, here[0].values())) == 40
    assert (found, quarantine) == here
