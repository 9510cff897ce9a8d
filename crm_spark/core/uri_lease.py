"""The lease of a lake at a URI: a file per holder, numbered by its fencing token, created only if it does not exist.

Creating the next number is the one step that must be atomic; HDFS and S3 (conditional writes) create a file for one of
several clients only. The holder of the highest number holds the lease; it writes its file again while it works, and before
and after each commit makes sure that no higher one exists. There is no lock as in a directory: a holder that is suspended
within a commit may finish it after another has taken over, and then fails with an error.
"""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

from pyspark.sql import SparkSession

from crm_spark.core.errors import LeaseHeldError
from crm_spark.core.hadoop_files import HadoopFolder, RemoteFile
from crm_spark.core.lease import LOST_BEFORE, LOST_DURING, TIME_TO_LIVE_SECONDS, Lease, held_error, is_alive
from crm_spark.core.uris import is_remote

FOLDER = "_lease"
_CLOCK = ".clock"


class UriLease:
    """Holds the lease of the lake at a URI while the block runs; see `Lease`.

    Raises:
        LeaseHeldError: another live run holds it.
    """

    def __init__(
        self, spark: SparkSession, lake: str, *, run_id: str, time_to_live_seconds: float = TIME_TO_LIVE_SECONDS
    ):
        self.lake, self.run_id, self.time_to_live_seconds, self.token = lake, run_id, time_to_live_seconds, 0
        self._folder = HadoopFolder(spark, f"{lake.rstrip('/')}/{FOLDER}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._refresh, daemon=True)

    def __enter__(self) -> "UriLease":
        found = self._leases()
        if found:
            self._require_expired(found[-1])
        self.token = (int(found[-1].name) if found else 0) + 1
        if not self._folder.create(self._name, self._content_of()):
            raise self._held(self._name)
        for file in found:
            self._folder.delete(file.name)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._is_mine():  # the file stays, so that no later holder gets this number again
            self._folder.create(self._name, self._content_of(is_released=True), is_overwriting=True)

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Context of a commit.

        Raises:
            LeaseHeldError: another run took the lease over.
        """
        if not self._is_mine():
            raise LeaseHeldError(f"{self.lake}: {LOST_BEFORE}")
        yield
        if not self._is_mine():
            raise LeaseHeldError(f"{self.lake}: {LOST_DURING}")

    @property
    def _name(self) -> str:
        return f"{self.token:020d}"

    def _content_of(self, *, is_released: bool = False) -> bytes:
        content = {"run_id": self.run_id, "pid": os.getpid(), "host": socket.gethostname(), "is_released": is_released}
        return json.dumps({**content, "time_to_live_seconds": self.time_to_live_seconds}).encode()

    def _leases(self) -> list[RemoteFile]:
        files = [file for file in self._folder.files(is_recursive=False) if file.name.isdigit()]
        return sorted(files, key=lambda file: file.name)

    def _require_expired(self, newest: RemoteFile) -> None:
        holder = self._holder(newest.name)
        self._folder.create(_CLOCK, b"", is_overwriting=True)  # the time by the clock that stamps the lease
        age_seconds = (self._folder.stamp(_CLOCK)[1] - newest.modified_at) / 1000
        has_ended = holder.get("host") == socket.gethostname() and not is_alive(int(holder.get("pid", 0)))
        if not (has_ended or holder.get("is_released")) and age_seconds <= float(
            holder.get("time_to_live_seconds", TIME_TO_LIVE_SECONDS)
        ):
            raise self._held(newest.name)

    def _is_mine(self) -> bool:
        found = self._leases()
        return bool(found) and found[-1].name == self._name

    def _holder(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads(self._folder.read(name) or b"{}")
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def _held(self, name: str) -> LeaseHeldError:
        return held_error(self.lake, self._holder(name))

    def _refresh(self) -> None:
        while not self._stop.wait(self.time_to_live_seconds / 4):
            # Transient errors of the store are retried; a lost lease is noticed at the next commit.
            with suppress(Exception):
                if self._is_mine():
                    self._folder.create(self._name, self._content_of(), is_overwriting=True)


def lease_of(
    lake: str, *, spark: Callable[[], SparkSession], run_id: str, time_to_live_seconds: float = TIME_TO_LIVE_SECONDS
) -> Lease | UriLease:
    """The lease of a lake. Only that of a lake at a URI needs a session; `spark` starts it."""
    if is_remote(lake):
        return UriLease(spark(), lake, run_id=run_id, time_to_live_seconds=time_to_live_seconds)
    return Lease(lake, run_id=run_id, time_to_live_seconds=time_to_live_seconds)
