"""Checks a cluster of Beam before TensorFlow and TFX are loaded: whether it is there, and what only it knows."""

from restem.errors import RestemError
from restem.pipeline.config import Config
from restem.pipeline.config.beam_arguments import ASK_THE_SERVER, unknown_options, value_of
from restem.pipeline.errors import WorkFailed
from restem.pipeline.local import flink
from restem.pipeline.local.worker import run_in_worker

_MASTER, _JOB_SERVER, _EMBEDDED = "--flink_master", "--job_endpoint", "embed"


def check_beam(config: Config) -> list[str]:
    """All checks of a run; returns warnings, a sentence each.

    Raises:
        RestemError: with the key and the remedy.
    """
    return [*check_arguments(config), *check_cluster(config)]


def check_arguments(config: Config) -> list[str]:
    """Rejects arguments in beam.args that the job server does not know, where it can be asked; else warns.

    Raises:
        RestemError: with the argument and its place.
    """
    unknown = unknown_options(config) if config.beam.runner in ASK_THE_SERVER else []
    if not unknown:
        return []
    endpoint = value_of(config, _JOB_SERVER)
    names = ", ".join(f"beam.args[{one.number}] {one.name}" for one in unknown)
    if endpoint in (None, _EMBEDDED):
        return [
            f"Beam itself does not know {names}: its job server, which starts with the first step, is asked then, and "
            "the run stops there if it does not know either"
        ]
    try:
        known = run_in_worker("restem.pipeline.local.jobs:announced_at", {"endpoint": endpoint})
    except WorkFailed:
        return [f"the job server at {endpoint} does not answer, so it is not known whether it knows {names}"]
    for one in unknown:
        if one.name not in known:
            raise RestemError(
                f"neither Beam nor the job server at {endpoint} knows this argument, so that it would be dropped",
                where=f"beam.args[{one.number}]",
                given=one.name,
                remedy="Remove it",
            )
    return []


def check_cluster(config: Config) -> list[str]:
    """Rejects a Flink that does not answer; warns if it has no task manager, or too few slots.

    Raises:
        RestemError: with the address.
    """
    master = value_of(config, _MASTER)
    if config.beam.runner != "flink" or master is None or not flink.address(master):
        return []
    try:
        there = flink.cluster(master)
    except flink.NoAnswer as error:
        if value_of(config, _JOB_SERVER) is not None:
            return [f"Flink does not answer this machine at {master} ({error}); the job server may reach it"]
        raise RestemError(
            "Flink does not answer there",
            where=f"beam.args, {_MASTER}",
            expected="HOST:PORT of the job manager's web address, which is reached from here",
            given=f"{master} ({error})",
            remedy="Start the cluster, or correct the address",
        ) from None
    warnings = []
    if not there.managers:
        warnings.append(f"Flink at {master} has no task manager: jobs wait until there is one")
    wanted = config.beam.parallelism or _number(value_of(config, "--parallelism"))
    if wanted is None:
        have = f"; the cluster has {there.slots} task slots" if there.managers else ""
        warnings.append(
            "beam.parallelism is not set: Flink works on one part of the data at a time, on one task manager, unless "
            f"the job server's own configuration says otherwise{have}"
        )
    elif there.managers and wanted > there.slots:
        warnings.append(
            f"the cluster has {there.slots} task slots, and {wanted} are wanted: jobs wait until they are there"
        )
    return warnings


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
