import pytest
from pydantic import ValidationError

from restem.notify.config import NotifyConfig


def test_nothing_is_told_by_default():
    assert not NotifyConfig().wanted
    assert not NotifyConfig().tells("failed")


def test_events_are_all_unless_they_are_named():
    config = NotifyConfig(webhook="https://example.org/hook")
    assert all(config.tells(event) for event in ("approved", "refused", "failed"))
    some = NotifyConfig(command=("true",), on=("failed",))
    assert (some.tells("failed"), some.tells("approved")) == (True, False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"webhook": "example.org/hook"}, "not the address of a webhook"),
        ({"webhook": "ftp://example.org"}, "not the address of a webhook"),
        ({"webhook": "https://example.org/a b"}, "not the address of a webhook"),
        ({"webhook": "https://example.org:99999/"}, "not the address of a webhook"),
        ({"webhook": "https://me:pass@example.org/"}, "contains a password"),
        ({"webhook": "https://example.org", "webhook_env": "HOOK"}, "two addresses"),
        ({"secret_env": "SECRET"}, "no webhook to sign for"),
        ({"webhook": "https://example.org", "secret_env": "sh-secret!"}, "not the name of an environment variable"),
        ({"command": ("./notify.sh",)}, "absolute path"),
        ({"command": ("",)}, "absolute path"),
        ({"on": ()}, "at least 1"),
        ({"on": ("finished",)}, "approved"),
        ({"timeout_seconds": 0}, "greater than 0"),
    ],
)
def test_what_cannot_work_is_refused(values, message):
    with pytest.raises(ValidationError, match=message) as refused:
        NotifyConfig(**values)
    told = refused.value.errors()[0]["msg"]
    assert "pass@" not in told
    assert "sh-secret" not in told
