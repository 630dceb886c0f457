"""What a network and its training need."""

import keras
import numpy as np
import pytest

from restem.run_record import Epoch
from restem.trainer.cost import PeakMemory, forward_graph, measured_cost, multiply_adds


def operations(model):
    return multiply_adds(forward_graph(model))


def test_a_resnet50_has_the_published_number_of_operations():
    """He et al. 2015 (arXiv 1512.03385), table 1: 3.8e9 multiply-adds; with the shortcuts and the head, 3.86e9."""
    backbone = keras.applications.ResNet50(weights=None, input_shape=(None, None, 3), include_top=False, pooling="avg")
    pixels = keras.Input((224, 224, 3))
    network = keras.Model(pixels, keras.layers.Dense(1000)(backbone(pixels)))
    found = operations(network)
    assert found == pytest.approx(3.86e9, rel=0.001)
    assert found == by_hand(network.layers[1], 224) + 2048 * 1000


def by_hand(backbone, side):
    """Every kernel's size times the positions of its output, which follow from the names: a count of its own."""
    sides = {"conv1": side // 2, "conv2": side // 4, "conv3": side // 8, "conv4": side // 16, "conv5": side // 32}
    convolutions = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 53
    return sum(int(np.prod(layer.kernel.shape)) * sides[layer.name[:5]] ** 2 for layer in convolutions)


def test_what_is_not_seen_is_not_counted():
    """Keras puts a grouped convolution into a function of its own on processors."""
    plain = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Conv2D(6, 3), keras.layers.DepthwiseConv2D(3)])
    assert operations(plain) == 6 * 6 * 6 * 9 * 4 + 4 * 4 * 6 * 9
    grouped = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Conv2D(6, 3, groups=2)])
    assert operations(grouped) in (None, 6 * 6 * 6 * 9 * 2)


def test_the_peak_is_that_of_the_time_since_it_was_asked_for():
    import psutil

    first = np.ones(300 * 2**17)  # 300 MiB
    del first
    before = psutil.Process().memory_info().rss / 2**20
    peak = PeakMemory()
    assert before - 20 < peak.process_mib < before + 150
    second = np.ones(200 * 2**17)
    assert peak.process_mib > before + 150
    del second
    assert peak.device_mib is None or peak.device_mib >= 0


def test_seconds_are_summed_by_phase(network):
    epochs = [Epoch("head", 1, 0, 0, 0.5, 1), Epoch("head", 2, 0, 0, 0.25, 1), Epoch("all", 1, 0, 0, 2.0, 1)]
    cost = measured_cost(forward_graph(network.model), epochs, PeakMemory())
    assert cost.seconds == {"head": 0.75, "all": 2.0}
    assert cost.multiply_adds == 6 * 6 * 4 * 9 + 4 * 4 * 6 * 9 * 4 + 6 * 3
    assert cost.memory_mib > 50
