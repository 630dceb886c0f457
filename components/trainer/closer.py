"""A closer look at the candidate's test images, after its evaluation; see closer_record.py for the files."""

import logging
from dataclasses import replace

import numpy as np

from restem import files
from restem.closer_record import PICTURES, Explained, Saliency, write_neighbours, write_saliency
from restem.images.config import ImageConfig
from restem.images.panels import panels
from restem.images.small import encode_small, to_8_bits
from restem.record_files import Folder
from restem.run_record import Evaluation
from restem.trainer.input import Split
from restem.trainer.neighbours import find_neighbours
from restem.trainer.network import Network
from restem.trainer.saliency import NoMaps, choose, enlarged, grad_cam, last_maps, overlay

log = logging.getLogger("restem")


def look_closer(
    folder: Folder,
    network: Network,
    train: Split,
    test: Split,
    evaluation: Evaluation,
    image: ImageConfig,
    batch_size: int,
) -> None:
    """Writes features.npz, saliency.json and their pictures.

    They illustrate the result of a training of hours, so an unexpected error in them is a warning, and the report does
    without them.

    Args:
      folder: the run's.
      network: after its training.
      train, test: the images.
      evaluation: the network's predictions on `test`.
      image: the network's input.
      batch_size: images in a batch.
    """
    try:
        _write_neighbours(folder, network, train, test, image, batch_size)
        _write_saliency(folder, network, test, evaluation, image)
    except Exception:
        log.warning("The report has no closer look at the test images: Unexpected error", exc_info=True)


def _save(folder: Folder, name: str, pixels: np.ndarray) -> str:
    content, media_type = encode_small(pixels)
    file = f"{name}.{media_type.removeprefix('image/')}"
    files.write(f"{folder}/{PICTURES}/{file}", content)
    return file


def _write_neighbours(
    folder: Folder, network: Network, train: Split, test: Split, image: ImageConfig, batch_size: int
) -> None:
    found, pixels = find_neighbours(network.features, train, test, batch_size, float(image.white))
    files = {}
    for i, (path, one) in enumerate(pixels.items()):
        files[path] = _save(folder, f"train-{i:02}", enlarged(to_8_bits(panels(one, image.names)[0][1])))
    write_neighbours(folder, replace(found, pictures=files))


def _write_saliency(folder: Folder, network: Network, test: Split, evaluation: Evaluation, image: ImageConfig) -> None:
    try:
        maps = last_maps(network)
    except NoMaps as reason:
        log.info("No saliency pictures: %s", reason)
        write_saliency(folder, Saliency(skipped=str(reason)))
        return
    mistakes, right = choose(evaluation)
    places = np.unique(np.array([*mistakes, *right], np.int64))
    if not len(places):
        write_saliency(folder, Saliency(skipped="there is no test image"))
        return
    pixels = test.at(places)
    heat = grad_cam(maps, network.head, pixels, evaluation.predicted[places])
    order = {int(place): i for i, place in enumerate(places)}

    def explained(place: int) -> Explained:
        i = order[place]
        caption, panel = panels(pixels[i], image.names)[0]
        picture = enlarged(to_8_bits(panel))
        return Explained(
            path=evaluation.paths[place],
            label=evaluation.classes[evaluation.labels[place]],
            predicted=evaluation.classes[evaluation.predicted[place]],
            confidence=float(evaluation.confidence[place]),
            shown=caption if image.count not in (1, 3) else "",
            seen=_save(folder, f"seen-{i:02}", picture),
            heat=_save(folder, f"heat-{i:02}", overlay(picture, heat[i])),
        )

    rows, columns = maps.size
    write_saliency(
        folder,
        Saliency(tuple(map(explained, mistakes)), tuple(map(explained, right)), maps.layer, rows, columns),
    )
