"""A replay after a corrected mapping or rule releases each row exactly once, even if it is interrupted."""

import shutil
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

import pytest
from support.company import deliver, lay_out
from support.lake import lake_context
from support.refreshed import digests

from crm_spark.contracts.ops import QUARANTINE, RECONCILIATION, RELEASE
from crm_spark.contracts.silver import FEEDBACK, ORDER, ORDER_LINE
from crm_spark.core.contract import TableContract
from crm_spark.core.tables import TableStore
from crm_spark.settings import load_settings
from crm_spark.stages.clean import replay
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

SILVER = (ORDER_LINE, ORDER, FEEDBACK)
DAYS = 30


def lines_of(day: int) -> list[str]:
    """Two valid lines, one of them with an unmapped spelling of `completed`, and one invalid line."""
    when = (date(2025, 1, 1) + timedelta(days=day)).strftime("%d.%m.%Y 12:00")
    return [
        f"D{day};1;K{day % 5};X;1;2,00;{when};OK", f"E{day};1;K{day % 5};Y;2;3,00;{when};OK",
        f"F{day};1;K{day % 5};Y;3;4,00;{when};FERTIG", f"G{day};1;K{day % 5};Y;zwei;4,00;{when};OK",
    ]  # fmt: skip


def context_of(spark, root, *overrides, number=1, dry=False):
    ctx = lake_context(spark, root / "lake", fingerprint=f"{number:064}")
    settings = load_settings(root / "company.yaml", list(overrides))
    return replace(ctx, settings=settings, is_dry_run=dry, tables=TableStore(spark, ctx.tables.root, is_dry_run=dry))


@pytest.fixture(scope="module")
def cleaned(spark, tmp_path_factory):
    """Thirty days of orders, cleaned with a mapping that does not know FERTIG."""
    root = tmp_path_factory.mktemp("cleaned")
    lay_out(root)
    for day in range(DAYS):
        deliver(root, f"day{day:02}", lines_of(day), [])
    ctx = context_of(spark, root)
    ingest.run(ctx)
    clean.run(ctx)
    return root


@pytest.fixture
def shop(spark, cleaned, tmp_path):
    """A copy of the lake."""
    shutil.copytree(cleaned, tmp_path, dirs_exist_ok=True)
    return partial(context_of, spark, tmp_path)


def mend(root):
    path = root / "sources" / "orders.yaml"
    path.write_text(path.read_text().replace("STORNO: cancelled", "STORNO: cancelled, FERTIG: completed"))


def waiting(ctx):
    rows = ctx.tables.read(QUARANTINE).where("status = 'quarantined'").collect()
    return sorted((r["entity"], r["reasons"][0]) for r in rows)


def test_replay_after_a_corrected_mapping_gives_the_tables_of_a_correct_start(shop, tmp_path, spark):
    assert waiting(shop()).count(("order", "unknown_value")) == DAYS + 1  # and `??` of the first delivery
    assert replay.run(shop(number=2)).num_rows == 0, "the mapping is unchanged"
    mend(tmp_path)
    dry_run = replay.run(shop(number=3, dry=True))
    assert (dry_run.num_rows, dry_run.note) == (0, f"{DAYS} rows would be released")
    assert shop().tables.read(ORDER).count() == 5 + 3 * DAYS, "a dry run changes nothing"
    ctx = shop("replay.by=ada", number=4)
    assert replay.run(ctx).num_rows == DAYS
    assert waiting(ctx).count(("order", "unknown_value")) == 1
    log = ctx.tables.read(RELEASE).collect()
    assert len(log) == DAYS
    assert {(r["released_by"], r["outcome"], *r["reasons"]) for r in log} == {("ada", "accepted", "unknown_value")}
    for row in ctx.tables.read(RECONCILIATION).collect():
        assert row["num_in"] == row["num_accepted"] + row["num_quarantined"] + row["num_duplicate"]
    assert replay.run(shop(number=5)).num_rows == 0, "each row comes back once"
    right = TableStore(spark, str(tmp_path / "right"))
    again = replace(shop(number=6), tables=right, files_root=tmp_path / "right" / "files")
    ingest.run(again)
    clean.run(again)
    # A warning that an order was unknown is a fact of the day on which its line was judged.
    assert digests(ctx.tables, SILVER[1:]) == digests(right, SILVER[1:])
    lines = [store.read(ORDER_LINE).drop("notes") for store in (ctx.tables, right)]
    assert lines[0].exceptAll(lines[1]).isEmpty() and lines[1].exceptAll(lines[0]).isEmpty()
    assert digests(ctx.tables, [RECONCILIATION]) == digests(right, [RECONCILIATION])


class DiesError(Exception):
    """Simulated process crash."""


class DyingStore(TableStore):
    """Crashes right after the commit to one table."""

    def __init__(self, store: TableStore, after: TableContract):
        super().__init__(store.spark, store.root)
        self.after = after

    def merge(self, table, frame, **named):
        result = super().merge(table, frame, **named)
        if table is self.after and not result.is_duplicate:
            raise DiesError
        return result


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(t, marks=() if t is RELEASE else pytest.mark.slow)
        for t in (ORDER, RELEASE, QUARANTINE, RECONCILIATION)
    ],
    ids=lambda table: table.name,
)
def test_interrupted_replay_is_completed_by_the_next_run(shop, tmp_path, after):
    mend(tmp_path)
    ctx = shop(number=7)
    with pytest.raises(DiesError):
        replay.run(replace(ctx, tables=DyingStore(ctx.tables, after)))
    replay.run(shop(number=8))
    assert ctx.tables.read(ORDER).count() == 5 + 4 * DAYS
    assert ctx.tables.read(RELEASE).count() == DAYS
    assert waiting(ctx).count(("order", "unknown_value")) == 1
    sums = (
        ctx.tables.read(RECONCILIATION)
        .where("entity = 'order'")
        .selectExpr("sum(num_in)", "sum(num_accepted)", "sum(num_quarantined)")
    )
    assert tuple(sums.first()) == (11 + 4 * DAYS, 5 + 4 * DAYS, 4)
