"""The library alone, with every installed Keras backend: copied out of the project, in a separate process."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import restem.stem
from restem.stem import StemSpec, modify_stem

from .networks import network, run

HERE = Path(restem.stem.__file__).parent
OTHERS = [
    name
    for name, module in (("jax", "jax"), ("torch", "torch"), ("tensorflow", "tensorflow"))
    if importlib.util.find_spec(module) and name != os.environ.get("KERAS_BACKEND", "tensorflow")
]

ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
import keras, numpy as np
from stem_alone import StemSpec, describe, modify_stem
from stem_alone.precision import full_precision
from networks import network, run
assert keras.config.backend() == sys.argv[2]
assert not any(name.split(".")[0] in ("restem", "tfx") for name in sys.modules)
with full_precision():
    if sys.argv[2] == "jax":
        assert sys.modules["jax"].config.jax_default_matmul_precision == "highest"
    if sys.argv[2] == "torch":
        assert not sys.modules["torch"].backends.cudnn.allow_tf32
x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 1)).astype("float32")
for v2 in (False, True):
    spec = StemSpec(channels=1, kernel=9, filters=80, batch_norm=True, small_images=True)
    result = modify_stem(network(v2), spec)
    assert result.report.claim == "exact" and result.report.error <= 1e-4, result.report.error
result.model.save(sys.argv[1] + "/own.keras")
again = keras.saving.load_model(sys.argv[1] + "/own.keras")
assert np.array_equal(run(again, x), run(result.model, x))
result.model.compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=False)
before = {n: result.model.get_layer(n).get_weights()[0] for n in result.stem_layers}
assert np.isfinite(result.model.train_on_batch(x, np.zeros((2, 16), "float32")))
for n, old in before.items():
    # Kernels and gammas. A bias before a BatchNorm has no gradient, because the norm subtracts the batch mean.
    assert np.abs(old - result.model.get_layer(n).get_weights()[0]).max() > 0, n
near = modify_stem(network(False), StemSpec(bands=("nir", "red", "green", "blue"), kernel=5, filters=32))
assert near.report.claim == "approximate" and 0 < near.report.error < 1
given = keras.saving.load_model(sys.argv[1] + "/given.keras")
assert describe(given)["report"]["claim"] == "exact"
np.save(sys.argv[1] + "/answer.npy", run(given, np.load(sys.argv[1] + "/x.npy")))
"""


@pytest.mark.parametrize("backend", OTHERS)
def test_another_backend(backend, tmp_path):
    shutil.copytree(HERE, tmp_path / "stem_alone", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("networks.py"), tmp_path)
    model = modify_stem(network(False), StemSpec(channels=2, kernel=9, filters=80)).model
    model.save(tmp_path / "given.keras")
    x = np.random.default_rng(0).uniform(0, 255, (2, 40, 33, 2)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path), backend],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # One file, two backends: the convolution code differs, the function does not.
    old = run(model, x)
    assert np.abs(np.load(tmp_path / "answer.npy") - old).max() <= 1e-4 * np.abs(old).max()


def test_only_allowed_packages_are_imported():
    # The last two only to read PyTorch's checkpoints, where they are installed.
    allowed = {"keras", "numpy", "h5py", "matplotlib", *sys.stdlib_module_names, "safetensors", "torch"}
    for path in HERE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            assert {n.split(".")[0] for n in names} <= allowed, f"{path}: {names}"


def test_import_is_light():
    code = "import sys; from restem.stem import StemSpec, StemError; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parents[1])
