"""The pipeline on the server: uploaded once for each content, as a version that is named after it."""

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
        link: its page, where the address of the pages is known.
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
    found = _version_id(server, pipeline_id, wanted)
    version_id = found or _upload(server, pipeline_id, wanted, package)
    link = server.link(f"pipelines/details/{pipeline_id}/version/{version_id}")
    return Version(pipeline_id, version_id, wanted, new=not found, link=link)


def find_pipeline(server: Server, name: str) -> Any:
    """The server's pipeline of that name, or None."""
    found = server.pages(
        server.client.pipelines.pipeline_service_list_pipelines,
        "pipelines",
        namespace=server.namespace,
        filter=named(name),
    )
    return next(found, None)


def named(name: str, key: str = "display_name") -> str:
    """The API's filter for items of that name."""
    import json

    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": name}]})


def read_package(path: str) -> tuple[str, str]:
    """A compiled pipeline from a file.

    Returns:
        The pipeline's name, and the YAML.

    Raises:
        RestemError: the file cannot be read, or is not a compiled pipeline.
    """
    import yaml

    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise RestemError("the file is too large for a pipeline", where=path, expected="at most 32 MiB")
        text = Path(path).read_text(encoding="utf-8")
        first: Any = next(iter(yaml.safe_load_all(text)), None)
        name = first["pipelineInfo"]["name"]
        if not isinstance(name, str) or "schemaVersion" not in first:
            raise KeyError
    except OSError as error:
        raise RestemError("the package cannot be read", where=path, given=error.strerror) from None
    except (UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise RestemError(
            "this is not a compiled pipeline",
            where=path,
            expected="YAML with pipelineInfo and schemaVersion",
            remedy="restem compile --config F --out F.yaml writes one",
        ) from None
    return name, text


def made_or_found(make: Callable[[], Any], find: Callable[[], Any]) -> Any:
    """What `make` gives; where somebody else made the same at this moment, what `find` then finds.

    Raises:
        ServerError: it could not be made, for another reason or for none that can be found.
    """
    try:
        return make()
    except ServerError as error:
        found = find() if error.status == CONFLICT else None
        if found is None:
            raise
        return found


def _pipeline_id(server: Server, name: str) -> str:
    found = find_pipeline(server, name)
    if found is None:
        import kfp_server_api

        # Uploading a new pipeline would name its first version after the pipeline, not after the content.
        pipeline = kfp_server_api.V2beta1Pipeline(display_name=name, namespace=server.namespace or None)
        create = server.client.pipelines.pipeline_service_create_pipeline
        found = made_or_found(lambda: server.call(create, pipeline=pipeline), lambda: find_pipeline(server, name))
    return found.pipeline_id


def _version_id(server: Server, pipeline_id: str, name: str) -> str | None:
    versions = server.pages(
        server.client.pipelines.pipeline_service_list_pipeline_versions,
        "pipeline_versions",
        pipeline_id=pipeline_id,
        filter=named(name),
    )
    return next((version.pipeline_version_id for version in versions), None)


def _upload(server: Server, pipeline_id: str, name: str, package: str) -> str:
    with tempfile.TemporaryDirectory(prefix="restem-") as folder:
        # The server tells a package's format by its file's name.
        path = Path(folder) / "pipeline.yaml"
        path.write_text(package, encoding="utf-8")
        create = server.client.pipeline_uploads.upload_pipeline_version
        return made_or_found(
            lambda: server.call(create, str(path), name=name, pipelineid=pipeline_id).pipeline_version_id,
            lambda: _version_id(server, pipeline_id, name),
        )
