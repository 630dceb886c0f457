"""Tables as people have them: each is read as it was meant, or questioned."""

import io
import json
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.content import content
from restem.example_gen.layouts.labels import find_one_hot
from restem.example_gen.layouts.table import find_delimiter, has_header, read_table
from restem.example_gen.listing import check_listing, fingerprint, list_data

HEADERLESS = {"columns": {"path": "column 1", "label": "column 2"}}


@pytest.fixture
def write(tmp_path):
    """write(text, names): writes all.csv and empty image files; returns the table's path."""

    def write(text: str | bytes, names=(), name: str = "all.csv") -> str:
        for image in names:
            (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / image).touch()
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return str(tmp_path / name)

    return write


def listed(path: str, **options):
    return list_data(path, DataConfig(path=path, **options))


def table_of(names, header: str = "path,label\n", mark: str = ",") -> str:
    return header + "".join(f"{name}{mark}{'ab'[i % 2]}\n" for i, name in enumerate(names))


# --- where the files are ------------------------------------------------------------------------------------------


NUMBERS = [f"{i:04d}" for i in range(12)]


@pytest.mark.parametrize(
    ("files", "names", "note"),
    [
        (["{}.jpg"], "{}", "by adding an extension to the name, such as 0000.jpg for 0000"),
        (["scans/{}.JPG"], "scans/{}", "by adding an extension"),
        (["IMG_{}.PNG"], "img_{}.png", "differs in upper and lower case, such as IMG_0000.PNG for img_0000.png"),
        (["Scans/{}.png"], "scans/{}.png", "differs in upper and lower case"),
        (["images/{}.png"], "{}.png", "found in images/, such as images/0000.png for 0000.png"),
        (["data/images/{}.png"], "{}", "found in data/images/"),
        (["images/a/{}.png"], "a/{}.png", "found in images/"),
        (["{}.png"], r"C:\Users\me\scans\{}.png", "without the first 4 parts of their paths"),
        (["scans/{}.png"], r"C:\Users\me\scans\{}.png", "without the first 3 parts"),
        (["images/a/{}.png"], "/home/me/project/a/{}.PNG", "found in images/ without the first 3 parts"),
        (["{}.png"], r"\\server\share\{}.png", "without the first 2 parts"),
    ],
)
def test_files_are_found_where_it_is_certain(write, files, names, note):
    path = write(table_of([names.format(i) for i in NUMBERS]), [one.format(i) for one in files for i in NUMBERS])
    listing = listed(path)
    assert [file.path for file in listing.files] == [files[0].format(i) for i in NUMBERS]
    assert listing.refused == ()
    assert note in " ".join(listing.notes)


def test_file_urls_are_paths(write, tmp_path):
    path = write(table_of([f"file://{tmp_path}/{i}.png" for i in NUMBERS]), [f"{i}.png" for i in NUMBERS])
    assert len(listed(path).files) == 12


def test_images_folder_says_where_the_paths_start(write, tmp_path):
    path = write(
        table_of([f"{i}.png" for i in NUMBERS]), [f"{one}/{i}.png" for one in ("low", "high") for i in NUMBERS]
    )
    with pytest.raises(RestemError, match=r"data\.images_folder to one of .*high.*low|one of .*low.*high"):
        listed(path)
    assert {file.path for file in listed(path, images_folder="high").files} == {f"high/{i}.png" for i in NUMBERS}
    absolute = listed(path, images_folder=str(tmp_path / "low"))
    assert {file.path for file in absolute.files} == {f"low/{i}.png" for i in NUMBERS}
    with pytest.raises(RestemError, match=r"12 of 12 files .* data\.images_folder \(none\)"):
        listed(path, images_folder="none")


def test_files_that_do_not_exist_are_counted_and_the_first_place_is_named(write, tmp_path):
    path = write(table_of([f"x/{i}.png" for i in range(75)]), ["y/1.txt"])
    with pytest.raises(RestemError) as caught:
        check_listing(path, DataConfig(path=path))
    message = str(caught.value)
    assert "75 of 75 files do not exist" in message
    assert f"the first was looked for at {tmp_path}/x/0.png" in message
    assert "data.images_folder" in message
    assert "only one class" not in message


def test_what_is_not_certain_is_not_taken(write):
    """Two files of one name, another format of it, and two names that would be one file."""
    names = ["0001", "0002", "0003", *(f"x{i}.png" for i in range(9))]
    files = ["0001.jpg", "0001.png", "0002.jpg", "a.png", *(f"x{i}.png" for i in range(9))]
    listing = listed(write(table_of([*names, "0002.png"]), files))
    assert {one.path: one.reason for one in listing.refused} == {
        "0001": "Line 2: there is no such file, it may be 0001.jpg or 0001.png.",
        "0003": "Line 4: there is no such file.",
        "0002.png": "Line 14: there is no such file, but there is 0002.jpg.",
    }
    both = [f"{folder}/{i}.png" for folder in ("cat", "dog") for i in range(6)]
    with pytest.raises(RestemError, match="12 of 12 files do not exist"):
        listed(write(table_of(both, "path,label\n"), [f"all/{i}.png" for i in range(6)], "two.csv"))


# --- how the table is written -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "delimiter", "header"),
    [
        ("path;prob\nx 1.png;0,5\nx 2.png;0,25\n", ";", True),
        ("x1.png;0,5\nx2.png;0,25\n", ";", False),
        ("x1.png 0.333 mono\nx2.png   1.0   poly\n", " ", False),
        ("path label\nx1.png a\nx2.png b\n", " ", True),
        ("my cat.png,a\nmy dog.png,b\n", ",", False),
        ("x1.png\ta b\nx2.png\tc\n", "\t", False),
        ("image,0,1,2\nx1,1,0,0\nx2,0,0,1\n", ",", True),
        ("0001,a\n0002,b\n0003,a\n", ",", False),
        ("one,two\nu1,a\nu2,b\nu3,a\n", ",", True),
        ("path,label\npath,label\n", ",", True),
    ],
)
def test_delimiter_and_header_are_found(tmp_path, text, delimiter, header):
    assert find_delimiter(text) == delimiter
    (tmp_path / "all.csv").write_text(text)
    table = read_table(str(tmp_path / "all.csv"))
    assert (table.delimiter, table.header) == (delimiter, header)


def test_a_table_without_a_header_keeps_its_first_row(write):
    names = [f"cat/{i}.png" for i in range(12)]
    path = write(table_of(names, header=""), names)
    assert len(listed(path, **HEADERLESS).files) == 12
    with pytest.raises(RestemError, match=r"no header line.*path: column 1.*data.header: true"):
        listed(path)
    with pytest.raises(RestemError, match=r"columns cat/0\.png, a"):
        listed(path, **HEADERLESS, header=True)


def test_sep_in_the_first_line_names_the_delimiter(write):
    names = [f"x{i}.png" for i in range(4)]
    for first in ("sep=;\n", '"sep=;"\r\n', "SEP=;\r"):
        listing = listed(write(first + table_of([*names, ""], "path;label\n", ";"), names))
        assert [file.path for file in listing.files] == names
        assert [one.reason for one in listing.refused] == ["Line 7: the path is empty."]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_are_read(write, encoding):
    text = table_of(["x0.png", "x1.png", "x2.png"]).replace(",b", ",Käfer")
    assert listed(write(text.encode(encoding), ["x0.png", "x1.png", "x2.png"])).classes == ("Käfer", "a")


def test_another_encoding_is_refused_by_name_and_can_be_given(write):
    path = write(table_of(["x0.png", "x1.png"]).replace(",b", ",Käfer").encode("cp1252"), ["x0.png", "x1.png"])
    with pytest.raises(RestemError, match=r"line 3\).*0xe4; as Windows-1252 .*'x1.png,Käfer'.*data.encoding: cp1252"):
        listed(path)
    assert listed(path, encoding="cp1252").classes == ("Käfer", "a")
    with pytest.raises(ValueError, match="not a text encoding"):
        DataConfig(path=path, encoding="zip")


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"PK\x03\x04", "an Excel file"), (b"PAR1", "a Parquet file"), (b"\x1f\x8b\x08", "compressed with gzip")],
)
def test_other_kinds_of_tables_are_refused_by_name(write, start, kind):
    with pytest.raises(RestemError, match=f"the manifest is {kind}.*Save it as CSV"):
        listed(write(start + bytes(range(256))))


def test_equal_rows_are_counted_and_others_refused(write):
    text = "path,label\n" + "x0.png,a\nx1.png,b\n" * 3000 + "x0.png,b\n"
    listing = listed(write(text, ["x0.png", "x1.png"]))
    assert (len(listing.files), len(listing.refused)) == (2, 1)
    assert "5,998 rows repeat an earlier row and were left out." in listing.notes
    assert listing.refused[0].reason == "Line 6002: the path is already in line 2."


# --- what the labels mean -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["1", "1.0", "0", "0.0"], ("0", "1")),
        (["1.0", "2.0", "", "nan"], ("1", "2")),
        (["True", "TRUE", "false", "False"], ("false", "true")),
        (["b'cat'", 'b"dog"'], ("cat", "dog")),
        (["['cat']", "['dog']"], ("cat", "dog")),
        (["[1]", "[2]"], ("1", "2")),
        (["a", "NaN", "b", "NULL", "<NA>", "N/A"], ("a", "b")),
        (["007", "7"], ("007", "7")),
        (["1", "1.0", "other"], ("1", "other")),
        (["animal|cat", "animal|dog"], ("animal|cat", "animal|dog")),
        (["black/white", "colour"], ("black/white", "colour")),
    ],
)
def test_labels_mean_the_same_in_every_spelling(write, labels, classes):
    names = [f"x{i}.png" for i in range(len(labels))]
    text = "path;label\n" + "".join(f"{name};{label}\n" for name, label in zip(names, labels, strict=True))
    listing = listed(write(text, names))
    assert listing.classes == classes
    missing = {"", "nan", "NaN", "NULL", "<NA>", "N/A"} & set(labels)
    assert len(listing.refused) == len(missing)
    assert all("label is empty" in one.reason or "means that it is missing" in one.reason for one in listing.refused)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", "dog", "cat|dog"], r"1 of 3 images have several labels.*'cat\|dog' \(1 images\)"),
        (["No Finding", "Mass", "Mass|Nodule"], "several labels"),
        (["cat", "dog", "cat,dog"], "several labels"),
        (["['cat']", "['cat', 'dog']"], "1 of 2 images have several labels"),
        (["1", "true", "0"], "mix true and false with numbers"),
        (
            ["0.0", "0.3333333", "0.6666667", "1.0"],
            r"numbers to predict.*'0.0' \(1 images\).*data.label_threshold: 0.5",
        ),
    ],
)
def test_labels_that_are_no_classes_are_refused_with_the_values(write, labels, message):
    names = [f"x{i}.png" for i in range(len(labels))]
    text = "path;label\n" + "".join(f"{name};{label}\n" for name, label in zip(names, labels, strict=True))
    with pytest.raises(RestemError, match=message):
        listed(write(text, names))


def test_a_threshold_makes_classes_of_numbers(write):
    labels = ["0.0", "0,3333333", "0.5", "1", "much"]
    text = "path;label\n" + "".join(f"x{i}.png;{label}\n" for i, label in enumerate(labels))
    path = write(text, [f"x{i}.png" for i in range(5)])
    listing = listed(path, label_threshold=0.5)
    assert [file.label for file in listing.files] == ["below 0.5", "below 0.5", "0.5 or more", "0.5 or more"]
    assert [one.reason for one in listing.refused] == [
        "Line 6: the label 'much' is not a number, as data.label_threshold needs it."
    ]
    numbers = write(text.replace("much", "1"), [])
    assert listed(numbers, numbers_are_names=True).classes == ("0,3333333", "0.0", "0.5", "1")


def test_a_label_none_is_a_class_and_said(write):
    listing = listed(write("path,label\nx0.png,None\nx1.png,scratch\n", ["x0.png", "x1.png"]))
    assert listing.classes == ("None", "scratch")
    assert "The label 'None' (1 images) was read as a class." in listing.notes[0]


def test_one_hot_columns(write):
    names = [f"x{i}.png" for i in range(6)]
    rows = ["1,0,0", "0,1.0,0", "0,0,1", "True,False,False", "0,1,0", "0,0,1"]
    text = "image,cat,dog,fox\n" + "".join(f"{name},{row}\n" for name, row in zip(names, rows, strict=True))
    columns = {"path": "image", "one_hot": ["cat", "dog", "fox"]}
    listing = listed(write(text, names), columns=columns)
    assert [file.label for file in listing.files] == ["cat", "dog", "fox", "cat", "dog", "fox"]
    assert listing.classes == ("cat", "dog", "fox")
    with pytest.raises(RestemError, match=r"Line 4: cat 1, dog 0, fox 1.*Remove these rows"):
        listed(write(text.replace("x2.png,0,0,1", "x2.png,1,0,1"), names), columns=columns)
    with pytest.raises(RestemError, match=r"2 rows have none or several.*Line 8: cat 0, dog 0, fox 0; Line 9: cat yes"):
        listed(write(text + "x0.png,0,0,0\nx1.png,yes,0,1\n", names), columns=columns)


def test_one_hot_columns_are_found_among_others():
    one_hot = {"cat": ["1", "0", "0"], "dog": ["0", "1", "0"], "fox": ["0", "0", "1"]}
    assert find_one_hot({"day": ["1", "1", "0"], **one_hot, "n": ["5", "6", "7"]}) == (("cat", "dog", "fox"), [])
    assert find_one_hot({"cat": ["1", "0", "1"], "dog": ["0", "0", "1"]}) == (("cat", "dog"), [1, 2])
    assert find_one_hot({"cat": ["1", "0", "1"]}) == ((), [])


def test_validation_has_several_names(write):
    sides = ["train", "val", "VALID", "validation", "dev", "Test"]
    names = [f"x{i}.png" for i in range(6)]
    text = "path,label,split\n" + "".join(f"{name},a,{side}\n" for name, side in zip(names, sides, strict=True))
    listing = listed(write(text, names))
    assert [file.split for file in listing.files] == ["train", "val", "val", "val", "val", "test"]


def test_a_column_of_other_things_named_split_must_be_ignored_explicitly(write):
    names = [f"x{i}.png" for i in range(6)]
    text = "path,label,split\n" + "".join(f"{name},{'ab'[i % 2]},fold{i % 3}\n" for i, name in enumerate(names))
    path = write(text, names)
    with pytest.raises(RestemError, match=r"split names no splits.*fold0 \(2 rows\).*data.columns.split: null"):
        listed(path)
    assert len(listed(path, columns={"split": None}).files) == 6
    no_test = write(text.replace("fold0", "val").replace("fold1", "train").replace("fold2", "train"), names)
    with pytest.raises(RestemError, match="if the validation images are for testing, name their split test"):
        check_listing(no_test, DataConfig(path=no_test))


# --- Parquet --------------------------------------------------------------------------------------------------------


def png(level: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (8, 8), level).save(buffer, "PNG")
    return buffer.getvalue()


def hub_table(tmp_path, images: list, labels: list, *, names: bool = True) -> str:
    """A Parquet file as Hugging Face's datasets write it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    label = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": pa.array(labels, pa.int64())})
    if names:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "train.parquet")
    return str(tmp_path / "train.parquet")


def test_images_in_a_parquet_file_are_read_from_it(tmp_path):
    images = [{"bytes": png(i * 20), "path": f"{i}.png"} for i in range(10)]
    images += [{"bytes": None, "path": "beside.png"}, None]
    (tmp_path / "beside.png").write_bytes(png(255))
    path = hub_table(tmp_path, images, [*[0, 1] * 5, 0, 1])
    config = DataConfig(path=path, columns={"path": "image"})
    (tmp_path / "scratch").mkdir()
    listing = list_data(path, config, scratch=str(tmp_path / "scratch"))
    assert listing.classes == ("cat", "dog")
    assert [one.reason for one in listing.refused] == ["Row 12: the path is empty."]
    read = {file.path: content(listing.folder, file, 2**20) for file in listing.files}
    assert read == {f"train.parquet#{i + 1}/{i}.png": png(i * 20) for i in range(10)} | {"beside.png": png(255)}
    # A listing without a place for the images is for counting: the same images, classes and splits.
    counted = list_data(path, config)
    assert [(file.path, file.label, file.split) for file in counted.files] == [
        (file.path, file.label, file.split) for file in listing.files
    ]
    before = fingerprint(path, config)
    hub_table(tmp_path, [{"bytes": png(1), "path": "0.png"}, *images[1:]], [*[0, 1] * 5, 0, 1])
    assert fingerprint(path, config) != before


def test_kinds_of_parquet_columns(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "x.png").write_bytes(png(3))
    columns = {
        "path": pa.array([b"x.png", png(1), png(2), png(4), png(5)]),
        "label": pa.array([1.0, 2.0, None, float("nan"), 2.0]),
    }
    pq.write_table(pa.table(columns), tmp_path / "all.parquet")
    listing = listed(str(tmp_path / "all.parquet"))
    assert [(file.path, file.label) for file in listing.files] == [
        ("all.parquet#2", "2"),
        ("all.parquet#5", "2"),
        ("x.png", "1"),
    ]
    assert [one.reason for one in listing.refused] == ["Row 3: the label is empty.", "Row 4: the label is empty."]
    for values, expected in (
        ([["cat"], ["dog"]], ("cat", "dog")),
        ([b"cat", b"dog"], ("cat", "dog")),
        ([True, False], ("false", "true")),
    ):
        table = pa.table({"path": ["x.png", "y.png"], "label": values})
        (tmp_path / "y.png").write_bytes(png(1))
        pq.write_table(table, tmp_path / "few.parquet")
        assert listed(str(tmp_path / "few.parquet")).classes == expected
    pq.write_table(pa.table({"path": ["x.png", "y.png"], "label": [["cat"], ["cat", "dog"]]}), tmp_path / "few.parquet")
    with pytest.raises(RestemError, match="several labels"):
        listed(str(tmp_path / "few.parquet"))


def test_several_tables_are_one_dataset_and_their_names_give_the_splits(write, tmp_path):
    """As the datasets of hubs are published."""
    parts = ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001", "test-00000-of-00001")
    for number, part in enumerate(parts):
        images = [{"bytes": png(number * 60 + i), "path": f"{i}.png"} for i in range(6)]
        Path(hub_table(tmp_path, images, [0, 1] * 3)).rename(tmp_path / f"{part}.parquet")
    path = str(tmp_path / "*.parquet")
    listing = listed(path, columns={"path": "image"})
    assert {file.split: file.path for file in listing.files if file.path.endswith("#6/5.png")} == {
        "train": "train-00001-of-00002.parquet#6/5.png",
        "val": "validation-00000-of-00001.parquet#6/5.png",
        "test": "test-00000-of-00001.parquet#6/5.png",
    }
    assert (len(listing.files), listing.classes, listing.given_splits) == (24, ("cat", "dog"), True)
    before = fingerprint(path, DataConfig(path=path, columns={"path": "image"}))
    (tmp_path / "train-00001-of-00002.parquet").rename(tmp_path / "train-2.parquet")
    assert fingerprint(path, DataConfig(path=path, columns={"path": "image"})) != before
    (tmp_path / "train-2.parquet").rename(tmp_path / "other.parquet")
    with pytest.raises(RestemError, match=r"names of some tables are splits.*given other\.parquet"):
        listed(path, columns={"path": "image"})
    with pytest.raises(RestemError, match="no table matches"):
        listed(str(tmp_path / "*.csv"))
    for name, labels in (("a", "x0.png,1\nx1.png,1.0\nx0.png,2\n"), ("b", "x0.png,1\nx2.png,\nx1.png,2\n")):
        write(f"path,label\n{labels}", ["x0.png", "x1.png", "x2.png"], f"{name}.csv")
    listing = listed(str(tmp_path / "?.csv"))
    assert listing.classes == ("1",)
    assert [one.reason for one in listing.refused] == [
        "Line 4 of a.csv: the path is already in line 2 of a.csv.",
        "Line 4 of b.csv: the path is already in line 3 of a.csv.",
        "Line 3 of b.csv: the label is empty.",
    ]
    write("path,kind\nx0.png,1\n", [], "c.csv")
    with pytest.raises(RestemError, match="no column label"):
        listed(str(tmp_path / "?.csv"))


def test_has_header_needs_only_rows():
    assert not has_header([["a.png", "cat"]])
    assert has_header([["u", "v"]])
