"""The configuration section for the Pusher."""

from pydantic import Field, field_validator

from restem.errors import check_visible
from restem.section import Section


class PushConfig(Section):
    """Where an approved model goes."""

    destination: str | None = Field(
        None,
        description="The folder that TensorFlow Serving reads, with versions in <destination>/<version>. null means "
        "<root>/serving/<name>.",
    )
    storage_uri: str | None = Field(
        None,
        description="Where the serving cluster reads the destination: pvc://claim/path, gs://..., s3://... null means "
        "the destination itself if it is in a bucket and, on Kubeflow, the claim of its volume.",
    )

    @field_validator("destination", "storage_uri")
    @classmethod
    def _is_one_line(cls, path: str | None) -> str | None:
        if path is not None:
            check_visible(path)
        return path
