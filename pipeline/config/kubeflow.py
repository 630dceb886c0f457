"""The configuration's section for Kubeflow Pipelines: image, volumes, the steps' resources, schedule."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, cast

from pydantic import Field, field_validator

from restem.errors import RestemError
from restem.section import Section

# Kubernetes's quantities of CPU and of memory: 500m, 2, 0.5; 512Mi, 16Gi, 1G.
CPU = re.compile(r"^\d+(\.\d+)?m?$")
MEMORY = re.compile(r"^\d+(\.\d+)?([kMGTPE]|[KMGTPE]i)?$")
LABEL_VALUE = 63  # maximum characters of a label's name and of its value
CRON_FIELDS = 6
# The names of the steps in the pipeline.
Step = Literal[
    "Fingerprints",
    "ImageExampleGen",
    "SourceExampleGen",
    "StatisticsGen",
    "ExampleValidator",
    "Transform",
    "Pretrain",
    "Tuner",
    "Trainer",
    "Baseline",
    "Evaluator",
    "Report",
    "Pusher",
]
Name = Annotated[str, Field(min_length=1, max_length=253)]


class Volume(Section):
    """A persistent volume that is mounted into every step."""

    claim: Name = Field(description="The name of the persistent volume claim, in the namespace of the runs.")
    mount: str = Field(description="The mount path in the steps, an absolute path, e.g. /mnt/restem.")
    sub_path: str = Field("", description="The folder inside the volume that is mounted; empty means the whole volume.")
    holds: str | None = Field(
        None,
        description="The folder on this machine whose content was copied to the volume. Paths in it are rewritten: "
        "with holds: images and mount: /mnt/restem, data.path: images becomes /mnt/restem.",
    )

    @field_validator("mount")
    @classmethod
    def _mount_is_absolute(cls, mount: str) -> str:
        path = PurePosixPath(mount)
        if path.is_absolute() and str(path) != "/" and ".." not in path.parts:
            return str(path)
        raise RestemError(
            "the volume cannot be mounted there",
            expected="an absolute path other than /, without ..",
            given=repr(mount),
            remedy="For example mount: /mnt/restem",
        )


class Toleration(Section):
    """A node taint that the steps tolerate, with Kubernetes's fields."""

    key: str | None = Field(None, description="The taint's key; none tolerates every key.")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="How the value is compared.")
    value: str | None = Field(None, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="The taint's effect; none tolerates every effect."
    )
    seconds: int | None = Field(None, ge=0, description="How long NoExecute is tolerated; none means forever.")


class Retry(Section):
    """How a step is retried if its container fails."""

    count: int = Field(2, ge=0, le=100, description="How often a failed step is retried.")
    wait_seconds: int = Field(30, ge=0, le=86_400, description="The wait before the first retry.")
    factor: float = Field(2.0, ge=1, le=10, description="Each further wait is longer by this factor.")
    within_seconds: int = Field(
        7 * 86_400,
        ge=1,
        le=365 * 86_400,
        description="No attempt starts later than this after the start of the step's first attempt. (Kubeflow's own "
        "default is one hour: a training of two hours would never be retried.)",
    )


class StepConfig(Section):
    """The resources of a step and its time limit.

    None means the value in `kubeflow.step_defaults`; there, it means Kubernetes's own default.
    """

    cpu: str | None = Field(
        None, description="CPUs requested, e.g. 500m or 4.", json_schema_extra={"pattern": CPU.pattern}
    )
    cpu_limit: str | None = Field(
        None, description="CPUs that the step may use at most.", json_schema_extra={"pattern": CPU.pattern}
    )
    memory: str | None = Field(
        None, description="Memory requested, e.g. 512Mi or 16Gi.", json_schema_extra={"pattern": MEMORY.pattern}
    )
    memory_limit: str | None = Field(
        None,
        description="Memory limit; above it the step is killed.",
        json_schema_extra={"pattern": MEMORY.pattern},
    )
    gpus: int | None = Field(
        None, ge=0, le=64, description="Number of GPUs. Only Pretrain, Tuner, Trainer and Baseline use them."
    )
    gpu_resource: str | None = Field(
        None, description="The resource name of a GPU on these nodes; none means nvidia.com/gpu."
    )
    node_selector: dict[str, str] | None = Field(None, description="Labels that a node must have.")
    tolerations: tuple[Toleration, ...] | None = Field(None, description="Node taints that are tolerated.")
    retry: Retry | None = Field(None, description="How the step is retried if its container fails.")
    timeout_seconds: int | None = Field(
        None, ge=1, description="An attempt that takes longer is stopped and counts as failed."
    )
    image: str | None = Field(
        None, description="Another image for the step, e.g. the GPU variant; none means kubeflow.image."
    )

    @field_validator("cpu", "cpu_limit", "memory", "memory_limit")
    @classmethod
    def _is_a_quantity(cls, value: str | None, info) -> str | None:  # noqa: ANN001 - pydantic's
        of_cpu = info.field_name.startswith("cpu")
        if value is None or (CPU if of_cpu else MEMORY).fullmatch(value):
            return value
        expected = "CPUs in Kubernetes's notation: 500m, 2" if of_cpu else "bytes in Kubernetes's notation: 16Gi"
        raise RestemError("this is not a Kubernetes quantity", expected=expected, given=repr(value))


class StepDefaults(StepConfig):
    """The values for every step that does not set its own."""

    retry: Retry = Field(Retry(), description="How a step is retried if its container fails.")


class ScheduleConfig(Section):
    """The schedule for `restem kubeflow schedule`."""

    cron: str = Field(
        description="Six fields, seconds first: '0 0 3 * * *' is every day at 3:00, '0 30 5 * * MON' every Monday at "
        "5:30. In the time zone of the Kubeflow server."
    )
    time_zone: str = Field(
        "UTC",
        description="The time zone of the Kubeflow server: CRON_SCHEDULE_TIMEZONE of its scheduled-workflow "
        "controller, UTC unless its administrator changed it. A schedule cannot choose another zone. The next runs "
        "are shown in this zone and in yours.",
    )
    max_concurrency: int = Field(
        1, ge=1, le=10, description="Maximum number of runs of this schedule at the same time."
    )
    catch_up: bool = Field(False, description="Whether missed runs (of a paused schedule) are started later.")
    paused: bool = Field(False, description="Whether the schedule starts no runs until restem kubeflow resume.")

    @field_validator("cron")
    @classmethod
    def _has_six_fields(cls, cron: str) -> str:
        if len(cron.split()) == CRON_FIELDS:
            return " ".join(cron.split())
        fields = cron.split()
        remedy = f"Perhaps '0 {' '.join(fields)}'" if len(fields) == CRON_FIELDS - 1 else "For example '0 0 3 * * *'"
        # Kubeflow also accepts five fields, but reads the first as seconds: '0 3 * * *' would run every hour.
        raise RestemError(
            "the schedule cannot be read",
            expected="six fields: second, minute, hour, day of the month, month, day of the week",
            given=f"{len(fields)} in {cron!r}",
            remedy=remedy,
        )

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(name)
        except (ValueError, OSError, LookupError):
            raise RestemError(
                "there is no such time zone",
                expected="a name of the IANA database: UTC, Europe/Berlin",
                given=repr(name),
            ) from None
        return name


class KubeflowConfig(Section):
    """Where and how the steps run on Kubeflow Pipelines. A run on this machine ignores this section."""

    host: str | None = Field(
        None,
        description="The server's address, e.g. https://kubeflow.example.org/pipeline; none means the environment "
        "variable KF_PIPELINES_ENDPOINT, or the cluster in which the command itself runs.",
    )
    namespace: str | None = Field(None, description="The user's namespace, if Kubeflow has several users.")
    experiment: Name = Field("restem", description="The experiment that contains the runs.")
    service_account: str | None = Field(None, description="The Kubernetes service account of the steps.")
    image: str | None = Field(
        None,
        min_length=1,
        description="The image of every step, built by `make image`, with its tag or digest.",
    )
    image_pull_secret: str | None = Field(None, description="The secret for pulling the image.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="When a node pulls the image; none means Kubernetes's own rule."
    )
    pipeline_root: str | None = Field(
        None,
        description="Where artifacts are stored: minio://, s3:// or gs://; none means the server's default.",
    )
    volumes: tuple[Volume, ...] = Field((), description="Persistent volumes that are mounted into every step.")
    caching: bool = Field(
        True, description="Whether the results of steps with the same input artifacts are reused from earlier runs."
    )
    step_defaults: StepDefaults = Field(StepDefaults(), description="Values for every step.")
    steps: dict[Step, StepConfig] = Field(
        {}, description="Values for single steps, by name; missing values come from step_defaults."
    )
    schedule: ScheduleConfig | None = Field(None, description="When the pipeline runs automatically.")

    def of_step(self, name: str) -> StepDefaults:
        """The values for one step: its own, and step_defaults for the missing ones."""
        own = self.steps.get(cast(Step, name), StepConfig())
        return self.step_defaults.model_copy(update={key: value for key, value in own if value is not None})
