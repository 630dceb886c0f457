"""What decides how a processor rounds: the same training gives other figures where these differ."""

import os
import platform

# NumPy's names of what matrix arithmetic is made of: x86, Arm and POWER.
_ARITHMETIC = ("SSE4", "AVX", "FMA", "F16C", "AMX", "NEON", "ASIMD", "SVE", "VSX")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"


def describe_processor(*, onednn: bool) -> str:
    """For instance "x86_64 with SSE41, SSE42, AVX, F16C, FMA3, AVX2; oneDNN on".

    Args:
      onednn: whether TensorFlow uses oneDNN's kernels.
    """
    sets = ", ".join(instruction_sets()) or "no vector instructions that NumPy knows"
    limit = os.environ.get(ONEDNN_LIMIT)
    used = f"on{f', at most {limit} ({ONEDNN_LIMIT})' if limit else ''}" if onednn else "off"
    return f"{platform.machine()} with {sets}; oneDNN {used}"


def instruction_sets() -> list[str]:
    """The vector instructions that the processor has, by NumPy's names."""
    # What numpy.show_runtime() prints.
    from numpy._core._multiarray_umath import __cpu_features__

    # A name with an underscore (AVX512_SKX) stands for several others, which are named too.
    return [
        name for name, there in __cpu_features__.items() if there and name.startswith(_ARITHMETIC) and "_" not in name
    ]
