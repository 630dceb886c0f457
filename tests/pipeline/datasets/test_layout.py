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
