"""The configuration's sections, together one frozen, validated object."""

import json
import re
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from restem.errors import RestemError
from restem.evaluator.config import EvaluateConfig
from restem.example_gen.config import DataConfig
from restem.images.config import ImageConfig
from restem.pipeline.config.beam import BeamConfig
from restem.pipeline.config.kubeflow import KubeflowConfig
from restem.pusher.config import PushConfig
from restem.section import Section
from restem.trainer.config import ModelConfig, PretrainConfig, StemConfig, TrainConfig

NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


class Config(Section):
    """Everything a run is made of. Paths in it are absolute once `load_config` has returned it."""

    name: str = Field(
        "restem",
        description="The name of the pipeline, of its folder under runs/, and of the served model: small letters, "
        "digits and hyphens, at most 63. None given: the configuration file's own name.",
        json_schema_extra={"pattern": NAME.pattern},
    )
    data: DataConfig = Field(description="Where the images are, and which of them are accepted.")
    image: ImageConfig = Field(description="What an image looks like when it enters the model.")
    model: ModelConfig = Field(ModelConfig(), description="Which network, and what it already knows.")
    stem: StemConfig = Field(StemConfig(), description="What becomes of the first convolution.")
    train: TrainConfig = Field(TrainConfig(), description="How the candidate and the baseline are trained: alike.")
    pretrain: PretrainConfig = Field(
        PretrainConfig(), description="The source network that `model.weights: pretrain` trains first."
    )
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="What a candidate must reach to be approved.")
    push: PushConfig = Field(PushConfig(), description="Where an approved model goes.")
    beam: BeamConfig = Field(BeamConfig(), description="What runs the data steps.")
    kubeflow: KubeflowConfig = Field(KubeflowConfig(), description="How the steps run on Kubeflow Pipelines.")

    @field_validator("name")
    @classmethod
    def _name_suits_folders_and_kubernetes(cls, name: str) -> str:
        if NAME.match(name):
            return name
        expected = "small letters, digits and hyphens, at most 63, no hyphen at either end"
        raise RestemError(
            "the name is not usable", expected=expected, given=repr(name), remedy=f"Perhaps {slug(name)!r}"
        )

    @field_validator("stem")
    @classmethod
    def _statistics_are_matched_once(cls, stem: StemConfig, info: ValidationInfo) -> StemConfig:
        image = info.data.get("image")  # None where that is wrong itself
        if image is not None and image.normalise == "dataset" and (stem.measured or stem.band_statistics):
            raise RestemError(
                "image.normalise: dataset already brings every channel to the source's mean and standard deviation",
                expected="either that, for candidate and baseline, or the stem's band_statistics, for the candidate",
                given="both",
                remedy="Leave out image.normalise, or stem.normalise and stem.band_statistics",
            )
        return stem

    @field_validator("evaluate")
    @classmethod
    def _slices_are_kept(cls, evaluate: EvaluateConfig, info: ValidationInfo) -> EvaluateConfig:
        data = info.data.get("data")
        if data is None:  # where that is wrong itself
            return evaluate
        unknown = [name for name in evaluate.slices if name not in data.metadata]
        if unknown:
            raise RestemError(
                "slices names columns that are not kept beside the images",
                expected=f"some of data.metadata ({', '.join(data.metadata) or 'which is empty'})",
                given=", ".join(unknown),
                remedy=f"Add them to data.metadata, as in metadata: [{', '.join((*data.metadata, *unknown))}]",
            )
        return evaluate


def config_from_json(text: str) -> Config:
    """The configuration that `Config.model_dump_json()` wrote: paths are taken as they stand."""
    return Config.model_validate_json(text, strict=True)


def json_schema() -> str:
    """The JSON schema of the YAML file, as editors use it, ending in a newline."""
    schema = Config.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Restem's configuration"}
    return json.dumps(schema, indent=2) + "\n"


def slug(text: str) -> str:
    """`text` as a configuration's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:63].strip("-") or "restem"


def with_values(config: Config, **sections: dict[str, Any]) -> Config:
    """A copy with some values replaced, e.g. `with_values(config, data={"path": "/images"})`."""
    updates = {name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
    return config.model_copy(update=updates)
