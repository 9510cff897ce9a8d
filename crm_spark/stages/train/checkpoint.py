"""Checkpoints, written atomically with their digest in the file name."""

import io
import os
from pathlib import Path
from typing import Any

import torch

from crm_spark.core.signing import digest

KEEP = 2


def save(state: dict[str, Any], folder: Path, *, step: int) -> Path:
    """Write `step-<step>-<digest>.pt` and keep the newest two checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    path = folder / f"step-{step:08d}-{digest(content)[:16]}.pt"
    draft = folder / f".{path.name}.draft"
    with draft.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
    for old in sorted(folder.glob("step-*.pt"))[:-KEEP]:
        old.unlink()
    return path


def newest_valid(folder: Path) -> dict[str, Any] | None:
    """Load the newest checkpoint with a valid digest; None if there is none."""
    for path in sorted(folder.glob("step-*.pt"), reverse=True):
        content = path.read_bytes()
        if digest(content)[:16] == path.stem.rsplit("-", 1)[1]:
            state: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
            return state
    return None
