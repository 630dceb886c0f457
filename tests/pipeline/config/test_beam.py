import json

import pytest
from pydantic import ValidationError

from restem.pipeline.config import load_config
from restem.pipeline.config.beam import BeamConfig
from restem.pipeline.config.errors import ConfigError


def test_the_direct_runner_needs_no_arguments_and_the_users_come_last():
    args = BeamConfig(args=("--direct_num_workers=4",)).pipeline_args()
    assert args[-1] == "--direct_num_workers=4"
    # Not DirectRunner, which would first try to download Prism.
    assert "--runner=FnApiRunner" in args
    assert BeamConfig(runner="prism").pipeline_args() == ("--runner=PrismRunner", "--sdk_container_image=none")


@pytest.mark.parametrize(
    ("runner", "args", "missing"),
    [
        ("flink", (), ["--flink_master=", "--environment_type="]),
        ("flink", ("--flink_master=f:8081",), ["--environment_type="]),
        ("spark", ("--sdk_container_image=i",), ["--spark_master_url="]),
        ("dataflow", ("--project=p", "--region=r"), ["--temp_location=", "--sdk_container_image="]),
    ],
)
def test_a_cluster_without_its_required_arguments_is_rejected(runner, args, missing):
    with pytest.raises(ValidationError) as caught:
        BeamConfig(runner=runner, args=args)
    message = str(caught.value)
    assert f"runner {runner} needs, in beam.args" in message
    assert all(name in message for name in missing)


@pytest.mark.parametrize(
    ("runner", "args"),
    [
        ("flink", ("--flink_master=f:8081", "--environment_type=EXTERNAL", "--environment_config=localhost:50000")),
        ("spark", ("--spark_rest_url=http://s:6066", "--sdk_container_image=i")),
        ("dataflow", ("--project=p", "--region=r", "--temp_location=gs://b/t", "--sdk_container_image=i")),
    ],
)
def test_the_users_arguments_come_after_the_defaults(runner, args):
    passed = BeamConfig(runner=runner, args=args).pipeline_args()
    assert passed[0] == f"--runner={runner.capitalize()}Runner"
    assert passed[-len(args) :] == args
    assert not [one for one in passed if one.startswith("--direct")]


@pytest.mark.parametrize(
    "name", ["--s3_secret_access_key", "--s3_sec", "--s3_session_token", "--azure_connection_string"]
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_secret_in_an_argument_is_refused_and_not_shown(write, name, apart):
    args = [name, "s3cr3t"] if apart else [f"{name}=s3cr3t"]
    with pytest.raises(ConfigError, match="a secret, which would be in the compiled pipeline") as caught:
        load_config(write(), [f"beam.args={json.dumps(args)}"])
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("runner", "arguments", "expected"),
    [
        ("direct", (), ("--direct_running_mode=multi_processing", "--direct_num_workers=4")),
        ("flink", ("--flink_master=f:8081", "--environment_type=EXTERNAL"), ("--parallelism=4",)),
        (
            "dataflow",
            ("--project=p", "--region=r", "--temp_location=gs://b/t", "--sdk_container_image=i"),
            ("--num_workers=4", "--max_num_workers=4"),
        ),
    ],
)
def test_parallelism_becomes_the_runners_own_argument(runner, arguments, expected):
    passed = BeamConfig(runner=runner, args=arguments, parallelism=4).pipeline_args()
    assert passed[2:] == (*expected, *arguments)
    assert not set(expected) & set(BeamConfig(runner=runner, args=arguments).pipeline_args())


def test_one_worker_on_this_machine_stays_in_one_process():
    assert BeamConfig(parallelism=1).pipeline_args() == BeamConfig().pipeline_args()


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ({"args": ["--direct_num_workers=3"]}, ["beam.parallelism: 2", "beam.args[0]: --direct_num_workers=3"]),
        ({"args": ["--direct_running_mode=in_memory"]}, ["beam.parallelism is 2", "beam.args[0]"]),
        (
            {"runner": "flink", "args": ["--flink_master=f:1", "--environment_type=EXTERNAL", "--parallelism", "2"]},
            ["beam.parallelism: 2", "beam.args[2]: --parallelism"],
        ),
        ({"runner": "prism"}, ["no effect with runner prism", "up to 8 parts"]),
        (
            {"runner": "spark", "args": ["--spark_rest_url=s", "--environment_type=DOCKER"]},
            ["spark.default.parallelism"],
        ),
    ],
)
def test_parallelism_without_effect_or_given_twice_is_refused_with_both_places(write, values, places):
    with pytest.raises(ConfigError) as caught:
        load_config(write(), [f"beam={json.dumps({**values, 'parallelism': 2})}"])
    assert all(place in str(caught.value) for place in places), str(caught.value)
