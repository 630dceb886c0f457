import csv

import imagecodecs
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from restem.errors import RestemError
from restem.pipeline.config import load_config
from restem.pipeline.datasets.inspection import inspect
from restem.pipeline.datasets.proposal import propose
from restem.pipeline.preflight import check_images
from restem.pipeline.preflight_network import check_stem


def make(folder, sizes, *, colour=True, grey_in_colour=False, count=20):
    rng = np.random.default_rng(0)
    for name, number in (("a", count), ("b", count)):
        (folder / name).mkdir(parents=True)
        for i in range(number):
            height, width = sizes[i % len(sizes)]
            pixels = rng.integers(0, 256, (height, width, 3 if colour else 1)).astype(np.uint8)
            if grey_in_colour:
                pixels = np.repeat(pixels[..., :1], 3, axis=-1)
            Image.fromarray(pixels.squeeze()).save(folder / name / f"{i}.png")
    return folder


def proposal(folder, tmp_path):
    """The proposed configuration and its text."""
    out = tmp_path / "out.yaml"
    out.write_text(propose(folder, out), encoding="utf-8")
    return load_config(out), out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("sizes", "size", "small"),
    [
        ([(8, 8)], 32, True),
        ([(60, 60), (64, 70)], 64, True),
        ([(300, 400), (600, 800)], (168, 224), False),
        ([(120, 120)], 120, False),
        ([(40, 160)], (40, 160), False),
    ],
)
def test_size_and_stem_follow_the_images(tmp_path, sizes, size, small):
    config, _ = proposal(make(tmp_path / "images", sizes), tmp_path)
    if isinstance(size, tuple):
        assert (config.image.height, config.image.width) == size
    else:
        assert abs(config.image.height - size) <= 3
        assert config.image.height == config.image.width
    assert config.stem.small_images == small


@pytest.mark.parametrize(("kind", "channels"), [({"colour": False}, 1), ({"grey_in_colour": True}, 1), ({}, 3)])
def test_channels_follow_the_pixels(tmp_path, kind, channels):
    config, _ = proposal(make(tmp_path / "images", [(40, 40)], **kind), tmp_path)
    assert config.image.channels == channels


def test_every_value_has_a_reason_and_the_file_passes_all_checks(tmp_path):
    folder = make(tmp_path / "images: ü", [(40, 40)])
    config, text = proposal(folder, tmp_path)
    check_images(config)
    assert inspect(config).problem is None
    assert config.data.path == str(folder)
    for line in text.splitlines():
        if line.startswith("  ") and "path:" not in line:
            assert "  # " in line, line
    assert config.name == "images"
    assert set(yaml.safe_load(text)) == {"name", "data", "image", "model", "stem", "train", "evaluate"}


def test_bad_files_raise_the_limit_so_that_the_run_starts(tmp_path):
    folder = make(tmp_path / "images", [(40, 40)])
    for i in range(5):
        (folder / "a" / f"bad{i}.png").write_text("x")
    config, _ = proposal(folder, tmp_path)
    assert config.data.max_quarantined > 5 / 45
    assert inspect(config).problem is None


def test_given_splits_and_imbalance_are_shown(tmp_path):
    make(tmp_path / "images" / "train", [(40, 40)], count=30)
    make(tmp_path / "images" / "test", [(40, 40)], count=5)
    for i in range(10, 30):
        (tmp_path / "images" / "train" / "b" / f"{i}.png").unlink()
    config, text = proposal(tmp_path / "images", tmp_path)
    assert "own train/ and test/: 40 and 10 images" in text
    assert "test_share" not in text
    not_worse, better = config.evaluate.requirements
    assert not_worse.not_worse_than_baseline_by == 0.35
    assert "a loss of 35 points against the stock ResNet can be seen with 10 test images" in text
    assert "for 0.02 about 1,700 would do" in text
    assert better.better_than_largest_class_by == 0
    assert "a 35, b 15" in text
    # Weights follow the images that are trained on: 30 against 10.
    assert config.train.balance == "weights"
    assert "3 times the training images of the smallest" in text


def test_validation_balance_and_augmentation_follow_the_classes(tmp_path):
    folder = make(tmp_path / "images", [(40, 40)], count=60)
    config, text = proposal(folder, tmp_path)
    assert (config.data.val_share, config.train.keep, config.train.metric) == (0.1, "best", "accuracy")
    assert (config.train.balance, config.train.augment.translation) == ("none", 0.05)
    assert not config.train.augment.flip_horizontal
    assert f"restem inspect --config {tmp_path / 'out.yaml'} --augmented" in text
    assert "mirrored or turned" in text
    for i in range(20):
        (folder / "a" / f"more{i}.png").write_bytes((folder / "a" / "0.png").read_bytes())
    for path in sorted((folder / "b").iterdir())[20:]:
        path.unlink()
    config, text = proposal(folder, tmp_path)
    # 16 training images of b: a tenth of them is not enough to choose by.
    assert (config.data.val_share, config.train.keep, config.train.balance) == (0.0, "last", "weights")
    assert "no val_share: the smallest class has only 16 training images" in text
    assert "4 times the training images of the smallest" in text


def test_no_readable_image_is_an_error(tmp_path):
    folder = make(tmp_path / "images", [(40, 40)])
    for path in folder.rglob("*.png"):
        path.write_text("x")
    with pytest.raises(RestemError, match="readable"):
        propose(folder, None)


def test_a_manifest_gets_its_columns_groups_weights_and_split(tmp_path):
    make(tmp_path / "images", [(40, 40)], count=40)
    rows = [f"images/{'ab'[i % 2]}/{i // 2}.png,{'ab'[i % 2]},p{i % 13},{1 + i % 3},s{i % 2}" for i in range(80)]
    (tmp_path / "All scans.csv").write_text("\n".join(["file,class,patient,weight,scanner", *rows]))
    out = tmp_path / "out.yaml"
    out.write_text(propose(tmp_path / "All scans.csv", out), encoding="utf-8")
    config = load_config(out)
    assert (config.name, config.data.path) == ("all-scans", str(tmp_path / "All scans.csv"))
    assert (config.data.group, config.data.weight, config.data.metadata) == ("patient", "weight", ("scanner",))
    assert config.evaluate.slices == ("scanner",)
    assert inspect(config).problem is None
    for line in out.read_text().splitlines():
        if line.startswith("  ") and "path:" not in line:
            assert "  # " in line, line


def test_names_do_not_become_keys_of_the_configuration(tmp_path):
    folder = make(tmp_path / "images\nmodel: {weights: evil.h5}", [(40, 40)], count=20)
    (folder / "a").rename(folder / "a\nmodel: {weights: evil.h5}")
    (folder / "b").rename(folder / "# b: [}, *x &y !!python 'z\x1b[2J")
    config, text = proposal(folder, tmp_path)
    assert config.model.weights == "imagenet"
    assert config.data.path == str(folder)
    assert config.data.classes == (r"# b: [}, *x &y !!python 'z\x1b[2J", r"a\nmodel: {weights: evil.h5}")
    assert all(line.isprintable() for line in text.splitlines())
    rows = [f"{path.relative_to(tmp_path)!s},{i % 2},x" for i, path in enumerate(folder.rglob("*.png"))]
    table = tmp_path / "all.csv"
    with table.open("w", newline="") as file:
        names = ["path", "label", "site\nmodel: {weights: evil.h5}"]
        csv.writer(file).writerows([names, *([row.rsplit(",", 2)[0], i % 2, i % 3] for i, row in enumerate(rows))])
    config, text = proposal(table, tmp_path)
    assert config.model.weights == "imagenet"
    assert config.data.metadata == (names[2],)


def test_rows_that_lead_outside_are_a_question(tmp_path):
    images = make(tmp_path / "images", [(40, 40)], count=30)
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "all.csv"
    names = [f"../images/{'ab'[i % 2]}/{i // 2}.png,{'ab'[i % 2]}" for i in range(60)]
    table.write_text("\n".join(["path,label", *names]))
    with pytest.raises(RestemError, match=r"60 of 60 files are outside .*If you trust .*data\.allow_outside: true"):
        propose(table, None)
    out = tmp_path / "out.yaml"
    out.write_text(propose(table, out, given={"allow_outside": True}), encoding="utf-8")
    assert "  allow_outside: true  # as given to restem init" in out.read_text().splitlines()
    assert len(inspect(load_config(out)).quarantined) == 0
    table.write_text("\n".join(["path,label", *(name.replace("../images/", "") for name in names), names[0]]))
    told = propose(table, None, given={"images_folder": f"{images}"})
    assert "# Please check: 1 file is not read, such as ../images/" not in told, "images_folder allows it"
    (tmp_path / "more").mkdir()
    (images / "a" / "0.png").rename(tmp_path / "more" / "0.png")
    table.write_text(table.read_text().replace("\na/0.png", f"\n{tmp_path}/more/0.png").replace(f"\n{names[0]}", ""))
    told = propose(table, None, given={"images_folder": f"{images}"})
    assert f"# Please check: 1 file is not read, such as {tmp_path}/more/0.png: it is outside the data folder" in told
    assert "data.allow_outside: true" in told


def test_classes_with_few_images_have_test_images(tmp_path):
    config, text = proposal(make(tmp_path / "images", [(40, 40)], count=6), tmp_path)
    assert config.data.split is None
    assert inspect(config).problem is None
    assert "the same share of each class" in text


def test_classes_with_few_groups_have_test_images(tmp_path):
    make(tmp_path / "images", [(40, 40)], count=12)
    rows = [f"images/{'ab'[i % 2]}/{i // 2}.png,{'ab'[i % 2]},p{i % 6}" for i in range(24)]
    (tmp_path / "scans.csv").write_text("\n".join(["file,class,patient", *rows]))
    config, text = proposal(tmp_path / "scans.csv", tmp_path)
    assert (config.data.split, config.data.group) == ("stratified", "patient")
    assert inspect(config).problem is None
    assert "groups stay together" in text


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_tfrecord_files_get_their_features(tmp_path, compression):
    import tensorflow as tf

    folder = make(tmp_path / "images", [(40, 40)], count=30)
    (tmp_path / "records").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "records" / "x.tfrecord"), compression) as writer:
        for path in sorted(folder.rglob("*.png")):
            features = {
                "image/encoded": [path.read_bytes()],
                "image/class/text": [path.parent.name.encode()],
                "image/format": [b"png"],
                "site": [b"north" if path.stem < "2" else b"south"],
            }
            feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for name, v in features.items()}
            feature["boxes"] = tf.train.Feature(float_list=tf.train.FloatList(value=[0.0, 1.0]))
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    out = tmp_path / "out.yaml"
    out.write_text(propose(tmp_path / "records", out), encoding="utf-8")
    config = load_config(out)
    assert config.data.features.model_dump(exclude_none=True) == {"image": "image/encoded", "label": "image/class/text"}
    assert (config.data.layout, config.data.metadata) == ("tfrecord", ("site",))
    found = inspect(config)
    assert (found.problem, found.classes, sum(found.formats.values())) == (None, ("a", "b"), 60)
    check_images(config)


def write_bands(folder, *, dtype=np.uint8, names=None, channels=5):
    rng = np.random.default_rng(0)
    items = "".join(f'<Item name="DESCRIPTION" sample="{i}">{name}</Item>' for i, name in enumerate(names or ()))
    tags = [(42112, "s", 0, f"<GDALMetadata>{items}</GDALMetadata>", True)] if names else []
    for name in ("field", "forest"):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 3000 if dtype == np.uint16 else 256, (40, 40, channels)).astype(dtype)
            tifffile.imwrite(
                folder / name / f"{i}.tif", pixels, photometric="minisblack", planarconfig="contig", extratags=tags
            )
    return folder


def test_band_names_in_the_files_are_proposed_and_explained(tmp_path):
    folder = write_bands(tmp_path / "scenes", names=["blue", "green", "red", "nir"], channels=4)
    config, text = proposal(folder, tmp_path)
    assert config.image.bands == ("blue", "green", "red", "nir")
    assert config.stem.extra_bands == "mean"
    assert "# nir: start at the mean of the pretrained kernels" in text
    assert (config.image.bits, config.image.normalise) == (8, "source")
    check_stem(config)
    assert inspect(config).problem is None


def test_unnamed_bands_need_a_review_and_16_bit_bands_are_normalised(tmp_path):
    folder = write_bands(tmp_path / "scenes", dtype=np.uint16)
    (folder / "field" / "0.tif").write_bytes(b"II*\0")  # The first sampled file is damaged.
    config, text = proposal(tmp_path / "scenes", tmp_path)
    assert config.image.bands == ("band_1", "band_2", "band_3", "band_4", "band_5")
    assert config.image.bits == 16
    assert "rename the bands that are red, green and blue" in text
    assert config.image.normalise == "dataset"
    check_stem(config)
    assert inspect(config).problem is None


@pytest.mark.parametrize("kind", ["npy", "tif", "png"])
@pytest.mark.parametrize("grey", [False, True])
def test_16_bit_colours_are_read_unconverted(tmp_path, kind, grey):
    """12 bits in 16: an 8-bit reader would see only 16 levels."""
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.repeat(rng.integers(0, 4096, (40, 40, 1)), 3, axis=-1).astype(np.uint16)
            pixels[..., 1] += 0 if grey else 3
            file = tmp_path / "images" / name / f"{i}.{kind}"
            if kind == "npy":
                np.save(file, pixels)
            elif kind == "tif":
                tifffile.imwrite(file, pixels, photometric="rgb")
            else:
                file.write_bytes(imagecodecs.png_encode(pixels))
    config, text = proposal(tmp_path / "images", tmp_path)
    assert (config.image.channels, config.image.bits, config.image.normalise) == (1 if grey else 3, 16, "dataset")
    assert "up to 16 bits" in text
    assert inspect(config).problem is None


def test_an_alpha_channel_with_image_content_becomes_a_band(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 256, (40, 40, 4)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    config, text = proposal(tmp_path / "images", tmp_path)
    assert config.image.bands == ("red", "green", "blue", "band_4")
    assert config.stem.extra_bands == "mean"
    assert "the files call the last one alpha, but it has image content; channels: 3 drops it" in text
    check_stem(config)
    assert inspect(config).problem is None


def test_a_quarter_of_the_images_is_never_left_out_by_the_proposal(tmp_path):
    make(tmp_path / "images", [(40, 40)], count=40)
    rows = [f"images/{'ab'[i % 2]}/{i // 2}.png,{'ab'[i % 2] if i % 4 else 'nan'}" for i in range(80)]
    (tmp_path / "scans.csv").write_text("\n".join(["path,label", *rows]))
    config, text = proposal(tmp_path / "scans.csv", tmp_path)
    assert config.data.max_quarantined == 0.05
    assert "restem run will STOP" in text
    assert "20 x the label 'nan' means that it is missing" in text
    assert "20 of 80 files would go to quarantine" in str(inspect(config).problem)


def test_a_table_as_people_have_it_is_proposed_and_inspected_alike(tmp_path):
    """No header, spaces, names without extension in another folder, a probability as label."""
    make(tmp_path / "images", [(40, 40)], count=20)
    levels = ("0.0", "0.3333", "0.6667", "1.0")
    rows = [f"{'ab'[i % 2]}/{i // 2} {levels[i % 4]}" for i in range(40)]
    (tmp_path / "scans.csv").write_text("\n".join(rows))
    with pytest.raises(RestemError, match="numbers to predict"):
        propose(tmp_path / "scans.csv", None)
    out = tmp_path / "out.yaml"
    out.write_text(propose(tmp_path / "scans.csv", out, given={"label_threshold": 0.5}), encoding="utf-8")
    config, text = load_config(out), out.read_text(encoding="utf-8")
    assert (config.data.delimiter, config.data.header, config.data.label_threshold) == (" ", False, 0.5)
    assert "found in images/, such as images/a/0.png for a/0" in text
    found = inspect(config)
    assert (found.problem, found.classes, found.quarantined) == (None, ("0.5 or more", "below 0.5"), ())
    assert sum(sum(counts.values()) for counts in found.counts.values()) == 40


def test_a_folder_of_parquet_files_with_images_is_proposed(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = make(tmp_path / "images", [(40, 40)], count=30)
    (tmp_path / "hub").mkdir()
    for part, numbers in (("train", range(24)), ("test", range(24, 30))):
        rows = [(f"{name}/{i}.png", at) for i in numbers for at, name in enumerate("ab")]
        images = [{"bytes": (folder / path).read_bytes(), "path": path} for path, _ in rows]
        table = pa.table({"image": images, "label": [label for _, label in rows]})
        pq.write_table(table, tmp_path / "hub" / f"{part}-00000-of-00001.parquet")
    config, text = proposal(tmp_path / "hub", tmp_path)
    assert (config.data.path, config.data.columns.path) == (str(tmp_path / "hub" / "*.parquet"), "image")
    assert "the names of the tables give the split of each image: 48 and 12 images" in text
    assert config.name == "hub"
    found = inspect(config)
    assert (found.problem, found.classes, found.quarantined) == (None, ("0", "1"), ())
    assert {split: sum(counts.values()) for split, counts in found.counts.items()} == {"train": 48, "test": 12}


def write_floats(folder, value, *, declared=None, kind="tif", channels=1):
    """Two classes of 20 float images from 0.25 to 0.75; in every second, a quarter of the pixels has this value."""
    rng = np.random.default_rng(0)
    tags = [(42113, "s", 0, declared, True)] if declared else []
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.uniform(0.25, 0.75, (24, 24, channels)).astype(np.float32)
            pixels[0, 0], pixels[-1, -1] = (0.25, 0.75)
            if i % 2:
                pixels[:6] = value
            if kind == "npy":
                np.save(folder / name / f"{i}.npy", pixels)
            else:
                layout = {"photometric": "minisblack", "planarconfig": "contig" if channels > 1 else None}
                tifffile.imwrite(folder / name / f"{i}.tif", pixels.squeeze(), extratags=tags, **layout)
    return folder


@pytest.mark.parametrize(
    ("value", "files", "nodata", "why"),
    [
        (np.nan, {"kind": "npy", "channels": 3}, "nan", "20 of 40 sampled files have NaN or infinity"),
        (-9999.0, {"declared": "-9999", "channels": 4}, -9999.0, "40 of 40 sampled files declare it (GDAL's tag)"),
        (np.inf, {}, "nan", "20 of 40 sampled files have NaN or infinity, and are refused without it"),
    ],
)
def test_floating_point_gets_a_range_without_values_that_are_no_data(tmp_path, value, files, nodata, why):
    config, text = proposal(write_floats(tmp_path / "scenes", value, **files), tmp_path)
    assert (config.image.nodata, config.image.value_range) == (nodata, (0.25, 0.75))
    assert why in text
    assert "smallest and largest value in the sampled files, without those that are no data" in text
    if files.get("channels") == 3:
        assert config.image.channels == 3  # The channels differ, though all values are below 1.
    found = inspect(config)
    assert (found.problem, found.missing.files, found.missing.share) == (None, 20, 0.25)
    (told,) = [note for note in found.notes if note.startswith("No data: 20 of 40 images")]
    assert "25.0% of their pixels on average" in told


def test_a_declared_value_is_told_but_not_used(tmp_path):
    folder = write_floats(tmp_path / "scenes", -9999.0, declared="-9999")
    config, _ = proposal(folder, tmp_path)
    plain = load_config(tmp_path / "out.yaml", ["image.nodata=null"])
    found = inspect(plain)
    (told,) = [note for note in found.notes if "GDAL's tag" in note]
    assert told.startswith(
        "40 of 40 images declare a value for no data (GDAL's tag: -9999 in 40), but image.nodata is not"
    )
    assert found.to_dict()["nodata"]["declared"] == {"-9999": 40}
    strict = inspect(config.model_copy(update={"image": config.image.model_copy(update={"max_nodata": 0.2})}))
    assert len(strict.quarantined) == 20
    assert strict.quarantined[0].reason == (
        "25.0% of its pixels have no data (image.nodata: -9999); the limit is image.max_nodata (0.2)."
    )


def test_a_declared_value_is_not_proposed_among_jpegs(tmp_path):
    folder = make(tmp_path / "images", [(40, 40)], colour=False)
    for name in "ab":
        for i in range(4):
            pixels = np.random.default_rng(i).integers(0, 256, (40, 40)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.jpg")
            tifffile.imwrite(folder / name / f"{i}.tif", pixels, extratags=[(42113, "s", 0, "0", True)])
    config, text = proposal(folder, tmp_path)
    assert config.image.nodata is None
    assert "# nodata: 0 would be right for some files: 8 of" in text
    assert "have no exact values (JPEG and others), and would be quarantined" in text
