"""The configuration section for experiment tracking."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from restem.errors import RestemError
from restem.installed import check_packages
from restem.section import Section

REMOTE, DATABASE = ("http", "https"), "sqlite"
CREDENTIALS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


class MlflowConfig(Section):
    """Where MLflow keeps the runs. User, password and token are MLflow's own environment variables."""

    tracking_uri: str = Field(
        description="MLflow's server, https://HOST or http://HOST:PORT, or a database in a file, sqlite:////FILE."
    )
    experiment: str | None = Field(
        None, min_length=1, max_length=500, description="The experiment's name; null means the pipeline's name."
    )
    kubernetes_secret: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="On Kubeflow: the Kubernetes secret that has the variables in `variables` as its keys.",
    )
    variables: tuple[str, ...] = Field(
        CREDENTIALS[:1],
        min_length=1,
        description="On Kubeflow: the environment variables that the secret gives to the step Report.",
    )

    @field_validator("tracking_uri")
    @classmethod
    def _has_no_password(cls, uri: str) -> str:
        try:
            parts = urlsplit(uri)
            known = parts.scheme in (*REMOTE, DATABASE)
            hidden = parts.username or parts.password or (parts.query and parts.scheme in REMOTE)
        except ValueError:
            hidden, known = None, False
        if not known:
            # MLflow itself no longer writes to plain folders.
            raise RestemError(
                "this is not an address of MLflow", expected="https://HOST, http://HOST:PORT or sqlite:////FILE"
            )
        if hidden:
            raise RestemError(
                "the address contains a user, a password or a query",
                expected="an address without them",
                remedy="Put them into the environment, as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "as MLFLOW_TRACKING_TOKEN",
            )
        return uri

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return urlsplit(self.tracking_uri).scheme not in REMOTE


class TrackConfig(Section):
    """Experiment trackers. A tracker that fails is a warning, and never fails the run."""

    mlflow: MlflowConfig | None = Field(
        None,
        description="Parameters, metrics, learning curves and the report are written to MLflow; null: they are not.",
    )


def check_installed(config: TrackConfig) -> None:
    """Rejects the section where MLflow's client is missing.

    Raises:
      RestemError: with the command that installs it.
    """
    if config.mlflow is None:
        return
    needed = {"mlflow": "'restem[track]'"} | (
        {"sqlalchemy": "mlflow", "alembic": "mlflow"} if config.mlflow.is_local else {}
    )
    for package, brings in needed.items():
        check_packages(
            (package,),
            where="track.mlflow",
            remedy=f"pip install {brings} installs it; or remove the section track",
        )
