import pytest

from restem.pipeline.config.errors import ConfigError
from restem.pipeline.config.kubeflow import Volume
from restem.pipeline.kubeflow.compiler.paths import in_the_cluster, storage_uri


def test_local_paths_become_paths_on_the_volume(configured, tmp_path):
    config = in_the_cluster(configured())
    assert config.data.path == "/mnt/restem/images"
    assert config.model.weights == "/mnt/restem/weights/resnet50.weights.h5"
    assert config.push.destination == "/mnt/restem/serving/parts"
    assert config.push.storage_uri == "pvc://restem/serving/parts"
    assert str(tmp_path) not in config.model_dump_json(exclude={"kubeflow"})


def test_keys_are_files_on_the_volume(configured, tmp_path):
    keys = ["push.sign.key=/mnt/restem/sign.pem", "push.verify_key=/mnt/restem/verify.pem"]
    push = in_the_cluster(configured(*keys)).push
    assert (push.sign_key, push.verify_key) == ("/mnt/restem/sign.pem", "/mnt/restem/verify.pem")
    with pytest.raises(ConfigError) as caught:
        in_the_cluster(configured("push.sign.key=/elsewhere/sign.pem"))
    assert [problem.key for problem in caught.value.problems] == [("push", "sign", "key")]


def test_the_innermost_folder_decides(configured):
    volumes = "kubeflow.volumes=[{claim: a, mount: /a, holds: .}, {claim: b, mount: /b, holds: weights}]"
    config = configured()  # paths in --set are relative to another folder, so use absolute paths
    folder = config.kubeflow.volumes[0].holds
    config = in_the_cluster(
        configured(volumes.replace("holds: .", f"holds: {folder}").replace("holds: w", f"holds: {folder}/w"))
    )
    assert config.data.path == "/a/images"
    assert config.model.weights == "/b/resnet50.weights.h5"


def test_paths_on_a_volume_remote_storage_and_keywords_do_not_change(configured):
    config = in_the_cluster(
        configured(
            "data.path=gs://bucket/images", "model.weights=/mnt/restem/w.h5", "push.destination=gs://bucket/models"
        )
    )
    assert config.data.path == "gs://bucket/images"
    assert config.model.weights == "/mnt/restem/w.h5"
    assert config.push.storage_uri == "gs://bucket/models"
    assert in_the_cluster(configured("model.weights=imagenet")).model.weights == "imagenet"
    assert in_the_cluster(configured("data.path='embedded:digits'")).data.path == "embedded:digits"


def test_all_unreachable_paths_are_reported_at_once(configured):
    with pytest.raises(ConfigError) as caught:
        in_the_cluster(configured("kubeflow.volumes=[]", "kubeflow.image=null"))
    keys = {".".join(map(str, problem.key)) for problem in caught.value.problems}
    assert keys == {"kubeflow.image", "push.destination", "data.path", "model.weights"}
    assert "make image" in str(caught.value)
    assert "holds: LOCAL_FOLDER" in str(caught.value)


def test_storage_that_tensorflow_cannot_reach_is_rejected(configured):
    with pytest.raises(ConfigError) as caught:
        in_the_cluster(configured("data.path=s3://bucket/images", "push.destination=minio://bucket/models"))
    assert [problem.key for problem in caught.value.problems] == [("data", "path"), ("push", "destination")]
    assert "gs://" in str(caught.value)


def test_dataflows_workers_can_read_only_buckets(configured):
    dataflow = (
        "beam.runner=dataflow",
        "beam.args=[--project=p, --region=r, --temp_location=gs://b/t, --sdk_container_image=i]",
    )
    with pytest.raises(ConfigError) as caught:
        in_the_cluster(configured(*dataflow))
    assert [problem.key for problem in caught.value.problems] == [("data", "path"), ("kubeflow", "pipeline_root")]
    reached = in_the_cluster(configured(*dataflow, "data.path=gs://b/images", "kubeflow.pipeline_root=gs://b/runs"))
    assert reached.data.path == "gs://b/images"


def test_the_storage_uri_of_a_folder():
    volumes = (
        Volume(claim="outer", mount="/mnt", sub_path="team"),
        Volume(claim="inner", mount="/mnt/models"),
    )
    assert storage_uri("/mnt/models/a", volumes) == "pvc://inner/a"
    assert storage_uri("/mnt/models", volumes) == "pvc://inner"
    assert storage_uri("/mnt/other", volumes) == "pvc://outer/team/other"
    assert storage_uri("s3://bucket/a", volumes) == "s3://bucket/a"
    assert storage_uri("/elsewhere", volumes) is None
    assert storage_uri(None, volumes) is None


def test_what_cannot_be_told_from_a_step_is_refused(configured):
    webhook = "notify.webhook=https://example.org"
    with pytest.raises(ConfigError, match=r"notify\.on.*a failed run cannot be told on Kubeflow"):
        in_the_cluster(configured(webhook, "notify.on=[failed, approved]"))
    with pytest.raises(ConfigError, match=r"notify\.kubernetes_secret.*HOOK and KEY.*kubectl create secret"):
        in_the_cluster(configured("notify.webhook_env=HOOK", "notify.secret_env=KEY"))
    in_the_cluster(configured(webhook, "notify.on=[refused]"))
    in_the_cluster(configured("notify.on=[failed]"))  # nobody is told anyway


def test_a_tracker_in_files_of_this_machine_is_refused(configured):
    with pytest.raises(ConfigError, match=r"track\.mlflow\.tracking_uri.*the pods cannot reach"):
        in_the_cluster(configured("track.mlflow.tracking_uri=sqlite:////tmp/mlflow.db"))
