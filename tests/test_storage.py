import logging
import threading

import pytest

from restem import storage

REASON = "Your default credentials were not found"


class Stopped(BaseException):
    """What a signal's handler raises."""


def test_a_bucket_that_does_not_answer_is_said_once_without_stack_traces(monkeypatch, capfd):
    monkeypatch.setattr(storage, "_SAY_AFTER_SECONDS", 0.01)
    said = threading.Event()
    monkeypatch.setattr(storage, "say", lambda text, **where: (print(text, **where), said.set()))

    def call():
        logger = logging.getLogger("apache_beam.utils.retry")
        for _ in range(3):
            text = (
                f"because we caught exception: google.auth.DefaultCredentialsError: {REASON}. See https://a.b/c\n Trace"
            )
            logger.warning("Retry: waiting for 7 seconds before retrying %s", text)
        assert said.wait(60)
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        storage.patiently("gs://bucket/folder/**", call)
    told = capfd.readouterr().err.strip().splitlines()
    assert told == [f"restem: gs://bucket does not answer yet ({REASON}); trying again for up to some minutes"]


def test_a_signal_ends_the_wait_for_a_call_that_does_not_return(monkeypatch):
    never = threading.Event()

    def stop(text, **_):
        raise Stopped

    # As a handler of a signal raises it in the main thread.
    monkeypatch.setattr(storage, "_SAY_AFTER_SECONDS", 0.01)
    monkeypatch.setattr(storage, "say", stop)
    with pytest.raises(Stopped):
        storage.patiently("gs://bucket", never.wait)
    never.set()


def test_other_threads_call_directly():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(storage.patiently("gs://bucket", threading.current_thread)))
    thread.start()
    thread.join()
    assert seen == [thread]
