import pytest

from restem.errors import RestemError
from restem.pipeline.config import load_config
from restem.pipeline.errors import Interrupted, WorkFailed
from restem.pipeline.local import notification
from restem.pipeline.local.notification import notifying

SUMMARY = {"blessed": True, "reason": "Approved.", "metrics": {}, "pushed_to": "/s/1", "log": "/r/log", "cost": {}}


@pytest.fixture
def config(write, images):
    return load_config(write("data: {path: images}\nimage: {size: 32}\nnotify:\n  on: [failed, approved]\n"))


@pytest.fixture
def sent(monkeypatch):
    messages = []
    monkeypatch.setattr(notification, "notify", lambda config, message, warn: messages.append(message))
    monkeypatch.setattr("restem.notify.config.NotifyConfig.wanted", True)
    return messages


def test_the_key_on_is_text_in_yaml(config):
    """YAML 1.1 reads `on` as true."""
    assert config.notify.on == ("failed", "approved")


def test_a_finished_run_is_told(config, sent):
    with notifying(config, "/r") as tell:
        tell(lambda: SUMMARY)
    (message,) = sent
    assert (message.event, message.pipeline, message.reason) == ("approved", "own", "Approved.")
    assert message.details == {"root": "/r", "metrics": {}, "pushed_to": "/s/1", "log": "/r/log"}
    with notifying(config, "/r") as tell:
        tell(lambda: {**SUMMARY, "blessed": False})
    assert sent[1].event == "refused"
    assert sent[0].id != sent[1].id


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RestemError("there are no images", where="data.path"), "data.path: there are no images."),
        (WorkFailed("the step Trainer failed"), "the step Trainer failed."),
        (ZeroDivisionError("x"), "the work failed: ZeroDivisionError: x."),
    ],
)
def test_a_failed_run_is_told_and_still_fails(config, sent, error, reason):
    with pytest.raises(type(error)), notifying(config, "/r"):
        raise error
    (message,) = sent
    assert (message.event, message.reason) == ("failed", reason)


def test_a_run_that_a_signal_stops_sends_nothing(config, sent):
    with pytest.raises(Interrupted), notifying(config, "/r"):
        raise Interrupted(15)
    assert sent == []


def test_a_summary_that_cannot_be_read_is_a_warning(config, sent):
    warnings = []
    with notifying(config, "/r", warnings.append) as tell:
        tell(lambda: {}["nothing"])
    assert (sent, len(warnings)) == ([], 1)
