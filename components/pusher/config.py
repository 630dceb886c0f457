"""The configuration section for the Pusher."""

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from restem.errors import RestemError, check_visible
from restem.section import Section
from restem.storage import is_remote


def _local(path: str) -> str:
    if is_remote(path):
        raise RestemError("the key must be a local file", expected="a PEM file", given=path)
    return path


KeyFile = Annotated[str, AfterValidator(_local)]


class SignConfig(Section):
    """How a pushed version is signed."""

    key: KeyFile = Field(
        description="The file of a private elliptic curve key (PEM; P-256, P-384 or P-521). The password of an "
        "encrypted key is taken from the environment variable RESTEM_SIGN_PASSWORD.",
    )


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
    sign: SignConfig | None = Field(
        None,
        description="Signs the manifest of every pushed version with Sigstore's model-signing (extra `sign`). null: no "
        "signature.",
    )
    verify_key: KeyFile | None = Field(
        None,
        description="The file of the public key (PEM) by which a version must be signed before a run trusts it as "
        "model.weights or evaluate.baseline. null: only its manifest is checked.",
    )

    @property
    def sign_key(self) -> str | None:
        """The file of the private key, if versions are signed."""
        return None if self.sign is None else self.sign.key

    @field_validator("destination", "storage_uri")
    @classmethod
    def _is_one_line(cls, path: str | None) -> str | None:
        if path is not None:
            check_visible(path)
        return path
