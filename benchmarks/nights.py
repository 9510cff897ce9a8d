"""Nightly refreshes of a generated company: time, memory, size of the lake and its files over many nights, with faults.

At the end, the tables are compared with one load of everything. Not compared: ids and times of runs and batches, customer ids
(they depend on which record is linked first; compared is which records belong together), and what a model that was kept from an
earlier night predicts.
"""

import argparse
import gzip
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figures import OUT, Figure
from benchmarks.process_monitor import ROOT, Watched, watch

CUSTOMERS, NIGHTS = 20_000, 60
_RUN_COLUMNS = ("row_id", "batch_id", "merged_from", "run_id", "_run_id", "arrived_at", "_arrived_at", "ended_at")
_WEEK = 7


@dataclass(frozen=True)
class Night:
    """Measurements after one night."""

    number: int
    seconds: float
    peak_mb: float
    lake_mb: float
    data_mb: float
    most_files: int
    """Files of the table with most of them, those of its log included."""


class Deliveries:
    """What arrives in the company's folder each night.

    Args:
        generated: folder with a generated delivery per day, in order.
        drops: folder that the refresh reads.
        num_nights: nights after the first load; the faults are spread over them.
    """

    def __init__(self, generated: Path, drops: Path, num_nights: int):
        self.folders = sorted(folder for folder in generated.iterdir() if folder.is_dir())
        self.drops = drops
        at = [max(2, round(num_nights * part)) for part in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]
        self.damaged, self.late, self.wider, self.renamed, self.twice, self.empty, self.killed = at

    def deliver(self, night: int) -> str:
        """Deliver the files of a night; return what is unusual about it."""
        today = self.folders[night]
        if night == self.empty:
            return "nothing arrives"
        if night == self.late:
            return "the delivery is late"
        for earlier in (self.empty, self.late):
            if night == earlier + 1:
                self._copy(self.folders[earlier])
        self._copy(today)
        if night == self.damaged:
            _damage(self.drops / today.name / "reviews-0000.csv")
            return "a file is damaged"
        if night == self.damaged + 1:
            self._copy(self.folders[self.damaged])
            return "the file is delivered again"
        if night >= self.wider:
            _add_column(self.drops / today.name / "shop_orders-0000.csv")
        if night == self.renamed:
            _rename_column(self.drops / today.name / "shop_order_lines-0000.csv", "Menge", "Anzahl")
            return "a column is renamed"
        if night == self.renamed + 1:
            shutil.copytree(self.folders[self.renamed], self.drops / f"{self.folders[self.renamed].name}-corrected")
            return "the delivery of the night before arrives corrected"
        if night == self.twice:
            shutil.copytree(self.drops / today.name, self.drops / f"{today.name}-again")
            return "the delivery arrives twice"
        return "killed" if night == self.killed else "a column is new" if night == self.wider else ""

    def _copy(self, folder: Path) -> None:
        shutil.copytree(folder, self.drops / folder.name, dirs_exist_ok=True)


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Refresh a company night by night, then compare its lake with one load of everything."""
    customers, num_nights = (arguments.customers or [CUSTOMERS])[0], arguments.nights or NIGHTS
    home = OUT / f"nights-{customers}"
    shutil.rmtree(home, ignore_errors=True)
    generated, drops, lake, whole = home / "generated", home / "company" / "drops", home / "lake", home / "whole"
    command = [sys.executable, "jobs/generate.py", "--out", str(generated), "--customers", str(customers)]
    watch([*command, "--days", str(num_nights)])
    drops.mkdir(parents=True)
    deliveries = Deliveries(generated / "drops", drops, num_nights)
    nights: list[Night] = []
    maintained: list[float] = []
    for number in range(num_nights + 1):
        event = deliveries.deliver(number)
        if event == "killed":
            _refresh_and_kill(_refresh(drops, lake))
        watched = watch(_refresh(drops, lake))
        nights.append(_measured(number, watched, lake, drops))
        print(f"night {number}: {watched.seconds:.0f} s {event}", file=sys.stderr, flush=True)
        if number and number % _WEEK == 0:
            started = time.monotonic()
            subprocess.run(
                [sys.executable, "jobs/maintain.py", "--conf", "conf/demo.yaml", "--lake", str(lake)],
                cwd=ROOT,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            maintained.append(time.monotonic() - started)
    watch(_refresh(drops, whole))
    return [*_figures(nights, maintained), *_compared(lake, whole)]


def _refresh(drops: Path, lake: Path) -> list[str]:
    command = [sys.executable, "jobs/refresh.py", "--conf", "conf/demo.yaml", "--lake", str(lake)]
    return [*command, "--set", f"ingest.data_dir={drops}"]


def _refresh_and_kill(command: list[str]) -> None:
    """Kill the refresh and all its processes after its first stage."""
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        words = line.split()
        if words[1:3] == ["clean", "done"]:
            break
    children = psutil.Process(process.pid).children(recursive=True)
    for pid in [process.pid, *(child.pid for child in children)]:
        os.kill(pid, signal.SIGKILL)
    process.wait()


def _measured(number: int, watched: Watched, lake: Path, drops: Path) -> Night:
    tables = [log.parent for log in lake.glob("*/*/_delta_log")]
    most_files = max(sum(path.is_file() for path in table.rglob("*")) for table in tables)
    return Night(number, watched.seconds, watched.peak_mb, _megabytes(lake), _megabytes(drops), most_files)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _figures(nights: list[Night], maintained: list[float]) -> list[Figure]:
    first, last = nights[0], nights[-1]
    third = max(1, len(nights) // 6)
    early, late = nights[third : 2 * third], nights[-third:]
    before, after = (statistics.mean(n.seconds for n in part) for part in (early, late))
    figures = [Figure(f"night {n.number}: refresh", n.seconds, "seconds") for n in nights]
    return [
        *figures,
        Figure("a night, of the first load", after / first.seconds, "ratio", "<= 0.10", "first load"),
        Figure(
            "last nights, of early nights",
            after / before,
            "ratio",
            "<= 1.15",
            f"nights {early[0].number} to {early[-1].number}",
        ),
        Figure("lake bytes per data byte, early", early[-1].lake_mb / early[-1].data_mb, "ratio"),
        Figure("lake bytes per data byte, at the end", last.lake_mb / last.data_mb, "ratio"),
        Figure("most files of a table, early", max(n.most_files for n in early), "files"),
        Figure("most files of a table, at the end", last.most_files, "files"),
        Figure("peak memory, early", max(n.peak_mb for n in early), "MB"),
        Figure("peak memory, at the end", max(n.peak_mb for n in late), "MB"),
        *([Figure("maintenance", statistics.mean(maintained), "seconds")] if maintained else []),
    ]


def _compared(lake: Path, whole: Path) -> list[Figure]:
    """Rows of each table that one lake has and the other has not."""
    figures = []
    for log in sorted([*lake.glob("silver/*/_delta_log"), *lake.glob("ops/reconciliation/_delta_log")]):
        name = log.parent.relative_to(lake).as_posix()
        ours, theirs = (_rows(root / name) for root in (lake, whole))
        figures.append(Figure(f"{name}: rows that differ from one load", len(ours ^ theirs), "rows", "== 0"))
    differing = _groups(lake) ^ _groups(whole)
    return [*figures, Figure("customers of other records than in one load", len(differing), "customers", "== 0")]


def _rows(table: Path) -> set[str]:
    from deltalake import DeltaTable

    frame = DeltaTable(str(table)).to_pandas()
    frame = frame.drop(columns=[name for name in frame.columns if name in _RUN_COLUMNS])
    return set(map(repr, frame.astype(str).itertuples(index=False, name=None)))


def _groups(lake: Path) -> set[frozenset[tuple[str, str]]]:
    """The records of each customer."""
    from deltalake import DeltaTable

    links = DeltaTable(str(lake / "gold" / "customer_link")).to_pandas()
    return {frozenset(zip(part["system"], part["person_id"])) for _, part in links.groupby("customer_id")}


def _damage(path: Path) -> None:
    """Overwrite the middle of a file with bytes of a compressed one."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + gzip.compress(content) + b"\x00" * 64)


def _add_column(path: Path) -> None:
    if path.exists():
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([f"{head};Filiale", *(f"{line};1" for line in lines), ""]), encoding="utf-8")


def _rename_column(path: Path, old: str, new: str) -> None:
    if path.exists():
        head, rest = path.read_text(encoding="utf-8").split("\n", 1)
        path.write_text(f"{head.replace(old, new)}\n{rest}", encoding="utf-8")
