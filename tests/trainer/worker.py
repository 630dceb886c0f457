"""Workers of a distributed training as processes: `python -m tests.trainer.worker GROUPS`.

GROUPS is JSON, a list of groups, which run one after the other. A group is a list of workers, which train together. A
worker has `settings` of the section train, `out` (an .npz file for the weights), and where wanted `checkpoints` (a
folder), `devices` (logical CPU devices), `trainings` (how many follow each other, as with `train.repeats`; the last one
counts) and `kill_after`: when it is started for the first time, it kills itself after so many steps. A worker that ends
with an error is started again, as an orchestrator would do it.

The last line of the output is JSON: for each group the exit codes in their order, with the workers' numbers.

The processes are forks of this one, which has imported everything and has computed nothing yet: imports take longer
than all the training here.
"""

import itertools
import json
import os
import signal
import socket
import sys
import traceback

import keras
import numpy as np
import tensorflow as tf

from restem.trainer import training as loop
from restem.trainer.checkpoint import Checkpoints
from restem.trainer.config import TrainConfig
from restem.trainer.distribution import find_distribution, mirrored
from restem.trainer.input import arrays_as_split
from restem.trainer.module import train_phases
from tests.trainer.conftest import make_pictures, tiny_network, weighted_split

STARTS = 8  # of one group's workers, all together


def work(request: dict) -> None:
    """Trains the tiny network on the images of the other tests."""
    devices = request.get("devices", 1)
    if devices > 1:
        logical = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    steps, original = itertools.count(1), loop._Watch.on_train_batch_end

    def end(self, batch, logs=None):
        if next(steps) == request.get("kill_after"):
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, batch, logs)

    loop._Watch.on_train_batch_end = end
    distribution = mirrored([f"CPU:{i}" for i in range(devices)]) if devices > 1 else find_distribution()
    pixels, labels = make_pictures()
    config = TrainConfig.model_validate(request["settings"])
    for _ in range(request.get("trainings", 1)):
        keras.backend.clear_session()
        keras.utils.set_random_seed(distribution.index)  # the chief's weights count
        network = tiny_network()
        training = train_phases(
            network,
            weighted_split(pixels, labels),
            arrays_as_split(pixels[:30], labels[:30], np.full(30, "x")),
            config,
            Checkpoints(request.get("checkpoints"), "key", 0),
            white=255.0,
            pretrained=False,
            distribution=distribution,
        )
    history = [[epoch.loss, epoch.accuracy, epoch.validation.loss] for epoch in training.history]
    np.savez(request["out"], *network.model.get_weights(), history=history)


def start(request: dict, config: str | None) -> int:
    """Starts a process; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if config:
            os.environ["TF_CONFIG"] = config
        work(request)
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)  # the connection to workers that are gone would wait


def run(group: list[dict]) -> list[tuple[int, int]]:
    """Runs a group to its end; returns numbers and exit codes."""
    sockets = [socket.socket() for _ in group]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]}
    for each in sockets:
        each.close()
    configs = [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) if len(group) > 1 else None
        for i in range(len(group))
    ]
    running = {start(request, config): i for i, (request, config) in enumerate(zip(group, configs, strict=True))}
    ended, starts = [], len(group)
    while running:
        pid, status = os.wait()
        number, code = running.pop(pid), os.waitstatus_to_exitcode(status)
        ended.append((number, code))
        if code not in (0, 1) and starts < STARTS:
            starts += 1
            again = {key: value for key, value in group[number].items() if key != "kill_after"}
            running[start(again, configs[number])] = number
        elif code:
            for other in running:
                os.kill(other, signal.SIGKILL)
    return ended


if __name__ == "__main__":
    print(json.dumps([run(group) for group in json.loads(sys.argv[1])]))
