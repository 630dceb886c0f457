"""The first step on a cluster: fingerprints of what the others read outside the store, for the server's cache.

TFX's drivers look at the data before a step, and take the step from the cache where nothing changed. The open-source
server runs no driver, and its cache compares parameters and artifacts alone: it would take new images for the old ones.
This step, which is never cached, gives what the drivers would look at as parameters, and the steps that read it take
them. A run in the night with nothing changed then computes nothing.

    python -m restem.pipeline.kubeflow.container.fingerprints --look '{"data": ...}' \\
        --json_serialized_invocation_args '{{$}}'
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from restem.evaluator.config import LATEST_APPROVED, STOCK
from restem.example_gen.config import EMBEDDED, DataConfig
from restem.pipeline.config import Config
from restem.pipeline.kubeflow.container.entrypoint import CALL, FINGERPRINT, ending

STEP: Final = "Fingerprints"
MODULE = "restem.pipeline.kubeflow.container.fingerprints"
FOLDERS = ("baseline", "pushed")


def wanted(config: Config) -> dict[str, tuple[str, Any]]:
    """The steps that read outside the store: name -> (key of the fingerprint, what to look at).

    Args:
        config: as the steps see it (`in_the_cluster`).
    """
    found: dict[str, tuple[str, Any]] = {"ImageExampleGen": ("data", config.data.model_dump(mode="json"))}
    if config.pretrain.path is not None:
        source = config.data.elsewhere(config.pretrain.path)
        found["SourceExampleGen"] = ("source", source.model_dump(mode="json"))
    if config.evaluate.baseline != STOCK:
        latest = config.evaluate.baseline == LATEST_APPROVED
        found["Baseline"] = ("baseline", config.push.destination if latest else config.evaluate.baseline)
    found["Pusher"] = ("pushed", config.push.destination)
    return found


def add_step(tasks: dict[str, Any], components: dict[str, Any], name: str, readers: dict[str, str]) -> None:
    """Adds the step to a specification's tasks and components, and its outputs to the steps that read them.

    Args:
        tasks, components: the specification's; changed in place.
        name: the task's.
        readers: task -> key of the fingerprint.
    """
    components[f"comp-{name}"] = {
        "executorLabel": f"exec-{name}",
        "outputDefinitions": {"parameters": {key: {"parameterType": "STRING"} for key in sorted(readers.values())}},
    }
    for reader, key in readers.items():
        task, component = tasks[reader], components[f"comp-{reader}"]
        component.setdefault("inputDefinitions", {}).setdefault("parameters", {})[FINGERPRINT] = {
            "parameterType": "STRING"
        }
        task["inputs"].setdefault("parameters", {})[FINGERPRINT] = {
            "taskOutputParameter": {"producerTask": name, "outputParameterKey": key}
        }
        task["dependentTasks"] = sorted({*task["dependentTasks"], name})
    tasks[name] = {
        "taskInfo": {"name": STEP},
        "componentRef": {"name": f"comp-{name}"},
        "cachingOptions": {},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the step: writes the fingerprints as output parameters."""
    parser = argparse.ArgumentParser(prog=MODULE, description=__doc__.splitlines()[0])
    parser.add_argument("--look", required=True, help="What to look at, by the fingerprint's key, as JSON.")
    parser.add_argument(CALL, required=True, help="The launcher's ExecutorInput as JSON.")
    options = parser.parse_args(argv)
    with ending():
        found = {key: look(key, at) for key, at in json.loads(options.look).items()}
        answer = Path(json.loads(options.json_serialized_invocation_args)["outputs"]["outputFile"])
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_text(json.dumps({"parameterValues": found}), encoding="utf-8")


def look(key: str, at: Any) -> str:
    """One fingerprint: of data, as ImageExampleGen's driver takes it, or of a folder of models.

    Raises:
        RestemError: the data is not there.
    """
    if key in FOLDERS:
        return of_models(at)
    from restem.example_gen.listing import fingerprint

    config = DataConfig.model_validate(at)
    if config.path in EMBEDDED:
        return config.path  # They come with the code, whose fingerprint the step has already.
    # A window of spans has a line for each of them.
    return hashlib.sha256(fingerprint(config.path, config).encode()).hexdigest()


def of_models(folder: str) -> str:
    """Changes with the names and sizes of the models' files; what is written for KServe beside them is none."""
    from restem.pusher.kserve import FOLDER
    from restem.pusher.versions import file_sizes

    sizes = {name: size for name, size in file_sizes(folder).items() if not name.startswith(f"{FOLDER}/")}
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()


if __name__ == "__main__":
    main()
