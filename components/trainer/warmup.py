"""Warm-up requests: TensorFlow Serving sends them to a model that it loads, so that no client waits for the first one.

https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from restem.images.config import ImageConfig
from restem.images.container import to_decodable

FILE = "tf_serving_warmup_requests"  # TensorFlow Serving's name, in the folder assets.extra
SIGNATURES = ("serving_default", "serving_lenient")


def write_warmup(folder: Path, image: ImageConfig) -> None:
    """Writes one request per signature for images, each with one black image of the model's size.

    Args:
      folder: the SavedModel's folder assets.extra.
      image: the model's input.
    """
    channels = len(image.bands) if image.bands is not None else image.count
    if image.nodata_rule is not None and image.nodata_rule.mask is not None:
        channels = max(channels, image.nodata_rule.mask + 1)
    black = np.zeros((image.height, image.width, channels), image.dtype)
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for signature in SIGNATURES:
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = signature
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([to_decodable(black)], shape=[1]))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
