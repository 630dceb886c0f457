"""Only the package `restem` is installed; test_own_images.py runs the installed package."""

import subprocess
import zipfile

import pytest

pytestmark = pytest.mark.e2e


def test_the_wheel_has_one_package(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"restem"}
    shown = ("report/report.html", "report/model_card.jinja")
    for data in ("py.typed", *shown, "pipeline/configs/digits.yaml", "schemas/raw_examples.pbtxt"):
        assert f"restem/{data}" in names


@pytest.mark.parametrize("command", [["-c", "CODE"], ["-m", "restem", "stem", "--help"]])
def test_it_can_be_imported_in_a_project_with_packages_of_the_same_names(installed, project, command):
    code = "import restem; from restem.stem import StemSpec; print(restem.__file__)"
    command = [part.replace("CODE", code) for part in command]
    done = subprocess.run([installed / "python", *command], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "-c" in command:
        assert done.stdout.startswith(str(installed.parent))
