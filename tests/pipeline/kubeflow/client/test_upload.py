"""Uploading: once for each content."""

import pytest

from restem.errors import RestemError
from restem.pipeline.kubeflow.client.access import Access
from restem.pipeline.kubeflow.client.server import Server
from restem.pipeline.kubeflow.client.upload import read_package, upload, version_name
from tests.pipeline.kubeflow.client.http import Answer


def test_the_first_upload_makes_the_pipeline_and_its_version(local, server, package):
    version = upload(server, "digits", package())
    assert version.new
    assert version.name == version_name("digits", package())
    assert [one["display_name"] for one in local.kubeflow.pipelines] == ["digits"]
    # No further version that has the pipeline's own name.
    assert [one["name"] for one in local.kubeflow.pipeline_versions] == [version.name]
    # Both documents arrive, to the byte.
    assert local.kubeflow.packages[version.version_id] == package()
    assert version.link == f"{local.host}/#/pipelines/details/{version.pipeline_id}/version/{version.version_id}"


def test_the_same_content_again_does_nothing(local, server, package):
    first = upload(server, "digits", package())
    again = upload(server, "digits", package())
    assert not again.new
    assert (again.pipeline_id, again.version_id) == (first.pipeline_id, first.version_id)
    assert local.operations().count("upload_version") == 1
    assert local.operations().count("create_pipeline") == 1


def test_another_content_is_a_new_version_of_the_same_pipeline(local, server, package):
    first = upload(server, "digits", package())
    second = upload(server, "digits", package("restem:2"))
    assert second.pipeline_id == first.pipeline_id
    assert second.version_id != first.version_id
    assert len(local.kubeflow.pipeline_versions) == 2


def test_who_is_overtaken_takes_what_the_other_one_made(local, server, package):
    made = upload(server, "digits", package())
    real = local.kubeflow.list_versions
    # At the first look there is nothing yet; then the upload meets what another process uploaded.
    answers = [{}]
    local.kubeflow.list_versions = lambda *request: answers.pop() if answers else real(*request)
    version = upload(server, "digits", package())
    assert version.version_id == made.version_id
    assert local.operations().count("upload_version") == 2


def test_in_a_namespace(local, package):
    local.kubeflow.multi_user = True
    mine = Server(Access(local.host, namespace="mine"))
    first = upload(mine, "digits", package())
    yours = upload(Server(Access(local.host, namespace="yours")), "digits", package())
    assert first.pipeline_id != yours.pipeline_id
    assert upload(mine, "digits", package()).version_id == first.version_id


def test_what_the_server_says_of_a_package(local, server, package):
    local.fail("upload_version", Answer(400, '{"error_message": "unknown template format", "error_details": "..."}'))
    with pytest.raises(RestemError, match="the server answers 400: unknown template format"):
        upload(server, "digits", package())


def test_a_package_from_a_file(tmp_path, package):
    path = tmp_path / "digits.yaml"
    path.write_text(package())
    assert read_package(str(path)) == ("digits", package())


FOREIGN = [
    "!!python/object/apply:os.system [touch hacked]",
    "[" * 100_000,
    "pipelineInfo: {name: 1e}\nschemaVersion: [",
]


@pytest.mark.parametrize(
    "text", ["", "just words", "a: [", "pipelineInfo: {name: 3}", "pipelineSpec: {}", "\x00", *FOREIGN]
)
def test_a_file_that_is_no_package(tmp_path, text):
    path = tmp_path / "digits.yaml"
    path.write_text(text)
    with pytest.raises(RestemError, match="this is not a compiled pipeline"):
        read_package(str(path))


def test_a_file_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr("restem.pipeline.kubeflow.client.upload.MAX_BYTES", 1000)
    with pytest.raises(RestemError, match="too large for a pipeline"):
        read_package("/dev/zero")


def test_no_file(tmp_path):
    with pytest.raises(RestemError, match=r"cannot be read.*No such file"):
        read_package(str(tmp_path / "digits.yaml"))
