"""The executor of a Trainer that goes on from a pushed model."""

import contextlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import io_utils, json_utils, path_utils

from restem.baseline.choice import Choice
from restem.baseline.driver import run_classes
from restem.errors import RestemError
from restem.model_files import fingerprint
from restem.pusher.reading import reading
from restem.start.choice import FILE, Start
from restem.start.driver import START, find

log = logging.getLogger("restem")


class Executor(GenericExecutor):
    """TFX's Trainer with `start` in `custom_config`; the ModelRun also has start.json, a Start.

    If nothing is left to train, the model that was found is the output.
    """

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Follows the driver's choice, or chooses itself if no driver ran.

        Raises:
          RestemError: see `choose_start`; or the model changed after it was chosen.
        """
        told = exec_properties.get(START)
        start = Start.from_json(told) if told else find(input_dict, exec_properties)
        run_folder = Path(artifact_utils.get_single_uri(output_dict["model_run"]))
        if start.kind == "finished":
            # Imported here because it loads TensorFlow, which compiling a pipeline does not need.
            from restem.baseline.adopt import adopt

            self._log_startup(input_dict, output_dict, exec_properties)
            split = artifact_utils.get_split_uri(input_dict["raw_examples"], "test")
            evaluation = adopt(
                Choice("path", start.version, start.path, start.fingerprint),
                fileio.glob(io_utils.all_files_pattern(split)),
                run_classes(input_dict),
                path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict["model"])),
                run_folder,
                role="candidate",
            )
            log.info("Accuracy of the candidate on %d test images: %.4f", len(evaluation.labels), evaluation.accuracy)
        else:
            if start.path is not None and fingerprint(start.path) != start.fingerprint:
                raise RestemError(
                    "the model changed after it was chosen",
                    where=f"model.weights ({start.path})",
                    remedy="Run the pipeline again",
                )
            custom = {**json_utils.loads(exec_properties["custom_config"]), START: json.loads(start.to_json())}
            with contextlib.nullcontext() if start.path is None else reading(start.path):
                super().Do(input_dict, output_dict, {**exec_properties, "custom_config": json_utils.dumps(custom)})
        (run_folder / FILE).write_text(json.dumps(asdict(start), ensure_ascii=False) + "\n", encoding="utf-8")
