"""CPU and GPU capabilities of this machine, which decide on engine and precision."""

from functools import cache
from pathlib import Path

BF16 = frozenset({"avx512_bf16", "amx_bf16"})
INT8 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_RELEVANT_FLAGS = ("avx2", "avx512f", *sorted(BF16), *sorted(INT8))


@cache
def cpu_flags() -> frozenset[str]:
    """Return the CPU flags; empty if the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), ()))


def has_gpu() -> bool:
    """Return whether PyTorch finds a GPU; PyTorch is not imported if there is no driver."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


def flag_summary() -> str:
    """Return the relevant CPU flags as text."""
    return " ".join(flag for flag in _RELEVANT_FLAGS if flag in cpu_flags()) or "no known vector instructions"
