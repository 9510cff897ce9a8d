"""One writer at a time: a lease on the lake with a fencing token.

The holder refreshes the lease while it works. Who finds a lease whose process is gone, or that has not been refreshed for
its time to live, takes it over under the next token; the old holder, should it wake up, finds another run's lease and may
not commit.

Two moments must not be torn apart: finding a lease dead and taking it over, else a second taker removes the first one's
fresh lease; and finding it held and committing, else a holder that was stopped in between commits after its successor.
So a lease is taken under an exclusive lock (flock) on a file beside it, and every commit runs under a shared one. The
kernel gives a lock back when its process ends, however it ends, and keeps it while the process is merely stopped: a
holder stopped within a commit cannot be replaced, and who tries is told which process to let go on or to end.

A lock held for a run's whole life would need neither token nor time to live on one machine. It is not enough where several
machines mount the lake, nor could a process that was stopped and forgotten ever be replaced.

Some mounts lock on one machine only (many FUSE file systems), some not at all. Of takers on several machines one still
creates the file, and a stale holder is still refused at its next commit. What is left there is that holder's one commit
under way; it is looked at again afterwards, so that the run fails and says so.

Lakes that are not on a local or mounted file system take no lease: there the scheduler must run one refresh at a time.
"""

import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from crm_spark.core.errors import LeaseHeldError

TIME_TO_LIVE_SECONDS = 120.0
LEASE_FILE = "_lease.json"
TOKEN_FILE = "_lease_token"
LOCK_FILE = "_lease.lock"
_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Lease:
    """Holds the lake at `root` while the block runs.

    Raises:
        LeaseHeldError: another live run holds it.
    """

    def __init__(self, root: str, *, run_id: str, time_to_live_seconds: float = TIME_TO_LIVE_SECONDS):
        self.root = Path(root.removeprefix("file://")) if "://" not in root or root.startswith("file://") else None
        self.run_id, self.time_to_live_seconds, self.token = run_id, time_to_live_seconds, 0
        self._content: dict[str, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Lease":
        if self.root is None:
            return self
        self.root.mkdir(parents=True, exist_ok=True)
        self._require_free()  # said at once, also while the holder commits
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
        if self.root is None:
            return
        with self._locked(fcntl.LOCK_SH):  # nobody takes it over between the look and the removal
            if self._is_mine():
                (self.root / LEASE_FILE).unlink(missing_ok=True)

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Surrounds every commit: the lease is held at its start and cannot be taken over until its end.

        Raises:
            LeaseHeldError: another run took the lease over.
        """
        if self.root is None:
            yield
            return
        with self._locked(fcntl.LOCK_SH):
            if not self._is_mine():
                raise LeaseHeldError(f"{self.root}: this run lost its lease to another one and stops before writing.")
            yield
            if not self._is_mine():
                raise LeaseHeldError(
                    f"{self.root}: this run lost its lease to another one in the middle of a write, which may stand beside "
                    "the other's. Wait until that one ends, then run the same command again."
                )

    def _take(self) -> None:
        """Puts this run's lease where there is none or a dead one."""
        assert self.root is not None
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
            # On a full disk no lease is taken and the last token stays known.
            next_token.write_text(str(self.token))
            path.unlink(missing_ok=True)
            with path.open("x") as file:  # of takers that no lock keeps apart one creates it
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
        assert self.root is not None
        try:
            refreshed_at = (self.root / LEASE_FILE).stat().st_mtime
        except FileNotFoundError:
            return
        holder = self._read() or {}
        is_gone = holder.get("host") == socket.gethostname() and not _is_alive(int(holder["pid"]))
        time_to_live_seconds = holder.get("time_to_live_seconds", TIME_TO_LIVE_SECONDS)
        if not is_gone and self._now() - refreshed_at <= time_to_live_seconds:
            raise self._held()

    def _now(self) -> float:
        """By the clock that stamps the lease: a mount's is the server's."""
        assert self.root is not None
        lock = self.root / LOCK_FILE
        lock.touch()
        return lock.stat().st_mtime

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """The lock, waited for no longer than a holder that works may leave the lease alone."""
        assert self.root is not None
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
        holder = self._read() or {}
        return LeaseHeldError(
            f"{self.root}: run {holder.get('run_id', 'unknown')} (process {holder.get('pid', '?')} on "
            f"{holder.get('host', '?')}) is working on this lake. Wait until it ends, or end it."
        )

    def _is_mine(self) -> bool:
        return self._read() == self._content  # without locks two takers may have counted the same token

    def _last_token(self) -> int:
        assert self.root is not None
        try:
            return int((self.root / TOKEN_FILE).read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0

    def _read(self) -> dict[str, Any] | None:
        assert self.root is not None
        try:
            content = json.loads((self.root / LEASE_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def _refresh(self) -> None:
        assert self.root is not None
        while not self._stop.wait(self.time_to_live_seconds / 4):
            # A mount that hiccups is asked again; a lease that is lost shows at the next commit.
            with suppress(OSError):
                if self._is_mine():
                    os.utime(self.root / LEASE_FILE)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
