"""The first step on a cluster: fingerprints of the files that other steps read outside the store, for the cache.

TFX's drivers check the data before a step, and use the cache if nothing changed. The open-source server runs no driver,
and its cache compares only parameters and artifacts, so it would not notice new images. This step is never cached. It
outputs a fingerprint of that data as parameters, and the steps that read the data take them as inputs. Then a nightly
run without changes computes nothing.

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
FOLDERS = ("baseline", "pushed", "start")


def wanted(config: Config) -> dict[str, tuple[str, Any]]:
    """The steps that read outside the store: name -> (key of the fingerprint, what to fingerprint).

    Args:
        config: the result of `in_the_cluster`.
    """
    found: dict[str, tuple[str, Any]] = {"ImageExampleGen": ("data", config.data.model_dump(mode="json"))}
    if config.pretrain.path is not None:
        source = config.data.elsewhere(config.pretrain.path)
        found["SourceExampleGen"] = ("source", source.model_dump(mode="json"))
    if config.evaluate.baseline != STOCK:
        latest = config.evaluate.baseline == LATEST_APPROVED
        found["Baseline"] = ("baseline", config.push.destination if latest else config.evaluate.baseline)
    if config.model.continues:
        latest = config.model.weights == LATEST_APPROVED
        found["Trainer"] = ("start", config.push.destination if latest else config.model.weights)
    found["Pusher"] = ("pushed", config.push.destination)
    return found


def add_step(tasks: dict[str, Any], components: dict[str, Any], name: str, readers: dict[str, str]) -> None:
    """Adds the step to a specification's tasks and components, and its outputs to the steps that read them.

    Args:
        tasks, components: the specification's; changed in place.
        name: the name of the new task.
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
    parser.add_argument("--look", required=True, help="What to fingerprint, by the fingerprint's key, as JSON.")
    parser.add_argument(CALL, required=True, help="The launcher's ExecutorInput as JSON.")
    options = parser.parse_args(argv)
    with ending():
        found = {key: look(key, at) for key, at in json.loads(options.look).items()}
        answer = Path(json.loads(options.json_serialized_invocation_args)["outputs"]["outputFile"])
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_text(json.dumps({"parameterValues": found}), encoding="utf-8")


def look(key: str, at: Any) -> str:
    """One fingerprint: of data, as in ImageExampleGen's driver, or of a folder of models.

    Raises:
        RestemError: the data does not exist.
    """
    if key in FOLDERS:
        return of_models(at)
    from restem.example_gen.listing import fingerprint

    config = DataConfig.model_validate(at)
    if config.path in EMBEDDED:
        return config.path  # They are part of the code, whose fingerprint the step already has.
    # A window of spans has one line for each span.
    return hashlib.sha256(fingerprint(config.path, config).encode()).hexdigest()


def of_models(folder: str) -> str:
    """A hash of the names and sizes of the models' files, without the files for KServe next to them."""
    from restem.files import file_sizes
    from restem.pusher.kserve import FOLDER

    sizes = {name: size for name, size in file_sizes(folder).items() if not name.startswith(f"{FOLDER}/")}
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()


if __name__ == "__main__":
    main()
