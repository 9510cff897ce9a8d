"""Launch of local ranks with torchrun: time limit, restarts, no orphaned processes."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from crm_spark.core.errors import CrmError
from crm_spark.core.log import PROGRESS_MARKER, get_logger

REJECTED = 2
"""Exit code of a rank that a restart would not help: invalid settings or shards."""
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 5.0


class OutOfTime(CrmError):
    """The training reached its time limit."""


_AGENT = "CRM_SPARK_TRAIN_AGENT"
"""Environment variable of the ranks with the process id of their launcher."""


def end_with_parent() -> None:
    """Make the kernel kill this process when its parent dies (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died while this process was importing.
    agent = os.environ.get(_AGENT)
    if agent is not None and os.getppid() != int(agent):
        sys.exit("the launcher of this rank has ended")


def is_rank() -> bool:
    """Return whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def num_local_ranks(num_ranks: int) -> int:
    """Return the number of ranks, at most one per GPU if there are GPUs."""
    import torch

    return min(num_ranks, torch.cuda.device_count()) if torch.cuda.is_available() else num_ranks


def launch(spec: Path, *, num_ranks: int, max_seconds: int, log: Path, max_restarts: int = 0) -> None:
    """Run the ranks with torchrun and wait; restart failed or hanging ranks from the last checkpoint.

    Every restart uses a new torchrun with its own store: ranks hang in the store of a failed round.

    Args:
        spec: training specification; checkpoints are in the same folder.
        num_ranks: on this machine.
        max_seconds: for all rounds together.
        log: output of the ranks.
        max_restarts: maximum number of restarts; two rounds without a new checkpoint end the training earlier.

    Raises:
        OutOfTime: the time limit was reached.
        CrmError: a rank failed permanently or too often.
    """
    ends_at, checkpoints = time.monotonic() + max_seconds, spec.parent / "checkpoints"
    log.write_bytes(b"")
    reached, num_idle = _newest(checkpoints), 0
    for number in range(max_restarts + 1):
        code = _run_once(spec, num_ranks=num_ranks, seconds=ends_at - time.monotonic(), log=log)
        if code == 0:
            return
        if code is None:
            raise OutOfTime(f"train: stopped after {max_seconds} s (train.max_seconds). Log: {log}")
        before, reached = reached, _newest(checkpoints)
        num_idle = num_idle + 1 if reached == before else 0
        if code == REJECTED or num_idle > 1 or number == max_restarts:
            break
        message = f"train: a rank failed or hung (exit code {code}); round {number + 2} resumes from {reached or 'the start'}\n"
        get_logger().warning(message.strip())
        with log.open("a") as out:
            out.write(message)
    raise CrmError(
        f"train: a rank failed (exit code {code}). Log: {log}. Run the stage again to resume from the checkpoint."
    )


def _newest(checkpoints: Path) -> str:
    return max((path.name for path in checkpoints.glob("step-*.pt")), default="")


def _run_once(spec: Path, *, num_ranks: int, seconds: float, log: Path) -> int | None:
    """Run one round and end all its processes; return the exit code, or None if the time ran out."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != _AGENT},
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        # Restarted gloo ranks would find the shared store of the failed round and hang.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    command = [sys.executable, "-m", "crm_spark.stages.train.processes"]
    command += ["--standalone", f"--nproc-per-node={num_ranks}"]
    command += ["-m", "crm_spark.stages.train.worker", "--spec", str(spec)]
    with log.open("ab") as out:
        errors = None if sys.stderr.isatty() else out  # interactive: show the progress bar
        agent = subprocess.Popen(command, env=environment, start_new_session=True, stdout=out, stderr=errors)
        try:
            return _wait(agent, seconds=seconds, log=log)
        finally:
            # Ranks end with their agent; end the rest of its process group, too.
            with suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGKILL)
            agent.wait()


def _wait(agent: "subprocess.Popen[bytes]", *, seconds: float, log: Path) -> int | None:
    """Wait for the ranks, and repeat their progress lines; return the exit code, or None if the time ran out."""
    ends_at, position = time.monotonic() + max(0.0, seconds), log.stat().st_size
    while True:
        try:
            return agent.wait(timeout=min(_POLL_SECONDS, max(0.0, ends_at - time.monotonic())))
        except subprocess.TimeoutExpired:
            with log.open("rb") as lines:
                lines.seek(position)
                for line in lines:
                    if line.endswith(b"\n") and line.startswith(PROGRESS_MARKER.encode()):
                        get_logger().info("%s", line.decode(errors="replace").removeprefix(PROGRESS_MARKER).strip())
                    position += len(line)
            if time.monotonic() >= ends_at:
                return None


def run_agent() -> int:
    """Run torchrun in this process, which ends with its parent.

    Returns:
        0: done; REJECTED: a rank exited with it; 1: other failure.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    end_with_parent()
    os.environ[_AGENT] = str(os.getpid())
    try:
        main()
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        return REJECTED if any(failure.exitcode == REJECTED for failure in error.failures.values()) else 1
    return 0


if __name__ == "__main__":
    sys.exit(run_agent())
