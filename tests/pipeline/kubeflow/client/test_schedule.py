"""One recurring run, whatever happens; nothing missed and nothing twice when one replaces another."""

from datetime import UTC, datetime, timedelta

import pytest

from restem.errors import RestemError
from restem.pipeline.kubeflow.client import schedule as module
from restem.pipeline.kubeflow.client.access import Access
from restem.pipeline.kubeflow.client.cron import Cron
from restem.pipeline.kubeflow.client.schedule import pause, recurring_runs, schedule, unschedule
from restem.pipeline.kubeflow.client.server import Server
from restem.pipeline.kubeflow.client.server_errors import ServerError
from restem.pipeline.kubeflow.client.upload import upload
from tests.pipeline.kubeflow.client.http import Answer

NAME = "digits"


@pytest.fixture
def keep(local, server, package, kubeflow_config, monkeypatch):
    """Schedules with the given cron and settings; what was said stands in `keep.said`."""

    def keep(cron: str = "0 0 3 * * *", *, image: str = "restem:1", section: dict | None = None, **more):
        version = upload(server, NAME, package(image))
        return schedule(server, kubeflow_config(cron, section, **more), NAME, version, keep.said.append)

    keep.said = []
    monkeypatch.setattr(module, "wait", local.kubeflow.advance)
    return keep


def changes(local) -> list[str]:
    """The operations that changed recurring runs, in order."""
    return [name for name in local.operations() if name.endswith("recurring_run") and not name.startswith("list")]


def test_the_first_call_makes_it_with_the_configurations_settings(local, keep):
    section = {"experiment": "nightly", "service_account": "trainer", "pipeline_root": "minio://artifacts/digits"}
    outcome = keep("0 0 3 * * *", section=section, max_concurrency=2, catch_up=True)
    assert outcome.action == "created"
    (one,) = local.kubeflow.recurring_runs
    assert one["recurring_run_id"] == outcome.recurring_run_id
    assert one["display_name"] == NAME
    assert one["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (one["mode"], one["max_concurrency"], one["no_catchup"]) == ("ENABLE", "2", False)
    assert one["service_account"] == "trainer"
    assert one["runtime_config"] == {"pipeline_root": "minio://artifacts/digits"}
    (experiment,) = local.kubeflow.experiments
    assert one["experiment_id"] == experiment["experiment_id"]
    assert experiment["display_name"] == "nightly"


def test_the_same_again_changes_nothing(local, keep):
    first = keep()
    before = changes(local)
    again = keep()
    assert (again.action, again.recurring_run_id) == ("unchanged", first.recurring_run_id)
    assert changes(local) == before


@pytest.mark.parametrize(
    "change",
    [
        {"cron": "0 0 4 * * *"},
        {"image": "restem:2"},
        {"max_concurrency": 3},
        {"catch_up": True},
        {"section": {"service_account": "other"}},
        {"section": {"pipeline_root": "gs://bucket"}},
        {"section": {"experiment": "other"}},
    ],
)
def test_any_other_setting_replaces_it_and_one_is_left(local, keep, change):
    first = keep()
    second = keep(**change)
    assert second.action == "replaced"
    assert second.deleted == [first.recurring_run_id]
    assert [one["recurring_run_id"] for one in local.kubeflow.recurring_runs] == [second.recurring_run_id]
    # The new one is there before the old one goes.
    assert changes(local)[-2:] == ["create_recurring_run", "delete_recurring_run"]


def test_a_service_account_that_is_no_longer_named_is_a_change_too(local, keep):
    keep(section={"service_account": "trainer"})
    assert keep().action == "replaced"
    assert local.kubeflow.recurring_runs[0]["service_account"] == "pipeline-runner"


def test_pausing_by_the_configuration_changes_the_one_that_is_there(local, keep):
    first = keep()
    assert keep(paused=True).action == "paused"
    (one,) = local.kubeflow.recurring_runs
    assert (one["recurring_run_id"], one["mode"]) == (first.recurring_run_id, "DISABLE")
    assert keep().action == "resumed"
    assert one["mode"] == "ENABLE"


def test_pause_resume_and_unschedule(local, server, keep):
    keep()
    assert pause(server, NAME, on=False).action == "paused"
    assert local.kubeflow.recurring_runs[0]["mode"] == "DISABLE"
    assert pause(server, NAME, on=False).action == "unchanged"
    assert pause(server, NAME, on=True).action == "resumed"
    assert local.kubeflow.recurring_runs[0]["mode"] == "ENABLE"
    assert unschedule(server, NAME, keep.said.append).action == "deleted"
    assert local.kubeflow.recurring_runs == []
    assert unschedule(server, NAME, keep.said.append).action == "none"
    with pytest.raises(ServerError, match="there is no schedule"):
        pause(server, NAME, on=True)


def test_no_schedule_in_the_configuration(server, package, kubeflow_config):
    config = kubeflow_config().model_copy(update={"schedule": None})
    with pytest.raises(RestemError, match=r"kubeflow\.schedule: .*Add, .*cron") as caught:
        schedule(server, config, NAME, upload(server, NAME, package()), print)
    assert getattr(caught.value, "exit_code", 2) == 2


def test_recurring_runs_of_other_names_are_left_alone(local, server, package, kubeflow_config, keep):
    other = upload(server, "other", package())
    schedule(server, kubeflow_config(), "other", other, print)
    keep()
    keep("0 0 5 * * *")
    assert sorted(one["display_name"] for one in local.kubeflow.recurring_runs) == [NAME, "other"]


def test_many_recurring_runs_come_in_pages(local, server, keep, monkeypatch):
    monkeypatch.setattr("restem.pipeline.kubeflow.client.server.PAGE", 3)
    keep()
    (one,) = local.kubeflow.recurring_runs
    for i in range(10):
        local.kubeflow.recurring_runs.append({**one, "recurring_run_id": f"left-{i:03d}", "description": "old"})
    assert len(recurring_runs(server, NAME)) == 11
    assert len(keep().deleted) == 10
    assert local.kubeflow.recurring_runs == [one]


class TestCutOff:
    """A call that ends between making and deleting: the next one leaves exactly one."""

    def test_after_the_new_one_was_made(self, local, keep):
        keep()
        local.fail("delete_recurring_run", Answer(503, '{"message": "the server is going down"}'))
        with pytest.raises(ServerError, match="503: the server is going down"):
            keep("0 0 4 * * *")
        assert len(local.kubeflow.recurring_runs) == 2
        local.accident = lambda operation: None
        outcome = keep("0 0 4 * * *")
        assert [one["trigger"]["cron_schedule"]["cron"] for one in local.kubeflow.recurring_runs] == ["0 0 4 * * *"]
        assert len(outcome.deleted) == 1

    def test_and_then_other_settings_still(self, local, keep):
        keep()
        local.fail("delete_recurring_run", Answer(503), times=1)
        with pytest.raises(ServerError):
            keep("0 0 4 * * *")
        keep("0 0 5 * * *")
        assert [one["trigger"]["cron_schedule"]["cron"] for one in local.kubeflow.recurring_runs] == ["0 0 5 * * *"]

    def test_one_that_is_gone_already_is_no_error(self, local, keep):
        keep()
        gone = Answer(404, '{"code": 5, "message": "recurring run not found"}')
        local.fail("delete_recurring_run", gone)
        assert len(keep("0 0 4 * * *").deleted) == 1

    def test_where_the_new_one_is_refused_the_old_one_goes_on(self, local, keep):
        keep("0 * * * * *")
        local.fail("create_recurring_run", Answer(400, '{"message": "no"}'))
        with pytest.raises(ServerError, match="400: no"):
            keep("30 * * * * *")
        (one,) = local.kubeflow.recurring_runs
        assert (one["trigger"]["cron_schedule"]["cron"], one["mode"]) == ("0 * * * * *", "ENABLE")


def test_two_processes_at_once_end_with_one(local, server, keep, monkeypatch):
    """The other one does all of its work between our making and our deleting."""
    keep()
    create = module._create

    def create_and_be_overtaken(at: Server, body):
        created = create(at, body)
        monkeypatch.setattr(module, "_create", create)
        keep("0 0 6 * * *", image="restem:3")
        return created

    monkeypatch.setattr(module, "_create", create_and_be_overtaken)
    outcome = keep("0 0 5 * * *", image="restem:2")
    (one,) = local.kubeflow.recurring_runs
    assert one["trigger"]["cron_schedule"]["cron"] == "0 0 6 * * *"
    assert outcome.recurring_run_id == one["recurring_run_id"]
    assert "Another process" in keep.said[-1]


class TestTakingOver:
    """Every run is started, whenever the change comes; at most the one that is due at that moment twice."""

    @pytest.mark.parametrize("seconds", [-100, -5, 0, 20])
    @pytest.mark.parametrize(
        ("cron", "changed"),
        [
            ("0 */10 * * * *", "0 */10 * * * *"),
            ("0 */5 * * * *", "0 */5 * * * *"),
            ("0 * * * * *", "0 * * * * *"),
            ("0 */5 * * * *", "0 1-59/5 * * * *"),
        ],
    )
    def test_no_run_is_lost(self, local, keep, cron, changed, seconds):
        kubeflow = local.kubeflow
        kubeflow.latency, kubeflow.run_time = timedelta(seconds=1), timedelta(seconds=5)
        hour = kubeflow.now + timedelta(minutes=10)
        keep(cron, catch_up=True)
        (first,) = kubeflow.recurring_runs
        kubeflow.advance((hour + timedelta(seconds=seconds) - kubeflow.now).total_seconds())
        keep(changed, catch_up=True, image="restem:2")
        (second,) = kubeflow.recurring_runs
        end = hour + timedelta(minutes=20)
        kubeflow.advance((end + timedelta(minutes=2) - kubeflow.now).total_seconds())
        began = datetime.fromisoformat(second["trigger"]["cron_schedule"]["start_time"])
        started = [datetime.fromisoformat(run["scheduled_at"]) for run in kubeflow.runs]
        before = Cron(cron).upcoming(datetime.fromisoformat(first["created_at"]), 80)
        due = {tick for tick in before if tick <= began} | set(Cron(changed).upcoming(began, 80))
        assert {tick for tick in due if tick < end} <= set(started)
        # The first one may start what is due while the second is made.
        assert all(began < tick < began + timedelta(minutes=11) for tick in set(started) - due)
        assert len(set(started) - due) + len(started) - len(set(started)) <= 1
        newest = kubeflow.runs[-1]["pipeline_version_reference"]["pipeline_version_id"]
        assert newest == kubeflow.pipeline_versions[-1]["pipeline_version_id"]

    def test_a_run_that_was_due_as_the_old_one_was_deleted_starts_late(self, local, keep):
        keep()
        # The controller has not looked yet.
        local.kubeflow.now = datetime(2026, 11, 26, 3, 0, 5, tzinfo=UTC)
        keep(image="restem:2")
        local.kubeflow.advance(60)
        (run,) = local.kubeflow.runs
        assert run["scheduled_at"] == "2026-11-26T03:00:00Z"
        assert run["recurring_run_id"] == local.kubeflow.recurring_runs[0]["recurring_run_id"]

    def test_a_run_that_the_old_one_has_started_is_not_started_again(self, local, keep):
        keep()
        local.kubeflow.now = datetime(2026, 11, 26, 2, 59, 59, tzinfo=UTC)
        local.kubeflow.advance(60)
        assert len(local.kubeflow.runs) == 1
        keep(image="restem:2")
        local.kubeflow.advance(600)
        assert len(local.kubeflow.runs) == 1

    def test_another_time_that_is_past_today_begins_tomorrow(self, local, keep):
        keep("0 0 3 * * *")
        local.kubeflow.advance(timedelta(hours=20).total_seconds())
        keep("0 0 4 * * *")
        local.kubeflow.advance(timedelta(hours=10).total_seconds())
        assert [run["scheduled_at"] for run in local.kubeflow.runs] == ["2026-11-26T03:00:00Z"]

    def test_in_the_same_second_the_new_one_still_counts_as_the_newer(self, local, keep):
        keep()
        first = local.kubeflow.recurring_runs[0]
        local.kubeflow.ids = iter(["0000-version", "0000-new"])  # what the order of IDs would decide wrongly
        keep("0 0 4 * * *", image="restem:2")
        (second,) = local.kubeflow.recurring_runs
        assert second["recurring_run_id"] < first["recurring_run_id"]
        assert second["created_at"] > first["created_at"]

    def test_an_interval_made_by_hand_is_replaced_too(self, local, keep):
        keep()
        local.kubeflow.recurring_runs[0]["trigger"] = {"periodic_schedule": {"interval_second": "3600"}}
        local.kubeflow.recurring_runs[0] |= {"description": "by hand", "mode": "ENABLE"}
        with_interval = local.kubeflow.recurring_runs[0]["recurring_run_id"]
        local.kubeflow.advance = lambda seconds: None
        assert keep().deleted == [with_interval]


class TestRunsInProgress:
    """They are left alone, whatever becomes of the schedule that started them."""

    def test_they_go_on_when_the_schedule_is_replaced_or_removed(self, local, server, keep):
        run = self.running(local, keep)
        keep("0 0 5 * * *")
        assert run["state"] == "PENDING"
        assert f"Run {run['run_id']}, which the old schedule started, is in progress" in keep.said[-1]
        unschedule(server, NAME, keep.said.append)
        assert run["state"] == "PENDING"
        assert local.kubeflow.recurring_runs == []

    def test_a_server_that_would_end_them_keeps_the_old_one_switched_off(self, local, keep, package, kubeflow_config):
        run = self.running(local, keep)
        local.kubeflow.tag = "2.15.2"
        old = Server(Access(local.host))
        version = upload(old, NAME, package("restem:2"))
        outcome = schedule(old, kubeflow_config("0 0 5 * * *"), NAME, version, keep.said.append)
        assert run["state"] == "PENDING"
        assert outcome.left == [run["recurring_run_id"]]
        modes = [(one["trigger"]["cron_schedule"]["cron"], one["mode"]) for one in local.kubeflow.recurring_runs]
        assert modes == [("0 0 3 * * *", "DISABLE"), ("0 0 5 * * *", "ENABLE")]
        local.kubeflow.finish(run)
        again = schedule(old, kubeflow_config("0 0 5 * * *"), NAME, version, keep.said.append)
        assert (again.action, again.deleted) == ("unchanged", [run["recurring_run_id"]])
        assert len(local.kubeflow.recurring_runs) == 1

    @staticmethod
    def running(local, keep) -> dict:
        keep("0 0 3 * * *")
        local.kubeflow.advance(timedelta(hours=16).total_seconds())
        (run,) = local.kubeflow.runs
        return run
