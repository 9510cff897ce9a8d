"""Processes that cannot outlive who started them, and a launch that ends in finite time."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from crm_spark.core.errors import CrmError
from crm_spark.core.log import get_logger

REJECTED = 2
"""Exit code of a rank that would fail again and again: bad settings, shards that do not fit."""
_PR_SET_PDEATHSIG = 1


class OutOfTime(CrmError):
    """The training was ended at its limit."""


_AGENT = "CRM_SPARK_TRAIN_AGENT"
"""In the environment of the ranks: the process that started them."""


def end_with_parent() -> None:
    """Asks the kernel to kill this process when its parent dies (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died while this process was still importing.
    agent = os.environ.get(_AGENT)
    if agent is not None and os.getppid() != int(agent):
        sys.exit("the process that started this rank is gone")


def is_rank() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def num_local_ranks(wanted: int) -> int:
    """So many ranks as are wanted; with GPUs at most one for each."""
    import torch

    return min(wanted, torch.cuda.device_count()) if torch.cuda.is_available() else wanted


def launch(spec: Path, *, num_ranks: int, max_seconds: int, log: Path, max_restarts: int = 0) -> None:
    """Runs the ranks through torchrun and waits; ranks that died or hung are started anew from the last checkpoint.

    A new round is a new torchrun with a store of its own: ranks that meet in the store of a dead round hang.

    Args:
        spec: what to train; checkpoints lie beside it.
        num_ranks: on this machine.
        max_seconds: for all rounds together.
        log: what the ranks say.
        max_restarts: rounds after the first at most. One that came no further than the round before it is the last.

    Raises:
        OutOfTime: it was not finished in time.
        CrmError: the training cannot be done, or its ranks died too often; the log says which.
    """
    ends, checkpoints = time.monotonic() + max_seconds, spec.parent / "checkpoints"
    log.write_bytes(b"")
    reached, num_idle = _newest(checkpoints), 0
    for number in range(max_restarts + 1):
        code = _run_once(spec, num_ranks=num_ranks, seconds=ends - time.monotonic(), log=log)
        if code == 0:
            return
        if code is None:
            raise OutOfTime(f"train: not finished after {max_seconds} s (train.max_seconds); ended. Log: {log}")
        before, reached = reached, _newest(checkpoints)
        num_idle = num_idle + 1 if reached == before else 0
        if code == REJECTED or num_idle > 1 or number == max_restarts:
            break
        said = f"train: a rank died or hung (exit code {code}); round {number + 2} goes on from {reached or 'the beginning'}\n"
        get_logger().warning(said.strip())
        with log.open("a") as out:
            out.write(said)
    raise CrmError(
        f"train: a rank failed (exit code {code}). Log: {log}. Run the stage again to resume from the checkpoint."
    )


def _newest(checkpoints: Path) -> str:
    return max((path.name for path in checkpoints.glob("step-*.pt")), default="")


def _run_once(spec: Path, *, num_ranks: int, seconds: float, log: Path) -> int | None:
    """One round: its exit code, null where the time ran out. None of its processes is left in any case."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != _AGENT},
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        # Gloo ranks that are started anew find a shared store of the dead round and hang.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    command = [sys.executable, "-m", "crm_spark.stages.train.processes"]
    command += ["--standalone", f"--nproc-per-node={num_ranks}"]
    command += ["-m", "crm_spark.stages.train.worker", "--spec", str(spec)]
    with log.open("ab") as out:
        errors = None if sys.stderr.isatty() else out  # a person sees the progress
        agent = subprocess.Popen(command, env=environment, start_new_session=True, stdout=out, stderr=errors)
        try:
            return agent.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return None
        finally:
            # Ranks whose agent was killed die with it; what else is of its group goes, too.
            with suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGKILL)
            agent.wait()


def run_agent() -> int:
    """Torchrun as a process of its own that dies with its parent.

    Returns:
        0 done, REJECTED where a rank says that the training cannot be done, else 1.
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
