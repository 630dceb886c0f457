"""One worker of a distributed training, as a process of its own: `python -m tests.trainer.worker REQUEST`.

REQUEST is JSON: `settings` of the section train, `checkpoints` (a folder, or null), `out` (an .npz file for the
weights), `devices` (logical CPU devices of this worker) and `kill_after` (this worker kills itself after so many steps).
"""

import itertools
import json
import os
import signal
import sys

import keras
import numpy as np
import tensorflow as tf


def main() -> None:
    """Trains the tiny network on the images of the other tests."""
    request = json.loads(sys.argv[1])
    logical = [tf.config.LogicalDeviceConfiguration()] * request.get("devices", 1)
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)

    from restem.trainer import training as loop
    from restem.trainer.checkpoint import Checkpoints
    from restem.trainer.config import TrainConfig
    from restem.trainer.distribution import find_distribution
    from restem.trainer.input import arrays_as_split
    from restem.trainer.module import train_phases
    from tests.trainer.conftest import make_pictures, tiny_network

    steps, original = itertools.count(1), loop._Watch.on_train_batch_end

    def end(self, batch, logs=None):
        if next(steps) == request.get("kill_after"):
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, batch, logs)

    loop._Watch.on_train_batch_end = end
    distribution = find_distribution()
    keras.utils.set_random_seed(distribution.index)  # the chief's weights count
    pixels, labels = make_pictures()
    images = arrays_as_split(pixels, labels, np.full(90, "x"))
    val = arrays_as_split(pixels[:30], labels[:30], np.full(30, "x"))
    config = TrainConfig.model_validate(request["settings"])
    distribution.check(config.batch_size)
    network = tiny_network()
    checkpoints = Checkpoints(request.get("checkpoints"), "key", 0)
    training = train_phases(
        network, images, val, config, checkpoints, white=255.0, pretrained=False, distribution=distribution
    )
    history = [[epoch.loss, epoch.accuracy, epoch.validation.loss] for epoch in training.history]
    np.savez(request["out"], *network.model.get_weights(), history=history)


if __name__ == "__main__":
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    os._exit(code)  # TensorFlow's connection to workers that are gone would wait
