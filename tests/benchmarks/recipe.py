"""What `restem init` proposes, against a plain Keras fine-tuning loop and timm's defaults.

    python -m tests.benchmarks.recipe --weights SOURCE.weights.h5 --images FOLDER [--rare CLASS]

All three train the network that `restem init` proposes for the folder, from the same source, on the same images, with
as many passes over them. FOLDER has train/ and test/; `--rare` keeps a twentieth of that class's training images. Each
run takes minutes, so `make bench` leaves it out. Finished runs are kept in recipe.json next to this file, and the
summary goes into results.json.
"""

import argparse
import hashlib
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from restem.example_gen.listing import list_data
from restem.images import encode_for_serving
from restem.images.graph.preprocess import preprocess_one
from restem.pipeline.config import Config, load_config
from restem.pipeline.datasets.proposal import propose
from restem.trainer.checkpoint import Checkpoints
from restem.trainer.input import Split, arrays_as_split
from restem.trainer.module import SAMPLE_IMAGES, train_phases
from restem.trainer.network import Network, build_network, layers_of
from restem.trainer.phases import predict, set_seed
from restem.trainer.scores import score

RUNS = Path(__file__).with_name("recipe.json")
RARE = 20  # a twentieth of the rare class's images


@dataclass(frozen=True)
class Task:
    """A data set and the configuration that is proposed for it.

    Attributes:
      config: the proposal, with the source's weights.
      classes: the number of classes.
      train, val: as the proposal splits the training images; val may have none.
      test: the test images.
    """

    config: Config
    classes: int
    train: Split
    val: Split
    test: Split

    def everything(self) -> tuple[np.ndarray, np.ndarray]:
        """All training images, those for validation too: uint8 [N, height, width, channels], and labels int64 [N]."""
        parts = [part for part in (self.train, self.val) if part.count]
        pixels = [np.stack(list(part.images.as_numpy_iterator())) for part in parts]
        return np.concatenate(pixels), np.concatenate([part.labels for part in parts])


def choose(folder: Path, target: Path, train: int, test: int, rare: str | None) -> None:
    """Links up to `train` and `test` images of each class into a folder, always the same ones."""
    for split, most in (("train", train), ("test", test)):
        for kind in sorted(path for path in (folder / split).iterdir() if path.is_dir()):
            files = sorted(kind.iterdir(), key=lambda file: hashlib.sha256(file.name.encode()).digest())
            (target / split / kind.name).mkdir(parents=True)
            for file in files[: most // RARE if split == "train" and kind.name == rare else most]:
                (target / split / kind.name / file.name).symlink_to(file.resolve())


def read(folder: Path, weights: Path, epochs: int | None) -> Task:
    """Reads the images as the proposed configuration says."""
    file = folder.with_suffix(".yaml")
    file.write_text(propose(folder, file), encoding="utf-8")
    overrides = [f"model.weights={weights}", *([f"train.all.epochs={epochs}"] if epochs else [])]
    config = load_config(str(file), tuple(overrides))
    listing = list_data(str(folder), config.data)
    splits = {}
    for name in ("train", "val", "test"):
        files = [one for one in listing.files if one.split == name]
        encoded = [encode_for_serving(folder / one.path) for one in files]
        pixels = [preprocess_one(tf.constant(one), config.image).numpy() for one in encoded]
        shape = (0, config.image.height, config.image.width, config.image.count)
        labels = np.array([listing.classes.index(one.label) for one in files], np.int64)
        paths = np.array([one.path for one in files], str)
        splits[name] = arrays_as_split(np.stack(pixels) if pixels else np.zeros(shape, np.uint8), labels, paths)
    return Task(config, len(listing.classes), splits["train"], splits["val"], splits["test"])


def network(task: Task, seed: int) -> Network:
    """The candidate that the proposal describes."""
    config = task.config
    sample = task.train.sample(SAMPLE_IMAGES, seed)
    return build_network(
        "candidate",
        config.image,
        config.model,
        config.stem,
        weights=config.model.weights,
        classes=task.classes,
        statistics=task.train.channel_statistics(),
        sample=sample,
    )


def proposed(task: Task, net: Network, seed: int) -> None:
    """Trains as the proposal says."""
    config = task.config.train.model_copy(update={"seed": seed})
    val = task.val if task.val.count else None
    train_phases(
        net, task.train, val, config, Checkpoints(None, "", 0), white=float(task.config.image.white), pretrained=True
    )


def plain_keras(task: Task, net: Network, seed: int) -> None:
    """Trains as https://keras.io/guides/transfer_learning does: the head, then everything at 1e-5 in inference mode."""
    pixels, labels = task.everything()
    config = task.config.train
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    backbone = net.features
    # The guide's frozen backbone has no augmentation here: its features are those of one pass.
    features = backbone.predict(pixels.astype(np.float32), batch_size=config.batch_size, verbose=0)
    head = keras.Sequential([keras.Input(features.shape[1:]), keras.layers.Dense(task.classes)])
    head.compile(keras.optimizers.Adam(), loss)
    head.fit(features, labels, batch_size=config.batch_size, epochs=config.head.epochs, verbose=0)
    net.head.set_weights(head.get_weights())
    inputs = keras.Input(pixels.shape[1:])
    tuned = keras.Model(inputs, net.head(backbone(inputs, training=False)))
    tuned.compile(keras.optimizers.Adam(1e-5), loss, jit_compile=False)
    batches = tf.data.Dataset.from_tensor_slices((pixels, labels)).shuffle(len(labels), seed=seed)
    batches = batches.batch(config.batch_size).map(lambda x, y: (tf.cast(x, tf.float32), y))
    tuned.fit(batches, epochs=config.all.epochs, verbose=0)


def timm_defaults(task: Task, net: Network, seed: int) -> None:
    """Trains as timm's train.py does without options, in as many passes as the other two have in all."""
    pixels, labels = task.everything()
    config = task.config.train
    epochs = config.head.epochs + config.all.epochs
    steps = -(-len(labels) // config.batch_size)
    warm_up = min(5, epochs // 2)  # timm's 5 epochs, of 300
    rate = 0.1 * config.batch_size / 256
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5, (epochs - warm_up) * steps, warmup_target=rate, warmup_steps=warm_up * steps
    )
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    norms_and_biases = [one for one in net.model.trainable_variables if len(one.shape) < 2]
    optimizer.weight_decay = 2e-5
    optimizer.exclude_from_weight_decay(norms_and_biases)
    for layer in layers_of(net.model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # PyTorch's 0.1
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    net.model.compile(optimizer, loss, jit_compile=False)
    white = float(task.config.image.white)
    jitter = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal", seed=seed),
            keras.layers.RandomBrightness(0.4, value_range=(0, white), seed=seed + 1),
            keras.layers.RandomContrast(0.4, value_range=(0, white), seed=seed + 2),
        ]
    )
    batches = tf.data.Dataset.from_tensor_slices((pixels, labels)).shuffle(len(labels), seed=seed)
    batches = batches.map(
        lambda x, y: (_resized_crop(tf.cast(x, tf.float32)), tf.one_hot(y, task.classes)), tf.data.AUTOTUNE
    )
    batches = batches.batch(config.batch_size).map(lambda x, y: (jitter(x, training=True), y))
    net.model.fit(batches, epochs=epochs, verbose=0)


def _resized_crop(pixels: tf.Tensor) -> tf.Tensor:
    """timm's RandomResizedCrop: 8% to 100% of the area, 3:4 to 4:3."""
    begin, size, _ = tf.image.sample_distorted_bounding_box(
        tf.shape(pixels),
        tf.zeros([0, 0, 4]),
        area_range=(0.08, 1.0),
        aspect_ratio_range=(3 / 4, 4 / 3),
        use_image_if_no_bounding_boxes=True,
    )
    crop = tf.slice(pixels, begin, size)
    crop.set_shape([None, None, pixels.shape[-1]])
    return tf.image.resize(crop, pixels.shape[:2], "bilinear", antialias=True)


METHODS: dict[str, Callable[[Task, Network, int], None]] = {
    "restem init": proposed,
    "plain Keras": plain_keras,
    "timm's defaults": timm_defaults,
}


def measure(task: Task, method: str, seed: int) -> dict[str, float]:
    """Accuracy and balanced accuracy on the test images."""
    set_seed(seed, deterministic=False)
    net = network(task, seed)
    METHODS[method](task, net, seed)
    scores = score(task.test.labels, predict(net.model, task.test, task.config.train.batch_size))
    keras.backend.clear_session()
    return {"accuracy": round(scores.accuracy, 4), "balanced_accuracy": round(scores.balanced_accuracy, 4)}


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each data set and metric: ours minus the better of the others, means over the seeds."""
    entries = []
    for name in dict.fromkeys(run["images"] for run in runs):
        of = {m: [run for run in runs if run["images"] == name and run["method"] == m] for m in METHODS}
        if not all(of.values()):
            continue
        for metric in ("accuracy", "balanced_accuracy"):
            values = {method: [run[metric] for run in some] for method, some in of.items()}
            mean = {method: round(statistics.mean(some), 4) for method, some in values.items()}
            ours, others = mean["restem init"], [mean[method] for method in METHODS if method != "restem init"]
            spread = {m: round(statistics.stdev(some), 4) if len(some) > 1 else None for m, some in values.items()}
            entries.append(
                {
                    "part": "recipe",
                    "name": f"what restem init proposes, {name}: {metric}",
                    "value": round(ours - max(others), 4),
                    "unit": "difference of the means over the seeds",
                    "compared_with": "the better of a plain Keras loop and timm's defaults",
                    "means": mean,
                    "standard_deviations": spread,
                    "seeds": len(values["restem init"]),
                }
            )
    return entries


def main() -> None:
    """Runs what is not in recipe.json yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--name", required=True, help="what the table calls the images")
    parser.add_argument("--rare")
    parser.add_argument("--train", type=int, default=50, help="images of a class")
    parser.add_argument("--test", type=int, default=200, help="images of a class")
    parser.add_argument("--epochs", type=int, help="in place of the proposed number")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    runs = json.loads(RUNS.read_text(encoding="utf-8")) if RUNS.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        choose(given.images, images, given.train, given.test, given.rare)
        task = read(images, given.weights, given.epochs)
        for seed in range(given.seeds):
            for method in METHODS:
                run = {"images": given.name, "method": method, "seed": seed}
                if any(run.items() <= one.items() for one in runs):
                    continue
                runs.append({**run, **measure(task, method, seed)})
                print(runs[-1], flush=True)
                RUNS.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    results = RUNS.with_name("results.json")
    kept = [entry for entry in json.loads(results.read_text(encoding="utf-8")) if entry["part"] != "recipe"]
    results.write_text(json.dumps([*kept, *summary(runs)], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
