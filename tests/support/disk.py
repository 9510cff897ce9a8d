"""A small disk of a test's own, which can be filled up."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[None]:
    """A tmpfs at the folder; skips where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if made.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def filled_up(folder: Path, *, but_kilobytes: int) -> Iterator[None]:
    """The folder's disk without room but for so many kilobytes, during the block."""
    ballast = folder / ".ballast"
    with ballast.open("wb", buffering=0) as sink, suppress(OSError):
        while True:
            sink.write(bytes(4096))
    with ballast.open("r+b") as sink:
        sink.truncate(max(ballast.stat().st_size - but_kilobytes * 1024, 0))
    try:
        yield
    finally:
        ballast.unlink()
