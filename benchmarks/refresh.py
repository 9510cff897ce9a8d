"""Refresh of a generated company: time and peak memory per stage at two sizes, and their growth.

Training sees 8,192 texts at both sizes: how many are worth seeing is a choice and not a matter of the company's size.
"""

import argparse
import math
import shutil
import sys

from benchmarks.figures import OUT, Figure
from benchmarks.process_monitor import NAMES, Watched, watch

SIZES = [10_000, 100_000]


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Generate and refresh each size in a new lake, then refresh without new data."""
    figures: list[Figure] = []
    runs: dict[int, Watched] = {}
    sizes = arguments.customers or SIZES
    for size in sizes:
        company, lake = OUT / f"company-{size}", OUT / f"lake-{size}"
        shutil.rmtree(lake, ignore_errors=True)
        shutil.rmtree(company, ignore_errors=True)
        made = watch([sys.executable, "jobs/generate.py", "--out", str(company), "--customers", str(size)])
        command = [sys.executable, "jobs/refresh.py", "--conf", "conf/company.yaml", "--lake", str(lake)]
        command += ["--set", f"ingest.data_dir={company / 'drops'}", "--set", "train.max_examples=8192"]
        runs[size] = watch(command)
        again = watch(command)
        label = f"{size:,} customers"
        figures.append(Figure(f"{label}: generate", made.seconds, "seconds"))
        for stage in NAMES:
            if stage in runs[size].stage_seconds:
                figures.append(Figure(f"{label}: {stage}", runs[size].stage_seconds[stage], "seconds"))
                figures.append(Figure(f"{label}: {stage}, peak memory", runs[size].stage_peak_mb[stage], "MB"))
        figures.append(Figure(f"{label}: refresh", runs[size].seconds, "seconds"))
        figures.append(Figure(f"{label}: refresh, peak memory", runs[size].peak_mb, "MB"))
        figures.append(Figure(f"{label}: refresh without new data", again.seconds, "seconds"))
    if len(sizes) == 2:
        small, large = (runs[size] for size in sizes)
        grown = math.log(sizes[1] / sizes[0])
        for stage in NAMES:
            if small.stage_seconds.get(stage) and large.stage_seconds.get(stage):
                exponent = math.log(large.stage_seconds[stage] / small.stage_seconds[stage]) / grown
                figures.append(Figure(f"{stage}: growth exponent of time", exponent, "exponent", peer="1 is linear"))
    return figures
