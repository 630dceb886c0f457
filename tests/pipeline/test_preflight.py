import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pipeline import imagenet as module
from restem.pipeline.config import load_config
from restem.pipeline.preflight import preflight
from restem.pipeline.preflight_network import check_source
from restem.pusher.push import push
from restem.record_files import write_json
from restem.run_record import ModelInput, ModelRecord
from restem.stem.checkpoint import layout
from tests.stem.checkpoint_models import around, plain, resnet, write_archive, write_named, write_weights


def check(write, *overrides):
    preflight(load_config(write(), ["model.weights=none", *overrides]))


def test_a_good_folder_passes(write, images):
    check(write)


def test_a_stem_that_the_network_does_not_allow_is_refused(write, images):
    check(write, "model.backbone=ResNet18", "stem.kernel=9")
    with pytest.raises(RestemError, match=r"stem: The number of filters of ResNet18.*identity shortcut"):
        check(write, "model.backbone=ResNet18", "stem.filters=128")


def test_dataflow_cannot_reach_a_run_on_this_machine(write, images):
    arguments = "beam.args=[--project=p, --region=r, --temp_location=gs://b/t, --sdk_container_image=i]"
    with pytest.raises(RestemError, match=r"beam\.runner: .*restem kubeflow run"):
        check(write, "beam.runner=dataflow", arguments)


def test_several_workers_are_for_kubeflow(write, images, monkeypatch):
    with pytest.raises(RestemError, match=r"train\.workers: .*restem kubeflow run"):
        check(write, "train.workers=2")
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}')
    with pytest.raises(RestemError, match=r"TF_CONFIG: .*one worker"):
        check(write)
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}')
    check(write)


def test_embedded_images_need_no_folder(write):
    check(write, "data.path=embedded:digits")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.path=nowhere"], r"data\.path .*no such folder"),
        (["data.path=embedded:letters"], r"data\.path: .*Expected embedded:digits"),
        (["model.weights=missing.h5"], r"model\.weights .*no such checkpoint"),
        (["model.weights=gs://bucket/x.h5"], r"model\.weights: a checkpoint is read from a file of this machine"),
        (["model.weights=images"], r"model\.weights .*no model that a training can go on from.*saved_model\.pb is"),
        (["model.weights=missing"], r"model\.weights .*a checkpoint \(a file ending in.*there is no such folder"),
        (["model.weights=pretrain", "pretrain.path=nowhere"], "no such folder"),
        (["push.destination=own.yaml"], r"push\.destination .* is a file"),
    ],
)
def test_missing_files_and_folders_are_reported(write, images, tmp_path, monkeypatch, overrides, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RestemError, match=message):
        check(write, *overrides)


def model(folder):
    """Writes files with the names of a pushed model's files."""
    for name in (
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets.extra/classes.json",
        "assets.extra/model.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def test_a_given_baseline_must_contain_the_files_of_a_model(write, images, tmp_path):
    good, half = model(tmp_path / "served" / "5"), model(tmp_path / "served" / "6")
    (half / "variables" / "variables.index").unlink()
    for path in (good, tmp_path / "served"):  # the older version is complete
        check(write, f"evaluate.baseline={path}")
    with pytest.raises(RestemError, match=r"evaluate\.baseline .*given variables/variables\.index is missing"):
        check(write, f"evaluate.baseline={half}")
    (good / "assets.extra" / "model.json").write_text("")
    with pytest.raises(RestemError, match=r"version 6: variables.*; version 5: assets\.extra/model\.json is empty"):
        check(write, f"evaluate.baseline={tmp_path / 'served'}")
    (tmp_path / "empty").mkdir()
    for path, reason in (("empty", r"saved_model\.pb is missing"), ("own.yaml", "a file"), ("x", "no such folder")):
        with pytest.raises(RestemError, match=rf"has no model.*latest_approved, given .*{reason}"):
            check(write, f"evaluate.baseline={tmp_path / path}")
    check(write, "evaluate.baseline=latest_approved")


def test_buckets_are_not_checked_and_other_storage_is_rejected(write, images):
    check(write, "push.destination=gs://b/models", "evaluate.baseline=gs://b/old")
    for key in ("push.destination", "evaluate.baseline"):
        with pytest.raises(RestemError, match=rf"{key}: TensorFlow cannot reach .*gs://, given s3://b/x"):
            check(write, f"{key}=s3://b/x")


def test_source_images_are_checked_only_if_they_are_used(write, images):
    check(write, "pretrain.path=nowhere")
    with pytest.raises(RestemError, match="no such folder"):
        preflight(load_config(write(), ["model.weights=none", "pretrain.path=nowhere"]), pretrain=True)


def test_choices_need_validation_images(write, images):
    for setting in ("train.keep=best", "train.patience=3", "evaluate.calibrate=temperature"):
        with pytest.raises(RestemError, match=r"nothing may be chosen on test images.*Set data.val_share"):
            preflight(load_config(write(), ["model.weights=none", setting]))
        preflight(load_config(write(), ["model.weights=none", setting, "data.val_share=0.2"]))


def test_tuning_needs_validation_images_and_kerastuner(write, images, monkeypatch):
    settings = ["model.weights=none", "tune.over={train.batch_size: {choices: [8, 16]}}"]
    with pytest.raises(RestemError, match=r"tune: .*nothing may be chosen on test images.*Set data.val_share"):
        preflight(load_config(write(), settings))
    settings.append("data.val_share=0.2")
    preflight(load_config(write(), settings))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RestemError, match=r"keras_tuner is missing.*pip install 'restem\[tune\]'"):
        preflight(load_config(write(), settings))


def test_every_combination_of_tuned_stems_is_checked(write):
    over = "tune.over={stem.small_images: {choices: [false, true]}, stem.stride: {choices: [null, 1]}}"
    with pytest.raises(RestemError, match=r"with small_images: true, stride: 1 of tune\.over: .*leave stride out"):
        check(write, over)


def test_an_empty_class_folder_is_rejected(write, images):
    (images / "horse").mkdir()
    with pytest.raises(RestemError, match="horse"):
        check(write)


@pytest.fixture
def narrow(monkeypatch):
    """Networks of the real depths with one filter where the real ones have 64, so that their files are small."""
    monkeypatch.setattr(layout, "WIDTH", 1)


def test_a_checkpoint_of_another_network_is_refused_before_the_run(write, images, tmp_path, narrow):
    deep = write_named(tmp_path / "deep.h5", resnet("ResNet101"))
    with pytest.raises(RestemError, match=r"does not contain ResNet50: it is a ResNet101.*model\.backbone"):
        check(write, f"model.weights={deep}")
    check(write, f"model.weights={deep}", "model.backbone=ResNet101")
    (tmp_path / "cut.h5").write_bytes(deep.read_bytes()[:-100_000])
    with pytest.raises(RestemError, match="damaged or incomplete"):
        check(write, f"model.weights={tmp_path / 'cut.h5'}")


def test_checkpoints_are_recognised_by_their_content(write, images, tmp_path, narrow):
    check(write, f"model.weights={write_weights(tmp_path / 'good.weights.h5', resnet())}")
    check(write, f"model.weights={write_archive(tmp_path / 'good.keras', resnet())}")
    check(write, f"model.weights={write_named(tmp_path / 'whole.hdf5', resnet(), whole=True)}")
    check(write, f"model.weights={write_named(tmp_path / 'hdf.keras', resnet(), whole=True)}")
    pickled = b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR."
    for name, content, words in (
        ("page.h5", b"<html>", "web page"),
        ("empty.weights.h5", b"", "empty"),
        ("cut.keras", b"\x89HDF\r\n\x1a\n", "damaged"),
        ("weights.pt", pickled, "pickle"),
        ("weights.pth", b"\x89PNG", "not a weights file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RestemError, match=rf"model\.weights .*{words}"):
            check(write, f"model.weights={tmp_path / name}")
    write_weights(tmp_path / "weights.bin", resnet())
    with pytest.raises(RestemError, match=r"by its ending.*Rename"):
        check(write, f"model.weights={tmp_path / 'weights.bin'}")


def test_a_preprocessing_that_nobody_knows_must_be_said(write, images, tmp_path, narrow):
    bands = write_named(tmp_path / "bands.h5", resnet(channels=12))
    with pytest.raises(RestemError, match=r"model\.source: .*12 channel"):
        check(write, f"model.weights={bands}")
    front = write_named(tmp_path / "front.h5", around(resnet(), [plain("Rescaling", "rescaling", "", scale=1 / 255)]))
    with pytest.raises(RestemError, match=r"model\.source: .*rescaling"):
        check(write, f"model.weights={front}")
    check(write, f"model.weights={front}", "model.source=none")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["image.bands=[grey, red]"], "combines grey with a colour"),
        (["image.bands=[b1, b2, b3, b4]"], "set extra_bands to 'mean'"),
        (["stem={small_images: true, stride: 1}"], "leave stride out"),
        (["stem={deep: true, kernel: 5}"], "cannot be combined"),
        (["stem={deep_filters: [8, 8]}"], "only with deep"),
        (["stem={cifar: true, kernel: 5}"], "CIFAR stem .* leave out kernel"),
        (["stem={cifar: true, small_images: true, stride: 2}"], "leave out stride, small_images"),
        (["stem.band_statistics={nir: [1, 2]}"], "not one of the bands"),
    ],
)
def test_impossible_stems_are_rejected_before_the_images_are_read(write, overrides, message):
    """This test has no folder of images."""
    with pytest.raises(RestemError, match=f"image and stem.*{message}"):
        check(write, *overrides)


def test_bands_are_checked_only_if_the_source_is_known(write, images, tmp_path, narrow):
    write_weights(tmp_path / "own.weights.h5", resnet())
    check(write, "image.bands=[b1, b2, b3, b4]", "stem.extra_bands=mean")
    check(write, "image.bands=[b1, b2, b3, b4]", f"model.weights={tmp_path / 'own.weights.h5'}")


def test_a_checkpoint_with_other_channels_needs_a_source(write, images, tmp_path, narrow):
    weights = f"model.weights={write_named(tmp_path / 'many.h5', resnet(channels=4))}"
    with pytest.raises(RestemError, match=r"model\.source: .*4 channel.*bands"):
        check(write, weights)
    with pytest.raises(RestemError, match=r"model\.source: .*reads 4 channel.*torch.*bands"):
        check(write, weights, "model.source=torch")
    check(write, weights, "model.source={bands: [b1, b2, b3, b4], scale: 0.01}", "image.bands=[b3, b5]")
    with pytest.raises(RestemError, match="None of the bands c1, c2 has a pretrained kernel"):
        check(write, weights, "model.source={bands: [b1, b2, b3, b4], scale: 0.01}", "image.bands=[c1, c2]")
    assert check_source(load_config(write(), ["model.weights=imagenet"])) == "caffe"


def test_imagenet_weights_are_checked_before_any_computation(write, images, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    asked = []
    monkeypatch.setattr(module, "_ask", lambda url: asked.append(url) or "no route to host")
    with pytest.raises(RestemError, match=r"model\.weights: .*no route to host\. .*restem pretrain"):
        check(write, "model.weights=imagenet", "model.backbone=ResNet101V2")
    assert asked[0].endswith("resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5")

    monkeypatch.setattr(module, "_ask", lambda url: "")
    check(write, "model.weights=imagenet")
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(module, "_ask", lambda url: time.sleep(1) or "")
    with pytest.raises(RestemError, match="no answer"):
        check(write, "model.weights=imagenet")


def test_imagenet_weights_on_this_machine_are_enough(write, images, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(module, "_ask", lambda url: "must not be asked")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    check(write, "model.weights=imagenet")


@pytest.fixture
def pushed(write, images, tmp_path):
    """pushed(classes, **image): a complete model in serving/5, and the settings to go on from it."""

    def pushed(classes=("cat", "dog"), **image):
        folder = model(tmp_path / "serving" / "5") / "assets.extra"
        config = load_config(write(), ["model.weights=none"]).model_dump(mode="json")
        about = ModelRecord("candidate", "ResNet50", "none", ModelInput(32, 32, 3, 3), 4, 40)
        about = replace(about, config={**config, "image": {**config["image"], **image}})
        write_json(folder, "classes.json", list(classes))
        write_json(folder, "model.json", asdict(about))
        write_json(folder, "network.json", {})
        return [f"push.destination={tmp_path / 'serving'}", "evaluate.baseline=latest_approved"]

    return pushed


LATEST = "model.weights=latest_approved"


def test_a_pushed_model_to_go_on_from_is_compared_with_the_configuration(write, images, pushed, tmp_path):
    settings = pushed()
    # Nothing starts with first_weights, so ImageNet's weights are not asked for.
    check(write, LATEST, *settings)
    check(write, f"model.weights={tmp_path / 'serving'}", *settings)
    check(write, f"model.weights={tmp_path / 'serving' / '5'}", *settings)
    for change, message in (
        (["image.size=40"], r"Expected image\.size 32 x 32, given image\.size 40 x 40"),
        (["model.backbone=ResNet101"], "Expected model.backbone ResNet50"),
        (["stem.kernel=5"], "Expected stem.kernel None, given stem.kernel 5"),
        (["evaluate.baseline=stock"], r"evaluate\.baseline: .*Set evaluate\.baseline: latest_approved"),
    ):
        with pytest.raises(RestemError, match=message):
            check(write, LATEST, *settings, *change)
    settings = pushed(bits=16)
    with pytest.raises(RestemError, match=r"Expected image\.bits 16, given image\.bits 8"):
        check(write, LATEST, *settings)


def test_a_changed_version_and_a_key_that_cannot_be_used_stop_before_the_first_step(write, images, pushed, tmp_path):
    settings = pushed()
    newer = Path(push(str(tmp_path / "serving" / "5"), str(tmp_path / "serving")).path)
    check(write, LATEST, *settings)
    (newer / "variables" / "variables.index").write_bytes(b"y")
    for more in ([LATEST], ["model.weights=none"], ["model.weights=none", f"evaluate.baseline={newer}"]):
        with pytest.raises(RestemError, match=r"not those that were pushed.*variables/variables\.index is changed"):
            check(write, *settings, *more)
    shutil.rmtree(newer)
    with pytest.raises(RestemError, match=r"push\.sign\.key \(.*own\.yaml\): this key cannot sign"):
        check(write, LATEST, *settings, f"push.sign.key={tmp_path / 'own.yaml'}")
    with pytest.raises(RestemError, match=r"push\.verify_key \(.*\): there is no such key file"):
        check(write, *settings, "model.weights=none", f"push.verify_key={tmp_path / 'none.pem'}")


def test_the_first_weights_are_checked_if_something_starts_with_them(write, images, pushed, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(module, "_ask", lambda url: "no route to host")
    missing = r"model\.first_weights: .*no route to host"
    with pytest.raises(RestemError, match=missing):  # nothing is approved yet
        check(write, LATEST, "evaluate.baseline=latest_approved")
    check(write, LATEST, "evaluate.baseline=latest_approved", "model.first_weights=none")
    with pytest.raises(RestemError, match=r"model\.first_weights .*no such checkpoint"):
        check(write, LATEST, "evaluate.baseline=latest_approved", "model.first_weights=own.h5")
    # A new class: no approved model can be the baseline.
    settings = pushed(("cat",))
    with pytest.raises(RestemError, match=missing):
        check(write, LATEST, *settings)
    check(write, LATEST, *settings, "model.first_weights=none")


def test_a_lost_class_is_refused_before_the_data_steps(write, images, pushed):
    settings = pushed(("cat", "dog", "horse"))
    with pytest.raises(RestemError, match=r"images of horse.*model\.drop_classes: true"):
        check(write, LATEST, "model.first_weights=none", *settings)
    check(write, LATEST, "model.first_weights=none", "model.drop_classes=true", *settings)


def test_a_class_of_the_newest_version_must_have_images(write, images, pushed):
    settings = [*pushed(("cat", "dog", "horse")), "evaluate.baseline=stock"]
    with pytest.raises(RestemError, match=r"the class horse of version 5 has no images.*allow_class_changes: true"):
        check(write, "model.weights=none", *settings)
    check(write, "model.weights=none", *settings, "data.allow_class_changes=true")
    check(write, "model.weights=none", *pushed(("cat",)), "evaluate.baseline=stock")


def test_the_run_folder_has_the_approved_models(write, images, pushed, tmp_path):
    pushed()
    (tmp_path / "root" / "serving").mkdir(parents=True)
    (tmp_path / "serving").rename(tmp_path / "root" / "serving" / "own")
    config = load_config(write(), [LATEST, "evaluate.baseline=latest_approved", "image.size=40"])
    with pytest.raises(RestemError, match=r"Expected image\.size 32 x 32"):
        preflight(config, root=tmp_path / "root")


def test_a_requirement_on_an_unknown_class_is_refused(write, images):
    with pytest.raises(RestemError, match=r"evaluate\.require\[1\]\.in_class: there is no such class.* given ten"):
        check(write, "evaluate.require=[{at_least: 0.5}, {at_least: 0.5, in_class: ten}]")


@pytest.mark.parametrize("name", ["r[1]", "run*", "what?"])
def test_a_folder_that_tensorflow_takes_for_a_pattern_is_refused(write, images, tmp_path, name):
    config = load_config(write(), ["model.weights=none"])
    with pytest.raises(RestemError, match=r"--root: TensorFlow takes this path for a pattern.*Rename the folder"):
        preflight(config, root=tmp_path / name)
    with pytest.raises(RestemError, match=r"push\.destination: TensorFlow takes this path for a pattern"):
        check(write, "model.weights=none", f"push.destination={tmp_path / name}")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("{folder}/preset", r"the folder of a checkpoint.*Give the file in it: .*preset/model\.weights\.h5"),
        ("resnet_50_imagenet", r"from_preset\('resnet_50_imagenet'\)\.save_to_preset"),
        ("kaggle://keras/resnetv1/keras/resnet_18_imagenet/3", r"from_preset\('kaggle://keras.*save_to_preset"),
    ],
)
def test_a_preset_of_kerashub_is_given_by_the_file_in_its_folder(write, images, tmp_path, weights, message):
    (tmp_path / "preset").mkdir()
    (tmp_path / "preset" / "model.weights.h5").touch()
    with pytest.raises(RestemError, match=message):
        check(write, f"model.weights={weights.format(folder=tmp_path)}")
