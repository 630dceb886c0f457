"""The content of the image."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from restem.pipeline.environment import TENSORFLOW_VARIABLES
from tests.image.conftest import LOCKS, REPOSITORY
from tests.image.test_build import version
from tests.image.test_locks import entries

pytestmark = pytest.mark.image
AS_BUILT = ["--network=none"]
AS_ROOT = ["--network=none", "--user=0:0"]


def test_the_user_is_a_number_and_not_root(image):
    """Kubernetes's runAsNonRoot can check only a numeric user."""
    user, _, group = image.inspect()["Config"]["User"].partition(":")
    assert int(user) > 0
    assert int(group) == 0
    assert image.run("id", "-u", options=AS_BUILT) == user


def test_any_user_has_a_home_and_a_name(image):
    """Also a user that is not in /etc/passwd."""
    assert image.run("sh", "-c", "echo kept > $HOME/file && cat $HOME/file") == "kept"
    assert image.python("import getpass, pathlib; print(getpass.getuser(), pathlib.Path.home())") == "restem /tmp"


def test_only_root_may_change_the_program(image):
    found = image.run("find", "/opt/restem", "(", "-writable", "-o", "!", "-readable", ")", "!", "-type", "l")
    assert found == ""
    assert image.run("id", "-u", options=AS_BUILT) != "0"


def test_no_compiler_is_left(image):
    """Nor files that only a compiler needs."""
    assert image.run("find", "/opt/restem", "-path", "*/tensorflow/include", options=AS_BUILT) == ""
    tools = "gcc g++ cc c++ c89 clang ld as make cmake cpp"
    assert image.run("sh", "-c", f"for tool in {tools}; do command -v $tool; done; true", options=AS_BUILT) == ""


def test_nothing_of_the_build_is_left(image):
    places = "/locks /source /project /root/.cache /root/.config /tmp/* /run/secrets/*"
    assert image.run("sh", "-c", f"ls -d {places} 2>/dev/null || true", options=AS_ROOT) == ""
    names = ["pip.conf", ".netrc", ".pypirc", "*.egg-info", ".git", ".env", ".venv", "id_rsa", "uv.toml"]
    wanted = [part for name in names for part in ("-o", "-name", name)][1:]
    assert image.run("find", "/opt/restem", "/root", "/etc", "/home", *wanted, options=AS_ROOT) == ""


def test_the_certificates_of_this_machine_are_not_in_the_image(image):
    own = {os.environ.get(name) for name in ("PIP_CERT", "SSL_CERT_FILE")} - {None}
    own |= {"/etc/ssl/certs/ca-certificates.crt"}
    hashes = {hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in own if Path(path).is_file()}
    find = ["find", "/opt", "/etc", "/usr", "/root", "/run", "(", "-name", "*.pem", "-o", "-name", "*.crt", ")"]
    found = image.run(*find, "-type", "f", "-exec", "sha256sum", "{}", "+", options=AS_ROOT).split()[::2]
    assert found, "at least certifi's certificates are there"
    assert not hashes & set(found)


def test_no_configuration_of_this_machine_is_in_its_description(image):
    description = image.ask("history", "--no-trunc", "--format", "{{.CreatedBy}}", image.name) + str(image.inspect())
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        if os.environ.get(name):
            assert os.environ[name] not in description
    variables = dict(entry.split("=", 1) for entry in image.inspect()["Config"]["Env"])
    own = {"HOME", "USER", "PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", *TENSORFLOW_VARIABLES}
    of_pythons_image = {"LANG", "GPG_KEY", "PYTHON_VERSION", "PYTHON_SHA256"}
    assert own <= set(variables)
    assert set(variables) <= own | of_pythons_image
    assert {name: variables[name] for name in TENSORFLOW_VARIABLES} == TENSORFLOW_VARIABLES


def test_labels_describe_the_image(image):
    labels = image.inspect()["Config"]["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}title"] == "restem"
    assert labels[f"{prefix}version"] == version()
    assert len(labels[f"{prefix}revision"].removesuffix("-changed")) == 40
    assert labels[f"{prefix}source"] == os.environ.get("SOURCE", "")
    assert labels[f"{prefix}base.name"]


def test_exactly_the_locked_packages_are_installed(image):
    code = (
        "import importlib.metadata as m, json, platform;"
        "print(json.dumps([platform.python_version(), {d.name: d.version for d in m.distributions()}]))"
    )
    python, installed = json.loads(image.python(code))
    installed = {canonicalize_name(name): number for name, number in installed.items()}
    there = {
        **default_environment(),
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    locks = ["packages.lock", "build.lock", *(["gpu.lock"] if os.environ.get("ACCELERATOR") == "gpu" else [])]
    wanted = {}
    for requirement in (Requirement(line) for lock in locks for line in entries(LOCKS / lock)):
        if requirement.marker is None or requirement.marker.evaluate(there):
            (pin,) = requirement.specifier
            wanted[canonicalize_name(requirement.name)] = pin.version
    assert installed.pop("restem") == version()
    installed.pop("pip")  # the virtual environment's own
    assert installed == wanted


def test_the_projects_files_are_the_same_in_the_image(image):
    code = (
        "import restem, hashlib, json, pathlib; root = pathlib.Path(restem.__file__).parent;"
        "print(json.dumps({str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()"
        " for p in root.rglob('*') if p.is_file() and p.suffix != '.pyc'}))"
    )
    there = json.loads(image.python(code))
    # All files except documentation and build files: this finds a data file that setup.py does not list.
    here = {
        str(Path(inside) / path.relative_to(REPOSITORY / folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder, inside in (("components", "."), ("pipeline", "pipeline"), ("schemas", "schemas"))
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".md", ".in", ".lock"} and LOCKS not in path.parents
    }
    assert {name: there.get(name) for name in here} == here, "or the source changed after the image was built"
    assert not [name for name in there if "tests" in Path(name).parts]


def test_bytecode_is_there_and_names_its_source(image):
    """No user can write it at run time, and without it the start takes several times as long."""
    code = (
        "import restem.pipeline.config.loading as c, click, tensorflow.python.framework.ops as t, os;"
        "print(all(os.path.exists(module.__cached__) for module in (c, click, t)),"
        " c.load_config.__code__.co_filename == c.__file__)"
    )
    assert image.python(code).endswith("True True")


def test_every_step_can_start(image):
    """The command of a compiled step, and the import that all steps need."""
    assert "--executor_class_path" in image.run(
        "python", "-m", "restem.pipeline.kubeflow.container.entrypoint", "--help"
    )
    assert image.python("import tfx, tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor; print(1)") == "1"


def test_the_command_line_is_there_too(image):
    assert "Usage: restem" in image.run("restem", "--help")
    assert "Usage: restem" in image.run(), "it is also the default command"
    assert image.run("restem", "--version").endswith(version())


def test_doctor_says_that_the_pipeline_can_run(image):
    done = image.try_run("restem", "doctor", "--json", options=[*AS_BUILT])
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["can_run"]


# As lib<name>.so.<version>.
NVIDIAS = {
    **{"cudart": 12, "cublas": 12, "cudnn": 9, "cufft": 11, "curand": 10},
    **{"cusolver": 11, "cusparse": 12, "nccl": 2, "cupti": 12, "nvrtc": 12},
}


def test_nvidias_libraries_load_in_the_gpu_image_and_are_not_in_the_cpu_image(image):
    """Each library finds its dependencies; without a driver no more can be tested."""
    code = (
        "import ctypes, glob, importlib.util, sys; spec = importlib.util.find_spec('nvidia');"
        "folder = spec.submodule_search_locations[0] if spec else None;"
        "print(len([ctypes.CDLL(glob.glob(f'{folder}/*/lib/{name}')[0]) for name in sys.argv[1:] if folder]))"
    )
    names = [f"lib{name}.so.{number}" for name, number in NVIDIAS.items()]
    loaded = int(image.run("python", "-c", code, *names))
    assert loaded == (len(names) if os.environ.get("ACCELERATOR") == "gpu" else 0)
