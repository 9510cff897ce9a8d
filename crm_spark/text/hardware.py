"""What this machine multiplies fast, read from its flags: engines that ask for what it lacks are many times slower."""

from functools import cache
from pathlib import Path

BF16 = frozenset({"avx512_bf16", "amx_bf16"})
INT8 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_TOLD = ("avx2", "avx512f", *sorted(BF16), *sorted(INT8))


@cache
def cpu_flags() -> frozenset[str]:
    """The processor's flags; none where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), ()))


def has_gpu() -> bool:
    """Whether PyTorch sees a GPU; it is not loaded to ask where no driver is."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


def told_flags() -> str:
    """The flags that decide, in words."""
    return " ".join(flag for flag in _TOLD if flag in cpu_flags()) or "no vector flags known"
