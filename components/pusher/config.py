"""The configuration's section for the release."""

from pydantic import Field

from restem.section import Section


class PushConfig(Section):
    """Where an approved model goes."""

    destination: str | None = Field(
        None,
        description="The folder TensorFlow Serving reads: versions land in <destination>/<version>. None means "
        "<root>/serving/<name>.",
    )
    storage_uri: str | None = Field(
        None,
        description="Where the serving cluster reads the destination: pvc://claim/path, gs://..., s3://... None means: "
        "the destination itself where that is a bucket, on Kubeflow the claim of its volume.",
    )
