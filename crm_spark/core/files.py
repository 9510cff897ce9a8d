"""The files of a lake beside its tables: models, shards, the report.

A lake in a directory: they are used where they are. A lake at a URI: stages work on a copy on this machine, which is brought
up to date before the first stage and written back after each. What is written back last are the files that name a version as
complete or current, so that a run that is killed in between leaves the former version in use; models and shard sets are
verified by their digests when they are opened.
"""

import json
import os
from pathlib import Path

from pyspark.sql import SparkSession

from crm_spark.core.hadoop_files import HadoopFolder
from crm_spark.core.hashing import sha256_of
from crm_spark.core.uris import is_remote

_OF_THIS_MACHINE = ("training", "unpacked", "fetched", "fetched-dry-run")
"""Folders that only the machine that fills them reads."""
_INDEXES, _POINTERS = ("manifest.json", "model.json"), ("current", "registry.json")
_STATE = "state.json"


def files_root(lake: str, *, is_reading: bool = False) -> Path:
    """Directory of the shards, models and the report of a lake: in the lake, or the copy of those of a lake at a URI.

    Args:
        lake: directory or URI of the lake.
        is_reading: give the copy of commands that may run beside a refresh.
    """
    if is_remote(lake):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crm_spark"
        return cache / f"{sha256_of(lake.rstrip('/'))[:16]}{'-read' if is_reading else ''}" / "files"
    return Path(lake.removeprefix("file://")) / "files"


class LakeFiles:
    """Keeps the copy of a lake's files; for a lake in a directory, both methods do nothing.

    Args:
        spark: the session.
        lake: directory or URI of the lake.
        is_reading: a refresh may run meanwhile.

    Attributes:
        folder: result of `files_root`.
    """

    def __init__(self, spark: SparkSession, lake: str, *, is_reading: bool = False):
        self.folder = files_root(lake, is_reading=is_reading)
        self._remote = HadoopFolder(spark, f"{lake.rstrip('/')}/files") if is_remote(lake) else None
        self._state: dict[str, list[int]] = {}

    def fetch(self) -> None:
        """Make the copy equal to the files at the URI; what an interrupted run did not write back is lost."""
        if self._remote is None:
            return
        former = self._read_state()
        self._state = {}
        remote = {file.name: file for file in self._remote.files()}
        for name, file in sorted(remote.items()):
            if former.get(name) != [*file.stamp, *self._local_stamp(name)]:
                self._remote.download(name, self.folder / name)
            self._state[name] = [*file.stamp, *self._local_stamp(name)]
        for name in self._local_names() - remote.keys():
            (self.folder / name).unlink()
        self._write_state()

    def publish(self) -> None:
        """Write back what changed since the last call of either method."""
        if self._remote is None:
            return
        names = self._local_names()
        changed = [name for name in names if self._state.get(name, [])[2:] != self._local_stamp(name)]
        for name in sorted(changed, key=_publishing_order):
            self._remote.upload(self.folder / name, name)
            self._state[name] = [*self._remote.stamp(name), *self._local_stamp(name)]
        for name in self._state.keys() - names:
            self._remote.delete(name)
            del self._state[name]
        self._write_state()

    def _local_names(self) -> set[str]:
        return {
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.is_file() and not _is_of_this_machine(path.relative_to(self.folder))
        }

    def _local_stamp(self, name: str) -> list[int]:
        try:
            status = (self.folder / name).stat()
        except FileNotFoundError:
            return []
        return [status.st_size, status.st_mtime_ns]

    def _read_state(self) -> dict[str, list[int]]:
        try:
            content = json.loads((self.folder.parent / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write_state(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        draft = self.folder.parent / f".{_STATE}.draft"
        draft.write_text(json.dumps(self._state), encoding="utf-8")
        draft.replace(self.folder.parent / _STATE)


def _is_of_this_machine(path: Path) -> bool:
    return path.parts[0] in _OF_THIS_MACHINE or any(part.startswith(".") for part in path.parts)


def _publishing_order(name: str) -> tuple[int, str]:
    last = name.rsplit("/", 1)[-1]
    return (2 if last in _POINTERS else 1 if last in _INDEXES else 0), name
