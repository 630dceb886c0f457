import pytest

from restem.errors import RestemError
from restem.pipeline.datasets.layout import infer_layout


def table(tmp_path, header: str, row: str, count: int = 40) -> str:
    """Writes a manifest; `row` is a pattern in which {i} is the row number."""
    lines = [header, *(filled(row, i) for i in range(count))]
    (tmp_path / "all.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(tmp_path / "all.csv")


def filled(row: str, i: int) -> str:
    return row.format(i=i, ab="ab"[i % 2], side="test" if i % 5 == 0 else "train", five=i % 5)


def test_default_names_need_no_keys(tmp_path):
    found = infer_layout(table(tmp_path, "path,label,split", "{i}.png,{ab},{side}"))
    assert found.data.model_dump(exclude_unset=True) == {"path": found.data.path, "layout": "manifest"}
    assert set(found.reasons) == {"split"}


def test_usual_names_are_recognised(tmp_path):
    header, row = "Patient_ID;Image Path;DX;Scanner;sample_weight;note", "p{five};x/{i}.tif;{ab};s{ab};0.5;n{i}"
    found = infer_layout(table(tmp_path, header, row)).data
    assert (found.columns.path, found.columns.label, found.group) == ("Image Path", "DX", "Patient_ID")
    assert (found.weight, found.metadata) == ("sample_weight", ("Scanner",))


def test_content_decides_if_names_do_not(tmp_path):
    found = infer_layout(table(tmp_path, "a|b|c", "{i}|scan {i}.jpeg|kind {ab}")).data
    assert (found.columns.path, found.columns.label) == ("b", "c")


def test_a_column_of_folds_is_not_a_split(tmp_path):
    found = infer_layout(table(tmp_path, "path,label,split", "{i}.png,{ab},fold{five}"))
    assert "split" not in found.reasons
    assert found.data.columns.split is None
    assert found.data.metadata == ("split",)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("a,label", "{i},{ab}", "no column looks like paths of images.*the columns a, label"),
        ("path,b", "{i}.png,{i}", "no column looks like classes"),
    ],
)
def test_a_layout_that_cannot_be_inferred_is_an_error(tmp_path, header, row, message):
    with pytest.raises(RestemError, match=message):
        infer_layout(table(tmp_path, header, row))


def test_one_hot_columns_are_recognised(tmp_path):
    header, row = "image,cat,dog,fox,site", "{i}.png,{cat},{dog},{fox},s{ab}"
    rows = [{"cat": int(i % 3 == 0), "dog": int(i % 3 == 1), "fox": int(i % 3 == 2)} for i in range(40)]
    lines = [header, *(row.format(i=i, ab="ab"[i % 2], **rows[i]) for i in range(40))]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    found = infer_layout(str(tmp_path / "all.csv")).data
    assert (found.columns.path, found.columns.one_hot, found.metadata) == ("image", ("cat", "dog", "fox"), ("site",))
    lines[5] = "4.png,1,1,0,sa"
    (tmp_path / "all.csv").write_text("\n".join([line.rpartition(",")[0] for line in lines]))
    with pytest.raises(RestemError, match=r"exactly one class.*does not train on several labels.*row 5: cat 1, dog 1"):
        infer_layout(str(tmp_path / "all.csv"))


def test_a_table_without_a_header_and_with_another_delimiter(tmp_path):
    """As the labels of a public set of solar cells are written: a name, a probability, a kind."""
    text = "".join(
        f"cells/{i}.png   {('0.0', '0.3333', '0.6667', '1.0')[i % 4]}  {'mono' if i < 9 else 'poly'}\n"
        for i in range(40)
    )
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(RestemError, match=r"several columns could be the classes.*column 2 \(0.0: 10 rows.*column 3"):
        infer_layout(str(tmp_path / "labels.csv"))
    found = infer_layout(str(tmp_path / "labels.csv"), {"columns": {"label": "column 2"}, "label_threshold": 0.5})
    assert (found.data.delimiter, found.data.header) == (" ", False)
    assert (found.data.columns.path, found.data.columns.label) == ("column 1", "column 2")
    assert found.data.metadata == ("column 3",)
    assert {"delimiter", "header", "columns", "label_threshold"} <= set(found.reasons)


def test_a_label_that_is_only_guessed_says_so(tmp_path):
    found = infer_layout(table(tmp_path, "image,kind", "{i}.png,{ab}"))
    assert found.reasons["columns"] == "found in image, kind; please check"


def test_numbers_that_may_be_measured_are_asked_for(tmp_path):
    for age in ("0.{i}", "{half}"):
        rows = "".join(f"{i}.png,{age.format(i=i, half=i // 2)}\n" for i in range(60))
        (tmp_path / "all.csv").write_text(f"image,age\n{rows}")
        with pytest.raises(RestemError, match=r"age has numbers.*label=age.*label_threshold=0.5"):
            infer_layout(str(tmp_path / "all.csv"))
        found = infer_layout(str(tmp_path / "all.csv"), {"label_threshold": 30})
        assert (found.data.columns.label, found.data.label_threshold) == ("age", 30.0)
    assert infer_layout(table(tmp_path, "image,kind", "{i}.png,{five}")).data.columns.label == "kind"
    assert infer_layout(table(tmp_path, "image,label", "{i}.png,{i}")).data.columns.label == "label"


def test_several_possible_labels_are_asked_for(tmp_path):
    with pytest.raises(RestemError, match=r"several columns.*site \(a: 20 rows, b: 20 rows\); kind.*label=site"):
        infer_layout(table(tmp_path, "image,site,kind", "{i}.png,{ab},k{five}"))


@pytest.mark.parametrize("name", ["split", "usage"])
def test_splits_are_recognised_by_their_names(tmp_path, name):
    found = infer_layout(table(tmp_path, f"path,{name},label", "{i}.png,{side},{ab}"))
    assert found.data.columns.split == name
    lines = (tmp_path / "all.csv").read_text().replace("train,a", "dev,a")
    (tmp_path / "all.csv").write_text(lines)
    assert infer_layout(str(tmp_path / "all.csv")).data.columns.split == name


def test_splits_and_other_things_in_one_column_are_asked_for(tmp_path):
    path = table(tmp_path, "path,split,label", "{i}.png,{side},{ab}")
    lines = (tmp_path / "all.csv").read_text().replace("5.png,test", "5.png,holdout")
    (tmp_path / "all.csv").write_text(lines)
    with pytest.raises(RestemError, match=r"names splits and other things.*holdout: .*columns.split=null"):
        infer_layout(path)
    assert infer_layout(path, {"columns": {"split": None}}).data.columns.split is None


def test_files_that_exist_show_the_column_of_paths(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(40):
        (tmp_path / "images" / f"n{i}.jpg").touch()
    found = infer_layout(table(tmp_path, "id,breed", "n{i},{ab}"))
    assert (found.data.columns.path, found.data.columns.label) == ("id", "breed")
