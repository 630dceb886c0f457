"""The environment of a process that runs a model's graph: what it needs to compute, and no credentials.

A SavedModel is a program that can read and write the user's files. What is only in the environment of a command (cloud
keys, the tokens of Kubeflow, MLflow, Hugging Face, continuous integration) is not given to it. This is no sandbox: such
a program can still read files of credentials, and on Linux the environment of the user's other processes.
"""

import re
from collections.abc import Mapping

# Listed are names that are kept: nobody can list all names of secrets.
_KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP"),
        *("VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CACHE_HOME", "KERAS_BACKEND", "KERAS_HOME", "TF2_BEHAVIOR"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "TERM", "COLUMNS", "LINES", "NO_COLOR"),
    }
)
# Of libraries that compute. TF_VAR_ and TF_TOKEN_ are Terraform's, and often secrets.
_KEPT_STARTS = (
    *("LC_", "LD_", "DYLD_", "PYTHON", "TF_CPP_", "TF_ENABLE_", "TF_DISABLE_", "TF_FORCE_", "TF_GPU_", "TF_NUM_"),
    *("TF_XLA_", "TF_CUDNN_", "TF_DETERMINISTIC_", "TF_USE_", "XLA_", "CUDA_", "NVIDIA_", "ROCM_", "HIP_", "OMP_"),
    *("GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ONEDNN_", "DNNL_", "MALLOC_", "GLIBC_"),
)
_SECRET = re.compile(r"TOKEN|SECRET|PASS|CREDENTIAL|KEY|AUTH|COOKIE", re.IGNORECASE)


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a model's graph may see."""
    return {name: value for name, value in environment.items() if _is_kept(name)}


def _is_kept(name: str) -> bool:
    return name in _KEPT or (name.startswith(_KEPT_STARTS) and _SECRET.search(name) is None)
