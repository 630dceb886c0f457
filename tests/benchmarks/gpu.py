"""The training step on a GPU against timm's: `python tests/benchmarks/gpu.py`.

It needs only Keras, JAX and PyTorch with CUDA, and timm; neither TensorFlow nor TFX. Both sides train a ResNet50 with
four bands at 224 x 224 in bfloat16, with SGD and momentum, on a batch of 128 random images that is on the GPU already.
They take turns in processes of their own, under 8 minutes in all. Without a GPU nothing is measured and nothing is
written. The result goes into results.json.

Why the two differ: Keras's ResNet50 has its strides in the 1x1 convolutions, timm's in the 3x3 ones (3.9 against 4.1
billion multiply-adds an image), which explains 6% of what was measured; the rest is the compilers'.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
REPOSITORY = Path(__file__).parents[2]
BANDS, SIZE, CLASSES = 4, 224, 10
WARM_UP, TURNS = 10, 2
SECONDS = 150  # for one side, with its compilation


def ours(batch: int, steps: int, size: int) -> float:
    """Images per second of the stem-modified network with Keras and JAX."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras
    import numpy as np

    sys.path.insert(0, str(REPOSITORY))
    from components.stem import StemSpec, load_backbone, modify_stem

    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    backbone = load_backbone("ResNet50", "none")
    changed = modify_stem(backbone, StemSpec(channels=BANDS, bands=("red", "green", "blue", "nir"))).model
    inputs = keras.Input((size, size, BANDS))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, dtype="float32")(changed(inputs)))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rng = np.random.default_rng(0)
    x = jax.device_put(rng.integers(0, 256, (batch, size, size, BANDS)).astype(np.float32))
    y = jax.device_put(rng.integers(0, CLASSES, batch))

    def compute(trainable: list, fixed: list) -> tuple[Any, list]:
        logits, fixed = model.stateless_call(trainable, fixed, x, training=True)
        return loss(y, logits), fixed

    @jax.jit
    def step(state: tuple) -> tuple:
        trainable, fixed, slots = state
        (_, fixed), gradients = jax.value_and_grad(compute, has_aux=True)(trainable, fixed)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return trainable, fixed, slots

    state = tuple(
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    )

    def run(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state = step(state)
        jax.block_until_ready(state)

    return _speed(run, batch, steps)


def theirs(batch: int, steps: int, size: int) -> float:
    """Images per second of timm's network with PyTorch: channels last, compiled."""
    import timm
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = timm.create_model("resnet50", in_chans=BANDS, num_classes=CLASSES)
    model = model.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    compiled = torch.compile(model)
    x = torch.randn(batch, BANDS, size, size, device=device).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, CLASSES, (batch,), device=device)

    def run(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(compiled(x), y)
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return _speed(run, batch, steps)


def _speed(run: Callable[[int], None], batch: int, steps: int) -> float:
    run(WARM_UP)
    start = time.perf_counter()
    run(steps)
    return batch * steps / (time.perf_counter() - start)


def gpu() -> str | None:
    """The GPU's name, from NVIDIA's own program."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


def main() -> None:
    """Measures both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", nargs="?", choices=("ours", "theirs"), help="measures one side, also without a GPU")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--size", type=int, default=SIZE)
    given = parser.parse_args()
    if given.side:
        print({"ours": ours, "theirs": theirs}[given.side](given.batch, given.steps, given.size))
        return
    name = gpu()
    if name is None:
        print("There is no GPU here: nothing is measured, and results.json stays as it is.")
        return
    speeds: dict[str, list[float]] = {"ours": [], "theirs": []}
    options = [f"--batch={given.batch}", f"--steps={given.steps}", f"--size={given.size}"]
    for _ in range(TURNS):
        for side, found in speeds.items():
            command = [sys.executable, __file__, side, *options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS)
            found.append(float(done.stdout.splitlines()[-1]))
            print(f"{side}: {found[-1]:.0f} images/s", flush=True)
    best = {side: max(found) for side, found in speeds.items()}
    entry = {
        "part": "gpu",
        "name": f"training step on a GPU ({name})",
        "value": round(best["ours"] / best["theirs"], 3),
        "unit": "ratio of speeds",
        "compared_with": "timm's resnet50, channels last, torch.compile",
        "goal": 1.0,
        "images_per_second": {side: round(speed) for side, speed in best.items()},
    }
    kept = [one for one in json.loads(RESULTS.read_text(encoding="utf-8")) if one["part"] != "gpu"]
    RESULTS.write_text(json.dumps([*kept, entry], indent=2) + "\n", encoding="utf-8")
    print(json.dumps(entry))


if __name__ == "__main__":
    main()
