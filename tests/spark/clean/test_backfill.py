"""Late deliveries in any order give the same silver tables and histories as deliveries on time."""

import random

import pytest
from support.lake import lake_context

from crm_spark.contracts.ops import RECONCILIATION
from crm_spark.contracts.silver import CONSENT_HISTORY, HISTORY, ORDER, ORDER_LINE, PERSON
from crm_spark.core.hashing import frame_digest
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

PEOPLE = """
system: shop
files: {path: "people-*.csv", format: csv}
feeds:
  person:
    columns:
      person_id: id
      given_name: name
      city: city
      has_marketing_consent: consent
      updated_at: {from: changed, formats: [iso]}
"""
ORDERS = """
system: shop
files: {path: "orders-*.csv", format: csv}
feeds:
  order:
    columns: {order_id: no, person_id: who, ordered_at: {from: day, formats: [iso]}, status: {value: completed}}
  order_line:
    columns: {line_id: no, order_id: no, product_id: item, quantity: qty, unit_price: price}
"""
DAYS, CUSTOMERS = 30, 8
TABLES = (PERSON, HISTORY["person"], CONSENT_HISTORY, ORDER, ORDER_LINE)
POINTERS = {"batch_id"}
"""Batch columns depend on how the days were delivered and are excluded from the comparison."""


def people_of(day):
    """Five changes per day, some for the same person."""
    draw = random.Random(day)
    rows = []
    for hour in range(5):
        who, city, consent = draw.randrange(CUSTOMERS), draw.choice(["Bonn", "Kiel", "Ulm"]), draw.choice(["yes", "no"])
        rows.append(f"K{who},Name{draw.randrange(3)},{city},{consent},2025-01-{day:02} {hour:02}:00:00")
    return rows


def orders_of(day):
    return [f"O{day}-{n},K{n},2025-01-{day:02} 12:00:00,P{n},{n + 1},{day}.50" for n in range(4)]


@pytest.fixture
def lake(spark, tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "people.yaml").write_text(PEOPLE)
    (tmp_path / "sources" / "orders.yaml").write_text(ORDERS)

    def filled(name, rounds):
        """The context of a lake to which these days came, round by round."""
        data = tmp_path / f"{name}-data"
        data.mkdir(exist_ok=True)
        for days in rounds:
            for day in days:
                (data / f"people-{day:02}.csv").write_text(
                    "\n".join(["id,name,city,consent,changed", *people_of(day)]) + "\n"
                )
                (data / f"orders-{day:02}.csv").write_text(
                    "\n".join(["no,who,day,item,qty,price", *orders_of(day)]) + "\n"
                )
            paths = (f"ingest.sources_dir={tmp_path / 'sources'}", f"ingest.data_dir={data}")
            ctx = lake_context(spark, tmp_path / name, *paths, fingerprint=f"{days[0]:064}")
            ingest.run(ctx)
            clean.run(ctx)
        return ctx

    return filled


def digests(ctx):
    return {table.name: frame_digest(ctx.tables.read(table).drop(*POINTERS)) for table in TABLES}


@pytest.mark.slow
def test_late_days_in_any_order_give_the_same_tables(lake):
    days = list(range(1, DAYS + 1))
    withheld = random.Random(34).sample(days, 10)
    on_time = lake("on_time", [days[:15], days[15:]])
    late = lake("late", [[day for day in days if day not in withheld], withheld[:5], withheld[5:]])
    assert digests(late) == digests(on_time)
    assert late.tables.read(ORDER_LINE).count() == 120  # 30 days of 4
    counts = late.tables.read(RECONCILIATION).groupBy("entity").sum("num_in", "num_quarantined").collect()
    assert {tuple(row) for row in counts} == {("person", 150, 0), ("order", 120, 0), ("order_line", 120, 0)}


@pytest.mark.slow
def test_missing_day_changes_the_digests_until_it_arrives(lake):
    on_time = digests(lake("on_time", [[1, 2, 3]]))
    incomplete = digests(lake("late", [[1, 3]]))
    assert all(on_time[table.name] != incomplete[table.name] for table in TABLES)
    assert digests(lake("late", [[2]])) == on_time
