"""The configured Transform step."""

from tfx import types
from tfx.components import Transform as TfxTransform
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec

from restem.fingerprint import code_fingerprint
from restem.images.config import ImageConfig
from restem.transform.executor import Executor


class Transform(TfxTransform):
    """TFX's Transform with our executor."""

    EXECUTOR_SPEC = BeamExecutorSpec(Executor)


def transform(examples: types.BaseChannel, schema: types.BaseChannel, image: ImageConfig) -> Transform:
    """The step for raw examples; with `image.store: none` it writes its graph but no examples.

    Without a `splits_config` TFX analyzes the split `train` and transforms all splits. Its statistics are off, because
    they would be computed over image bytes.
    """
    return Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="restem.transform.preprocessing.preprocessing_fn",
        custom_config={
            "image": image.model_dump(mode="json"),
            "code": code_fingerprint("transform.executor", "transform.preprocessing"),
        },
        materialize=image.store != "none",
        disable_statistics=True,
        disable_analyzer_cache=True,
    )
