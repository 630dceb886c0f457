"""The head's features: the same in a file as in memory."""

import numpy as np
import pytest

from restem.trainer import features as module
from restem.trainer.features import features_of, mean_and_std, standardise
from restem.trainer.input import arrays_as_split
from tests.trainer.test_phases import NONE, accuracy


@pytest.fixture
def in_a_file(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 0)


def test_features_in_a_file_are_those_in_memory(network, split, monkeypatch):
    with features_of(network.features, split, 16) as features:
        kept = features.copy()
    assert not isinstance(features, np.memmap)
    monkeypatch.setattr(module, "MOST_BYTES", 0)
    monkeypatch.setattr(module, "ROWS", 7)
    with features_of(network.features, split, 16) as filed:
        assert isinstance(filed, np.memmap)
        np.testing.assert_allclose(filed, kept, rtol=1e-6)
        mean, std = mean_and_std(filed)
        standardise(filed, mean, std)
        np.testing.assert_allclose(filed, (kept - mean) / std, rtol=1e-5, atol=1e-6)


def test_a_split_of_a_file_gives_each_row_once_with_its_label(tmp_path):
    values = np.memmap(tmp_path / "rows", np.float32, "w+", shape=(10, 3))
    values[:] = np.arange(10)[:, None]
    labels = np.arange(10)
    split = arrays_as_split(values, labels, labels.astype(str))
    rows, found = zip(*split.epoch(4, seed=0, epoch=1), strict=True)
    assert [row.shape for row in rows] == [(4, 3), (4, 3), (2, 3)]
    assert sorted(np.concatenate(found).tolist()) == labels.tolist()
    np.testing.assert_array_equal(np.concatenate(rows)[:, 0], np.concatenate(found))
    assert np.concatenate(found).tolist() != labels.tolist()


def test_the_head_learns_from_a_file(in_a_file, train, pictures):
    done = train(**{**NONE, "head": {"epochs": 30, "learning_rate": 0.03}})
    assert accuracy(done.network, *pictures) >= 0.9
