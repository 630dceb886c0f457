"""Talking to a Kubeflow Pipelines server through kfp's own client: time limits, pages, and errors in words."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from restem.pipeline.kubeflow.client.access import Access, credentials_of
from restem.pipeline.kubeflow.client.server_errors import ServerError, from_answer, from_failure, is_page, login_page

CONNECT_SECONDS = 5
FIRST_ANSWER_SECONDS = 10
ANSWER_SECONDS = 60  # the server compiles the pipeline before it answers
PAGE = 100
MAX_BYTES = 64 << 20
HEALTH = "/apis/v2beta1/healthz"


class Server:
    """One server, reached and ready.

    Attributes:
        client: kfp.Client; its generated services are used, because they take time limits and print nothing.
        namespace: the user's; empty where the server has one user.
        version: of the server, e.g. (2, 16, 0); None where it does not tell.
    """

    def __init__(self, access: Access) -> None:
        """Reaches it.

        Raises:
            ServerError: it cannot be reached, or wants another login, or another namespace.
        """
        self.access = access
        self._ahead = timedelta()
        with self._told():
            self.client = _client(access)
            health = self.raw(HEALTH, answer_seconds=FIRST_ANSWER_SECONDS)
        if not isinstance(health, dict):
            raise login_page(access.host)
        self.namespace: str = self.client.get_user_namespace() or ""
        self.version = _version(health.get("tag_name") or health.get("apiServerTagName"))
        if health.get("multi_user") and not self.namespace:
            raise ServerError(
                "this Kubeflow has several users: a namespace is needed",
                where=access.host,
                remedy="Name your namespace: --namespace, or kubeflow.namespace in the configuration",
            )

    def now(self) -> datetime:
        """The server's clock, as its latest answer showed it."""
        return datetime.now(UTC) + self._ahead

    def link(self, path: str) -> str | None:
        """The address of one of its web pages, e.g. `runs/details/ID`; None where the pages' address is not known."""
        return f"{self.access.ui}/#/{path}" if self.access.ui else None

    def call(self, method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Calls one of kfp's generated methods.

        Raises:
            ServerError: the server refused or failed, or could not be reached.
        """
        with self._told():
            result = method(*args, _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS), **more)
            self._look_at_answer()
        return result

    def pages(self, method: Callable[..., Any], items: str, **more: Any) -> Iterator[Any]:
        """All items of a listing, page by page.

        Args:
            method: of kfp's generated ones.
            items: the name of the response's list.
            more: the method's arguments; `filter` and `sort_by` go with every page.
        """
        token = ""
        while True:
            # An empty page token would not match the filter's own token on the first page.
            page = self.call(method, page_size=PAGE, **({"page_token": token} if token else {}), **more)
            yield from getattr(page, items) or ()
            token = page.next_page_token
            if not token:
                return

    def raw(self, path: str, method: str = "GET", query: tuple[tuple[str, str], ...] = (), **limits: int) -> Any:
        """An operation that kfp's generated services lack; authenticated as they are.

        Args:
            path: below the host.
            method: HTTP's.
            query: names and values.
            limits: `answer_seconds`; `last_bytes`: how much of the answer's end is kept.

        Returns:
            JSON as plain data, anything else as text.

        Raises:
            ServerError: as `call`.
        """
        with self._told():
            api = self._api()
            answer = api.call_api(
                path,
                method,
                query_params=list(query),
                header_params={"Accept": "application/json"},
                auth_settings=["Bearer"],
                _preload_content=False,
                _request_timeout=(CONNECT_SECONDS, limits.get("answer_seconds", ANSWER_SECONDS)),
            )
            data = b""
            for chunk in answer.stream(1 << 16):
                data = (data + chunk)[-limits.get("last_bytes", MAX_BYTES) :]
            text = data.decode("utf-8", errors="replace")
            self._look_at_answer(text)
        return _json_or_text(text)

    def _api(self) -> Any:
        return self.client.runs.run_service_get_run.__self__.api_client

    def _look_at_answer(self, text: str = "") -> None:
        answer = self._api().last_response
        answer = getattr(answer, "urllib3_response", answer)
        if is_page(answer.headers.get("content-type"), text):
            raise login_page(self.access.host, answer.status)
        with contextlib.suppress(KeyError, TypeError, ValueError):
            self._ahead = parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Failures become errors in words, without the secrets."""
        from google.auth.exceptions import GoogleAuthError
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        access = self.access
        try:
            yield
        except ApiException as error:
            body = access.without_secrets(error.body) if isinstance(error.body, str) else None
            raise from_answer(error.status or 500, error.reason, error.headers, body, access.host) from None
        except HTTPError as error:
            raise from_failure(error, access.host, access.ca_cert) from None
        except UnicodeDecodeError:
            raise ServerError("the answer is not text", where=access.host, remedy="Check the address") from None
        except GoogleAuthError as error:
            raise ServerError("Google gives no token for this host", where=access.host, given=str(error)) from None


def _client(access: Access) -> Any:
    """kfp.Client, less what would make a command slow or surprising.

    kfp's own asks an unwilling server for its health five times with pauses, reads and writes
    ~/.config/kfp/context.json (a cookie in there would go to any host), and follows redirects to login pages.
    """
    import kfp
    import urllib3

    class Client(kfp.Client):
        def _load_context_setting_or_default(self) -> None:
            self._context_setting = {"namespace": access.namespace or ""}

        def set_user_namespace(self, namespace: str) -> None:
            self._context_setting["namespace"] = namespace.strip()

        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
            return self._healthz_api.healthz_service_get_healthz(
                _request_timeout=(CONNECT_SECONDS, FIRST_ANSWER_SECONDS)
            )

        def _load_config(self, *args: Any, **more: Any) -> Any:
            config = super()._load_config(*args, **more)
            # One more try to connect, none of a request that may have arrived.
            config.retries = urllib3.Retry(total=1, connect=1, read=0, redirect=False, status=0, other=0)
            return config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Client(
            host=access.host,
            existing_token=access.token,
            cookies=access.cookie,
            ssl_ca_cert=access.ca_cert,
            credentials=credentials_of(access),
            **({"namespace": access.namespace} if access.namespace else {}),
        )


def _version(tag: str | None) -> tuple[int, ...] | None:
    parts = (tag or "").lstrip("v").split("-")[0].split(".")
    return tuple(map(int, parts)) if len(parts) >= 2 and all(part.isdigit() for part in parts) else None


def _json_or_text(data: bytes | str) -> Any:
    import json

    text = data.decode("utf-8", errors="replace") if isinstance(data, bytes) else data
    try:
        return json.loads(text)
    except ValueError:
        return text
