"""The configuration as the steps' containers need it: this machine's paths become paths on the mounted volumes."""

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
    """The same configuration with every path as the steps see it, and a place to push to.

    A path that lies in a volume's mount stays as it is; one that lies in the folder which a volume holds is rewritten;
    addresses of remote storage and embedded data stay. Without `push.destination` models go to the first volume's
    folder serving/<name>; without `push.storage_uri` the serving cluster reads them from that volume's claim.

    Raises:
        ConfigError: all problems at once: no image, no place to push to, a path that is on no volume.
    """
    problems = [*_missing(config), *_out_of_reach(config)]
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
                "the steps have no image to run in",
                expected="the name of an image that the cluster can pull, with its tag or digest",
                remedy="make image IMAGE=registry.example.org/restem:1 builds one; push it and name it here",
            )
        )
    if config.push.destination is None and not config.kubeflow.volumes:
        problems.append(
            Problem(
                ("push", "destination"),
                "approved models have no place to go",
                expected="a folder on one of kubeflow.volumes, or a bucket such as gs://bucket/models",
                remedy="Add a volume: kubeflow.volumes: [{claim: restem, mount: /mnt/restem}]",
            )
        )
    mounts = [volume.mount for volume in config.kubeflow.volumes]
    if len(set(mounts)) != len(mounts):
        problems.append(Problem(("kubeflow", "volumes"), "two volumes have the same mount", given=", ".join(mounts)))
    return problems


def _out_of_reach(config: Config) -> list[Problem]:
    """What Dataflow's workers cannot reach: they see no volume, and no store but Google's."""
    if config.beam.runner != "dataflow":
        return []
    places = {
        ("data", "path"): config.data.path,
        ("kubeflow", "pipeline_root"): config.kubeflow.pipeline_root,
        **({("pretrain", "path"): config.pretrain.path} if config.pretrain.path else {}),
    }
    return [
        Problem(key, "Dataflow's workers do not reach this", expected=f"a folder in {BUCKET}", given=str(place))
        for key, place in places.items()
        if not (place or "").startswith(BUCKET)
    ]


def _on_a_volume(path: str, volumes: tuple[Volume, ...]) -> str:
    """Where the steps find what is at `path`; the innermost folder decides where several volumes would do."""
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
        remedy="Copy it to a volume and say so with kubeflow.volumes: [{claim: ..., mount: ..., holds: FOLDER_HERE}], "
        "or name remote storage (gs://...)",
    )


def storage_uri(destination: str | None, volumes: tuple[Volume, ...]) -> str | None:
    """Where a serving cluster reads a folder: a bucket's own address, or the claim of the volume; None: unknown."""
    if destination is None or is_remote(destination):
        return destination
    place = PurePosixPath(destination)
    for volume in sorted(volumes, key=lambda volume: -len(PurePosixPath(volume.mount).parts)):
        if place.is_relative_to(volume.mount):
            inside = PurePosixPath(volume.sub_path) / place.relative_to(volume.mount)
            return f"pvc://{volume.claim}/{inside}".removesuffix("/.")
    return None
