"""The Evaluator's executor: TFX's, and after it the decision on single images."""

from __future__ import annotations

import logging
import os
from typing import Any

import tensorflow_model_analysis as tfma
from tfx.components.evaluator import constants, executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import io_utils, path_utils

from restem.errors import RestemError
from restem.evaluator import extractors
from restem.evaluator.answers import FOLDER, read_answers, written_to
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.decision import write_decision
from restem.evaluator.gate import judge
from restem.evaluator.models import loaded_once
from restem.evaluator.serving import measure_serving, read_images, write_serving
from restem.model_files import CHANGED, JUDGED, fingerprint
from restem.run_record import EXTRA, read_classes

# TFX imports these functions by their names.
CALLED = {
    function.__name__: f"{extractors.__name__}.{function.__name__}"
    for function in (extractors.custom_extractors, extractors.custom_eval_shared_model)
}

log = logging.getLogger("restem")


class Executor(executor.Executor):
    """Evaluates as TFX does, decides, and gives the blessing only if both TFMA's thresholds and the decision allow it.

    Besides TFX's properties it reads `gate`, the configuration section `evaluate` as JSON.
    """

    @loaded_once()
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the evaluation, with gate.json, serving.json and the answers for single images, and the blessing.

        Raises:
          RestemError: the answers are not complete; the model's files changed meanwhile.
        """
        config = EvaluateConfig.model_validate_json(exec_properties["gate"])
        evaluation = artifact_utils.get_single_uri(output_dict["evaluation"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        model = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        judged = fingerprint(model)
        columns = config.columns
        folder = f"{evaluation}/{FOLDER}"
        if fileio.exists(folder):  # of an attempt that was interrupted
            fileio.rmtree(folder)
        with written_to(folder, columns):
            super().Do(input_dict, output_dict, {**exec_properties, **CALLED})
        by_tfma = fileio.exists(os.path.join(blessing.uri, constants.BLESSED_FILE_NAME))
        # Until the decision, nothing may say that the model is approved.
        _bless(blessing, False)
        classes = read_classes(f"{model}/{EXTRA}")
        answers = read_answers(folder, columns, len(classes), _images(evaluation))
        baseline = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["baseline_model"]))
        decision = judge(config, answers, classes, by_tfma=by_tfma, same=fingerprint(baseline) == judged)
        write_decision(evaluation, decision)
        images = read_images(artifact_utils.get_split_uri(input_dict["examples"], "test"))
        if (cost := measure_serving({"candidate": model, "baseline": baseline}, images)) is not None:
            write_serving(evaluation, cost)
        if fingerprint(model) != judged:
            where = artifact_utils.get_single_uri(input_dict["model"])
            raise RestemError("the candidate's files changed while it was evaluated", where=where, remedy=CHANGED)
        blessing.set_string_custom_property(JUDGED, judged)
        _bless(blessing, decision.blessed)
        for outcome in decision.outcomes:
            log.info("Evaluator: %s", outcome.sentence)


def _bless(blessing: Artifact, blessed: bool) -> None:
    """Makes the blessing what TFX's executor would have made it."""
    for name in (constants.BLESSED_FILE_NAME, constants.NOT_BLESSED_FILE_NAME):
        path = os.path.join(blessing.uri, name)
        if fileio.exists(path):
            fileio.remove(path)
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY,
        constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE,
    )


def _images(evaluation: str) -> int:
    """The number of images in TFMA's metrics."""
    return next(
        int(item.value.double_value.value)
        for record in tfma.load_metrics(evaluation)
        if not record.slice_key.single_slice_keys
        for item in record.metric_keys_and_values
        if item.key.name == "images" and not item.key.is_diff
    )
