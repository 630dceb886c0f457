"""The configured Transform step."""

from tfx import types
from tfx.components import Transform as TfxTransform
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.proto import transform_pb2

from restem.fingerprint import code_fingerprint
from restem.images.config import ImageConfig
from restem.transform.executor import Executor


class Transform(TfxTransform):
    """TFX's Transform with our executor."""

    EXECUTOR_SPEC = BeamExecutorSpec(Executor)


def transform(examples: types.BaseChannel, schema: types.BaseChannel, image: ImageConfig) -> Transform:
    """The step for raw examples; with `image.store: none` it writes its graph but no examples.

    TFX's statistics are off, because they would be computed over image bytes.
    """
    return Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="restem.transform.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "test"]),
        custom_config={
            "image": image.model_dump(mode="json"),
            "code": code_fingerprint("transform.executor", "transform.preprocessing"),
        },
        materialize=image.store != "none",
        disable_statistics=True,
        disable_analyzer_cache=True,
    )
