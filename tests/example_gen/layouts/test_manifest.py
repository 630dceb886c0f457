import os
import time

import pytest

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.listing import check_listing, fingerprint, list_data


@pytest.fixture
def write(tmp_path):
    """write(text, name): writes a manifest. The images x0.png to x59.png exist as empty files."""

    def write(text: str | bytes, name: str = "all.csv") -> str:
        data = text.encode() if isinstance(text, str) else text
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    for index in range(60):
        (tmp_path / f"x{index}.png").touch()
    return write


def listed(path: str, **options):
    return list_data(path, DataConfig(path=path, **options))


def rows(count: int = 40, mark: str = ",") -> str:
    return "".join(f"x{index}.png{mark}{'ab'[index % 2]}\n" for index in range(count))


def test_every_row_becomes_an_image_or_is_refused_with_line_and_reason(write, tmp_path):
    lines = [
        "path,label,split",
        "x0.png,a,train",
        "",
        "x1.png,b,TEST",
        "gone.png,a,train",
        "x2.png,,train",
        "x3.png,a,holdout",
        ",a,train",
        "x0.png,b,train",
        "./x1.png,a,test",
        "x4.png",
        '"x5.png","a\nb",',
        "x6.png,a,train",
    ]
    listing = listed(write("\r\n".join(lines)))
    assert [(file.path, file.label, file.split) for file in listing.files] == [
        ("x0.png", "a", "train"),
        ("x1.png", "b", "test"),
        ("x6.png", "a", "train"),
    ]
    assert listing.given_splits
    assert {one.reason for one in listing.refused} == {
        "Line 5: there is no such file.",
        "Line 6: the label is empty.",
        "Line 7: the split 'holdout' is not train, val or test.",
        "Line 8: the path is empty.",
        "Line 9: the path is already in line 2.",
        "Line 10: the path is already in line 4.",
        "Line 11: the label is empty.",
        "Line 12: the split is empty.",
    }
    assert len(listing) == 11
    assert "all.csv line 8" in {one.path for one in listing.refused}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiters_and_encodings_are_detected(write, tmp_path, mark, encode):
    (tmp_path / "grüße, 犬; x.png").touch()
    text = f'path{mark}"label"\n{rows(4, mark)}"grüße, 犬; x.png"{mark}"ä ""b"""\n'
    listing = listed(write(text.encode(encode)))
    assert {file.path: file.label for file in listing.files}["grüße, 犬; x.png"] == 'ä "b"'
    assert (len(listing.files), listing.refused) == (5, ())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_endings_of_all_systems_are_accepted(write, end):
    text = f"path;label{end}" + "".join(f"x{i}.png;{'ab'[i % 2]}{end}" for i in range(4)) + f";a{end}"
    listing = listed(write(text.encode()))
    assert [file.path for file in listing.files] == [f"x{i}.png" for i in range(4)]
    assert [one.reason for one in listing.refused] == ["Line 6: the path is empty."]


def test_columns_may_have_other_names(write):
    text = "site,file,kind,trust\n" + "".join(f"s{i % 3},x{i}.png,{'ab'[i % 2]},{i / 2}\n" for i in range(12))
    options = {"columns": {"path": "file", "label": "kind"}, "group": "site", "weight": "trust", "metadata": ["site"]}
    files = {file.path: file for file in listed(write(text), **options).files}
    assert (files["x7.png"].group, files["x7.png"].weight, files["x7.png"].metadata) == ("s1", 3.5, ("s1",))
    sides = {file.group: set() for file in files.values()}
    for file in files.values():
        sides[file.group].add(file.split)
    assert all(len(splits) == 1 for splits in sides.values())
    with pytest.raises(RestemError, match=r"no column path \(data.columns.path\), label .*the columns site, file"):
        listed(write(text))


def test_groups_may_be_a_pattern_for_the_paths(write):
    listing = listed(write("path,label\n" + rows()), group=r"x(\d)")
    assert {file.group for file in listing.files} == set("0123456789")
    with pytest.raises(RestemError, match="no path matches the pattern"):
        listed(write("path,label\n" + rows()), group=r"patient-(\d)")


def test_unused_useful_columns_are_named(write):
    text = "path,label,group,weight\n" + "".join(f"x{i}.png,{'ab'[i % 2]},g{i},1\n" for i in range(12))
    assert listed(write(text)).notes == (
        "The manifest's column group is not used; to use it, set data.group: group.",
        "The manifest's column weight is not used; to use it, set data.weight: weight.",
    )
    assert listed(write(text), group="group", weight="weight").notes == ()


@pytest.mark.parametrize("weight", ["-1", "much", "inf", "nan", ""])
def test_an_invalid_weight_is_a_bad_row(write, weight):
    (one,) = listed(write(f"path,label,w\nx0.png,a,1\nx1.png,b,{weight}\n"), weight="w").refused
    assert one.reason == f"Line 3: the weight {weight!r} is not a finite number of at least 0."


def test_parquet(write, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"path": ["x0.png", "x1.png", None], "label": [3, 4, 3], "split": ["train", "test", "train"]}
    pq.write_table(pa.table(columns), tmp_path / "all.parquet")
    listing = listed(str(tmp_path / "all.parquet"))
    assert [(file.path, file.label) for file in listing.files] == [("x0.png", "3"), ("x1.png", "4")]
    assert [one.reason for one in listing.refused] == ["Row 3: the path is empty."]
    with pytest.raises(RestemError, match="this is not a Parquet file"):
        listed(write("path,label\n", "bad.parquet"))


def test_a_damaged_parquet_file_is_reported(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"path": [f"x{i}.png" for i in range(9)], "label": ["a", "b", "c"] * 3})
    path = tmp_path / "all.parquet"
    pq.write_table(table, path, compression="snappy")
    whole = path.read_bytes()
    messages = set()
    for place in range(4, len(whole) - 8, 3):
        path.write_bytes(whole[:place] + b"\xff\xff\xff" + whole[place + 3 :])
        try:
            listed(str(path))
        except RestemError as error:
            messages.add(str(error).partition(": ")[2][:30])
    assert any(message.startswith("the Parquet file is damaged") for message in messages)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the manifest is empty"),
        ("path,label\n", "the manifest has no rows"),
        ("path,label,label\n", "columns have the same name.*Given label"),
        (b"path,label\n\xff\xfe\xfa", "line 2.*not text"),
        ("path,label\nx0.png,a\n", "only one class"),
        ('path,label\nx0.png,a\n"x1.png,b\nx2.png,a\n', "line 3.*cannot be parsed.*end of data.*not closed"),
        ('path,label\nx0.png,"a\nx1.png,b\nx2.png,"a"\n', "line 2.*cannot be parsed.*expected after.*not closed"),
        ('path,"label\nx0.png,a\n', "line 1.*cannot be parsed"),
    ],
)
def test_invalid_manifests_are_refused(write, text, message):
    path = write(text)
    with pytest.raises(RestemError, match=message):
        check_listing(path, DataConfig(path=path))


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(RestemError, match="there is no such file"):
        listed(str(tmp_path / "none.csv"))


def test_a_hundred_thousand_rows_are_quick(tmp_path):
    lines = ["path,label"]
    for folder in range(10):
        (tmp_path / f"f{folder}").mkdir()
        first = tmp_path / f"f{folder}" / "0.png"
        first.touch()
        for index in range(10_000):
            if index:
                os.link(first, tmp_path / f"f{folder}" / f"{index}.png")
            lines.append(f"f{folder}/{index}.png,class {index % 200}")
    (tmp_path / "all.csv").write_text("\n".join(lines))
    start = time.process_time()
    listing = check_listing(str(tmp_path / "all.csv"), DataConfig(path=str(tmp_path / "all.csv")))
    seconds = time.process_time() - start
    assert (len(listing.files), len(listing.classes)) == (100_000, 200)
    # It takes a second or two; the bound allows for a slow machine, but not for a check of every single file.
    assert seconds < 15


def test_the_fingerprint_covers_the_table_and_the_files(write, tmp_path):
    path = write("path,label\n" + rows())
    config = DataConfig(path=path)
    seen = [fingerprint(path, config)]
    assert fingerprint(path, config) == seen[0]
    (tmp_path / "x3.png").write_bytes(b"1")
    seen.append(fingerprint(path, config))
    write("path,label\n" + rows().replace("x5.png,b", "x5.png,a"))
    seen.append(fingerprint(path, config))
    (tmp_path / "x4.png").unlink()
    seen.append(fingerprint(path, config))
    assert len(set(seen)) == 4
