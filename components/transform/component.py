"""The Transform step, configured."""

from tfx import types
from tfx.components import Transform
from tfx.proto import transform_pb2

from components.fingerprint import code_fingerprint
from components.images.config import ImageConfig


def transform(examples: types.BaseChannel, schema: types.BaseChannel, image: ImageConfig) -> Transform:
    """TFX's Transform over raw examples; statistics are learned on the split `train` alone.

    TFX's own statistics are off: they would be statistics over image bytes.
    """
    return Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "test"]),
        custom_config={"image": image.model_dump(mode="json"), "code": code_fingerprint("images", "transform")},
        disable_statistics=True,
    )
