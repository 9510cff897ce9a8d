"""Ranks that torchrun started with the job: `torchrun --nproc-per-node=2 jobs/train.py --lake DIR`, on one machine or more.

Rank 0 runs the stage, and Spark with it; the others hold no session and train with it what it asks them to.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from torch.distributed import PrefixStore, Store, rendezvous

from crm_spark.core.errors import CrmError
from crm_spark.stages.train.processes import end_with_parent
from crm_spark.stages.train.worker import train_rank

_BEAT, _NUM_ASKED, _OVER = "crm_spark/beat", "crm_spark/num_asked", -1
_BEAT_SECONDS, _SILENCE_SECONDS = 5.0, 60.0
"""How often rank 0 gives a sign of life, and after how long without one the others give up."""


def run(lead: Callable[[], int]) -> int:
    """The job on this rank: rank 0 does `lead`, the others follow it until it has ended.

    Returns:
        Exit code.
    """
    end_with_parent()
    if int(os.environ["RANK"]) > 0:
        return _follow(_store())
    threading.Thread(target=_beat, args=(_store(),), daemon=True).start()
    try:
        return lead()
    finally:
        _store().set(_NUM_ASKED, str(_OVER))


def train_together(spec: dict[str, Any]) -> None:
    """Rank 0's: trains as the specification says, with all the ranks there are."""
    store = _store()
    number = store.add("crm_spark/trainings", 1)
    store.set(_spec_of(number), json.dumps(spec))
    store.set(_NUM_ASKED, str(number))
    train_rank(spec, store=_store_of(number, store))


def _follow(store: Store) -> int:
    number = 0
    while (asked := _next(store, number)) != _OVER:
        number = asked
        train_rank(json.loads(store.get(_spec_of(number))), store=_store_of(number, store))
    return 0


def _next(store: Store, number: int) -> int:
    """Waits for a training after this one, or the end.

    Raises:
        CrmError: rank 0 has gone silent. Its own torchrun may have ended it without this one's knowing.
    """
    beat, heard_at = b"", time.monotonic()
    while (asked := int(store.get(_NUM_ASKED)) if store.check([_NUM_ASKED]) else 0) == number:
        newest = store.get(_BEAT) if store.check([_BEAT]) else b""
        if newest != beat:
            beat, heard_at = newest, time.monotonic()
        if time.monotonic() - heard_at > _SILENCE_SECONDS:
            raise CrmError(f"train: no sign of life of rank 0 for {_SILENCE_SECONDS:.0f} s")
        time.sleep(0.2)
    return asked


def _beat(store: Store) -> None:
    while True:
        store.set(_BEAT, str(time.time()))
        time.sleep(_BEAT_SECONDS)


@cache
def _store() -> Store:
    """What torchrun's agent keeps for its ranks; of each round of restarts a part of its own."""
    store, _, _ = next(rendezvous("env://"))
    return PrefixStore(f"round-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _store_of(number: int, store: Store) -> Store:
    return PrefixStore(f"training-{number}", store)


def _spec_of(number: int) -> str:
    return f"crm_spark/spec-{number}"
