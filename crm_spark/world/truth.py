"""Ground truth of the generated data: identities, churn, text meanings. Not read by any stage."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet as pq

from crm_spark.world.behaviour import CAMPAIGN_EVERY, campaign_contacts, is_holdout, order_probability, orders
from crm_spark.world.identities import DUPLICATE_OFFSET, Registry, crm_id, has_duplicate, market_id, shop_id
from crm_spark.world.people import People
from crm_spark.world.records import Row
from crm_spark.world.spec import WorldSpec

HORIZON_DAYS = 91


def write_truth(rows: list[Row], folder: Path, table: str, name: str) -> None:
    """Write one Parquet file of a ground truth table, unless there are no rows."""
    if rows:
        target = folder / table / f"{name}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), target)


def person_truth(spec: WorldSpec, people: People) -> list[Row]:
    """Customer of each person id in each system, with the disturbance of the spelling."""
    registry, rows = Registry(spec, people), []
    duplicates = has_duplicate(spec, people)
    for who, number in enumerate(int(n) for n in people.number):
        base = {"customer": number, "household": int(people.household[who])}

        def known(system: str, person_id: str, kind: str, base: Row = base) -> Row:
            return {"system": system, "person_id": person_id, **base, "disturbance": kind}

        if people.in_crm[who]:
            rows.append(known("crm", crm_id(number), "none"))
        if duplicates[who]:
            rows.append(
                known("crm", crm_id(number + DUPLICATE_OFFSET), registry.identity(who, "crm twin", 0.85).disturbance)
            )
        shop = registry.identity(who, "shop", 0.3)
        rows.append(known("shop", shop_id(people, who), shop.disturbance if people.has_account[who] else "guest"))
        rows.append(known("desk", digest_of(shop.mail), shop.disturbance))
        if people.on_market[who]:
            rows.append(known("marketplace", market_id(number), registry.identity(who, "market", 0.25).disturbance))
    return rows


def digest_of(cell: str) -> str:
    """Id that `hash_of` computes for a single cell."""
    return hashlib.sha256(json.dumps([cell], separators=(",", ":")).encode()).hexdigest()[:32]


def customer_truth(spec: WorldSpec, people: People) -> list[Row]:
    """Customer parameters, and order probability and outcome for the horizon after the history."""
    end = spec.history_days
    p_no_order, expected = np.ones(len(people.number)), np.zeros(len(people.number))
    for day in range(end, end + HORIZON_DAYS):
        chance = order_probability(spec, people, day)
        p_no_order, expected = p_no_order * (1 - chance), expected + chance
    placed = orders(spec, people, range(end, end + HORIZON_DAYS))
    outcome = np.bincount(placed.who, minlength=len(people.number))
    return [
        {
            "customer": int(people.number[k]),
            "join_day": int(people.join_day[k]),
            "leave_day": int(people.leave_day[k]),
            "hazard": float(people.hazard[k]),
            "orders_per_day": float(people.rate[k]),
            "basket_factor": float(people.basket[k]),
            "mood": float(people.mood[k]),
            "is_responsive": bool(people.is_responsive[k]),
            "p_no_order_in_horizon": float(p_no_order[k]),
            "expected_orders_in_horizon": float(expected[k]),
            "orders_in_horizon": int(outcome[k]),
        }
        for k in range(len(people.number))
    ]


def campaign_truth(spec: WorldSpec, people: People, days: range) -> list[Row]:
    """Holdout flag and true campaign effect (factor on the order probability for a week) per selected customer."""
    sent = campaign_contacts(spec, people, days)
    holdout = {int(d): is_holdout(spec, people, int(d)) for d in np.unique(sent.day)}
    return [
        {
            "campaign": f"camp-{int(d) // CAMPAIGN_EVERY:03d}",
            "customer": int(people.number[w]),
            "is_held_out": bool(holdout[int(d)][w]),
            "order_factor": 1.8 if people.is_responsive[w] and not holdout[int(d)][w] else 1.0,
            "response_probability": 0.0 if holdout[int(d)][w] else 0.3 if people.is_responsive[w] else 0.04,
        }
        for w, d in zip(sent.who, sent.day)
    ]


def shift_truth(spec: WorldSpec) -> list[Row]:
    """Day and size of the behaviour shift."""
    on = str(spec.day_on(spec.shift_day))
    return [
        {"day": spec.shift_day, "on": on, "what": "orders of customers whose first category is garden", "factor": 0.67},
        {"day": spec.shift_day, "on": on, "what": "tickets", "factor": 1.5},
    ]
