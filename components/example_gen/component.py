"""ImageExampleGen: a TFX component that makes raw examples from a folder of images, a manifest or TFRecord files."""

import hashlib
import json
from dataclasses import asdict
from typing import ClassVar

from tfx import types
from tfx.components.example_gen import utils
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from restem import schemas
from restem.example_gen import spans
from restem.example_gen.artifacts import Quarantine
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import SPLITS
from restem.example_gen.driver import ImageDriver
from restem.example_gen.executor import Executor
from restem.fingerprint import code_fingerprint
from restem.images.config import ImageConfig, Requirements


class ImageExampleGenSpec(ComponentSpec):
    """Inputs, outputs and parameters."""

    PARAMETERS: ClassVar = {
        "input_base": ExecutionParameter(type=str),
        "input_config": ExecutionParameter(type=example_gen_pb2.Input),
        "output_config": ExecutionParameter(type=example_gen_pb2.Output),
        "output_data_format": ExecutionParameter(type=int),
        "output_file_format": ExecutionParameter(type=int),
        # The executor's settings as JSON. The step runs again if they, or its code, change.
        "settings": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "quarantine": ChannelParameter(type=Quarantine),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }


class ImageExampleGen(FileBasedExampleGen):
    """Makes tf.Examples from images, and quarantines every file that is not a good image.

    Outputs:
      examples: splits `train` and `test`, as schemas/raw_examples.pbtxt describes them.
      quarantine: see `Quarantine`.
      schema: the committed schema, completed with the class names.
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = BeamExecutorSpec(Executor)
    DRIVER_CLASS = ImageDriver

    def __init__(
        self,
        data: DataConfig,
        image: ImageConfig | None = None,
    ) -> None:
        """Configures the component.

        Args:
          data: where the images are, their layout and split, and limits. Spans are looked up where the step runs.
          image: files that do not suit it are quarantined, see `Requirements`. The step uses nothing else of it, so a
            change of preprocessing does not read the files again.
        """
        input_base, below = spans.base(data.path, data.found_layout)
        # Without a list of classes this step compares them with nothing; later steps do.
        unused = {"allow_class_changes"} if data.classes is None else set()
        settings = {
            # The rest of the path: input_base is only the folder, which TFX's driver on Kubeflow can list.
            "below": below,
            "data": {**data.model_dump(mode="json", exclude={"path", *unused}), "layout": data.found_layout},
            "image": asdict(Requirements() if image is None else image.requirements()),
            # On Kubeflow the step also writes the embedded images.
            "code": code_fingerprint("example_gen.driver", "example_gen.executor", "example_gen.embedded"),
            "schema": hashlib.sha256(schemas.raw_examples().encode()).hexdigest()[:16],
        }
        output_config = example_gen_pb2.Output(
            # The executor decides the split. TFX requires the names here, but the shares are not used.
            split_config=example_gen_pb2.SplitConfig(
                splits=[example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=1) for name in SPLITS]
            )
        )
        spec = ImageExampleGenSpec(
            input_base=input_base,
            input_config=utils.make_default_input_config(),
            output_config=output_config,
            output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
            output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
            settings=json.dumps(settings, sort_keys=True),
            examples=types.Channel(type=standard_artifacts.Examples),
            quarantine=types.Channel(type=Quarantine),
            schema=types.Channel(type=standard_artifacts.Schema),
        )
        # Not FileBasedExampleGen's, which supports no output other than the examples.
        BaseBeamComponent.__init__(self, spec=spec)
