"""Ingest and clean of order lines, persons and texts, compared with pandas: 1 to 10 million rows, small delivery, no rules.

Everything is written to disk on both sides, so nothing is left unevaluated. A core's rows a second are the rows over the
wall time and the number of cores that are used: two by Spark, one by pandas.
"""

import argparse
import math
import os
import shutil
import sys
from pathlib import Path

from benchmarks.company_files import lay_out_sources, write
from benchmarks.figures import OUT, Figure
from benchmarks.process_monitor import Watched, watch

SIZES = [1_000_000, 10_000_000]
CORES = 2
ROWS_PER_PARTITION = 500_000
FEW_ROWS = 100
PANDAS_BYTES_PER_ROW = 1_000
"""Peak memory of pandas per row of these files; sizes that exceed the memory are skipped."""


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Measure the first load at each size; at the largest size also a 1% delivery and a run without new data."""
    figures, loads, sizes = [], {}, arguments.customers or SIZES
    sources = lay_out_sources(OUT / "cleaning-sources")
    for size in sizes:
        data, label = OUT / f"cleaning-{size}", f"{size:,} rows"
        write(data, size)
        loads[size] = load = _load(data, OUT / f"cleaning-lake-{size}", sources, size)
        rate = size / load.seconds / CORES
        figures += [
            Figure(f"{label}: ingest and clean", load.seconds, "seconds"),
            Figure(f"{label}: rows per second and core", rate, "rows/s"),
            Figure(f"{label}: peak memory", load.peak_mb, "MB", "<= 8590"),
        ]
        if size * PANDAS_BYTES_PER_ROW < 0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
            peer = watch([sys.executable, "-m", "benchmarks.cleaning_pandas", str(data), str(OUT / "cleaning-pandas")])
            whole = size / load.seconds / (size / peer.seconds)
            figures += [
                Figure(f"{label}: pandas", peer.seconds, "seconds"),
                Figure(f"{label}: pandas, peak memory", peer.peak_mb, "MB"),
                Figure(f"{label}: per core relative to pandas", whole / CORES, "ratio", ">= 1.0", "pandas"),
                Figure(f"{label}: two cores relative to pandas", whole, "ratio", peer="pandas"),
            ]
    figures += _without_rules(sizes[0], loads[sizes[0]], sources)
    figures += _small_delivery(sizes[-1], loads[sizes[-1]], sources)
    if len(sizes) == 2:
        grown = math.log(sizes[1] / sizes[0])
        exponent = math.log(loads[sizes[1]].seconds / loads[sizes[0]].seconds) / grown
        memory = loads[sizes[1]].peak_mb / loads[sizes[0]].peak_mb
        figures.append(Figure("growth: time exponent", exponent, "exponent", "<= 1.05", "1 is linear"))
        figures.append(Figure("growth: peak memory", memory, "ratio", peer="1 is flat"))
    return figures


def _load(data: Path, lake: Path, sources: Path, size: int, *overrides: str, is_first: bool = True) -> Watched:
    """Run ingest and clean as two jobs including JVM start; the number of shuffle partitions follows the size."""
    if is_first:
        shutil.rmtree(lake, ignore_errors=True)
    partitions = f"session.shuffle_partitions={max(4, size // ROWS_PER_PARTITION)}"
    sets = [f"ingest.data_dir={data}", f"ingest.sources_dir={sources}", partitions, *overrides]
    both = []
    for job in ("ingest", "clean"):
        command = [sys.executable, f"jobs/{job}.py", "--conf", "conf/company.yaml", "--lake", str(lake)]
        both.append(watch([*command, *(word for one in sets for word in ("--set", one))]))
    return Watched(sum(w.seconds for w in both), max(w.peak_mb for w in both))


def _without_rules(size: int, load: Watched, sources: Path) -> list[Figure]:
    empty = OUT / "no-rules"
    empty.mkdir(parents=True, exist_ok=True)
    (empty / "none.yaml").write_text("affirmative: ['1']\nnegative: ['0']\n")
    bare = _load(OUT / f"cleaning-{size}", OUT / "cleaning-lake-bare", sources, size, f"clean.rules_dir={empty}")
    ratio = load.seconds / bare.seconds
    return [
        Figure(f"{size:,} rows: all rules relative to none", ratio, "ratio", "<= 1.5", "the same load without rules")
    ]


def _small_delivery(size: int, load: Watched, sources: Path) -> list[Figure]:
    """Measure a 1% delivery, minus the fixed cost of a run without new data and of a delivery of a few rows."""
    data, lake = OUT / f"cleaning-{size}", OUT / f"cleaning-lake-{size}"
    write(data, size // 100, day="2025-01-02", first=size)
    small = _load(data, lake, sources, size, is_first=False)
    write(data, FEW_ROWS, day="2025-01-03", first=2 * size)
    few = _load(data, lake, sources, size, is_first=False)
    idle = _load(data, lake, sources, size, is_first=False)
    shares = [(small.seconds - start.seconds) / load.seconds for start in (idle, few)]
    return [
        Figure(f"{size:,} rows: 1% more", small.seconds, "seconds"),
        Figure(f"{size:,} rows: {FEW_ROWS} more", few.seconds, "seconds"),
        Figure(f"{size:,} rows: no new data", idle.seconds, "seconds", peer="the fixed start"),
        Figure(f"{size:,} rows: 1% more, minus no new data", shares[0], "fraction", "<= 0.05", "the first load"),
        Figure(f"{size:,} rows: 1% more, minus {FEW_ROWS} more", shares[1], "fraction", peer="the first load"),
    ]
