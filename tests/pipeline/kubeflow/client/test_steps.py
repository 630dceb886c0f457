"""A run's steps, from the nodes that the server tells of."""

from datetime import timedelta

import kfp_server_api
import pytest

from restem.pipeline.kubeflow.client.steps import first_failed, fnv1a, steps_of
from tests.pipeline.kubeflow.client.argo import START, Nodes, node_id, pod


def run_of(nodes: Nodes) -> kfp_server_api.V2beta1Run:
    """As kfp's client hands it on."""
    import json
    from types import SimpleNamespace

    answer = SimpleNamespace(data=json.dumps({"run_id": "run", "run_details": {"task_details": nodes.details}}))
    return kfp_server_api.ApiClient().deserialize(answer, "V2beta1Run")


def states(nodes: Nodes) -> dict[str, str]:
    return {step.name: step.state for step in steps_of(run_of(nodes))}


def test_the_hash_is_gos():
    # hash/fnv of Go: New32a of "", "a" and "foobar", as its own tests have them.
    assert [fnv1a(""), fnv1a("a"), fnv1a("foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


def test_each_state():
    nodes = (
        Nodes()
        .cached("image-example-gen", 2)
        .step("statistics-gen", "SUCCEEDED", 4, 60)
        .cached("transform", 4)
        .step("trainer", "RUNNING", 60, None)
        .driver("baseline", "RUNNING", 60, None)
        .driver("evaluator", "SUCCEEDED", 62, 64)
        .omitted("pusher", 70)
    )
    assert states(nodes) == {
        "image-example-gen": "cached",
        "statistics-gen": "succeeded",
        "transform": "cached",
        "trainer": "running",
        "baseline": "running",
        "evaluator": "running",
        "pusher": "waiting",
    }


def test_two_that_begin_in_the_same_second_are_told_apart():
    assert states(Nodes().step("a", "SUCCEEDED", 5, 50).cached("b", 5)) == {"a": "succeeded", "b": "cached"}
    assert states(Nodes().cached("a", 5).step("b", "SUCCEEDED", 5, 50)) == {"a": "cached", "b": "succeeded"}


def test_times():
    running, done = steps_of(run_of(Nodes().step("a", "RUNNING", 10, None).step("b", "SUCCEEDED", 20, 50)))
    assert (running.started, running.finished) == (START + timedelta(seconds=10), None)
    assert running.seconds(START + timedelta(seconds=100)) == 90
    assert done.seconds(START + timedelta(seconds=100)) == 30
    assert done.to_dict(START)["finished"] == "2026-11-25T12:00:50+00:00"


@pytest.mark.parametrize("attempts", [1, 2, 11])
def test_attempts_and_the_last_ones_pod(attempts):
    (step,) = steps_of(run_of(Nodes().step("trainer", "FAILED", 5, 90, ("FAILED",) * attempts)))
    assert step.attempts == attempts
    last = f".trainer.executor({attempts - 1})"
    assert step.pods == (pod(last, "retry-system-container-impl"), node_id(last))


def test_without_retries():
    (step,) = steps_of(run_of(Nodes().step("trainer", "FAILED", 5, 90)))
    assert step.attempts == 0
    assert step.pods == (pod(".trainer.executor", "system-container-impl"), node_id(".trainer.executor"))


def test_a_driver_that_failed():
    (step,) = steps_of(run_of(Nodes().driver("trainer", "FAILED", 5, 9)))
    assert step.state == "failed"
    assert step.pods[0] == pod(".trainer-driver", "system-container-driver")


def test_the_first_of_several_that_failed():
    nodes = Nodes().step("trainer", "FAILED", 5, 90).step("baseline", "FAILED", 5, 40)
    assert first_failed(steps_of(run_of(nodes))).name == "baseline"
    assert first_failed(steps_of(run_of(Nodes().step("trainer", "SUCCEEDED", 5, 90)))) is None


def test_the_servers_own_words():
    nodes = Nodes().step("trainer", "FAILED", 5, 90)
    trainer = next(detail for detail in nodes.details if detail["display_name"] == "trainer")
    trainer["state_history"] = [{"state": "RUNNING"}, {"state": "FAILED", "error": {"code": 2, "message": "OOMKilled"}}]
    (step,) = steps_of(run_of(nodes))
    assert step.error == "OOMKilled"


def test_a_run_of_which_nothing_is_known_yet():
    assert steps_of(kfp_server_api.V2beta1Run(run_id="run")) == []
