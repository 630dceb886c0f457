"""The configuration's section for Kubeflow Pipelines: the image, the volumes, what each step may use, the schedule."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, cast

from pydantic import Field, field_validator

from restem.errors import RestemError
from restem.section import Section

# Kubernetes's quantities, of processors and of bytes: 500m, 2, 0.5; 512Mi, 16Gi, 1G.
CPU = re.compile(r"^\d+(\.\d+)?m?$")
MEMORY = re.compile(r"^\d+(\.\d+)?([kMGTPE]|[KMGTPE]i)?$")
LABEL_VALUE = 63  # characters, of a label's name and of its value
CRON_FIELDS = 6
# The steps by the names that they have in the pipeline.
Step = Literal[
    "Fingerprints",
    "ImageExampleGen",
    "SourceExampleGen",
    "StatisticsGen",
    "ExampleValidator",
    "Transform",
    "Pretrain",
    "Trainer",
    "Baseline",
    "Evaluator",
    "Report",
    "Pusher",
]
Name = Annotated[str, Field(min_length=1, max_length=253)]


class Volume(Section):
    """A persistent volume that every step sees."""

    claim: Name = Field(description="The name of the persistent volume claim, in the namespace that the runs are in.")
    mount: str = Field(description="Where the steps see it: an absolute path, e.g. /mnt/restem.")
    sub_path: str = Field("", description="The folder inside the volume that is mounted; none means all of it.")
    holds: str | None = Field(
        None,
        description="The folder of this machine whose content was copied to the volume. Paths in it are rewritten: "
        "with holds: images and mount: /mnt/restem, the images of data.path: images are looked for in /mnt/restem.",
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
            remedy="For instance mount: /mnt/restem",
        )


class Toleration(Section):
    """A taint of nodes that the steps tolerate; the fields are Kubernetes's."""

    key: str | None = Field(None, description="The taint's key; none tolerates every key.")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="How the value is compared.")
    value: str | None = Field(None, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="The taint's effect; none tolerates every effect."
    )
    seconds: int | None = Field(None, ge=0, description="How long NoExecute is tolerated; none means for ever.")


class Retry(Section):
    """What becomes of a step whose container failed."""

    count: int = Field(2, ge=0, le=100, description="How often a failed step is tried again.")
    wait_seconds: int = Field(30, ge=0, le=86_400, description="The wait before the first of them.")
    factor: float = Field(2.0, ge=1, le=10, description="Each further wait is this many times the one before.")
    within_seconds: int = Field(
        7 * 86_400,
        ge=1,
        le=365 * 86_400,
        description="No try is begun later than this after the step's first one began. (Kubeflow's own default is an "
        "hour: a training of two hours would never be tried again.)",
    )


class StepConfig(Section):
    """What a step may use and how long it may take.

    None means what `kubeflow.step_defaults` says; there, it means what Kubernetes itself does.
    """

    cpu: str | None = Field(
        None, description="Processors requested, e.g. 500m or 4.", json_schema_extra={"pattern": CPU.pattern}
    )
    cpu_limit: str | None = Field(
        None, description="Processors it may use at most.", json_schema_extra={"pattern": CPU.pattern}
    )
    memory: str | None = Field(
        None, description="Memory requested, e.g. 512Mi or 16Gi.", json_schema_extra={"pattern": MEMORY.pattern}
    )
    memory_limit: str | None = Field(
        None,
        description="Memory above which the step is killed.",
        json_schema_extra={"pattern": MEMORY.pattern},
    )
    gpus: int | None = Field(
        None, ge=0, le=64, description="GPUs. Only Pretrain, Trainer and Baseline make use of them."
    )
    gpu_resource: str | None = Field(
        None, description="The resource that a GPU is on these nodes; none means nvidia.com/gpu."
    )
    node_selector: dict[str, str] | None = Field(None, description="Labels that a node must have.")
    tolerations: tuple[Toleration, ...] | None = Field(None, description="Taints of nodes that are tolerated.")
    retry: Retry | None = Field(None, description="What becomes of the step when its container failed.")
    timeout_seconds: int | None = Field(None, ge=1, description="An attempt that takes longer is ended and has failed.")
    image: str | None = Field(
        None, description="Another image for the step, e.g. the GPU variant; none: kubeflow.image."
    )

    @field_validator("cpu", "cpu_limit", "memory", "memory_limit")
    @classmethod
    def _is_a_quantity(cls, value: str | None, info) -> str | None:  # noqa: ANN001 - pydantic's
        of_cpu = info.field_name.startswith("cpu")
        if value is None or (CPU if of_cpu else MEMORY).match(value):
            return value
        expected = (
            "processors as Kubernetes writes them: 500m, 2" if of_cpu else "bytes as Kubernetes writes them: 16Gi"
        )
        raise RestemError("this is not a quantity", expected=expected, given=repr(value))


class StepDefaults(StepConfig):
    """What every step may use, where it says nothing else itself."""

    retry: Retry = Field(Retry(), description="What becomes of a step whose container failed.")


class ScheduleConfig(Section):
    """When `restem kubeflow schedule` lets the pipeline run."""

    cron: str = Field(
        description="Six fields, seconds first: '0 0 3 * * *' is every day at 3:00, '0 30 5 * * MON' every Monday at "
        "5:30. In the time zone that time_zone names."
    )
    time_zone: str = Field(
        "UTC",
        description="The zone in which the Kubeflow server counts: CRON_SCHEDULE_TIMEZONE of its scheduled-workflow "
        "controller, UTC unless its administrator changed it. It cannot be chosen by schedule; stated here, the next "
        "runs are told in it and in yours.",
    )
    max_concurrency: int = Field(1, ge=1, le=10, description="Runs of this schedule at the same time.")
    catch_up: bool = Field(False, description="Whether runs that were missed (a paused schedule) are made up for.")
    paused: bool = Field(False, description="Whether the schedule starts no runs until restem kubeflow resume.")

    @field_validator("cron")
    @classmethod
    def _has_six_fields(cls, cron: str) -> str:
        if len(cron.split()) == CRON_FIELDS:
            return " ".join(cron.split())
        fields = cron.split()
        remedy = f"Perhaps '0 {' '.join(fields)}'" if len(fields) == CRON_FIELDS - 1 else "For instance '0 0 3 * * *'"
        # Kubeflow takes five fields too, but reads the first as seconds: '0 3 * * *' would run every hour.
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
    """Where and how the steps run on Kubeflow Pipelines. Nothing here matters to a run on this machine."""

    host: str | None = Field(
        None,
        description="The server's address, e.g. https://kubeflow.example.org/pipeline; none means the environment's "
        "KF_PIPELINES_ENDPOINT, or the cluster that the command itself runs in.",
    )
    namespace: str | None = Field(None, description="The user's namespace, where Kubeflow has several users.")
    experiment: Name = Field("restem", description="The experiment that the runs are shown under.")
    service_account: str | None = Field(None, description="The Kubernetes service account that the steps run as.")
    image: str | None = Field(
        None,
        min_length=1,
        description="The image that every step runs in, as `make image` made it and with its tag or digest.",
    )
    image_pull_secret: str | None = Field(None, description="The secret for pulling the image.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="When a node pulls the image; none means Kubernetes's own rule."
    )
    pipeline_root: str | None = Field(
        None,
        description="Where artifacts are kept: minio://, s3:// or gs://; none means what the server is set up with.",
    )
    volumes: tuple[Volume, ...] = Field((), description="Persistent volumes that every step sees.")
    caching: bool = Field(
        True, description="Whether steps whose inputs are the same artifacts are taken from earlier runs."
    )
    step_defaults: StepDefaults = Field(StepDefaults(), description="What holds for every step.")
    steps: dict[Step, StepConfig] = Field(
        {}, description="For single steps, by name; what they leave out is as step_defaults says."
    )
    schedule: ScheduleConfig | None = Field(None, description="When the pipeline runs by itself.")

    def of_step(self, name: str) -> StepDefaults:
        """What holds for one step: its own values, and for what it leaves out those of every step."""
        own = self.steps.get(cast(Step, name), StepConfig())
        return self.step_defaults.model_copy(update={key: value for key, value in own if value is not None})
