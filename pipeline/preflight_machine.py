"""Whether the disk and the memory of this machine are enough for a run, before its first step.

Estimates, in two values each. A run that does not fit into the lower one is refused: it counts only what the run keeps
for certain. One that fits into the lower one alone gets a warning, because the upper one, what such runs took here, is
no promise: formats, libraries and the machine decide too.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from restem.errors import RestemError
from restem.example_gen.dataset import Listing
from restem.files import existing_folder
from restem.pipeline.config import Config, push_destination
from restem.pipeline.environment.memory import available_memory
from restem.trainer.model_config import StemConfig
from restem.trainer.variables import CACHE_BYTES

MIB = 2**20
FLOAT = 4  # bytes
# Millions of weights without the head, and of the values that the convolutions write for an image of 224 x 224
# ("activations" in P. Dollar et al., "Fast and accurate model scaling", 2021): tests count both in the networks.
WEIGHTS = {"ResNet18": 11.19, "ResNet26": 13.99, "ResNet34": 21.31, "ResNet50": 23.59, "ResNet101": 42.66}
WEIGHTS |= {"ResNet152": 58.37, "ResNet50V2": 23.56, "ResNet101V2": 42.63, "ResNet152V2": 58.33}
ACTIVATIONS = {"ResNet18": 2.48, "ResNet26": 7.35, "ResNet34": 3.74, "ResNet50": 10.59, "ResNet101": 15.71}
ACTIVATIONS |= {"ResNet152": 22.03, "ResNet50V2": 9.27, "ResNet101V2": 14.39, "ResNet152V2": 20.71}
_SIDE = 224
# Backpropagation keeps the output of each convolution, for the normalisation's gradient, and what the normalisation
# and ReLU make of it, for the next convolution's. Measured: 8.0 to 8.6 bytes, 15.6 with a ResNet18.
_KEPT = 2 * FLOAT
_KEPT_AT_MOST = 16
_PROCESS, _EVALUATOR = 1000 * MIB, 600 * MIB  # a worker before its first training; what TFX's Evaluator adds
_PROCESS_AT_MOST = 1500 * MIB
_LEFT = 190 * MIB  # what TensorFlow keeps of a training that has ended, besides its variables
# The optimizers' values for each weight, beside the weight itself and those of options.
_SLOTS = {"adam": 2, "adamw": 2, "nadam": 2, "lamb": 2, "rmsprop": 1, "lion": 1, "adagrad": 1, "adamax": 2, "sgd": 0}
_CHECKPOINTS = 2  # a training keeps its newest two
_SAMPLE = 2_000  # files whose size is asked; a million would take a disk seconds
_COMPRESSED = (0.02, 0.7)  # of the bytes of an image's pixels: a nearly empty one and a noisy one, as PNG


@dataclass(frozen=True)
class Need:
    """What a run takes: for certain, and as such runs did, in bytes."""

    least: float
    likely: float

    def __add__(self, other: "Need") -> "Need":
        return Need(self.least + other.least, self.likely + other.likely)


def check_machine(config: Config, listing: Listing | None, root: Path) -> list[str]:
    """Rejects a run that this machine's disk or memory cannot hold.

    A root that has run before is not refused for its disk: its steps may come from the cache.

    Args:
        config: the configuration.
        listing: of the images; None if they are not known before the run.
        root: the run's folder.

    Returns:
        Warnings, a sentence each.

    Raises:
        RestemError: with what is free, what is needed and what needs less.
    """
    return [*_check_disks(config, listing, root), *_check_memory(config)]


def _check_disks(config: Config, listing: Listing | None, root: Path) -> list[str]:
    warnings = []
    home = existing_folder(root)
    disks = {home: disk_need(config, listing)}
    destination = push_destination(config, str(root))
    if "://" not in destination:
        model = Need(2 * network_bytes(config), 2 * network_bytes(config))  # the SavedModel and backbone.keras
        pushed = existing_folder(Path(destination))
        place = home if os.stat(home).st_dev == os.stat(pushed).st_dev else pushed
        disks[place] = disks.get(place, Need(0, 0)) + model
    for folder, need in disks.items():
        free = shutil.disk_usage(folder).free
        told = f"{folder} has {_mib(free)} free"
        if free < need.least and not (root / "metadata.sqlite").exists():
            raise RestemError(
                f"the disk is too small for this run: {told}",
                where=f"--root ({root})" if folder == home else f"push.destination ({destination})",
                expected=f"at least {_mib(need.least)}, and about {_mib(need.likely)} as such runs take",
                remedy="Free some space, or choose a folder on another disk",
            )
        if free < need.likely:
            warnings.append(f"{told}; a run that computes every step takes about {_mib(need.likely)}")
    return warnings


def _check_memory(config: Config) -> list[str]:
    available = available_memory()
    if available is None:
        return []
    need = memory_need(config, on_gpu=has_gpu())
    told = f"{_mib(available)} of memory are available"
    if available < need.least:
        raise RestemError(
            f"the memory is too small for this run: {told}",
            where=f"train.batch_size ({config.train.batch_size}), image.size ({config.image.height} x "
            f"{config.image.width}), model.backbone ({config.model.backbone})",
            expected=f"at least {_mib(need.least)}, and about {_mib(need.likely)} as such runs take",
            remedy="Choose a smaller train.batch_size, image.size or backbone, or end other programs",
        )
    if available < need.likely:
        return [
            f"{told}; such runs take about {_mib(need.likely)}: a smaller train.batch_size or image.size needs less"
        ]
    return []


def network_bytes(config: Config) -> float:
    """The bytes of a network's weights in a file."""
    return WEIGHTS[config.model.backbone] * 1e6 * FLOAT


def disk_need(config: Config, listing: Listing | None) -> Need:
    """What a run writes into its folder at most at one time, without the pushed version."""
    network = network_bytes(config)
    trainings = 3 if config.model.source_weights == "pretrain" else 2
    # The source checkpoint, the Baseline's model, the candidate's model and its backbone.keras.
    models = (trainings + 1) * network
    checkpoint = network * (1 + _slots(config))
    best = network if config.train.keep == "best" else 0
    need = Need(models, models + _CHECKPOINTS * checkpoint + best)
    return need + _images(config, listing)


def _images(config: Config, listing: Listing | None) -> Need:
    """The examples, what Transform stores of them, and a training's copy."""
    if listing is None or not listing.files or "://" in listing.folder:
        return Need(0, 0)
    sample = listing.files[:: max(1, len(listing.files) // _SAMPLE)]
    total = 0
    for file in sample:
        with contextlib.suppress(OSError):
            total += os.stat(os.path.join(listing.folder, file.path)).st_size
    files = total / len(sample) * len(listing.files)
    # Other formats than these are written anew, which may make them smaller.
    kept = all(file.path.lower().endswith((".jpg", ".jpeg", ".png")) for file in sample)
    need = Need(files if kept else 0, files)
    image = config.image
    pixels = len(listing.files) * image.height * image.width * len(image.names) * image.bits / 8
    encoded = need
    if image.store != "none":
        encoded = Need(_COMPRESSED[0] * pixels, _COMPRESSED[1] * pixels)
        need += encoded
    if pixels > CACHE_BYTES:
        # The training's copy of the encoded images. Without room for it, they are read in another order.
        need += Need(0, encoded.likely)
    return need


def memory_need(config: Config, *, on_gpu: bool) -> Need:
    """What the worker process of a run takes at most.

    With a GPU, the values of the layers are in its own memory, which is not known here.
    """
    train = config.train
    network = network_bytes(config)
    variables = network * (1 + _slots(config))
    least = likely = 0.0
    if not on_gpu:
        trained = train.stem.epochs or train.all.epochs
        values = ACTIVATIONS[config.model.backbone] * 1e6 / _SIDE**2 * train.batch_size
        half = 0.5 if train.precision.startswith("mixed") else 1
        pixels = config.image.height * config.image.width * _finer(config.stem) if trained else 0
        if config.model.source_weights == "pretrain":
            pixels = max(pixels, (config.pretrain.size or max(config.image.height, 32)) ** 2)
        least, likely = half * _KEPT * values * pixels, _KEPT_AT_MOST * values * pixels
    trainings = 3 if config.model.source_weights == "pretrain" else 2
    # TensorFlow does not give back the variables of a training that has ended. Measured: the demo took 3,530 MiB.
    kept = trainings * (variables + _LEFT)
    return Need(_PROCESS + variables + network + least, _PROCESS_AT_MOST + kept + max(network + likely, _EVALUATOR))


def _slots(config: Config) -> int:
    name, options = config.train.optimizer, config.train.optimizer_options
    momentum = options.get("momentum", 0.9 if name == "sgd" else 0)
    return _SLOTS[name] + bool(momentum) + bool(options.get("amsgrad"))


def _finer(stem: StemConfig) -> float:
    """How many times more positions the layers have than after the stock stem."""
    if stem.cifar:
        return 16
    stride = 4 if stem.small_images or stem.stride == 1 else 1
    return stride * (1 if stem.pool else 4)


def has_gpu() -> bool:
    """Whether TensorFlow will probably find a GPU of NVIDIA's."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    return not hidden and Path("/proc/driver/nvidia/version").exists()


def _mib(size: float) -> str:
    return f"{size / MIB:,.0f} MiB"
