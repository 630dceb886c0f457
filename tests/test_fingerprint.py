from components import fingerprint
from components.fingerprint import code_fingerprint, file_fingerprint


def test_code_fingerprint_sees_python_and_templates_of_the_named_rooms_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "_COMPONENTS", tmp_path)
    for room in ("one", "two"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "step.py").write_text("a = 1")
    before = code_fingerprint("one")
    (tmp_path / "two" / "step.py").write_text("a = 2")
    (tmp_path / "one" / "notes.txt").write_text("not code")
    assert code_fingerprint("one") == before
    (tmp_path / "one" / "page.html").write_text("<p>")
    with_page = code_fingerprint("one")
    assert with_page != before
    (tmp_path / "one" / "step.py").write_text("a = 3")
    assert code_fingerprint("one") not in (before, with_page)


def test_file_fingerprint_is_of_the_content(tmp_path):
    checkpoint = tmp_path / "a.weights.h5"
    checkpoint.write_bytes(b"old")
    old = file_fingerprint(str(checkpoint))
    checkpoint.write_bytes(b"new")
    assert file_fingerprint(str(checkpoint)) != old
    assert file_fingerprint("imagenet") is None
