"""The server's address and the credentials: from the command line, the configuration or the environment, in this order.

Secrets come from files and the environment only, and are never printed.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from urllib3.util import parse_url

from restem.errors import RestemError
from restem.pipeline.config.kubeflow import KubeflowConfig

TOKEN = "RESTEM_KUBEFLOW_TOKEN"  # noqa: S105 - the variable's name
COOKIE = "RESTEM_KUBEFLOW_COOKIE"
HOST = "KF_PIPELINES_ENDPOINT"  # kfp's own
UI_HOST = "KF_PIPELINES_UI_ENDPOINT"
# Kubernetes's own places in a pod, and kfp's.
POD_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
POD_NAMESPACE = POD_TOKEN.with_name("namespace")
IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"


@dataclass(frozen=True)
class Access:
    """How a server is reached.

    Attributes:
        host: the address, without a slash at its end.
        ui: the address of its web pages; None where it is unknown (inside the cluster).
        namespace: the user's, or None.
        token: as it is sent, or None.
        token_file: a file that holds the token, or None.
        cookie: as it is sent, or None.
        ca_cert: certificates to trust instead of the usual ones, or None.
    """

    host: str
    ui: str | None = None
    namespace: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    cookie: str | None = field(default=None, repr=False)
    ca_cert: str | None = None

    def current_token(self) -> str | None:
        """The token to send now. The file is read each time, because Kubernetes renews such tokens."""
        return _line_of(self.token_file, "the token") if self.token_file else self.token

    def without_secrets(self, text: str) -> str:
        """`text` with *** for the token and the cookie, in case a server repeats them."""
        secrets = [self.token, self.current_token(), self.cookie, *(self.cookie or "").split("=", 1)[1:]]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def find_access(
    kubeflow: KubeflowConfig | None,
    *,
    host: str | None = None,
    namespace: str | None = None,
    token_file: str | None = None,
    cookie_file: str | None = None,
    ca_cert: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Access:
    """Finds the address and the credentials.

    Args:
        kubeflow: the configuration's section, where there is a configuration.
        host, namespace, token_file, cookie_file, ca_cert: the command line's options.
        environ: the environment.

    Raises:
        RestemError: there is no address, or a file cannot be read, or its content is not a token or cookie.
    """
    given = host or (kubeflow and kubeflow.host) or environ.get(HOST)
    token = _checked(environ.get(TOKEN), TOKEN)
    cookie = _checked(environ.get(COOKIE), COOKIE)
    if cookie_file:
        cookie = _line_of(cookie_file, "the cookie")
    if token_file:
        token = _line_of(token_file, "the token") and None
    elif token is None and cookie is None:
        token_file = _projected_token(environ)
    if ca_cert and not Path(os.path.expanduser(ca_cert)).is_file():
        raise RestemError("there is no such file", where="--ca-cert", given=ca_cert)
    ui = environ.get(UI_HOST)
    if given:
        given = _address(given)
        ui = ui or given
    elif environ.get("KUBERNETES_SERVICE_HOST") and POD_TOKEN.exists():
        given = IN_CLUSTER
    else:
        raise RestemError(
            "the address of Kubeflow Pipelines is unknown",
            expected="its address",
            remedy=f"Give --host, e.g. --host https://kubeflow.example.org/pipeline, or set kubeflow.host in the "
            f"configuration or {HOST} in the environment. For a port-forward: kubectl port-forward -n kubeflow "
            f"svc/ml-pipeline-ui 8080:80, and --host http://localhost:8080",
        )
    return Access(
        host=given,
        ui=ui.rstrip("/") if ui else None,
        namespace=namespace or (kubeflow.namespace if kubeflow else None),
        token=token,
        token_file=str(Path(os.path.expanduser(token_file))) if token_file else None,
        cookie=cookie,
        ca_cert=str(Path(os.path.expanduser(ca_cert))) if ca_cert else None,
    )


def pod_namespace() -> str:
    """The namespace of the pod that this runs in; empty outside a pod."""
    return POD_NAMESPACE.read_text(encoding="utf-8").strip() if POD_NAMESPACE.is_file() else ""


def _projected_token(environ: Mapping[str, str]) -> str | None:
    """The service account's token that Kubeflow mounts into pods, at kfp's path."""
    path = environ.get("KF_PIPELINES_SA_TOKEN_PATH", "/var/run/secrets/kubeflow/pipelines/token")
    return path if Path(path).is_file() else None


def _address(host: str) -> str:
    host = host.strip()
    host = (host if "://" in host else f"https://{host}").rstrip("/")
    try:
        parts = parse_url(host)
        usable = parts.scheme in ("http", "https") and bool((parts.host or "").encode("idna")) and parts.port != 0
    except ValueError:
        usable = False
    if usable and not parts.query and not parts.fragment and not parts.auth and " " not in host:
        return host
    raise RestemError(
        "this is not an address",
        where="--host (kubeflow.host)",
        expected="http:// or https://, a host, and where needed a port and a path; no name, password or query",
        remedy="For instance https://kubeflow.example.org/pipeline",
    )


def _line_of(path: str, what: str) -> str:
    try:
        text = Path(os.path.expanduser(path)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise RestemError(f"{what} cannot be read", where=path, given=reason) from None
    checked = _checked(text, path)
    if checked is None:
        raise RestemError("the file is empty", where=path, expected=what)
    return checked


def _checked(secret: str | None, where: str) -> str | None:
    """The secret without spaces around it; one that would break a request's header is refused, and is not shown."""
    secret = (secret or "").strip()
    if any(ord(character) < 32 or ord(character) > 126 for character in secret):
        raise RestemError("this is not a token or cookie", where=where, expected="one line of ASCII")
    return secret or None
