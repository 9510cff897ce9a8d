"""One writer at a time: a lease on the lake with a fencing token.

The holder refreshes the lease while it works. Who finds a lease whose process is gone, or that has not been refreshed for
its time to live, takes it over under the next token; the old holder, should it wake up, finds another token in the file
and may not commit. The file is created exclusively, so of two starters one wins. Lakes that are not on a local or mounted
file system take no lease here: there the scheduler must run one refresh at a time.
"""

import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from crm_spark.core.errors import LeaseHeldError

TIME_TO_LIVE_SECONDS = 120
LEASE_FILE = "_lease.json"
TOKEN_FILE = "_lease_token"


class Lease:
    """Holds the lake at `root` while the block runs.

    Raises:
        LeaseHeldError: another live run holds it.
    """

    def __init__(self, root: str, *, run_id: str):
        self.root = Path(root.removeprefix("file://")) if "://" not in root or root.startswith("file://") else None
        self.run_id, self.token = run_id, 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Lease":
        if self.root is None:
            return self
        self.root.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            if self._try_create():
                self._thread = threading.Thread(target=self._refresh, daemon=True)
                self._thread.start()
                return self
            self._remove_if_dead()
        holder = self._read() or {}
        raise LeaseHeldError(
            f"{self.root}: run {holder.get('run_id', 'unknown')} (process {holder.get('pid', '?')} on "
            f"{holder.get('host', '?')}) is working on this lake. Wait until it ends, or end it."
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self.root is not None and (self._read() or {}).get("token") == self.token:
            (self.root / LEASE_FILE).unlink(missing_ok=True)

    def require_held(self) -> None:
        """Called before every commit.

        Raises:
            LeaseHeldError: the lease was taken over while this run was not looking.
        """
        if self.root is not None and (self._read() or {}).get("token") != self.token:
            raise LeaseHeldError(f"{self.root}: this run lost its lease to another one and stops before writing.")

    def _try_create(self) -> bool:
        assert self.root is not None
        token = self._last_token() + 1
        content = {"run_id": self.run_id, "pid": os.getpid(), "host": socket.gethostname(), "token": token}
        draft = self.root / f"{LEASE_FILE}.{os.getpid()}"
        next_token = self.root / f"{TOKEN_FILE}.{os.getpid()}"
        try:
            # Both are written before either counts: on a full disk no lease is taken and the last token stays known.
            draft.write_text(json.dumps(content))
            next_token.write_text(str(token))
            os.link(draft, self.root / LEASE_FILE)  # fails if it exists, and never shows half a file
            os.replace(next_token, self.root / TOKEN_FILE)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
            next_token.unlink(missing_ok=True)
        self.token = token
        return True

    def _remove_if_dead(self) -> None:
        assert self.root is not None
        holder, path = self._read(), self.root / LEASE_FILE
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            return
        is_here = holder is not None and holder.get("host") == socket.gethostname()
        if age > TIME_TO_LIVE_SECONDS or (is_here and holder is not None and not _is_alive(int(str(holder["pid"])))):
            aside = path.with_name(f"{LEASE_FILE}.dead.{os.getpid()}")
            try:
                os.rename(path, aside)  # of several takers one renames, the others find it gone
                aside.unlink()
            except FileNotFoundError:
                pass

    def _last_token(self) -> int:
        assert self.root is not None
        try:
            return int((self.root / TOKEN_FILE).read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0

    def _read(self) -> dict[str, object] | None:
        assert self.root is not None
        try:
            content = json.loads((self.root / LEASE_FILE).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return content if isinstance(content, dict) else None

    def _refresh(self) -> None:
        assert self.root is not None
        while not self._stop.wait(TIME_TO_LIVE_SECONDS / 4):
            if (self._read() or {}).get("token") == self.token:
                os.utime(self.root / LEASE_FILE)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
