import keras

from restem.trainer import speed


def test_a_larger_image_takes_longer(monkeypatch):
    def tiny(backbone, weights):
        assert (backbone, weights) == ("ResNet50", "none")
        layers = [keras.layers.Conv2D(16, 7, padding="same", activation="relu"), keras.layers.GlobalAveragePooling2D()]
        return keras.Sequential(layers)

    monkeypatch.setattr(speed, "load_backbone", tiny)
    small, large = speed.seconds_per_image("ResNet50", [(16, 16), (256, 256)])
    assert 0 < small < large
