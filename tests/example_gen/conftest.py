"""A folder of unusual images, and a real run of ExampleGen, StatisticsGen and ExampleValidator on it."""

import os

# Decoding needs no GPU, and searching for one costs seconds and a page of warnings.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restem.example_gen.config import DataConfig


def image_bytes(
    mode: str = "RGB", kind: str = "PNG", seed: int = 0, size: tuple[int, int] = (24, 16), **options
) -> bytes:
    """An encoded image of smooth noise; size is (width, height)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey16(kind: str = "PNG") -> bytes:
    """A 16-bit grey PNG or TIFF; the TIFF declares 0 as no data, as GDAL does."""
    buffer = io.BytesIO()
    declared = {"tiffinfo": {42113: "0"}} if kind == "TIFF" else {}
    Image.fromarray(np.linspace(0, 65535, 24 * 16).reshape(16, 24).astype(np.uint16)).save(buffer, kind, **declared)
    return buffer.getvalue()


def array() -> bytes:
    """A NumPy file of uint8 [16, 24, 3]."""
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(5).integers(0, 256, (16, 24, 3), np.uint8))
    return buffer.getvalue()


def animation() -> bytes:
    """A GIF of three frames."""
    frames = [Image.open(io.BytesIO(image_bytes(seed=seed))) for seed in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@dataclass(frozen=True)
class Run:
    """The result of a run: node id -> 'COMPLETE' or 'CACHED', and 'node id.output' -> folder."""

    states: dict[str, str]
    uris: dict[str, Path]


@pytest.fixture(scope="session")
def run() -> Callable[..., Run]:
    """run(root, folder, data, image, validate=True): runs the steps with a LocalDagRunner; folder None: data.path."""
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration import metadata

    from restem.example_gen.component import ImageExampleGen
    from restem.example_gen.validator import example_validator, statistics_gen
    from tests.local_run import run_locally

    def start(root: Path, folder: Path | None, data: DataConfig, image=None, *, validate: bool = True) -> Run:
        gen = ImageExampleGen(data if folder is None else data.model_copy(update={"path": str(folder)}), image)
        steps = [gen]
        if validate:
            statistics = statistics_gen(gen.outputs["examples"])
            validator = example_validator(statistics.outputs["statistics"], gen.outputs["schema"])
            steps += [statistics, validator]
        connection = run_locally(steps, root)
        states, uris = {}, {}
        with metadata.Metadata(connection) as handle:
            store = handle.store
            names = {kind.id: kind.name.split(".")[-1] for kind in store.get_execution_types()}
            for execution in sorted(store.get_executions(), key=lambda one: one.id):
                name = names[execution.type_id]
                states[name] = metadata_store_pb2.Execution.State.Name(execution.last_known_state)
                for event in store.get_events_by_execution_ids([execution.id]):
                    if event.type == metadata_store_pb2.Event.OUTPUT:
                        (artifact,) = store.get_artifacts_by_id([event.artifact_id])
                        uris[f"{name}.{event.path.steps[0].key}"] = Path(artifact.uri)
        return Run(states, uris)

    return start


GOOD = {
    "cat/photo.jpg": lambda: image_bytes(kind="JPEG"),
    "cat/cmyk.jpg": lambda: image_bytes("CMYK", "JPEG"),
    "cat/deep.png": grey16,
    "cat/moving.gif": animation,
    "cat/more/palette.png": lambda: image_bytes("P"),
    "dog/bitmap.bmp": lambda: image_bytes(kind="BMP"),
    "dog/png.jpg": lambda: image_bytes("L"),
    "dog/no extension": lambda: image_bytes("RGBA"),
    "dog/grüße 犬.png": lambda: image_bytes("LA", size=(1, 1)),
    "cat/photo.webp": lambda: image_bytes(kind="WEBP"),
    "dog/deep.tif": lambda: grey16("TIFF"),
    "dog/array.npy": array,
}
BAD = {
    "cat/cut.jpg": (lambda: image_bytes(kind="JPEG", quality=95)[:-200], "The JPEG file is incomplete"),
    "cat/text.png": (lambda: b"not pixels", "It is text, not an image"),
    "dog/cut.png": (lambda: image_bytes()[:-100], "The PNG file is incomplete"),
    "dog/empty.png": (lambda: b"", "The file is empty (0 bytes)."),
    "dog/photo.pcx": (lambda: image_bytes(kind="PCX"), "PCX is not supported"),
    "dog/large.png": (lambda: image_bytes(size=(120, 120)), "It has 120 x 120 pixels"),
    "README.md": (lambda: b"# About", "It is outside the class folders"),
}
ODD_CONFIG = DataConfig(path="unused", max_quarantined=0.5, max_pixels=10_000, allow_near_duplicates=True)


@pytest.fixture(scope="session")
def odd_folder(tmp_path_factory) -> Path:
    """Files of every kind, and some plain ones, so that both splits have images of each class."""
    folder = tmp_path_factory.mktemp("odd") / "images"
    files = {path: make() for path, make in GOOD.items()} | {path: make() for path, (make, _) in BAD.items()}
    for index in range(20):
        files[f"{'cat' if index % 2 else 'dog'}/plain-{index}.png"] = image_bytes(seed=index)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def odd_run(run, odd_folder, tmp_path_factory) -> Run:
    """The three steps, run on the odd folder."""
    return run(tmp_path_factory.mktemp("odd-root"), odd_folder, ODD_CONFIG)


def read_examples(uri: Path, split: str) -> list[dict]:
    """The examples of a split: feature name -> bytes, int or float."""
    import tensorflow as tf

    examples = []
    shards = sorted(str(path) for path in (uri / f"Split-{split}").glob("*.gz"))
    for record in tf.data.TFRecordDataset(shards, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        values = {
            name: list(feature.bytes_list.value or feature.int64_list.value or feature.float_list.value)
            for name, feature in features.items()
        }
        assert all(len(value) == 1 for value in values.values())
        examples.append({name: value[0] for name, value in values.items()})
    return examples
