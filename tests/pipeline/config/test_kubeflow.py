import pytest

from restem.pipeline.config import load_config
from restem.pipeline.config.errors import ConfigError

BASE = "data: {path: images}\nimage: {size: 32}\nkubeflow: "


@pytest.fixture
def load(tmp_path):
    def load(kubeflow):
        (tmp_path / "k.yaml").write_text(BASE + kubeflow, encoding="utf-8")
        return load_config(tmp_path / "k.yaml").kubeflow

    return load


def test_a_steps_own_values_override_the_defaults(load):
    kubeflow = load("{step_defaults: {memory: 4Gi, cpu: '1'}, steps: {Trainer: {memory: 16Gi, retry: {count: 7}}}}")
    assert kubeflow.of_step("Trainer").memory == "16Gi"
    assert kubeflow.of_step("Trainer").cpu == "1"
    assert kubeflow.of_step("Trainer").retry.count == 7
    assert kubeflow.of_step("Evaluator").memory == "4Gi"
    # step_defaults without `retry` keeps its default.
    assert kubeflow.of_step("Evaluator").retry.count == 2


@pytest.mark.parametrize(
    ("kubeflow", "message"),
    [
        ("{step_defaults: {cpu: two}}", "kubeflow.step_defaults.cpu ("),
        ("{step_defaults: {memory: 4 GB}}", "kubeflow.step_defaults.memory ("),
        ("{step_defaults: {memory: 4}}", "Put it in quotes"),
        ("{step: {cpu: '1'}}", "It is now called kubeflow.step_defaults"),
        ("{steps: {Trainer: {gpu: 1}}}", "Did you mean kubeflow.steps.Trainer.gpus?"),
        ("{steps: {Trianer: {gpus: 1}}}", "Did you mean kubeflow.steps.Trainer?"),
        ("{volumes: [{mount: /m}]}", "Add kubeflow.volumes[0].claim"),
        ("{volumes: [{claim: a, mount: m}]}", "kubeflow.volumes[0].mount ("),
        ("{volumes: [{claim: a, mount: /m/../..}]}", "cannot be mounted"),
        ("{schedule: {cron: '0 3 * * *'}}", "Perhaps '0 0 3 * * *'"),
        ("{schedule: {cron: '@daily'}}", "For example '0 0 3 * * *'"),
        ("{schedule: {}}", "Add kubeflow.schedule.cron"),
        ("{schedule: {cron: '0 0 3 * * *', time_zone: Europe/Berln}}", "no such time zone"),
    ],
)
def test_mistakes_are_reported_with_key_and_remedy(load, kubeflow, message):
    with pytest.raises(ConfigError) as caught:
        load(kubeflow)
    assert message in str(caught.value)


def test_the_folder_that_a_volume_holds_is_relative_to_the_file(load, tmp_path):
    assert load("{volumes: [{claim: a, mount: /m, holds: images}]}").volumes[0].holds == str(tmp_path / "images")
