"""CPU and GPU capabilities of this machine, used to choose the inference engine and precision."""

from functools import cache
from pathlib import Path

BF16 = frozenset({"avx512_bf16", "amx_bf16"})
"""CPU flags of bf16 instructions."""
INT8 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""CPU flags of int8 dot-product instructions."""
_RELEVANT_FLAGS = ("avx2", "avx512f", *sorted(BF16), *sorted(INT8))


@cache
def cpu_flags() -> frozenset[str]:
    """Return the CPU flags in /proc/cpuinfo; empty if it does not exist."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), ()))


def has_gpu() -> bool:
    """Return whether PyTorch finds a GPU; without an NVIDIA driver PyTorch is not imported."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


def flag_summary() -> str:
    """Return the CPU flags that matter for inference, as text."""
    return " ".join(flag for flag in _RELEVANT_FLAGS if flag in cpu_flags()) or "no known vector instructions"
