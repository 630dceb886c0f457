from dataclasses import replace

from restem.example_gen.missing import Missing, MissingCounts
from restem.images.nodata import Nodata

SEEN = [
    Missing("b.tif", 0.5, "-9999"),
    Missing("a.tif", 0.5, "-9999"),
    Missing("c.tif", 0.0, "0"),
    Missing("d.tif", 0.125, None),
    Missing("e.tif", 0.0, None),
]


def counted(rule: Nodata | None, seen=SEEN) -> MissingCounts:
    counts = MissingCounts(rule)
    for one in seen:
        counts.add(Missing.from_line(one.to_line()))
    return counts


def test_files_shares_and_other_declared_values_are_told():
    for seen in (SEEN, SEEN[::-1]):
        counts = counted(Nodata(value=-9999.0), seen)
        assert counts.sentences(5) == [
            "No data: 3 of 5 images have pixels without data (image.nodata: -9999), 37.5% of their pixels on average "
            "and 50.0% at most (a.tif)",
            "1 of 5 images declare a value for no data (GDAL's tag: 0 in 1), but image.nodata is -9999: these values "
            "are used like all others. If they are no data, set image.nodata: 0",
        ]
        assert counts.to_dict() == {
            "rule": "-9999",
            "files": 3,
            "share": 0.375,
            "largest_share": 0.5,
            "largest_path": "a.tif",
            "declared": {"0": 1},
        }


def test_without_a_rule_only_declared_values_are_told():
    (told,) = counted(None, [replace(one, share=0.0) for one in SEEN]).sentences(5)
    assert "3 of 5 images declare a value for no data (GDAL's tag: -9999 in 2, 0 in 1)" in told
    assert told.endswith(
        "but image.nodata is not set: these values are used like all others. If they are no data, set "
        "image.nodata: -9999"
    )
    assert counted(None, []).sentences(5) == []


def test_a_declared_value_that_the_rule_covers_is_not_told():
    lowest = Missing("x.tif", 0.0, "-3.4028234663852886e+38")
    assert not counted(Nodata(value=-3.4028235e38), [lowest]).declared
    assert not counted(Nodata(mask=1), SEEN).declared
    assert not counted(Nodata(not_finite=True), [Missing("x.tif", 0.0, "nan")]).declared
    assert counted(Nodata(not_finite=True), SEEN).declared == {"-9999": 2, "0": 1}
    assert counted(Nodata(value=0.0), [Missing("x.tif", 0.0, "nan")]).declared == {"nan": 1}


def test_no_pixels_without_data_are_told_too():
    assert counted(Nodata(not_finite=True), []).sentences(5) == [
        "No data: 0 of 5 images have pixels without data (image.nodata: nan)"
    ]
