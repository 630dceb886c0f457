"""What a network and its training need: operations, seconds, memory."""

import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import keras
import tensorflow as tf

from restem.run_record import Cost, Epoch

COUNTED = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
KIB_PER_MIB, MIB = 1024, 2**20
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forward_graph(model: keras.Model) -> tf.Graph:
    """The graph of one image's pass through a network in inference."""
    spec = tf.TensorSpec((1, *model.input_shape[1:]), model.inputs[0].dtype)
    traced = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    return traced.get_concrete_function(spec).graph


def multiply_adds(graph: tf.Graph) -> int | None:
    """Multiply-adds of the convolutions and dense layers in `forward_graph`, by TensorFlow's profiler.

    As papers count: ResNet50 (V1) has 3.86e9 at 224x224, He et al. 2015 (arXiv 1512.03385) give 3.8e9. None: the graph
    calls functions (as Keras does for grouped convolutions on processors), which the profiler does not look into.
    """
    if any(operation.type in CALLS for operation in graph.get_operations()):
        return None
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    options = options.with_accounted_types(list(COUNTED)).with_empty_output().build()
    return profiler.profile(graph, options=options).total_float_ops // 2  # it counts both operations


class PeakMemory:
    """The largest amounts of memory in use since this object was made."""

    def __init__(self) -> None:
        # Else Linux gives the largest amount since the process started. Elsewhere, or where that is not allowed, the
        # amount is what the process has needed so far.
        with suppress(OSError):
            RESET.write_text("5")
        self._gpus = [f"GPU:{i}" for i, _ in enumerate(tf.config.list_logical_devices("GPU"))]
        for gpu in self._gpus:
            tf.config.experimental.reset_memory_stats(gpu)

    @property
    def process_mib(self) -> float:
        """Resident memory of this process, in MiB, with everything that is loaded in it."""
        with suppress(OSError):
            for line in STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / KIB_PER_MIB
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / (MIB if sys.platform == "darwin" else KIB_PER_MIB)

    @property
    def device_mib(self) -> float | None:
        """Memory that TensorFlow has used on one GPU, in MiB: the largest of them; None without a GPU."""
        return max((tf.config.experimental.get_memory_info(gpu)["peak"] / MIB for gpu in self._gpus), default=None)


def measured_cost(graph: tf.Graph, history: Iterable[Epoch], peak: PeakMemory) -> Cost:
    """What a network and its training need.

    Args:
      graph: of one pass, see `forward_graph`.
      history: the epochs of the training.
      peak: from the start of the training.
    """
    seconds: dict[str, float] = {}
    for epoch in history:
        seconds[epoch.phase] = seconds.get(epoch.phase, 0.0) + epoch.seconds
    return Cost(multiply_adds(graph), seconds, peak.process_mib, peak.device_mib)
