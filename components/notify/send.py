"""Sends a message to the webhook and to the command. A failure is a warning; no message contains a secret.

The signature is that of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 with the shared secret over
"ID.TIMESTAMP.BODY", in the header webhook-signature.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from restem.errors import RestemError
from restem.notify.config import NotifyConfig, check_address
from restem.notify.message import Message

# One attempt, and three more after 0, 2 and 4 seconds.
RETRIES = 3
BACKOFF_SECONDS = 1.0
RETRIED = (408, 425, 429, 500, 502, 503, 504)
PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)


def notify(config: NotifyConfig, message: Message, warn: Callable[[str], None]) -> None:
    """Sends the message if the configuration asks for its event; never raises.

    Args:
      config: the section `notify`.
      message: the run's result.
      warn: receives one sentence for each way that failed.
    """
    if not config.tells(message.event):
        return
    ways: list[tuple[str, Callable[[], None]]] = []
    if config.webhook or config.webhook_env:
        ways.append(("the webhook", lambda: _post(config, message)))
    if config.command:
        ways.append((f"the command {config.command[0]}", lambda: _run(config, message)))
    for name, send in ways:
        try:
            send()
        except NotSent as failure:
            warn(f"notify: {name} was not told: {failure}")
        except Exception as error:  # whatever it is, the run's result must not depend on it
            warn(f"notify: {name} was not told: {type(error).__name__}")


def check(config: NotifyConfig) -> None:
    """Checks, before a run, that its result can be sent from this machine.

    Raises:
      RestemError: a variable is not set or has an unusable value, or the program does not exist.
    """
    if not config.wanted:
        return
    _address(config)
    _secret(config)
    if config.command and shutil.which(config.command[0]) is None:
        raise RestemError(
            "there is no such program",
            where="notify.command",
            expected="a program on the PATH, or an absolute path",
            given=config.command[0],
        )


class NotSent(Exception):
    """Why a message was not sent, as the end of a sentence."""


def _post(config: NotifyConfig, message: Message) -> None:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    try:
        address, secret = _address(config), _secret(config)
    except RestemError as error:
        raise NotSent(str(error)) from None
    body, stamp = message.body(), str(int(message.time))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "restem",
        "webhook-id": message.id,
        "webhook-timestamp": stamp,
        **({"webhook-signature": signature(secret, message.id, stamp, body)} if secret else {}),
    }
    retry = Retry(
        total=RETRIES,
        backoff_factor=BACKOFF_SECONDS,
        status_forcelist=RETRIED,
        allowed_methods=None,  # also POST: a receiver knows a repetition by its id
        raise_on_status=False,
        # A server must not delay the end of a run for as long as it likes.
        respect_retry_after_header=False,
    )
    with _silent(), requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        try:
            # The answer's body is not read: it is of no use, and has no end if the server does not want it.
            with session.post(
                address, data=body, headers=headers, timeout=config.timeout_seconds, allow_redirects=False, stream=True
            ) as answer:
                status = answer.status_code
        except requests.RequestException as error:
            raise NotSent(f"{urlsplit(address).hostname}: {_why(error, config.timeout_seconds)}") from None
    if not 200 <= status < 300:
        times = f", {RETRIES + 1} times" if status in RETRIED else ""
        raise NotSent(f"{urlsplit(address).hostname} answered {status}{times}")


def signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of the header webhook-signature.

    Args:
      secret: the shared key.
      message_id, timestamp: the values of the headers webhook-id and webhook-timestamp.
      body: of the request.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode('ascii')}"


def _address(config: NotifyConfig) -> str:
    if config.webhook_env is None:
        return config.webhook or ""
    address = _variable("notify.webhook_env", config.webhook_env)
    try:
        check_address(address)
    except RestemError as error:
        where = f"notify.webhook_env ({config.webhook_env})"
        raise RestemError(error.what, where=where, expected=error.expected, remedy=error.remedy) from None
    return address


def _secret(config: NotifyConfig) -> bytes | None:
    if config.secret_env is None:
        return None
    text = _variable("notify.secret_env", config.secret_env)
    with contextlib.suppress(binascii.Error, ValueError):
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        if text.startswith(PREFIX) and len(secret) in SECRET_BYTES:
            return secret
    raise RestemError(
        "the variable does not have a secret for webhooks",
        where=f"notify.secret_env ({config.secret_env})",
        expected=f"{PREFIX} and 24 to 64 bytes in base64",
        remedy=f'For example: export {config.secret_env}="{PREFIX}$(openssl rand -base64 32)"',
    )


def _variable(key: str, name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise RestemError(
            "the environment variable is not set", where=f"{key} ({name})", remedy=f"Set {name}, or remove {key}"
        )
    return value


def _why(error: Exception, seconds: float) -> str:
    """An exception without its own text, in which there is the address."""
    from urllib3 import exceptions

    chain: list[Any] = [error]
    while chain[-1] is not None and len(chain) < 10:
        last = chain[-1]
        inner = getattr(last, "reason", None) or next((each for each in last.args if isinstance(each, Exception)), None)
        chain.append(inner or last.__cause__ or last.__context__)
    causes = [each for each in chain if isinstance(each, Exception)]
    # A connection that could not be made counts as a time-out in urllib3.
    refused = any(isinstance(each, exceptions.NewConnectionError) for each in causes)
    if not refused and any(isinstance(each, exceptions.TimeoutError | TimeoutError) for each in causes):
        return f"no answer within {seconds:g} s"
    if any(isinstance(each, exceptions.SSLError) for each in causes):
        return "its certificate is not trusted, or TLS failed"
    if any(isinstance(each, exceptions.ProxyError) for each in causes):
        return "the proxy cannot be reached"
    told = [each.strerror for each in causes if isinstance(each, OSError) and each.strerror]
    return f"no connection ({told[-1]})" if told else "no connection"


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """urllib3 logs the path of every request, which can be a secret."""
    logger = logging.getLogger("urllib3")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _run(config: NotifyConfig, message: Message) -> None:
    try:
        # Its standard error is the run's: what it says there is for the user. Standard output belongs to --json.
        done = subprocess.run(  # noqa: S603 - the program of the configuration, without a shell
            list(config.command),
            input=message.body(),
            stdout=subprocess.DEVNULL,
            timeout=config.timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotSent(f"it did not end within {config.timeout_seconds:g} s") from None
    except OSError as error:
        raise NotSent(f"it cannot be started ({error.strerror})") from None
    if done.returncode:
        raise NotSent(f"its exit code is {done.returncode}")
