"""The pipeline on the server: each content is uploaded once, as a version that is named after it."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restem.errors import RestemError
from restem.pipeline.kubeflow.client.server import Server
from restem.pipeline.kubeflow.client.server_errors import ServerError

MAX_BYTES = 32 << 20  # the server's own limit
DIGITS = 12
CONFLICT = 409


@dataclass(frozen=True)
class Version:
    """An uploaded version of a pipeline.

    Attributes:
        pipeline_id, version_id: the server's.
        name: the pipeline's name, a hyphen, and twelve digits of its content's SHA-256.
        new: whether this call made it.
        link: its page; None where the address of the pages is unknown.
    """

    pipeline_id: str
    version_id: str
    name: str
    new: bool
    link: str | None


def version_name(name: str, package: str) -> str:
    """The same for the same content: what makes uploading twice do nothing."""
    return f"{name}-{hashlib.sha256(package.encode()).hexdigest()[:DIGITS]}"


def upload(server: Server, name: str, package: str) -> Version:
    """Makes sure that the server has the pipeline, and this content as one of its versions.

    Args:
        server: as reached.
        name: the pipeline's.
        package: the compiled YAML.

    Raises:
        ServerError: the server refused it.
    """
    wanted = version_name(name, package)
    pipeline_id = _pipeline_id(server, name)
    listing = server.pipelines.pipeline_service_list_pipeline_versions
    version, new = found_or_made(
        lambda: server.find(listing, "pipeline_versions", wanted, pipeline_id=pipeline_id),
        lambda: _upload(server, pipeline_id, wanted, package),
    )
    version_id = version.pipeline_version_id
    link = server.link(f"pipelines/details/{pipeline_id}/version/{version_id}")
    return Version(pipeline_id, version_id, wanted, new=new, link=link)


def find_pipeline(server: Server, name: str) -> Any:
    """The server's pipeline of that name, or None."""
    listing = server.pipelines.pipeline_service_list_pipelines
    return server.find(listing, "pipelines", name, namespace=server.namespace)


def read_package(path: str) -> tuple[str, str]:
    """A compiled pipeline from a file.

    Returns:
        The pipeline's name, and the YAML.

    Raises:
        RestemError: the file cannot be read, or is not a compiled pipeline.
    """
    import yaml

    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise RestemError("the file is too large for a pipeline", where=path, expected="at most 32 MiB")
        text = content.decode("utf-8")
        # Not CSafeLoader, which is faster: 100,000 brackets end the process.
        first: Any = next(iter(yaml.safe_load_all(text)), None)
        name = first["pipelineInfo"]["name"]
        if not isinstance(name, str) or "schemaVersion" not in first:
            raise KeyError
    except RestemError:  # It is a ValueError too.
        raise
    except OSError as error:
        raise RestemError("the package cannot be read", where=path, given=error.strerror) from None
    except (yaml.YAMLError, ValueError, KeyError, TypeError, RecursionError):
        raise RestemError(
            "this is not a compiled pipeline",
            where=path,
            expected="YAML with pipelineInfo and schemaVersion",
            remedy="restem compile --config F --out F.yaml writes one",
        ) from None
    return name, text


def found_or_made(find: Callable[[], Any], make: Callable[[], Any]) -> tuple[Any, bool]:
    """What `find` finds; otherwise what `make` makes, or what another process has made at the same moment.

    Returns:
        It, and whether this call made it.

    Raises:
        ServerError: it could not be made.
    """
    found = find()
    if found is not None:
        return found, False
    try:
        return make(), True
    except ServerError as error:
        found = find() if error.status == CONFLICT else None
        if found is None:
            raise
        return found, False


def _pipeline_id(server: Server, name: str) -> str:
    import kfp_server_api

    # Uploading a new pipeline would name its first version after the pipeline, not after the content.
    pipeline = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=server.namespace or None)
    create = server.pipelines.pipeline_service_create_pipeline
    found, _ = found_or_made(lambda: find_pipeline(server, name), lambda: server.call(create, pipeline=pipeline))
    return found.pipeline_id


def _upload(server: Server, pipeline_id: str, name: str, package: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="restem-") as folder:
        # The server recognises a package's format by its file's name.
        path = Path(folder) / "pipeline.yaml"
        path.write_text(package, encoding="utf-8")
        return server.call(server.uploads.upload_pipeline_version, str(path), name=name, pipelineid=pipeline_id)
