"""The configuration section that says what stays of earlier runs."""

from pydantic import Field, field_validator, model_validator

from restem.errors import RestemError
from restem.pusher.prune import FEWEST
from restem.section import Section


class RetentionConfig(Section):
    """What stays after a run; see `restem clean`. Without a number, everything of that kind stays."""

    runs: int | None = Field(
        None,
        ge=1,
        description="How many finished runs keep all their results (examples, networks, reports, logs) on this "
        "machine. null: all. A result that a kept run took from the cache stays with it. Of a released version's run "
        "the report, the verdict and the records of the training stay too, as long as the version.",
    )
    versions: int | None = Field(
        None,
        description=f"How many released versions stay in push.destination, at least {FEWEST}; also on Kubeflow. null: "
        "all. The served version, pinned ones (restem models pin) and those that are being read stay too.",
        json_schema_extra={"minimum": FEWEST},
    )
    quarantine: int | None = Field(
        None,
        ge=1,
        description="How many finished runs keep their lists of refused files, at least retention.runs. null: as many "
        "as retention.runs.",
    )

    @field_validator("versions")
    @classmethod
    def _servers_have_a_version(cls, versions: int | None) -> int | None:
        if versions is None or versions >= FEWEST:
            return versions
        raise RestemError(
            "too few versions would be kept",
            expected=f"at least {FEWEST}: the served one, and the one before it, which a server may be loading",
            given=str(versions),
        )

    @model_validator(mode="after")
    def _lists_outlive_their_runs(self) -> "RetentionConfig":
        if self.quarantine is None or (self.runs is not None and self.quarantine >= self.runs):
            return self
        raise RestemError(
            "retention.quarantine is about runs whose other results are removed",
            expected="retention.runs, and at least as many in retention.quarantine",
            given=f"quarantine {self.quarantine}, runs {'null (all)' if self.runs is None else self.runs}",
            remedy="Set retention.runs, or remove retention.quarantine",
        )

    @property
    def wanted(self) -> bool:
        """Whether anything is ever removed."""
        return self.runs is not None or self.versions is not None
