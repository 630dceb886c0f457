import pytest

from restem import fingerprint
from restem.fingerprint import code_fingerprint, file_fingerprint, sources


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the files of a package that replaces components."""
    monkeypatch.setattr(fingerprint, "_COMPONENTS", tmp_path)

    def files(**texts: str) -> None:
        for name, text in {"__init__": "", **texts}.items():
            path = tmp_path / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return files


def names(*modules: str) -> list[str]:
    return [path.relative_to(fingerprint._COMPONENTS).as_posix() for path in sources(*modules)]


@pytest.mark.parametrize(
    "statement",
    [
        "import restem.two.other",
        "from restem.two.other import name",
        "from restem.two import other",
        "from ..two import other",
        "from ..two.other import name as another",
        "def later():\n    from restem.two.other import name",
        "import os\nif os.name:\n    import restem.two.other as o",
    ],
)
def test_every_form_of_import_is_followed(write, statement):
    write(one__in____init__="", one__in__step=statement, two__in____init__="", two__in__other="", two__in__more="")
    assert names("one.step") == ["__init__.py", "one/__init__.py", "one/step.py", "two/__init__.py", "two/other.py"]


def test_indirect_and_circular_imports_and_packages(write):
    write(a="from restem import b", b="from . import c", c="import restem.a, numpy", d="")
    assert names("a") == ["__init__.py", "a.py", "b.py", "c.py"]
    write(two__in____init__="from restem.two.part import f", two__in__part="from .more import g", two__in__more="")
    assert names("two") == ["__init__.py", "two/__init__.py", "two/more.py", "two/part.py"]


def test_the_fingerprint_changes_with_the_sources(write, tmp_path):
    write(one__in____init__="", one__in__step="from restem import two", two="a = 1", three="a = 1")
    before = code_fingerprint("one.step")
    write(three="a = 2")
    (tmp_path / "one" / "notes.txt").write_text("not code")
    assert code_fingerprint("one.step") == before
    (tmp_path / "one" / "page.html").write_text("<p>")
    with_page = code_fingerprint("one.step")
    write(two="a = 2")
    assert len({before, with_page, code_fingerprint("one.step")}) == 3


def test_a_missing_module_is_an_error(write):
    write(one="")
    with pytest.raises(ModuleNotFoundError, match=r"restem\.two"):
        code_fingerprint("one", "two")


def test_file_fingerprint_depends_on_the_content(tmp_path):
    checkpoint = tmp_path / "a.weights.h5"
    checkpoint.write_bytes(b"old")
    old = file_fingerprint(str(checkpoint))
    checkpoint.write_bytes(b"new")
    assert file_fingerprint(str(checkpoint)) != old
    assert file_fingerprint("imagenet") is None


def test_the_fingerprint_of_a_preset_depends_on_the_files_beside_its_weights(tmp_path):
    checkpoint = tmp_path / "model.weights.h5"
    checkpoint.write_bytes(b"weights")
    found = [file_fingerprint(str(checkpoint))]
    for name in ("config.json", "image_converter.json"):
        (tmp_path / name).write_text("{}")
        found.append(file_fingerprint(str(checkpoint)))
    assert len(set(found)) == 3
