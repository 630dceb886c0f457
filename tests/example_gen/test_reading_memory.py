"""How much memory it takes to read a large image, measured in a process of its own."""

import json
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile

SHAPE = (4112, 4096)  # pixels: more than those that are decoded together with others
MOST = 2.5  # times the decoded size
CHILD = """
import json, sys
from restem.pipeline.environment.quiet import start_tensorflow
start_tensorflow()
from restem.example_gen.dataset import ExampleFields, ImageFile, Refused
from restem.example_gen.reading import ImageReader, Limits
from restem.images.config import Requirements

def memory(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

reader = ImageReader(sys.argv[1], Limits(2**25, 2**28, Requirements(value_range=True)), ExampleFields(("a",)))
def read(name):
    (one,) = reader.read([ImageFile(name, "a", "train")])
    assert not isinstance(one, Refused), one

found = {}
for name in sys.argv[2:]:
    read("small-" + name)  # imports the decoder, and builds the graph
    open("/proc/self/clear_refs", "w").write("5")  # forgets the peak
    before = memory("VmRSS")
    read(name)
    found[name] = memory("VmHWM") - before
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_large_image_takes_at_most_two_and_a_half_times_its_decoded_size(tmp_path):
    def write(name: str, values: np.ndarray) -> int:
        """Files of several formats and paths; returns the decoded size in bytes."""
        path, decoded = tmp_path / name, values.nbytes
        if name.endswith("png"):
            path.write_bytes(imagecodecs.png_encode(values, level=1))
        elif name.endswith("npy"):
            np.save(path, values.astype(np.float32))
            decoded *= 2
        elif name.endswith("palette.tif"):
            tifffile.imwrite(
                path, values.astype(np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16)
            )
            decoded = 3 * values.size
        else:
            tifffile.imwrite(path, values)
        return decoded

    rng = np.random.default_rng(0)
    values = np.add.outer(np.arange(SHAPE[0]), np.arange(SHAPE[1])).astype(np.uint16)
    values += rng.integers(0, 256, SHAPE, np.uint16)
    names = ["a.png", "a.tif", "palette.tif", "a.npy"]
    for name in names:
        write(f"small-{name}", values[:16, :16])
    decoded = {name: write(name, values) for name in names}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), *names], capture_output=True, text=True, check=True
    )
    taken = json.loads(child.stdout.splitlines()[-1])
    times = {name: round(taken[name] / decoded[name], 2) for name in names}
    assert max(times.values()) <= MOST, times
    assert min(times.values()) > 0.5, times  # otherwise the measurement is wrong
