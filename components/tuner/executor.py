"""The Tuner's executor: TFX's, and the record of the search."""

import json
import tempfile
from typing import Any

from tfx.components.tuner import executor as tfx_tuner
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import io_utils

from restem.trainer.tuned import TUNED
from restem.tuner.trials import Tuning, write_tuning


class Executor(tfx_tuner.Executor):
    """TFX's, and adds the chosen values as the configuration writes them, and trials.json."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Searches.

        Raises:
          RestemError: there are no validation images, a trial cannot be run, or all of them failed.
        """
        with tempfile.TemporaryDirectory(prefix="restem-") as folder:
            search = tfx_tuner.search(input_dict, exec_properties, folder, print_tuning_summary=False)
            tfx_tuner.write_best_hyperparameters(search, output_dict)
        tuning: Tuning = search.result()
        best = io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(output_dict["best_hyperparameters"]))
        with fileio.open(best) as file:
            document = json.loads(file.read())
        io_utils.write_string_file(best, json.dumps({**document, TUNED: dict(tuning.best.values)}))
        write_tuning(artifact_utils.get_single_uri(output_dict["tuner_results"]), tuning)
