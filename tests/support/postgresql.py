"""A PostgreSQL of a test's own: Debian's package, started on a free port, stopped when the block ends."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "crm", "open sesame"


@dataclass(frozen=True)
class PostgreSQL:
    """A running server; `bin` is the folder of its programs."""

    bin: Path
    folder: Path
    port: int

    def url(self, database: str) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/{database}"

    def run(self, database: str, *statements: str) -> None:
        subprocess.run([*self._psql(database), "-c", ";".join(statements)], check=True, env=self._environment())

    @contextmanager
    def transaction(self, database: str, statement: str) -> Iterator[None]:
        """Open during the block, committed at its end."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self._psql(database), env=self._environment(), stdin=pipe, stdout=pipe, text=True
        ) as psql:
            psql.stdin.write(f"BEGIN; {statement};\n\\echo begun\n")
            psql.stdin.flush()
            assert psql.stdout.readline() == "begun\n"
            yield
            psql.stdin.write("COMMIT;\n")
        assert psql.returncode == 0

    def _psql(self, database: str) -> list[str]:
        command = [str(self.bin / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-p", str(self.port)]
        return [*command, "-U", USER, "-d", database]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PGPASSWORD": PASSWORD}


def programs() -> Path | None:
    """Folder of the newest PostgreSQL's programs."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return binaries[-1].parent if binaries else None


@contextmanager
def postgresql(bin: Path) -> Iterator[PostgreSQL]:
    """A server with an empty cluster; it refuses to run as root, so root starts it as `postgres`."""
    as_user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    (folder / "password").write_text(PASSWORD)
    if as_user:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = ["-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
    options = {"listen_addresses": "127.0.0.1", "shared_buffers": "16MB", "fsync": "off"}
    command = [str(bin / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder)]
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    try:
        subprocess.run(
            [str(bin / "initdb"), *made, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, cwd=folder, stdout=subprocess.DEVNULL, **as_user,
        )  # fmt: skip
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **as_user)
        try:
            _wait(bin, folder, port, server)
            yield PostgreSQL(bin, folder, port)
        finally:
            server.send_signal(signal.SIGINT)  # ends without waiting for who is still connected
            server.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(bin: Path, folder: Path, port: int, server: subprocess.Popen) -> None:
    ready = [str(bin / "pg_isready"), "-q", "-h", str(folder), "-p", str(port)]
    until = time.monotonic() + 60
    while subprocess.run(ready).returncode != 0:
        assert server.poll() is None and time.monotonic() < until, (folder / "log").read_text()
        time.sleep(0.1)
