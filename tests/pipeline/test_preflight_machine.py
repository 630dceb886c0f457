import math
import re
from collections import namedtuple
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pipeline import preflight_machine as module
from restem.pipeline.config import load_config
from restem.pipeline.preflight import preflight
from tests.small_disk import small_disk

MIB = 2**20
DIGITS = Path(module.__file__).parent / "configs" / "digits.yaml"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def machine(monkeypatch):
    """machine(disk=, memory=): what is free, in MiB; the disk of all folders, or of those below a path."""

    def set_machine(*, disk=10**6, memory=10**6, gpu=False):
        free = disk if callable(disk) else lambda path: disk
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, free(Path(path)) * MIB))
        monkeypatch.setattr(module, "available_memory", lambda: memory * MIB)
        monkeypatch.setattr(module, "has_gpu", lambda: gpu)

    return set_machine


@pytest.fixture
def check(write, images, tmp_path):
    def check(*overrides, root="root"):
        return preflight(load_config(write(), ["model.weights=none", *overrides]), root=tmp_path / root)

    return check


def test_a_machine_with_enough_of_both_is_not_mentioned(check, machine):
    machine()
    assert check() == []


def test_a_disk_of_300_mib_is_refused_before_anything_runs(check, machine, tmp_path):
    machine(disk=300)
    with pytest.raises(RestemError, match=r"--root .*has 300 MiB free\. Expected at least 450 MiB, and about \d+ MiB"):
        check()
    assert not (tmp_path / "root").exists()
    machine(disk=600)
    (warning,) = check()
    assert "has 600 MiB free; a run that computes every step takes about" in warning
    machine(disk=300)
    with pytest.raises(RestemError, match=r"has 300 MiB free"):
        preflight(load_config(DIGITS), root=tmp_path / "root")


def test_a_root_that_has_run_before_may_need_nothing(check, machine, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "metadata.sqlite").write_bytes(b"")
    machine(disk=100)
    assert "has 100 MiB free" in check()[0]


def test_images_count_for_the_disk(check, machine, images):
    with (images / "cat" / "0.png").open("ab") as file:
        file.truncate(700 * MIB)  # a sparse file
    machine(disk=900)
    with pytest.raises(RestemError, match="the disk is too small"):
        check("data.max_bytes=2000000000")


def test_the_copy_of_images_that_are_not_kept_in_memory_counts_for_the_disk(check, machine, monkeypatch):
    machine(disk=600)

    def told(most):
        monkeypatch.setattr(module, "CACHE_BYTES", most)
        (warning,) = check("image.size=1000", "image.channels=1")
        return float(re.search(r"takes about ([\d,]+) MiB", warning)[1].replace(",", ""))

    pixels = 40 * 1000 * 1000
    assert told(pixels - 1) - told(pixels) == pytest.approx(0.7 * pixels / MIB, abs=2)


def test_the_disk_of_the_released_versions_counts_alone(check, machine, tmp_path):
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second file system to write to")
    machine(disk=lambda path: 50 if path.is_relative_to(shared) else 10_000)
    with pytest.raises(RestemError, match=r"push\.destination .*/dev/shm has 50 MiB free\. Expected at least 180 MiB"):
        check("push.destination=/dev/shm/restem-test")


def test_a_real_small_disk_is_refused(check, tmp_path):
    with small_disk(tmp_path / "small", 64), pytest.raises(RestemError, match=r"small has 64 MiB free"):
        check(root="small/root")


def test_a_machine_of_3_gb_is_told_what_the_demo_takes(machine, tmp_path):
    machine(memory=2_600)
    (warning,) = preflight(load_config(DIGITS), root=tmp_path / "root")
    assert "2,600 MiB of memory are available; such runs take about" in warning
    assert "train.batch_size" in warning


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        (["image.size=224"], True),
        (["image.size=224", "train.batch_size=4"], False),
        (["image.size=224", "model.backbone=ResNet18", "train.batch_size=16"], False),
        (["image.size=224", "train.all.epochs=0"], False),
        (["image.size=112", "stem.cifar=true"], True),
        (["image.size=112"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_training_that_cannot_fit_into_3_gb_is_refused(check, machine, settings, refused):
    machine(memory=2_600)
    settings = ["image.max_upsampling=null", *settings]
    if not refused:
        check(*settings)
        return
    with pytest.raises(RestemError, match=r"train\.batch_size \(32\).*2,600 MiB of memory.*smaller train\.batch_size"):
        check(*settings)
    machine(memory=2_600, gpu=True)  # its own memory holds the layers' values
    check(*settings)


@pytest.mark.parametrize("backbone", ["ResNet18", "ResNet26", "ResNet50V2"])
def test_weights_and_activations_are_those_of_the_networks(backbone):
    import keras

    from restem.stem import load_backbone

    network = load_backbone(backbone, "none")
    convolutions = [layer.output for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    outputs = keras.Model(network.input, convolutions).compute_output_spec(keras.KerasTensor((1, 224, 224, 3)))
    assert module.WEIGHTS[backbone] == pytest.approx(network.count_params() / 1e6, abs=0.006)
    activations = sum(math.prod(output.shape) for output in outputs) / 1e6
    assert module.ACTIVATIONS[backbone] == pytest.approx(activations, abs=0.006)
