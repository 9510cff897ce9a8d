"""Run a command and record its log and the peak memory of its process tree."""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from crm_spark.pipeline import STAGES

ROOT = Path(__file__).resolve().parent.parent
NAMES = list(STAGES)
_MB = 1e6


@dataclass
class Watched:
    """Time and memory of a run.

    Attributes:
        seconds: wall time of the whole command, JVM start included.
        peak_mb: largest sum of resident memory over the process tree, JVM and Python workers included.
        stage_seconds: wall time of each stage, as the run says it.
        stage_peak_mb: the peak while the stage ran.
    """

    seconds: float = 0.0
    peak_mb: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    stage_peak_mb: dict[str, float] = field(default_factory=dict)


def watch(command: Sequence[str], *, interval: float = 0.5) -> Watched:
    """Run the command and forward its log to standard error.

    Raises:
        RuntimeError: it failed.
    """
    result, started = Watched(), time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    peak_since = [0.0]
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(interval):
            memory_mb = _tree_mb(process.pid)
            peak_since[0], result.peak_mb = max(peak_since[0], memory_mb), max(result.peak_mb, memory_mb)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    assert process.stderr is not None
    for line in process.stderr:
        sys.stderr.write(line)
        words = line.split()
        if len(words) > 5 and words[1] in NAMES and words[2] == "done":
            result.stage_seconds[words[1]] = float(words[5])
            result.stage_peak_mb[words[1]], peak_since[0] = peak_since[0], 0.0
    code = process.wait()
    stop.set()
    sampler.join()
    result.seconds = time.monotonic() - started
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {code}")
    return result


def _tree_mb(pid: int) -> float:
    """Return the proportional set size (shared pages counted once) if available, else the resident set size."""
    total = 0.0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            try:
                memory = process.memory_full_info() if sys.platform == "linux" else process.memory_info()
                total += getattr(memory, "pss", memory.rss) / _MB
            except psutil.Error:
                continue
    except psutil.Error:
        return 0.0
    return total
