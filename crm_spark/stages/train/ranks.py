"""Ranks of a job started with torchrun: `torchrun --nproc-per-node=2 jobs/train.py --lake DIR`, on one or more machines.

Rank 0 runs the stage with Spark. The other ranks have no Spark session and wait for trainings that rank 0 announces.
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

_HEARTBEAT, _ANNOUNCED, _END = "crm_spark/heartbeat", "crm_spark/announced", -1
_HEARTBEAT_SECONDS, _HEARTBEAT_TIMEOUT_SECONDS = 5.0, 60.0
"""Interval of the heartbeat of rank 0, and the time without one after which the other ranks stop."""


def run(lead: Callable[[], int]) -> int:
    """Run the job on this rank: rank 0 calls `lead`, the other ranks train with it until it ends.

    Returns:
        Exit code.
    """
    end_with_parent()
    if int(os.environ["RANK"]) > 0:
        return _follow(_store())
    threading.Thread(target=_send_heartbeats, args=(_store(),), daemon=True).start()
    try:
        return lead()
    finally:
        _store().set(_ANNOUNCED, str(_END))


def train_together(spec: dict[str, Any]) -> None:
    """Train with all ranks; called on rank 0."""
    store = _store()
    number = store.add("crm_spark/trainings", 1)
    store.set(_spec_of(number), json.dumps(spec))
    store.set(_ANNOUNCED, str(number))
    train_rank(spec, store=_store_of(number, store))


def _follow(store: Store) -> int:
    number = 0
    while (announced := _next(store, number)) != _END:
        number = announced
        train_rank(json.loads(store.get(_spec_of(number))), store=_store_of(number, store))
    return 0


def _next(store: Store, number: int) -> int:
    """Wait for the next training or the end of the job.

    Raises:
        CrmError: no heartbeat of rank 0, for example because its torchrun has ended.
    """
    heartbeat, received_at = b"", time.monotonic()
    while (announced := int(store.get(_ANNOUNCED)) if store.check([_ANNOUNCED]) else 0) == number:
        newest = store.get(_HEARTBEAT) if store.check([_HEARTBEAT]) else b""
        if newest != heartbeat:
            heartbeat, received_at = newest, time.monotonic()
        if time.monotonic() - received_at > _HEARTBEAT_TIMEOUT_SECONDS:
            raise CrmError(f"train: no heartbeat of rank 0 for {_HEARTBEAT_TIMEOUT_SECONDS:.0f} s")
        time.sleep(0.2)
    return announced


def _send_heartbeats(store: Store) -> None:
    while True:
        store.set(_HEARTBEAT, str(time.time()))
        time.sleep(_HEARTBEAT_SECONDS)


@cache
def _store() -> Store:
    """Return the store of the torchrun agent, with a prefix per restart round."""
    store, _, _ = next(rendezvous("env://"))
    return PrefixStore(f"round-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _store_of(number: int, store: Store) -> Store:
    return PrefixStore(f"training-{number}", store)


def _spec_of(number: int) -> str:
    return f"crm_spark/spec-{number}"
