"""One writer at a time: a lease on the lake with a fencing token.

The holder renews the lease while it works. A run that finds the lease of an ended process, or one that was not renewed for
its time to live, takes it over with the next token. A former holder that continues finds the lease of another run and
cannot commit.

Two pairs of steps must be atomic: finding an expired lease and taking it over, or a second client would remove the fresh
lease of the first; and checking the lease and committing, or a holder suspended in between would commit after its
successor. A lease is therefore taken under an exclusive lock (flock) on a file beside it, and every commit runs under a
shared lock. The kernel releases a lock when its process ends, and keeps it while the process is suspended: a holder
suspended within a commit cannot be replaced, and the error names its process.

A lock held for a whole run would need neither token nor time to live on one machine, but it does not work if several
machines mount the lake, and a suspended process could never be replaced.

Some mounts lock on one machine only (many FUSE file systems) or not at all. Of several clients one still creates the
file, and a former holder still fails at its next commit. A commit that it had already started is checked again afterwards,
so that the run fails with an error.

A lake at a URI has another kind of lease, see `crm_spark.core.uri_lease`.
"""

import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from crm_spark.core.errors import LeaseHeldError

TIME_TO_LIVE_SECONDS = 120.0
LOST_BEFORE = "another run took over the lease; this run stops before writing."
LOST_DURING = (
    "another run took over the lease during a write of this run, which may have been committed. Wait until the other run ends, "
    "then run the same command again."
)
LEASE_FILE = "_lease.json"
TOKEN_FILE = "_lease_token"
LOCK_FILE = "_lease.lock"
_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Lease:
    """Holds the lease of the lake in the directory `root` while the block runs.

    Raises:
        LeaseHeldError: another live run holds it.
    """

    def __init__(self, root: str, *, run_id: str, time_to_live_seconds: float = TIME_TO_LIVE_SECONDS):
        self.root = Path(root.removeprefix("file://"))
        self.run_id, self.time_to_live_seconds, self.token = run_id, time_to_live_seconds, 0
        self._content: dict[str, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Lease":
        self.root.mkdir(parents=True, exist_ok=True)
        self._require_free()  # fail at once, also while the holder commits
        with self._locked(fcntl.LOCK_EX):
            self._require_free()
            self._take()
        self._thread = threading.Thread(target=self._refresh, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._locked(fcntl.LOCK_SH):  # no takeover between check and removal
            if self._is_mine():
                (self.root / LEASE_FILE).unlink(missing_ok=True)

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Context of a commit: the lease is held at its start and cannot be taken over until its end.

        Raises:
            LeaseHeldError: another run took the lease over.
        """
        with self._locked(fcntl.LOCK_SH):
            if not self._is_mine():
                raise LeaseHeldError(f"{self.root}: {LOST_BEFORE}")
            yield
            if not self._is_mine():
                raise LeaseHeldError(f"{self.root}: {LOST_DURING}")

    def _take(self) -> None:
        """Write this run's lease in place of none or an expired one."""
        path, next_token = self.root / LEASE_FILE, self.root / f"{TOKEN_FILE}.{os.getpid()}"
        self.token = max(self._last_token(), int((self._read() or {}).get("token", 0))) + 1
        self._content = {
            "run_id": self.run_id,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "token": self.token,
            "time_to_live_seconds": self.time_to_live_seconds,
        }
        try:
            # On a full disk no lease is written and the last token is kept.
            next_token.write_text(str(self.token))
            path.unlink(missing_ok=True)
            with path.open("x") as file:  # without locks, only one of several clients creates it
                file.write(json.dumps(self._content))
            os.replace(next_token, self.root / TOKEN_FILE)
        except FileExistsError:
            raise self._held() from None
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            next_token.unlink(missing_ok=True)

    def _require_free(self) -> None:
        try:
            refreshed_at = (self.root / LEASE_FILE).stat().st_mtime
        except FileNotFoundError:
            return
        holder = self._read() or {}
        has_ended = holder.get("host") == socket.gethostname() and not is_alive(int(holder["pid"]))
        time_to_live_seconds = holder.get("time_to_live_seconds", TIME_TO_LIVE_SECONDS)
        if not has_ended and self._now() - refreshed_at <= time_to_live_seconds:
            raise self._held()

    def _now(self) -> float:
        """The time by the clock that stamps the lease: on a mount, that of the server."""
        lock = self.root / LOCK_FILE
        lock.touch()
        return lock.stat().st_mtime

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Hold the lock; wait for it at most one renewal interval."""
        deadline = time.monotonic() + self.time_to_live_seconds / 4
        with (self.root / LOCK_FILE).open("a") as file:
            while True:
                try:
                    fcntl.flock(file, how | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise self._held() from None
                    time.sleep(0.02)
                except OSError as error:
                    if error.errno not in _NO_LOCKS_HERE:
                        raise
                    break
            yield

    def _held(self) -> LeaseHeldError:
        return held_error(str(self.root), self._read() or {})

    def _is_mine(self) -> bool:
        return self._read() == self._content  # without locks two clients may have the same token

    def _last_token(self) -> int:
        try:
            return int((self.root / TOKEN_FILE).read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads((self.root / LEASE_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def _refresh(self) -> None:
        while not self._stop.wait(self.time_to_live_seconds / 4):
            # Transient errors of a mount are retried; a lost lease is noticed at the next commit.
            with suppress(OSError):
                if self._is_mine():
                    os.utime(self.root / LEASE_FILE)


def held_error(lake: str, holder: Mapping[str, Any]) -> LeaseHeldError:
    """The error that names the holder of a lease."""
    return LeaseHeldError(
        f"{lake}: run {holder.get('run_id', 'unknown')} (process {holder.get('pid', '?')} on {holder.get('host', '?')}) holds "
        "the lease of this lake. Wait until it ends, or end it."
    )


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
