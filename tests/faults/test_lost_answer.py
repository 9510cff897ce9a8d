"""A commit lands and its answer is lost: whoever tries again finds it done."""

import pytest
from delta.exceptions import ConcurrentTransactionException
from support.notes import NOTE, content, notes

from crm_spark.core.tables import TableStore

ROUNDS = 10


class AnswerLostError(OSError):
    pass


class Forgetful(TableStore):
    """Writes, and then throws: what a caller sees of a commit whose answer the network swallowed."""

    def _commit(self, *arguments):
        super()._commit(*arguments)
        raise AnswerLostError


def append(store, number):
    return store.append(NOTE, notes(store.spark, (f"n{number}", number)), batch_id=f"b{number}", digest=f"d{number}")


def merge(store, number):
    rows = notes(store.spark, ("sum", number), (f"n{number}", number))
    return store.merge(NOTE, rows, batch_id=f"b{number}", digest=f"d{number}")


def replace(store, number):
    return store.replace(NOTE, notes(store.spark, ("last", number)), batch_id=f"b{number}", digest=f"d{number}")


def delete(store, number):
    keys = notes(store.spark, (f"n{number}", 0)).select("id")
    no_rows = notes(store.spark, ("none", 0)).where("false")
    return store.sync(NOTE, no_rows, keys=keys, batch_id=f"b{number}", digest=f"d{number}")


EACH = [("n0", 0), ("n1", 1), ("n2", 2), ("n3", 3), ("n4", 4), ("n5", 5), ("n6", 6), ("n7", 7), ("n8", 8), ("n9", 9)]
EXPECTED = {append: EACH, merge: [*EACH, ("sum", 9)], replace: [("last", 9)], delete: [("kept", 1)]}


def begun(store, write):
    """The table as the first round finds it: only a delete needs rows."""
    rows = [("kept", 1), *((f"n{n}", n) for n in range(ROUNDS))] if write is delete else [("gone", 0)]
    store.append(NOTE, notes(store.spark, *rows), batch_id="begin", digest="begin")
    if write is not delete:
        store.replace(NOTE, notes(store.spark, ("none", 0)).where("false"), batch_id="empty", digest="empty")
    return store.version(NOTE)


@pytest.mark.slow
@pytest.mark.parametrize("write", [append, merge, replace, delete], ids=lambda f: f.__name__)
def test_commit_with_a_lost_response_is_not_applied_again(spark, store, write):
    forgetful, before = Forgetful(spark, store.root), begun(store, write)
    for number in range(ROUNDS):
        with pytest.raises(AnswerLostError):
            write(forgetful, number)
        assert write(store, number).is_duplicate
        assert store.version(NOTE) == before + number + 1
    assert content(store) == EXPECTED[write]


class Deaf(TableStore):
    """Delta's own answer is lost: the commit stands, and the writer hears of a conflict."""

    def _commit(self, table, frame, batch_id, digest, write, *others):
        answers = iter([ConcurrentTransactionException("lost")])
        self.num_attempts = 0

        def unheard(checked):
            self.num_attempts += 1
            num_rows = write(checked)
            for error in answers:
                raise error
            return num_rows

        return super()._commit(table, frame, batch_id, digest, unheard, *others)


@pytest.mark.parametrize("write", [append, merge, replace], ids=lambda f: f.__name__)
def test_retry_of_the_store_does_not_apply_a_committed_write_again(spark, store, write):
    deaf, before = Deaf(spark, store.root), begun(store, write)
    write(deaf, 3)
    assert store.version(NOTE) == before + 1 and deaf.num_attempts == 1, "the second attempt finds the commit"


def test_retry_without_a_batch_id_duplicates_the_rows(spark, store):
    append(store, 1)
    for _ in range(2):
        notes(spark, ("n2", 2)).write.format("delta").mode("append").save(store.path(NOTE))
    assert content(store) == [("n1", 1), ("n2", 2), ("n2", 2)]
