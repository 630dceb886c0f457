"""The configuration's sections, combined in one frozen, validated object."""

import json
import os
import re
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from restem.errors import RestemError
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.terms import BUILT_IN_COLUMNS
from restem.example_gen.config import DataConfig
from restem.images.config import ImageConfig
from restem.notify.config import NotifyConfig
from restem.pipeline.config.beam import BeamConfig
from restem.pipeline.config.kubeflow import KubeflowConfig
from restem.pipeline.config.retention import RetentionConfig
from restem.pusher.config import PushConfig
from restem.section import Section
from restem.track.config import TrackConfig
from restem.trainer.config import PretrainConfig, TrainConfig
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.tuner.config import TuneConfig

NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


class Config(Section):
    """The whole configuration of a run. `load_config` makes its paths absolute."""

    name: str = Field(
        "restem",
        description="The name of the pipeline, of its folder under runs/, and of the served model: lowercase letters, "
        "digits and hyphens, at most 63 characters. Default: the name of the configuration file.",
        json_schema_extra={"pattern": NAME.pattern},
    )
    data: DataConfig = Field(description="Where the images are, and which of them are accepted.")
    image: ImageConfig = Field(description="The format of an image at the input of the model.")
    model: ModelConfig = Field(ModelConfig(), description="The network and its pretrained weights.")
    stem: StemConfig = Field(StemConfig(), description="The changes of the first convolution.")
    train: TrainConfig = Field(TrainConfig(), description="The training, the same for the candidate and the baseline.")
    tune: TuneConfig | None = Field(
        None, description="The search for better values of some keys, before the training; null: none."
    )
    pretrain: PretrainConfig = Field(
        PretrainConfig(), description="The source network that `model.weights: pretrain` trains first."
    )
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="The conditions for approving a candidate.")
    push: PushConfig = Field(PushConfig(), description="Where an approved model is pushed.")
    retention: RetentionConfig = Field(
        RetentionConfig(), description="What stays of earlier runs and versions. Default: everything."
    )
    notify: NotifyConfig = Field(NotifyConfig(), description="Who is told how a run ended.")
    track: TrackConfig = Field(TrackConfig(), description="Experiment trackers to which a run is written.")
    beam: BeamConfig = Field(BeamConfig(), description="The Beam runner of the data steps.")
    kubeflow: KubeflowConfig = Field(KubeflowConfig(), description="How the steps run on Kubeflow Pipelines.")

    @field_validator("name")
    @classmethod
    def _name_suits_folders_and_kubernetes(cls, name: str) -> str:
        if NAME.fullmatch(name):
            return name
        expected = "lowercase letters, digits and hyphens, at most 63 characters, no hyphen at either end"
        raise RestemError(
            "the name cannot be used", expected=expected, given=repr(name), remedy=f"Perhaps {slug(name)!r}"
        )

    @property
    def allow_class_changes(self) -> bool:
        """Whether a class of earlier models may be missing."""
        return self.data.allow_class_changes or self.model.drop_classes

    @property
    def named_models(self) -> dict[str, str]:
        """What the keys that may name a pushed version hold, by key; such a version stays."""
        return {"evaluate.baseline": self.evaluate.baseline, "model.weights": self.model.weights}

    @field_validator("stem")
    @classmethod
    def _statistics_are_matched_once(cls, stem: StemConfig, info: ValidationInfo) -> StemConfig:
        image = info.data.get("image")  # None if that section is wrong
        if image is not None and image.normalise == "dataset" and (stem.measured or stem.band_statistics):
            raise RestemError(
                "image.normalise: dataset already brings every channel to the source's mean and standard deviation",
                expected="either that, for candidate and baseline, or the stem's statistics, for the candidate only",
                given="both",
                remedy="Remove image.normalise, or remove stem.normalise and stem.band_statistics",
            )
        return stem

    @field_validator("train")
    @classmethod
    def _turned_images_are_square(cls, train: TrainConfig, info: ValidationInfo) -> TrainConfig:
        image = info.data.get("image")  # None if that section is wrong
        if image is not None and train.augment.quarter_turns and image.height != image.width:
            raise RestemError(
                "train.augment.quarter_turns needs square images",
                expected="an image.size with equal height and width",
                given=f"{image.height} x {image.width}",
                remedy="Use flip_horizontal and flip_vertical, or change image.size",
            )
        return train

    @field_validator("evaluate")
    @classmethod
    def _slices_are_kept(cls, evaluate: EvaluateConfig, info: ValidationInfo) -> EvaluateConfig:
        data = info.data.get("data")
        if data is None:  # None if that section is wrong
            return evaluate
        sliced = [name for names in evaluate.sliced for name in names]
        judged = [name for one in evaluate.requirements for name in one.columns]
        known = (*data.metadata, *BUILT_IN_COLUMNS)
        unknown = [name for name in dict.fromkeys((*sliced, *judged)) if name not in known]
        if unknown:
            raise RestemError(
                f"evaluate.{'slices' if unknown[0] in sliced else 'require'} has columns that are not in data.metadata",
                expected=f"columns in data.metadata ({', '.join(data.metadata) or 'which is empty'}), "
                f"or {', '.join(BUILT_IN_COLUMNS)}",
                given=", ".join(unknown),
                remedy=f"Add them to data.metadata, as in metadata: [{', '.join((*data.metadata, *unknown))}]",
            )
        return evaluate


def config_from_json(text: str) -> Config:
    """Reads the output of `Config.model_dump_json()`; paths are not changed."""
    return Config.model_validate_json(text, strict=True)


def json_schema() -> str:
    """The JSON schema of the YAML file, for editors, with a final newline."""
    schema = Config.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Restem's configuration"}
    return json.dumps(schema, indent=2) + "\n"


def push_destination(config: Config, root: str) -> str:
    """The folder whose numbered sub-folders are the released models, in TensorFlow Serving's layout.

    Args:
        config: the resolved configuration.
        root: the run's folder.
    """
    return config.push.destination or os.path.join(root, "serving", config.name)


def slug(text: str) -> str:
    """Converts `text` to a valid name of a configuration."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:63].strip("-") or "restem"


def with_values(config: Config, **sections: dict[str, Any]) -> Config:
    """A copy with some values replaced, e.g. `with_values(config, data={"path": "/images"})`."""
    updates = {name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
    return config.model_copy(update=updates)
