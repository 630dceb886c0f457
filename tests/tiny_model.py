"""A pushed model with a few weights, for the tests of the Baseline and the Pusher."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from restem.images.config import ImageConfig
from restem.run_record import ModelInput, ModelRecord

CLASSES = ["dark", "light"]
MAX_PIXELS = 100_000
STEM = {"claim": "exact", "error": 1e-7, "weights": [], "dropped": []}


def export_tiny(
    folder: Path, classes: list[str] = CLASSES, *, size: int = 8, channels: int = 1, threshold: float = 128.0, **keys
) -> Path:
    """Exports a network that predicts "light" if an image's mean is above the threshold; other classes are unlikely.

    Args:
        folder: the folder for the SavedModel, with both signatures and assets.extra.
        classes: class names by label.
        size: height and width of the input in pixels.
        channels: 1 is grey and 3 is colour; other numbers are bands.
        threshold: 0..255.
        keys: of the configuration's section image.
    """
    import keras

    from restem.trainer.export import export

    bands = None if channels in (1, 3) else tuple(f"b{i}" for i in range(channels))
    image = ImageConfig(size=size, **({"bands": bands} if bands else {"channels": channels}), **keys)
    pixels = keras.Input((size, size, channels))
    mean = keras.layers.GlobalAveragePooling2D()(pixels)
    head = keras.layers.Dense(len(classes))
    model = keras.Model(pixels, head(mean))
    slope = [-1.0 / channels, 1.0 / channels] + [0.0] * (len(classes) - 2)
    offset = [threshold, -threshold] + [-1000.0] * (len(classes) - 2)
    head.set_weights([np.array([slope] * channels), np.array(offset)])
    about = record(image)
    about = replace(about, config={**about.config, "data": {"max_pixels": MAX_PIXELS}})
    export(model, image, classes, str(folder), about, STEM)
    return folder


def record(image: ImageConfig) -> ModelRecord:
    """The record of a model with this image configuration."""
    height, width, channels = image.height, image.width, image.count
    return ModelRecord(
        role="candidate",
        backbone="ResNet50",
        weights="none",
        input=ModelInput(height, width, channels, channels, image.names),
        parameters=4,
        train_images=40,
        seed=3,
        config={"stem": {"small_images": True}},
    )


def png(level: int, size: int = 8, channels: int = 1) -> bytes:
    """A uniform PNG image."""
    return tf.io.encode_png(tf.fill((size, size, channels), tf.cast(level, tf.uint8))).numpy()


def write_examples(
    folder: Path, levels: list[int], labels: list[int], **metadata: list[str]
) -> standard_artifacts.Examples:
    """Writes raw examples of uniform images to the split test, with additional features."""
    (folder / "Split-test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "Split-test" / "data-00000-of-00001.gz"), "GZIP") as writer:
        for i, (level, label) in enumerate(zip(levels, labels, strict=True)):
            features = {
                "image_bytes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png(level)])),
                "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"{CLASSES[label]}/{i}.png".encode()])),
                "label_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                **{
                    name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[values[i].encode()]))
                    for name, values in metadata.items()
                },
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    examples = artifact(standard_artifacts.Examples, folder)
    examples.split_names = artifact_utils.encode_split_names(["test"])
    return examples


def artifact(kind: type, folder: Path, **properties: int) -> object:
    """An artifact of this type in this folder."""
    made = kind()
    made.uri = str(folder)
    for name, value in properties.items():
        made.set_int_custom_property(name, value)
    return made
