"""The configuration's section for Beam: the runner of the data steps, and the arguments that each runner needs."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from restem.errors import RestemError
from restem.section import Section

Runner = Literal["direct", "prism", "flink", "spark", "dataflow"]

# Beam's names. FnApiRunner instead of DirectRunner, which would first try to download and start Prism.
RUNNERS: dict[str, str] = {
    "direct": "FnApiRunner",
    "prism": "PrismRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
}
# Dataflow's workers share only buckets with the steps.
BUCKET = "gs://"
# Required arguments: at least one of each group, with its meaning. Without them Beam starts its own cluster on this
# machine, or workers that have neither TensorFlow nor this project.
_WORKERS = (
    ("--environment_type", "--sdk_container_image"),
    "the type of the workers: a container image, a process, a pool",
)
NEEDED: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "direct": (),
    "prism": (),
    "flink": ((("--flink_master",), "HOST:PORT of the job manager"), _WORKERS),
    "spark": ((("--spark_master_url", "--spark_rest_url"), "the URL of the master"), _WORKERS),
    "dataflow": (
        (("--project",), "the Google Cloud project"),
        (("--region",), "the region"),
        (("--temp_location",), "a gs:// folder for the workers' shared files"),
        (("--sdk_container_image",), "the image built by make image"),
    ),
}
# The arguments that beam.parallelism becomes; the other runners have none that Beam could pass on.
PARALLEL: dict[str, tuple[str, ...]] = {
    "direct": ("--direct_num_workers",),
    "flink": ("--parallelism",),
    "dataflow": ("--num_workers", "--max_num_workers"),
}
_NOT_PARALLEL = {
    "prism": "Prism works on up to 8 parts of the data at a time, in one worker process, and has no setting for it",
    "spark": "Spark takes it from its own setting spark.default.parallelism, which Beam cannot pass on",
}
MODE = "--direct_running_mode"
# Beam accepts them shortened too. The arguments are in the compiled pipeline and in the run's records.
_SECRET = ("--s3_access_key_id", "--s3_secret_access_key", "--s3_session_token", "--azure_connection_string")
_SHORTEST = 6  # letters; shorter ones are ambiguous


class BeamConfig(Section):
    """The Beam runner of the data steps."""

    runner: Runner = Field(
        "direct",
        description="Beam's runner. 'direct' uses this machine; 'prism' also uses this machine, with Beam's own small "
        "server, which treats its workers as a cluster does; 'flink' and 'spark' are clusters, which need arguments, "
        "and whose workers must reach the data and the run's folder under the same paths; 'dataflow' is Google's "
        "service, for runs on Kubeflow whose data and kubeflow.pipeline_root are in gs://.",
    )
    args: tuple[str, ...] = Field(
        (), description="Additional arguments for Beam, as on its command line, e.g. --flink_master=HOST:8081."
    )

    parallelism: PositiveInt | None = Field(
        None,
        description="How many parts of the data are worked on at the same time: Flink's parallelism (task slots), "
        "Dataflow's number of workers, and with 'direct' the worker processes on this machine. Without it, 'direct' "
        "is one process on all cores, and Flink uses one slot of the cluster unless the job server's own "
        "configuration has parallelism.default. Results do not depend on it.",
    )

    patience: PositiveInt = Field(
        900,
        description="Seconds after which a cluster's job that certainly does not work (no task manager, no free slot, "
        "no answer) is cancelled, and the run stops with the cause. A wait is said after 15 seconds. Flink shows no "
        "figures within a task, so a job whose tasks run is not cancelled.",
    )

    @model_validator(mode="after")
    def _parallelism_is_given_once(self) -> "BeamConfig":
        if self.parallelism is None:
            return self
        flags = PARALLEL.get(self.runner)
        if flags is None:
            why = _NOT_PARALLEL.get(self.runner, f"Beam has no such argument for the runner {self.runner}")
            raise ValueError(f"beam.parallelism has no effect with runner {self.runner}: {why}. Remove it.")
        for number, argument in enumerate(self.args):
            name, _, value = argument.partition("=")
            if name in flags:
                raise ValueError(
                    f"the same is given twice: beam.parallelism: {self.parallelism}, and beam.args[{number}]: "
                    f"{argument}. Remove one of them."
                )
            if name == MODE and value == "in_memory" and self.parallelism > 1:
                raise ValueError(
                    f"beam.args[{number}]: {argument} means one worker, but beam.parallelism is {self.parallelism}. "
                    "Remove one of them."
                )
        return self

    @model_validator(mode="after")
    def _cluster_is_named(self) -> "BeamConfig":
        given = {argument.partition("=")[0] for argument in self.args}
        secret = [option for option in _SECRET for name in given if len(name) > _SHORTEST and option.startswith(name)]
        if secret:
            raise RestemError(
                f"beam.args has {secret[0]}, a secret, which would be in the compiled pipeline and in records",
                remedy="Put it into the environment of the workers, for example as AWS_SECRET_ACCESS_KEY",
            )
        missing = [f"{names[0]}=... ({what})" for names, what in NEEDED[self.runner] if not given & set(names)]
        if missing:
            raise ValueError(f"runner {self.runner} needs, in beam.args: {', '.join(missing)}")
        return self

    def pipeline_args(self) -> tuple[str, ...]:
        """Beam's command line. If an argument appears twice, Beam uses the last one.

        `--sdk_container_image=none` tells TFX that the workers have all packages; otherwise it packages itself for them
        before every step.
        """
        common = (f"--runner={RUNNERS[self.runner]}", "--sdk_container_image=none")
        wanted = self.parallelism
        here = (
            () if self.runner != "direct" else (f"{MODE}={'multi_processing' if (wanted or 1) > 1 else 'in_memory'}",)
        )
        if wanted is None and self.runner == "direct":
            wanted = 1
        several = () if wanted is None else tuple(f"{name}={wanted}" for name in PARALLEL[self.runner])
        return (*common, *here, *several, *self.args)
