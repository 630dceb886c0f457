"""What determines a processor's rounding: the same training gives different results where it differs."""

import os
import platform

# How NumPy's names of the instruction sets for matrix arithmetic begin: x86, Arm and POWER.
_ARITHMETIC = ("SSE4", "AVX", "FMA", "F16C", "AMX", "NEON", "ASIMD", "SVE", "VSX")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"


def describe_processor(*, onednn: bool) -> str:
    """The processor, for example "x86_64 with SSE41, SSE42, AVX, F16C, FMA3, AVX2; oneDNN on".

    Args:
      onednn: whether TensorFlow uses oneDNN's kernels.
    """
    sets = ", ".join(instruction_sets()) or "no vector instructions known to NumPy"
    limit = os.environ.get(ONEDNN_LIMIT)
    used = f"on{f', at most {limit} ({ONEDNN_LIMIT})' if limit else ''}" if onednn else "off"
    return f"{platform.machine()} with {sets}; oneDNN {used}"


def instruction_sets() -> list[str]:
    """The processor's vector instruction sets, by NumPy's names."""
    # numpy.show_runtime() prints these.
    from numpy._core._multiarray_umath import __cpu_features__

    # A name with an underscore (AVX512_SKX) is a group; its members are listed separately.
    return [
        name for name, found in __cpu_features__.items() if found and name.startswith(_ARITHMETIC) and "_" not in name
    ]
