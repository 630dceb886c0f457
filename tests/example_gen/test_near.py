"""Images that look the same in several splits. The rates on real images are in the README of this component."""

import io

import numpy as np
import pytest
from PIL import Image

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import TEST, TRAIN, VAL
from restem.example_gen.near import Look, check_near, find_near, look_of
from restem.images.container import to_decodable


def scene(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """A smooth random picture; size is (width, height)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def file_of(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def looks(*images: tuple[str, str, bytes]) -> list[Look]:
    found = []
    for path, split, data in images:
        values = look_of(data)
        assert values is not None
        found.append(Look(path, "c", split, values))
    return found


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@pytest.mark.parametrize(
    ("change", "flip"),
    [
        (lambda image: file_of(image.resize((48, 36), Image.Resampling.BICUBIC)), False),
        (lambda image: file_of(image.resize((200, 100), Image.Resampling.BILINEAR)), False),
        (lambda image: file_of(image, "JPEG", quality=40), False),
        (lambda image: file_of(image.point(lambda value: min(255, int(value * 1.15 + 8)))), False),
        (lambda image: file_of(image.convert("L")), False),
        (lambda image: file_of(mirrored(image), "JPEG", quality=75), True),
        (lambda image: to_decodable(np.asarray(image, np.uint16) * 257), False),
    ],
)
def test_changed_copies_are_found(change, flip):
    originals = [(f"train/{seed}.png", TRAIN, file_of(scene(seed))) for seed in range(60)]
    copies = [(f"test/{seed}.png", TEST, change(scene(seed))) for seed in range(0, 60, 6)]
    others = [(f"test/new-{seed}.png", TEST, file_of(scene(seed))) for seed in range(100, 140)]
    found = find_near(looks(*originals, *copies, *others))
    pairs = {(pair.first.path, pair.second.path, pair.mirrored) for pair in found.pairs}
    assert pairs == {(f"test/{seed}.png", f"train/{seed}.png", flip) for seed in range(0, 60, 6)}
    assert found.sentence.startswith("10 images look like one in another split")


def test_the_rotation_in_a_photograph_is_applied():
    turned = scene(1).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 270 degrees
    found = find_near(
        looks(("a", TRAIN, file_of(scene(1))), ("b", TEST, file_of(turned, "JPEG", quality=95, exif=exif)))
    )
    assert [(pair.first.path, pair.mirrored) for pair in found.pairs] == [("b", False)]


def test_images_of_one_split_are_not_compared_and_all_pairs_of_splits_are():
    data = file_of(scene(1))
    assert find_near(looks(("a", TRAIN, data), ("b", TRAIN, data))).pairs == ()
    found = find_near(looks(("a", TRAIN, data), ("b", VAL, data), ("c", TEST, data)))
    assert {(pair.first.path, pair.second.path) for pair in found.pairs} == {("b", "a"), ("c", "a"), ("c", "b")}
    assert found.without({"a", "b"}).pairs == tuple(pair for pair in found.pairs if pair.first.path == "c")


def test_plain_and_unreadable_images_are_not_compared():
    assert look_of(file_of(Image.new("RGB", (40, 40), (9, 9, 9)))) is None
    assert look_of(b"no image") is None
    assert find_near([], plain=3).plain == 3


def test_a_line_keeps_the_look():
    (look,) = looks(("a\nb", TEST, file_of(scene(3))))
    assert "\n" not in look.to_line()
    assert Look.from_line(look.to_line()) == look


def test_they_stop_a_run_only_if_they_are_not_allowed():
    data = file_of(scene(1))
    found = find_near(looks(("a\x1b", TRAIN, data), ("b", TEST, data)))
    for allowed in (None, True):
        check_near(found, DataConfig(path="d", allow_near_duplicates=allowed), "d")
    with pytest.raises(RestemError, match=r"1 image looks like .*allow_near_duplicates: true:\n  b \(test\) ~ a\\x1b"):
        check_near(found, DataConfig(path="d", allow_near_duplicates=False), "d")
