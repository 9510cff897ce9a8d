"""Benchmark results: figures with unit, target and machine."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from crm_spark.text.hardware import cpu_flags

OUT = Path(__file__).resolve().parent.parent / "build" / "bench"
RELEVANT_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        figure: what was measured.
        value: the number.
        unit: seconds, MB, rows, fraction, ratio ...
        target: a comparison such as `>= 1.0`, or None.
        peer: reference of a ratio.
    """

    figure: str
    value: float
    unit: str
    target: str | None = None
    peer: str | None = None

    @property
    def outcome(self) -> str:
        """`met`, `missed`, or empty without a target."""
        if self.target is None:
            return ""
        operator, bound = self.target.split()
        number = float(bound)
        holds = {">=": self.value >= number, "<=": self.value <= number, "==": self.value == number}
        return "met" if holds[operator] else "missed"


def machine() -> str:
    """Return CPU, cores, memory and the relevant instruction sets."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    flags = " ".join(flag for flag in RELEVANT_FLAGS if flag in cpu_flags())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {flags or 'flags unknown'}"


def publish(name: str, figures: list[Figure]) -> Path:
    """Print the figures as a table and write `build/bench/<name>.json`."""
    where = machine()
    print(f"\n{name}: {where}")
    width = max(len(f.figure) for f in figures)
    for f in figures:
        number = f"{f.value:,.0f}" if abs(f.value) >= 1000 or f.value == int(f.value) else f"{f.value:.4g}"
        print(
            f"  {f.figure:<{width}}  {number:>14} {f.unit:<10} {f.target or '':<10} {f.outcome:<7} {f.peer or ''}".rstrip()
        )
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps([{**asdict(f), "machine": where} for f in figures], indent=1))
    return path
