"""Checkpoints: retention, damaged files, embedded code."""

import numpy as np
import pytest
import torch

from crm_spark.stages.train.checkpoint import newest_valid, save


def state(step):
    return {"step": step, "weights": torch.arange(1000, dtype=torch.float32) + step}


@pytest.fixture
def folder(tmp_path):
    for step in (10, 20, 30):
        save(state(step), tmp_path, step=step)
    return tmp_path


def test_newest_two_checkpoints_are_kept_and_the_newest_is_loaded(folder):
    assert [path.name[:13] for path in sorted(folder.iterdir())] == ["step-00000020", "step-00000030"]
    checkpoint = newest_valid(folder)
    assert checkpoint["step"] == 30 and torch.equal(checkpoint["weights"], state(30)["weights"])


def test_truncated_and_altered_checkpoints_are_detected(folder):
    newest = sorted(folder.glob("step-*.pt"))[-1]
    whole = newest.read_bytes()
    draw, used = np.random.default_rng(20), []
    damaged = [whole[:length] for length in np.linspace(0, len(whole) - 1, 20).astype(int)]
    for position in draw.choice(len(whole) * 8, 50, replace=False):
        content = bytearray(whole)
        content[position // 8] ^= 1 << int(position % 8)
        damaged.append(bytes(content))
    for content in damaged:
        newest.write_bytes(content)
        used.append(newest_valid(folder)["step"])
    assert used == [20] * 70
    newest.write_bytes(whole)
    assert newest_valid(folder)["step"] == 30


def test_draft_of_a_killed_process_is_ignored(folder):
    (folder / ".step-00000040-0123456789abcdef.pt.draft").write_bytes(b"half")
    assert newest_valid(folder)["step"] == 30


def test_code_in_a_checkpoint_is_not_executed(folder, tmp_path):
    """The digest protects against damage, not against forgery."""
    import hashlib
    import pickle

    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    content = pickle.dumps(Payload())
    name = f"step-00000099-{hashlib.sha256(content).hexdigest()[:16]}.pt"
    (folder / name).write_bytes(content)
    with pytest.raises(pickle.UnpicklingError):
        newest_valid(folder)
    assert not marker.exists()
