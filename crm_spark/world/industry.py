"""A small company of an industry with known truth: CSV files of its systems, and when each customer leaves.

Customers differ in satisfaction and activity. Both are hidden: unhappy customers leave earlier, are less active in their last
days, miss more appointments, complain more and write worse reviews.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np

from crm_spark.world.behaviour import FADING_DAYS
from crm_spark.world.draws import FloatArray
from crm_spark.world.industry_spec import EventSpec, IndustrySpec
from crm_spark.world.people import CITIES, GIVEN, Index, family_name
from crm_spark.world.texts import MEANINGS, compose

Row = dict[str, Any]
FIRST_DAY = date(2023, 1, 2)
FUTURE_DAYS = 365
"""Days after the history that are simulated for the truth."""
_DAYS_PER_MONTH = 30
_STARS = ((4, 5), (1, 2), (3, 3))
"""Lowest and highest rating by meaning, in the order of MEANINGS."""


@dataclass(frozen=True)
class Customers:
    """Hidden parameters of all customers; each array has one element per customer."""

    mood: FloatArray
    """Satisfaction, standard normal."""
    activity: FloatArray
    """Factor on the number of events, around 1."""
    leaves_per_month: FloatArray
    """Fraction who leave per month, given the satisfaction."""
    join_day: Index
    leave_day: Index
    """Days of the simulation; 0 is the first day of the history."""


def draw_customers(spec: IndustrySpec, rng: np.random.Generator) -> Customers:
    """Draw the customers; with terms they leave at the end of one."""
    mood = rng.standard_normal(spec.customers)
    rate = np.clip(spec.leaves_per_month * np.exp(-0.9 * mood), 0.001, 0.9)
    join = np.where(
        rng.random(spec.customers) < 0.5, 0, rng.integers(0, int(spec.history_days * 0.7), spec.customers)
    ).astype(np.int64)
    stay = rng.exponential(_DAYS_PER_MONTH / rate) + 20
    if spec.contract is not None:
        term = spec.contract.term_months * _DAYS_PER_MONTH
        elapsed = rng.integers(0, term, spec.customers) * (join == 0)  # contracts that began before the history
        stay = np.ceil((stay + elapsed) / term) * term - elapsed
    leave = join + np.minimum(stay, 100_000).astype(np.int64)
    return Customers(mood, rng.lognormal(0.0, 0.4, spec.customers), rate, join, leave)


def person_id(who: int) -> str:
    """Id of a customer in the systems of the company."""
    return f"P{who + 1:05d}"


def day_on(day: int) -> date:
    """Date of a day of the simulation."""
    return FIRST_DAY + timedelta(days=int(day))


def last_day(spec: IndustrySpec) -> date:
    """Last day of the history."""
    return day_on(spec.history_days - 1)


def people(spec: IndustrySpec, customers: Customers, rng: np.random.Generator) -> Iterator[Row]:
    """Person records of the customers who joined within the history."""
    attributes = rng.integers(0, len(spec.attribute_values), spec.customers)
    for who in range(spec.customers):
        given, family = GIVEN[int(rng.integers(len(GIVEN)))], family_name(int(rng.integers(480)))
        yield {
            "person": person_id(who),
            "given_name": given,
            "family_name": family,
            "email": f"{given}.{family}{who}@example.org".lower(),
            "city": CITIES[int(rng.integers(len(CITIES)))][0],
            "birth_on": day_on(-int(rng.integers(18 * 365, 80 * 365))),
            "consent": "false" if rng.random() < 0.15 else "true",
            "joined_on": day_on(customers.join_day[who]),
            "attribute": spec.attribute_values[attributes[who]],
        }


def contracts(spec: IndustrySpec, customers: Customers, rng: np.random.Generator) -> Iterator[Row]:
    """Contract records as they stand on the last day of the history."""
    terms = spec.contract
    assert terms is not None
    plans, term = list(terms.plans), terms.term_months * _DAYS_PER_MONTH
    for who in range(spec.customers):
        joined, left = int(customers.join_day[who]), int(customers.leave_day[who])
        # The term ends on the day on which the customer leaves, or whole terms before it.
        has_left, plan = left < spec.history_days, plans[int(rng.integers(len(plans)))]
        term_end = left if has_left else left - (left - spec.history_days) // term * term
        has_ended = has_left and not terms.updates_in_place
        yield {
            "contract": f"C{who + 1:05d}",
            "person": person_id(who),
            "plan": plan,
            "product": spec.products[who % len(spec.products)] if spec.products else "",
            "started_on": day_on(joined),
            "renews_on": day_on(term_end) if terms.updates_in_place else None,
            "is_renewing": "true",
            "ended_on": day_on(left) if has_ended else None,
            "end_reason": "notice" if has_ended else "",
            "price": terms.plans[plan],
            "status": "ended" if has_ended else "active",
        }


def events(spec: IndustrySpec, customers: Customers, each: EventSpec, rng: np.random.Generator) -> tuple[Index, Index]:
    """Customer and day of each event, at most one per customer and day, in the history and the days after it."""
    days = np.arange(spec.history_days + FUTURE_DAYS)
    join, leave = customers.join_day[:, None], customers.leave_day[:, None]
    fading = np.clip(0.3 + 0.7 * (leave - days) / FADING_DAYS, 0.3, 1.0)
    presence = np.where((days >= join) & (days < leave), fading, 0.0)
    chance = np.clip(each.per_month / _DAYS_PER_MONTH * customers.activity[:, None] * presence, 0.0, 0.95)
    who, day = np.nonzero(rng.random(chance.shape) < chance)
    return who.astype(np.int64), day.astype(np.int64)


def event_rows(
    kind: str, spec: IndustrySpec, customers: Customers, rng: np.random.Generator
) -> Iterator[tuple[int, Row]]:
    """Day and record of each event of one kind; orders carry their `lines`."""
    each = spec.events[kind]  # type: ignore[index]
    kinds, weights = list(each.kinds), np.array(list(each.kinds.values()))
    whose, days = events(spec, customers, each, rng)
    size = len(days)
    drawn = zip(
        whose.tolist(),
        days.tolist(),
        rng.integers(8 * 3600, 20 * 3600, size).tolist(),
        rng.choice(len(kinds), size, p=weights / weights.sum()).tolist(),
        rng.integers(0, max(len(spec.products), 1), size).tolist(),
        rng.uniform(*each.value, size).round(2).tolist(),
        rng.uniform(*each.quantity, size).round(1).tolist(),
    )
    for number, (who, day, second, which, product, amount, quantity) in enumerate(drawn):
        row: Row = {
            "event": f"{kind[0].upper()}{number + 1:07d}",
            "person": person_id(who),
            "contract": f"C{who + 1:05d}",
            "at": datetime.combine(day_on(day), time()) + timedelta(seconds=second),
            "kind": kinds[which],
            "product": spec.products[product] if spec.products else "",
            "price": amount,
            "value": amount,
            "method": kinds[which],
            "quantity": quantity,
        }
        yield day, row | _of_kind(kind, row, each, spec, float(customers.mood[who]), rng)


def _of_kind(kind: str, row: Row, each: EventSpec, spec: IndustrySpec, mood: float, rng: np.random.Generator) -> Row:
    if kind == "appointment":
        missed = each.missed * np.exp(-0.7 * mood)
        status = "missed" if rng.random() < missed else "cancelled" if rng.random() < each.cancelled else "attended"
        return {"status": status, "booked_at": row["at"] - timedelta(days=int(rng.integers(1, 30)))}
    if kind == "order":
        status = "cancelled" if rng.random() < each.cancelled else "completed"
        return {"order": row["event"], "status": status, "channel": row["kind"], "lines": _lines(row, each, spec, rng)}
    if kind in ("payment", "usage"):
        return {}
    meaning = _meaning(mood - (0.9 if kind == "contact" else 0.0), rng)
    language = "en" if rng.random() < 0.9 else "de"
    words = spec.words if language == "en" else {}
    text = compose(MEANINGS[meaning], language, int(rng.integers(1 << 62)), is_long=False, words=words)
    low, high = _STARS[meaning]
    return {"text": text.body, "rating": int(rng.integers(low, high + 1)), "meaning": MEANINGS[meaning]}


def _lines(row: Row, each: EventSpec, spec: IndustrySpec, rng: np.random.Generator) -> list[Row]:
    chosen = rng.choice(len(spec.products), size=min(len(spec.products), int(rng.integers(1, 4))), replace=False)
    return [
        {
            "line": f"{row['event']}-{i + 1}",
            "order": row["event"],
            "product": spec.products[int(p)],
            "quantity": int(rng.integers(1, 3)),
            # A product has one price.
            "unit_price": round(each.value[0] + (each.value[1] - each.value[0]) * int(p) / len(spec.products), 2),
        }
        for i, p in enumerate(chosen)
    ]


def _meaning(mood: float, rng: np.random.Generator) -> int:
    leaning = mood + 0.45 * float(rng.standard_normal())
    return 0 if leaning > 0.25 else 1 if leaning < -0.1 else 2
