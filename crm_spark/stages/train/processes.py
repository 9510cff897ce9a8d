"""Processes that cannot outlive who started them, and a launch that ends in finite time."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

from crm_spark.core.errors import CrmError

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Asks the kernel to kill this process when its parent dies (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def num_local_ranks(wanted: int) -> int:
    """So many ranks as are wanted; with GPUs at most one for each."""
    import torch

    return min(wanted, torch.cuda.device_count()) if torch.cuda.is_available() else wanted


def launch(spec: Path, *, num_ranks: int, max_seconds: int, log: Path) -> None:
    """Runs the ranks through torchrun and waits.

    Raises:
        CrmError: a rank failed, or the time ran out; the log's last line says which.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        # Gloo ranks that are started anew find a shared store of the dead round and hang.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "crm_spark.stages.train.processes",
        "--standalone",
        f"--nproc-per-node={num_ranks}",
    ]
    command += ["-m", "crm_spark.stages.train.worker", "--spec", str(spec)]
    shows_progress = sys.stderr.isatty()
    with log.open("wb") as out:
        errors = None if shows_progress else out
        agent = subprocess.Popen(command, env=environment, start_new_session=True, stdout=out, stderr=errors)
        try:
            code = agent.wait(timeout=max_seconds)
        except subprocess.TimeoutExpired:
            raise CrmError(
                f"train: not finished after {max_seconds} s (train.max_seconds); ended. Log: {log}"
            ) from None
        finally:
            if agent.poll() is None:
                os.killpg(agent.pid, signal.SIGKILL)
                agent.wait()
    if code != 0:
        raise CrmError(
            f"train: a rank failed (exit code {code}). Log: {log}. Run the stage again to resume from the checkpoint."
        )


if __name__ == "__main__":
    from torch.distributed.run import main

    end_with_parent()
    main()
