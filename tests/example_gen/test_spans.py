import pytest

from restem.errors import RestemError
from restem.example_gen.spans import base, newest


@pytest.fixture
def make(tmp_path):
    def make(*folders: str) -> str:
        for folder in folders:
            (tmp_path / folder).mkdir(parents=True)
        return str(tmp_path)

    return make


def test_the_largest_numbers_are_the_newest(make):
    root = make("day-2", "day-10", "day-9", "day-x", "other-11", "day-12b")
    assert [span.number for span in newest(f"{root}/day-{{SPAN}}", 2)] == [9, 10]
    assert newest(f"{root}/day-{{SPAN}}")[0].path == f"{root}/day-10"
    assert len(newest(f"{root}/day-{{SPAN}}", 50)) == 3


def test_each_span_has_its_newest_version(make):
    root = make("day-1/v1", "day-1/v2/images", "day-2/v1/images", "day-2/v10/images", "day-2/v9/images", "day-3")
    spans = newest(f"{root}/day-{{SPAN}}/v{{VERSION}}/images", 5)
    assert [(span.number, span.version) for span in spans] == [(1, 2), (2, 10)]
    assert spans[1].path == f"{root}/day-2/v10/images"


def test_files_and_patterns_of_files_have_spans_too(make, tmp_path):
    root = make("day-0001", "day-0002")
    (tmp_path / "day-0002" / "all.csv").touch()
    (tmp_path / "x-3-a.tfrecord").touch()
    (tmp_path / "x-4-a.tfrecord").touch()
    (tmp_path / "x-4-b.tfrecord").touch()
    assert newest(f"{root}/day-{{SPAN}}/all.csv")[0].path == f"{root}/day-0002/all.csv"
    assert [span.path for span in newest(f"{root}/x-{{SPAN}}-*.tfrecord")] == [f"{root}/x-4-*.tfrecord"]


def test_a_path_without_a_placeholder_is_not_changed():
    assert [(span.number, span.path) for span in newest("/nowhere/at all")] == [(None, "/nowhere/at all")]


def test_a_path_without_a_matching_span_is_refused(make):
    root = make("day-x")
    with pytest.raises(RestemError, match="there is no span"):
        newest(f"{root}/day-{{SPAN}}")


@pytest.mark.parametrize(
    ("path", "layout", "parts"),
    [
        ("/data/images", "folders", ("/data/images", "")),
        ("/data/day-{SPAN}/images", "folders", ("/data", "day-{SPAN}/images")),
        ("/data/all.csv", "manifest", ("/data", "all.csv")),
        ("all.csv", "manifest", (".", "all.csv")),
        ("gs://bucket/x/*.tfrecord", "tfrecord", ("gs://bucket/x", "*.tfrecord")),
        ("/records", "tfrecord", ("/records", "")),
        ("/{SPAN}", "folders", ("/", "{SPAN}")),
        ("embedded:digits", "folders", ("embedded:digits", "")),
    ],
)
def test_a_path_has_a_fixed_base(path, layout, parts):
    assert base(path, layout) == parts
