"""A Kubeflow Pipelines server, reached through its generated API: time limits, pages, and errors in sentences.

The generated classes of `kfp_server_api` are used, not `kfp.Client`: that asks an unwilling server for its health five
times with pauses, reads and writes ~/.config/kfp/context.json (a cookie in there would go to any host), follows
redirects to login pages, and takes four seconds to import.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from restem.pipeline.kubeflow.client.access import Access, pod_namespace
from restem.pipeline.kubeflow.client.server_errors import ServerError, from_answer, from_failure, is_page, login_page

CONNECT_SECONDS = 5
FIRST_ANSWER_SECONDS = 10
ANSWER_SECONDS = 60  # the server compiles the pipeline before it answers
PAGE = 100
MAX_BYTES = 64 << 20
HEALTH = "/apis/v2beta1/healthz"


class Server:
    """One server that has answered.

    Attributes:
        runs, recurring_runs, experiments, pipelines, uploads: the services of `kfp_server_api`, for `call`.
        namespace: the user's; empty where the server has one user.
        version: of the server, e.g. (2, 16, 0); None where the server does not report it.
    """

    def __init__(self, access: Access) -> None:
        """Connects.

        Raises:
            ServerError: the server cannot be reached, or requires another login, or another namespace.
        """
        import kfp_server_api as api

        self.access = access
        self._ahead = timedelta()
        self._api = client = _api_client(access)
        self.runs = api.RunServiceApi(client)
        self.recurring_runs = api.RecurringRunServiceApi(client)
        self.experiments = api.ExperimentServiceApi(client)
        self.pipelines = api.PipelineServiceApi(client)
        self.uploads = api.PipelineUploadServiceApi(client)
        health = self._health()
        self.version = _version(health.get("tag_name") or health.get("apiServerTagName"))
        several_users = health.get("multi_user")
        self.namespace = access.namespace or (pod_namespace() if several_users else "")
        if several_users and not self.namespace:
            raise ServerError(
                "this Kubeflow has several users: a namespace is needed",
                where=access.host,
                remedy="Name your namespace: --namespace, or kubeflow.namespace in the configuration",
            )

    def now(self) -> datetime:
        """The server's clock, according to its latest answer."""
        return datetime.now(UTC) + self._ahead

    def link(self, path: str) -> str | None:
        """The address of one of its web pages, e.g. `runs/details/ID`; None where the pages' address is unknown."""
        return f"{self.access.ui}/#/{path}" if self.access.ui else None

    def call(self, method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Calls a method of one of the services.

        Raises:
            ServerError: the server refused or failed, or could not be reached.
        """
        with self._errors_in_sentences():
            result = method(*args, _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS), **more)
        self._check(self._api.last_response.urllib3_response)
        return result

    def pages(self, method: Callable[..., Any], items: str, **more: Any) -> Iterator[Any]:
        """All items of a listing, page by page.

        Args:
            method: of one of the services.
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

    def find(self, method: Callable[..., Any], items: str, name: str, **more: Any) -> Any:
        """The first item of that name in a listing, or None; the arguments are those of `pages`."""
        return next(self.pages(method, items, filter=named(name), **more), None)

    def get(
        self,
        path: str,
        query: tuple[tuple[str, str], ...] = (),
        *,
        answer_seconds: float = ANSWER_SECONDS,
        last_bytes: int = MAX_BYTES,
    ) -> str:
        """The text at an address that the generated API lacks, requested with the same credentials.

        Args:
            path: below the host.
            query: names and values.
            answer_seconds: the time limit.
            last_bytes: how much of the answer's end is kept.

        Raises:
            ServerError: as `call`.
        """
        with self._errors_in_sentences():
            answer = self._api.call_api(
                path,
                "GET",
                query_params=list(query),
                header_params={"Accept": "application/json"},
                auth_settings=["Bearer"],
                _preload_content=False,
                _request_timeout=(CONNECT_SECONDS, answer_seconds),
            )
            data = b""
            for chunk in answer.stream(1 << 16):
                data = (data + chunk)[-last_bytes:]
        text = data.decode("utf-8", errors="replace")
        self._check(answer, text)
        return text

    def _health(self) -> dict[str, Any]:
        # The generated answer lacks the version.
        text = self.get(HEALTH, answer_seconds=FIRST_ANSWER_SECONDS)
        with contextlib.suppress(ValueError, RecursionError):
            health = json.loads(text)
            if isinstance(health, dict):
                return health
        raise login_page(self.access.host)

    def _check(self, answer: Any, text: str = "") -> None:
        """Refuses a web page, and reads the server's clock."""
        if is_page(answer.headers.get("content-type"), text):
            raise login_page(self.access.host, answer.status)
        with contextlib.suppress(KeyError, TypeError, ValueError):
            self._ahead = parsedate_to_datetime(answer.headers["date"]) - datetime.now(UTC)

    @contextlib.contextmanager
    def _errors_in_sentences(self) -> Iterator[None]:
        """Failures become errors in sentences, without the secrets."""
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


def named(name: str, key: str = "display_name") -> str:
    """The API's filter for items of that name."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": name}]})


def _api_client(access: Access) -> Any:
    import kfp_server_api
    import urllib3

    config = kfp_server_api.Configuration(host=access.host)
    config.ssl_ca_cert = access.ca_cert
    # One more try to connect, none of a request that may have arrived; no redirects.
    config.retries = urllib3.Retry(total=1, connect=1, read=0, redirect=False, status=0, other=0)
    if access.token or access.token_file:
        config.api_key_prefix["authorization"] = "Bearer"
        config.api_key["authorization"] = ""  # must exist; the hook sets it before each request
        config.refresh_api_key_hook = lambda config: config.api_key.update(authorization=access.current_token())
    return kfp_server_api.ApiClient(config, cookie=access.cookie)


def _version(tag: str | None) -> tuple[int, ...] | None:
    parts = (tag or "").lstrip("v").split("-")[0].split(".")
    return tuple(map(int, parts)) if len(parts) >= 2 and all(part.isdigit() for part in parts) else None
