"""Which model a training goes on from, and the step around it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tfx.components.trainer.executor import GenericExecutor
from tfx.types import standard_artifacts
from tfx.types.channel_utils import as_channel

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.record_files import write_json
from restem.report.reading import read_run
from restem.report.start import story, summary
from restem.run_record import EXTRA, NETWORK, SourceRecord, StartedFrom, read_evaluation, read_model, write_model
from restem.start.choice import Start, choose_start
from restem.start.component import candidate_trainer
from restem.start.driver import Driver
from restem.start.executor import Executor
from restem.trainer.made_of import made_of
from restem.trainer.model_config import ModelConfig, StemConfig
from tests.baseline.test_executor import LABELS, LEVELS, SCHEMA
from tests.tiny_model import CLASSES, artifact, record, write_examples

IMAGE = {"size": 8, "channels": 1}


def custom(model=None, image=None, stem=None):
    return {
        "role": "candidate",
        "model": ModelConfig.model_validate({"weights": "latest_approved", **(model or {})}).model_dump(mode="json"),
        "image": ImageConfig.model_validate({**IMAGE, **(image or {})}).model_dump(mode="json"),
        "stem": StemConfig.model_validate({"small_images": True, **(stem or {})}).model_dump(mode="json"),
        "train": {"seed": 0},
        "code": "abc",
    }


@pytest.fixture
def push(put):
    """push(version, **record): a pushed model with the sections of `custom()`."""

    def push(version, classes=CLASSES, **more):
        folder = put(version)
        about = record(ImageConfig.model_validate(IMAGE))
        write_model(folder / EXTRA, replace(about, config=custom(), **more))
        write_json(folder / EXTRA, "classes.json", classes)
        return folder

    return push


@pytest.fixture
def choose(tmp_path):
    def choose(sections=None, classes=CLASSES, files=()):
        return choose_start(sections or custom(), str(tmp_path / "serving"), classes, files)

    return choose


def test_the_newest_complete_version_is_taken(push, choose, tmp_path):
    assert choose() == Start("first")
    folder = push(100)
    (push(200) / "saved_model.pb").unlink()
    start = choose()
    assert (start.kind, start.path, start.version) == ("continue", str(folder), "100")
    assert start.skipped == ((f"{tmp_path}/serving/200", "saved_model.pb is missing"),)
    assert Start.from_json(start.to_json()) == start
    # A folder of versions, and a version, under other names.
    assert choose(custom({"weights": str(tmp_path / "serving")})) == start
    assert choose(custom({"weights": str(folder)})) == replace(start, skipped=())


def test_a_folder_without_a_model_is_refused(choose, push, tmp_path):
    with pytest.raises(RestemError, match=r"no model that a training can go on from.*there is no such folder"):
        choose(custom({"weights": str(tmp_path / "nowhere")}))
    (push(1) / EXTRA / "model.json").unlink()
    with pytest.raises(RestemError, match=r"serving/1: assets\.extra/model\.json is missing"):
        choose(custom({"weights": str(tmp_path / "serving")}))


def test_a_model_of_an_older_version_is_refused(choose, push):
    (push(1) / EXTRA / NETWORK).unlink()
    with pytest.raises(RestemError, match=r"older version of restem.*network\.json"):
        choose()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": {"backbone": "ResNet101"}}, "model.backbone ResNet50, given model.backbone ResNet101"),
        ({"image": {"size": 9}}, "image.size 8 x 8, given image.size 9 x 9"),
        ({"image": {"channels": 3}}, "the channels grey, given the channels red, green, blue"),
        ({"image": {"bits": 16}}, "image.bits 8, given image.bits 16"),
        ({"image": {"fit": "pad"}}, "image.fit stretch, given image.fit pad"),
        ({"stem": {"small_images": False, "pool": False}}, "stem.small_images True, stem.pool True, given stem"),
    ],
)
def test_another_network_is_refused_with_the_difference(choose, push, changed, message):
    push(1)
    with pytest.raises(RestemError, match=r"model\.weights .*another one") as refused:
        choose(custom(**changed))
    assert f"Expected {message}" in str(refused.value)


def test_a_model_whose_source_had_a_changed_stem_is_refused(choose, push):
    given = SourceRecord("caffe", "as given", ("grey",), (1.0,), (0.0,), ({"band": "grey"},), ("grey",))
    push("5", source=given)
    assert choose().kind == "continue"
    push("6", source=replace(given, stock=False))
    with pytest.raises(RestemError, match=r"changed stem.*6/assets\.extra/backbone\.keras"):
        choose()


def test_settings_that_do_not_decide_the_network_may_change(choose, push):
    push(1)
    changed = custom({"source": "caffe"}, {"store": "none", "max_upsampling": None}, {"noise": 0.5})
    assert choose(changed).kind == "continue"


def test_classes_may_be_added_but_not_lost(choose, push):
    push(1)
    assert choose(classes=["a", *CLASSES]).kind == "continue"
    with pytest.raises(RestemError, match=r"images of light, given the classes dark, new\. .*drop_classes: true"):
        choose(classes=["dark", "new"])
    assert choose(custom({"drop_classes": True}), ["dark", "new"]).kind == "continue"
    with pytest.raises(RestemError, match="no class in common"):
        choose(custom({"drop_classes": True}), ["x", "y"])


@pytest.fixture
def step(tmp_path, push):
    """Inputs and outputs of the step, and pushed version 100, which is the result of these inputs."""
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(SCHEMA)
    (tmp_path / "run").mkdir()
    examples = write_examples(tmp_path / "examples", LEVELS, LABELS)
    files = [f"{tmp_path}/examples/Split-{split}/*" for split in ("train", "val", "test")]
    return SimpleNamespace(
        version=push(100, made_of=made_of(custom(), files)),
        inputs={
            "examples": [examples],
            "raw_examples": [examples],
            "schema": [artifact(standard_artifacts.Schema, tmp_path / "schema")],
        },
        outputs={
            "model": [artifact(standard_artifacts.Model, tmp_path / "model")],
            "model_run": [artifact(standard_artifacts.ModelRun, tmp_path / "run")],
        },
        run=tmp_path / "run",
        model=tmp_path / "model" / "Format-Serving",
        properties={"custom_config": json.dumps(custom()), "destination": str(tmp_path / "serving")},
    )


def drive(step):
    """The property that the driver adds."""
    info = SimpleNamespace(input_dict=step.inputs, exec_properties=step.properties)
    return {key: value.string_value for key, value in Driver(None).run(info).exec_properties.items()}


def test_an_unchanged_run_trains_nothing_and_its_candidate_is_the_pushed_model(step, monkeypatch):
    monkeypatch.setattr(GenericExecutor, "Do", lambda *_: pytest.fail("training started"))
    told = drive(step)
    assert told == drive(step)  # so the second unchanged run comes from the cache
    Executor().Do(step.inputs, step.outputs, {**step.properties, **told})
    assert (step.model / "saved_model.pb").read_bytes() == (step.version / "saved_model.pb").read_bytes()
    assert read_model(step.run) == read_model(step.version / EXTRA)
    assert read_evaluation(step.run).predicted.tolist() == [0, 1, 0, 1, 1]
    run = read_run(str(step.run))
    assert (run.model.role, run.history, run.start.kind) == ("candidate", (), "finished")
    assert "nothing was trained" in story(run.start, run.model)


def test_new_images_settings_or_code_train_the_newest_model_further(step, monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr(GenericExecutor, "Do", lambda self, inputs, outputs, properties: trained.append(properties))
    for change in ({"code": "new"}, {"train": {"seed": 1}}):
        step.properties["custom_config"] = json.dumps({**custom(), **change})
        assert Start.from_json(drive(step)["start"]).kind == "continue"
    step.properties["custom_config"] = json.dumps(custom())
    (tmp_path / "examples" / "Split-train").mkdir()
    (tmp_path / "examples" / "Split-train" / "more.gz").write_text("more")
    Executor().Do(step.inputs, step.outputs, step.properties)  # without a driver
    start = json.loads(trained[0]["custom_config"])["start"]
    assert (start["kind"], start["path"]) == ("continue", str(step.version))
    assert Start.from_json((step.run / "start.json").read_text()) == Start.from_json(drive(step)["start"])


def test_a_model_that_changes_after_it_was_chosen_stops_the_step(step, tmp_path):
    step.properties["custom_config"] = json.dumps({**custom(), "code": "new"})
    properties = {**step.properties, **drive(step)}
    (step.version / EXTRA / "stem.json").write_text("{}")
    with pytest.raises(RestemError, match=r"model\.weights .*changed after it was chosen"):
        Executor().Do(step.inputs, step.outputs, properties)


@pytest.mark.parametrize(
    ("weights", "destination"), [("latest_approved", "/serving"), ("/models/5", None), ("none", None)]
)
def test_the_step_is_called_trainer(weights, destination):
    examples = as_channel([standard_artifacts.Examples()])
    step = candidate_trainer(
        examples=examples,
        transform_graph=as_channel([standard_artifacts.TransformGraph()]),
        schema=as_channel([standard_artifacts.Schema()]),
        raw_examples=examples,
        destination="/serving",
        sections=custom({"weights": weights}),
        config={},
    )
    assert step.id == "Trainer"
    assert step.exec_properties.get("destination") == destination
    assert ("raw_examples" in step.inputs) == (weights != "none")


def test_the_start_is_told():
    begun = StartedFrom("/s/5", "5", "ab", added=("new",), dropped=("old",))
    about = replace(record(ImageConfig.model_validate(IMAGE)), started_from=begun)
    start = Start("continue", "/s/5", "5", "ab", (("/s/6", "saved_model.pb is missing"),))
    told = story(start, about)
    for part in ("went on from the pushed model /s/5", "new in it: new", "removed from it: old", "/s/6 could not"):
        assert part in told
    values = summary(start, about)
    assert (values["added"], values["dropped"], values["told"]) == (["new"], ["old"], told)
    assert summary(None, about) is None
    assert "model.first_weights" in story(Start("first"), about)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"weights": "imagenet", "first_weights": "none"}, "first_weights has no effect"),
        ({"weights": "latest_approved", "first_weights": "pretrain"}, "restem pretrain --config"),
        ({"weights": "latest_approved", "first_weights": "/models"}, "not a source for a first training"),
        ({"weights": "own.h5", "drop_classes": True}, "drop_classes has no effect"),
        ({"weights": "latest_approved", "source": "torch"}, "Keras's ImageNet weights"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig.model_validate(model)
