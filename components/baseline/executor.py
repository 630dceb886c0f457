"""The Baseline's executor: adopts a pushed model, or trains the stock network."""

import logging
from pathlib import Path
from typing import Any

from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import io_utils, path_utils

from restem.baseline.choice import FILE, Choice
from restem.baseline.driver import CHOICE, find, run_classes

log = logging.getLogger("restem")


class Executor(GenericExecutor):
    """Writes a Model and a ModelRun, like the Trainer; the ModelRun also has baseline.json, a Choice."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Follows the driver's choice, or chooses itself if no driver ran.

        Raises:
          RestemError: the requested folder has no usable model.
        """
        chosen = exec_properties.get(CHOICE)
        choice = Choice.from_json(chosen) if chosen else find(input_dict, exec_properties)
        run_folder = Path(artifact_utils.get_single_uri(output_dict["model_run"]))
        if choice.path is None:
            super().Do(input_dict, output_dict, exec_properties)
        else:
            # Imported here because it loads TensorFlow, which compiling a pipeline does not need.
            from restem.baseline.adopt import adopt

            self._log_startup(input_dict, output_dict, exec_properties)
            split = artifact_utils.get_split_uri(input_dict["raw_examples"], "test")
            model_folder = path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict["model"]))
            evaluation = adopt(
                choice,
                fileio.glob(io_utils.all_files_pattern(split)),
                run_classes(input_dict),
                model_folder,
                run_folder,
            )
            log.info("Accuracy of the baseline on %d test images: %.4f", len(evaluation.labels), evaluation.accuracy)
        (run_folder / FILE).write_text(choice.to_json() + "\n", encoding="utf-8")
