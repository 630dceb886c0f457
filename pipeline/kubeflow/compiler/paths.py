"""Adapts the configuration to the steps' containers: local paths become paths on the mounted volumes."""

from pathlib import PurePosixPath

from restem.errors import RestemError
from restem.pipeline.config import KEYWORDS, Config, with_values
from restem.pipeline.config.beam import BUCKET
from restem.pipeline.config.errors import ConfigError, Problem
from restem.pipeline.config.kubeflow import Volume
from restem.pipeline.preflight import check_storage
from restem.storage import is_remote

SERVING = "serving"


def in_the_cluster(config: Config) -> Config:
    """The configuration with all paths as the steps see them, and with a destination for pushes.

    A path inside a volume's mount does not change. A path inside a folder that a volume `holds` is rewritten. Addresses
    of remote storage and embedded data do not change. Without `push.destination`, models go to the first volume's
    folder serving/<name>; without `push.storage_uri`, the serving cluster reads them from that volume's claim.

    Raises:
        ConfigError: all problems at once: no image, no push destination, a path that is on no volume.
    """
    problems = [*_missing(config), *_out_of_reach(config), *_cannot_be_told(config), *_cannot_be_tracked(config)]
    volumes = config.kubeflow.volumes
    for (section, field), keywords in KEYWORDS.items():
        value = getattr(getattr(config, section), field)
        if value is None or value in keywords:
            continue
        try:
            check_storage(".".join((section, field)), value)
            if "://" not in value:
                config = with_values(config, **{section: {field: _on_a_volume(value, volumes)}})
        except RestemError as error:
            problems.append(Problem((section, field), error.what, error.expected, error.given, error.remedy))
    sign = config.push.sign
    try:
        if sign is not None:
            key_file = sign.model_copy(update={"key": _on_a_volume(sign.key, volumes)})
            config = with_values(config, push={"sign": key_file})
    except RestemError as error:
        key = ("push", "sign", "key")
        problems.append(Problem(key, error.what, error.expected, error.given, error.remedy))
    checkpoint = config.train.checkpoint
    try:
        if checkpoint.folder is not None and "://" not in checkpoint.folder:
            checkpoint = checkpoint.model_copy(update={"folder": _on_a_volume(checkpoint.folder, volumes)})
    except RestemError as error:
        key = ("train", "checkpoint", "folder")
        problems.append(Problem(key, error.what, error.expected, error.given, error.remedy))
    if checkpoint.folder is None and volumes:
        checkpoint = checkpoint.model_copy(update={"folder": str(PurePosixPath(volumes[0].mount) / "checkpoints")})
    if checkpoint.folder is not None:
        checkpoint = checkpoint.model_copy(update={"folder": f"{checkpoint.folder}/{config.name}"})
        config = with_values(config, train={"checkpoint": checkpoint})
    if config.push.destination is None and volumes:
        folder = PurePosixPath(volumes[0].mount) / SERVING / config.name
        config = with_values(config, push={"destination": str(folder)})
    if problems:
        raise ConfigError("the configuration", problems, {}, set())
    if config.push.storage_uri is None:
        config = with_values(config, push={"storage_uri": storage_uri(config.push.destination, volumes)})
    return config


def _missing(config: Config) -> list[Problem]:
    problems = []
    if config.kubeflow.image is None:
        problems.append(
            Problem(
                ("kubeflow", "image"),
                "the steps have no image",
                expected="the name of an image that the cluster can pull, with its tag or digest",
                remedy="make image IMAGE=registry.example.org/restem:1 builds one; push it and set kubeflow.image",
            )
        )
    if config.push.destination is None and not config.kubeflow.volumes:
        problems.append(
            Problem(
                ("push", "destination"),
                "there is no destination for approved models",
                expected="a folder on one of kubeflow.volumes, or a bucket such as gs://bucket/models",
                remedy="Add a volume: kubeflow.volumes: [{claim: restem, mount: /mnt/restem}]",
            )
        )
    if config.train.workers > 1 and not config.kubeflow.volumes:
        problems.append(
            Problem(
                ("train", "workers"),
                "the workers have no common folder",
                expected="a volume that several pods can mount (ReadWriteMany)",
                given=str(config.train.workers),
                remedy="Add a volume: kubeflow.volumes: [{claim: restem, mount: /mnt/restem}]",
            )
        )
    mounts = [volume.mount for volume in config.kubeflow.volumes]
    if len(set(mounts)) != len(mounts):
        problems.append(Problem(("kubeflow", "volumes"), "two volumes have the same mount", given=", ".join(mounts)))
    return problems


def _cannot_be_told(config: Config) -> list[Problem]:
    """A step tells the result, so nothing tells of a run in which a step fails before it."""
    notify, problems = config.notify, []
    if notify.on is not None and "failed" in notify.on and notify.wanted:
        problems.append(
            Problem(
                ("notify", "on"),
                "a failed run cannot be told on Kubeflow: the step Pusher tells the result, and it does not run then",
                expected="approved and refused, or null",
                given=", ".join(notify.on),
                remedy="Leave notify.on out: then runs on this machine tell all results, and on Kubeflow these two",
            )
        )
    if notify.wanted and notify.variables and notify.kubernetes_secret is None:
        problems.append(
            Problem(
                ("notify", "kubernetes_secret"),
                f"the step Pusher does not have {' and '.join(notify.variables)}",
                expected="the name of a Kubernetes secret with these keys",
                remedy=f"kubectl create secret generic restem-notify --from-literal={notify.variables[0]}=..., and "
                "notify.kubernetes_secret: restem-notify",
            )
        )
    return problems


def _cannot_be_tracked(config: Config) -> list[Problem]:
    """A store in files of this machine."""
    mlflow = config.track.mlflow
    if mlflow is None or not mlflow.is_local:
        return []
    return [
        Problem(
            ("track", "mlflow", "tracking_uri"),
            "the pods cannot reach a store in files of this machine",
            expected="the address of an MLflow server: https://HOST or http://HOST:PORT",
            given=mlflow.tracking_uri,
        )
    ]


def _out_of_reach(config: Config) -> list[Problem]:
    """The paths that Dataflow's workers cannot read: they have no volumes, and can read only Google's buckets."""
    if config.beam.runner != "dataflow":
        return []
    places = {
        ("data", "path"): config.data.path,
        ("kubeflow", "pipeline_root"): config.kubeflow.pipeline_root,
        **({("pretrain", "path"): config.pretrain.path} if config.pretrain.path else {}),
    }
    return [
        Problem(key, "Dataflow's workers cannot read this", expected=f"a folder in {BUCKET}", given=str(place))
        for key, place in places.items()
        if not (place or "").startswith(BUCKET)
    ]


def _on_a_volume(path: str, volumes: tuple[Volume, ...]) -> str:
    """The path on a volume that corresponds to `path`; of several matching volumes, the innermost folder decides."""
    place = PurePosixPath(path)
    if any(place.is_relative_to(volume.mount) for volume in volumes):
        return path
    holding = [(v.holds, v.mount) for v in volumes if v.holds and place.is_relative_to(v.holds)]
    if holding:
        holds, mount = max(holding, key=lambda pair: len(PurePosixPath(pair[0]).parts))
        return str(PurePosixPath(mount) / place.relative_to(holds))
    known = "; ".join(f"{volume.mount}{f' (holds {volume.holds})' if volume.holds else ''}" for volume in volumes)
    raise RestemError(
        "the steps' containers cannot reach this path",
        expected=f"a path on one of the volumes: {known}"
        if known
        else "a path on one of kubeflow.volumes (there are none)",
        given=path,
        remedy="Copy it to a volume and set kubeflow.volumes: [{claim: ..., mount: ..., holds: LOCAL_FOLDER}], "
        "or use remote storage (gs://...)",
    )


def storage_uri(destination: str | None, volumes: tuple[Volume, ...]) -> str | None:
    """The address of a folder for a serving cluster: a bucket's address, or the volume's claim; None if unknown."""
    if destination is None or is_remote(destination):
        return destination
    place = PurePosixPath(destination)
    for volume in sorted(volumes, key=lambda volume: -len(PurePosixPath(volume.mount).parts)):
        if place.is_relative_to(volume.mount):
            inside = PurePosixPath(volume.sub_path) / place.relative_to(volume.mount)
            return f"pvc://{volume.claim}/{inside}".removesuffix("/.")
    return None
