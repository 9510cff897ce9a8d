"""Commits that happen once: transaction ids, retries after conflicts, one session per MERGE.

Delta stores, per `txnAppId`, the highest `txnVersion` it committed, and silently skips a write at or below it, also when
the content differs. The batch id is the application id and 60 bits of the content digest are the version: the same pair
again is a duplicate, the same id with another version is an error, and both are visible in the table's own log.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from hashlib import sha256

from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)
from pyspark.sql import SparkSession

from crm_spark.core.errors import CrmError

# In Python these exceptions have no common base class.
_CONFLICTS = (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)
_MAX_ATTEMPTS = 12
EXPIRE_AT, KEEP = 300, 100
"""With so many batch ids the oldest are expired, and so many are kept: a retried batch is among the newest few."""


def transaction_version(digest: str) -> int:
    """60 bits of a content digest as Delta's transaction version, never 0."""
    return int(sha256(digest.encode()).hexdigest()[:15], 16) | 1


def with_retries(
    table_name: str,
    write: Callable[[], None],
    *,
    is_committed: Callable[[], bool],
    prepare: Callable[[], None],
    committing: Callable[[], AbstractContextManager[None]],
) -> bool:
    """Run `write` under the lease, again after each conflict with another writer.

    Returns:
        Whether `write` committed; False if an earlier attempt had, whose answer was lost.

    Raises:
        CrmError: another writer won every attempt.
        LeaseHeldError: another run holds the lease.
    """
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        try:
            with committing():  # the lease may be lost while this waits for its turn
                if attempt > 1 and is_committed():
                    return False
                prepare()
                write()
                return True
        except _CONFLICTS:
            if attempt == _MAX_ATTEMPTS:
                raise CrmError(
                    f"{table_name}: another writer won {_MAX_ATTEMPTS} times in a row. Run one refresh at a time."
                ) from None
            time.sleep(random.uniform(0.1, 0.5) * attempt)
    return False


def merge_session(spark: SparkSession, batch_id: str, digest: str) -> SparkSession:
    """A session whose settings carry the transaction id of one MERGE.

    MERGE takes its transaction id from session settings only. A session of its own lets several MERGEs run at once; it
    shares the Spark context, the cache and the catalog with `spark`.
    """
    version = str(transaction_version(digest))
    return session_with(
        spark, {"spark.databricks.delta.write.txnAppId": batch_id, "spark.databricks.delta.write.txnVersion": version}
    )


def session_with(spark: SparkSession, settings: Mapping[str, str]) -> SparkSession:
    """A session with the settings of `spark` and some others; it shares the context, the cache and the catalog."""
    session = spark.newSession()
    current, inherited = spark.conf.getAll, session.conf.getAll
    for key, value in {**current, **settings}.items():
        if inherited.get(key) != value and (key in settings or session.conf.isModifiable(key)):
            session.conf.set(key, value)
    return session
