"""What a closer look at a network's test images found; the Trainer writes it into the candidate's run.

    features.npz   `Neighbours`: the most similar training image of each test image
    saliency.json  `Saliency`: what the network looked at in some test images
    pictures/      small pictures of both, PNG or JPEG

Either file may say in place of results why there are none.
"""

from dataclasses import asdict, dataclass, field

import numpy as np

from restem.record_files import VERSION, DamagedRecord, Folder, parse, read_arrays, write_arrays, write_json

FEATURES, SALIENCY, PICTURES = "features.npz", "saliency.json", "pictures"


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest training images, by the network's features.

    Attributes:
      paths: n test images.
      distance: float32 [n], 0..2: 1 minus the correlation of their standardised features with the nearest ones.
      nearest: the n nearest training images.
      difference: float32 [n], 0..1: the mean absolute difference of the two images' pixels, as a share of the largest
        value; not measured: NaN.
      pictures: of some training images, file names in the folder `pictures`, by path.
      compared, train_images: how many training images were searched, of how many.
      test_images: how many test images there are.
      skipped: why there is no result; empty: there is one.
    """

    paths: tuple[str, ...] = ()
    distance: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    nearest: tuple[str, ...] = ()
    difference: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    pictures: dict[str, str] = field(default_factory=dict)
    compared: int = 0
    train_images: int = 0
    test_images: int = 0
    skipped: str = ""


@dataclass(frozen=True)
class Explained:
    """What the network looked at in one test image, for the class that it predicted.

    Attributes:
      path, label, predicted: the image, its class, and the predicted one.
      confidence: the probability of the predicted class, 0..1.
      shown: the channel or colours in the pictures.
      seen, heat: file names in the folder `pictures`: the image as the network takes it, and the same with the map.
    """

    path: str
    label: str
    predicted: str
    confidence: float
    shown: str
    seen: str
    heat: str


@dataclass(frozen=True)
class Saliency:
    """Grad-CAM (Selvaraju et al. 2017) of some test images.

    Attributes:
      mistakes: the most confident ones.
      right: of some classes the most confident right answer.
      layer: whose output was weighted, and its `height` and `width` in positions.
      skipped: why there is no result; empty: there is one.
    """

    mistakes: tuple[Explained, ...] = ()
    right: tuple[Explained, ...] = ()
    layer: str = ""
    height: int = 0
    width: int = 0
    skipped: str = ""
    version: int = VERSION


def write_neighbours(folder: Folder, found: Neighbours) -> None:
    """Writes features.npz."""
    write_arrays(
        folder,
        FEATURES,
        path=np.array(found.paths, str),
        distance=found.distance.astype(np.float32),
        nearest=np.array(found.nearest, str),
        difference=found.difference.astype(np.float32),
        picture=np.array(list(found.pictures.items()), str).reshape(-1, 2),
        counts=np.array([found.compared, found.train_images, found.test_images]),
        skipped=np.array(found.skipped),
    )


def read_neighbours(folder: Folder) -> Neighbours:
    """Reads features.npz.

    Raises:
      DamagedRecord: it cannot be used.
    """
    paths, distance, nearest, difference, pictures, counts, skipped = read_arrays(
        folder, FEATURES, "path", "distance", "nearest", "difference", "picture", "counts", "skipped"
    )
    try:
        compared, train_images, test_images = map(int, counts)
        return Neighbours(
            tuple(paths.tolist()),
            distance,
            tuple(nearest.tolist()),
            difference,
            {str(path): str(name) for path, name in pictures.tolist()},
            compared,
            train_images,
            test_images,
            str(skipped),
        )
    except ValueError as error:
        raise DamagedRecord(f"{FEATURES} is damaged: {error}") from None


def write_saliency(folder: Folder, found: Saliency) -> None:
    """Writes saliency.json."""
    write_json(folder, SALIENCY, asdict(found))


def read_saliency(folder: Folder) -> Saliency:
    """Reads saliency.json.

    Raises:
      DamagedRecord: it cannot be used.
    """
    return parse(folder, SALIENCY, Saliency)
