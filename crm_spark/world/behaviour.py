"""Daily behaviour of customers. Each function is stateless and can be evaluated for any range of days."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crm_spark.world.draws import Draws, FloatArray
from crm_spark.world.people import CATEGORIES, PRODUCTS_PER_CATEGORY, Index, People
from crm_spark.world.spec import WorldSpec

FADING_DAYS = 60
"""Days before leaving during which activity declines."""
REVIEW_DELAY, SURVEY_DELAY = 6, 11
CAMPAIGN_EVERY, RESPONSE_DELAY = 30, 2
SLOWED_CATEGORY = 2
_MONTH_FACTOR = np.array([0.9, 0.85, 0.95, 1.0, 1.0, 0.95, 0.85, 0.85, 1.0, 1.05, 1.3, 1.6])
_WEEKDAY_FACTOR = np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.1, 0.9])


@dataclass(frozen=True)
class Events:
    """Events as (customer index within the block, day) pairs. Shape of both arrays: (events,)."""

    who: Index
    day: Index

    def where(self, mask: NDArray[np.bool_]) -> "Events":
        """Filter the events by a boolean mask."""
        return Events(self.who[mask], self.day[mask])


def _on_days(days: range, draw_mask) -> Events:
    matches = [(np.flatnonzero(draw_mask(day)), day) for day in days]
    who = np.concatenate([w for w, _ in matches]) if matches else np.zeros(0, np.int64)
    day = np.concatenate([np.full(len(w), d) for w, d in matches]) if matches else np.zeros(0, np.int64)
    return Events(who.astype(np.int64), day.astype(np.int64))


def presence(people: People, day: int) -> FloatArray:
    """Activity factor of each customer: 0 before joining and after leaving, declining towards the end."""
    is_here = (people.join_day <= day) & (day < people.leave_day)
    return np.where(is_here, 1.0, 0.0) * np.clip(0.25 + 0.75 * (people.leave_day - day) / FADING_DAYS, 0.25, 1.0)


def season(spec: WorldSpec, day: int) -> float:
    """Seasonal factor on orders: month and weekday."""
    on = spec.day_on(day)
    return float(_MONTH_FACTOR[on.month - 1] * _WEEKDAY_FACTOR[on.weekday()])


def order_probability(spec: WorldSpec, people: People, day: int) -> FloatArray:
    """Order probability on a day, including campaign effect and behaviour shift."""
    factor = np.ones(len(people.number))
    if day >= spec.shift_day:
        factor = np.where(people.category == SLOWED_CATEGORY, 0.67, 1.0)
    last_campaign = (day // CAMPAIGN_EVERY) * CAMPAIGN_EVERY
    if 0 < day - last_campaign <= 7 and last_campaign > 0:
        contacted = is_contacted(spec, people, last_campaign) & ~is_holdout(spec, people, last_campaign)
        factor = factor * np.where(contacted & people.is_responsive, 1.8, 1.0)
    return np.clip(people.rate * season(spec, day) * presence(people, day) * factor, 0, 0.9)


def orders(spec: WorldSpec, people: People, days: range) -> Events:
    """At most one order per customer and day."""
    draw = Draws(spec.seed)
    return _on_days(days, lambda d: draw.uniform("order", people.number, d) < order_probability(spec, people, d))


def tickets(spec: WorldSpec, people: People, days: range) -> Events:
    """Support tickets: more for low satisfaction, 1.5 times as many after the shift."""
    draw = Draws(spec.seed)

    def mask(day: int) -> NDArray[np.bool_]:
        factor = 1.5 if day >= spec.shift_day else 1.0
        chance = 0.0016 * factor * np.exp(-1.1 * people.mood) * (presence(people, day) > 0)
        return np.asarray(draw.uniform("ticket", people.number, day) < chance)

    return _on_days(days, mask)


def visits(spec: WorldSpec, people: People, days: range) -> Events:
    """Web visits (a sample)."""
    draw = Draws(spec.seed)
    return _on_days(days, lambda d: draw.uniform("visit", people.number, d) < 0.035 * presence(people, d))


def reviews(spec: WorldSpec, people: People, days: range) -> Events:
    """Reviews of orders placed REVIEW_DELAY days earlier; `day` is the day of the review."""
    return _after_orders(spec, people, days, REVIEW_DELAY, "review", 0.22)


def surveys(spec: WorldSpec, people: People, days: range) -> Events:
    """Survey answers after orders of customers in the CRM."""
    answered = _after_orders(spec, people, days, SURVEY_DELAY, "survey", 0.15)
    return answered.where(people.in_crm[answered.who])


def _after_orders(spec: WorldSpec, people: People, days: range, delay: int, stream: str, share: float) -> Events:
    placed = orders(spec, people, range(days.start - delay, days.stop - delay))
    writes = Draws(spec.seed).uniform(stream, people.number[placed.who], placed.day) < share
    chosen = placed.where(writes & (placed.day >= 0))
    return Events(chosen.who, chosen.day + delay)


def is_contacted(spec: WorldSpec, people: People, day: int) -> NDArray[np.bool_]:
    """Whether selected for the campaign of a day: a sample of CRM customers who have not objected."""
    chosen = Draws(spec.seed).uniform("chosen", people.number, day) < 0.4
    return np.asarray(chosen & people.in_crm & (people.consent != 2) & (people.join_day <= day))


def is_holdout(spec: WorldSpec, people: People, day: int) -> NDArray[np.bool_]:
    """Whether in the holdout group (a random 20 %)."""
    return np.asarray(Draws(spec.seed).uniform("held out", people.number, day) < 0.2)


def campaign_contacts(spec: WorldSpec, people: People, days: range) -> Events:
    """Customers selected for a campaign, including the holdout group."""
    starts = range(days.start, days.stop)
    return _on_days(starts, lambda d: is_contacted(spec, people, d) & (d % CAMPAIGN_EVERY == 0) & (d > 0))


def campaign_responses(spec: WorldSpec, people: People, days: range) -> Events:
    """Responses RESPONSE_DELAY days after a campaign; none from the holdout group."""
    draw = Draws(spec.seed)

    def mask(day: int) -> NDArray[np.bool_]:
        sent = day - RESPONSE_DELAY
        if sent <= 0 or sent % CAMPAIGN_EVERY:
            return np.zeros(len(people.number), bool)
        reached = is_contacted(spec, people, sent) & ~is_holdout(spec, people, sent)
        chance = np.where(people.is_responsive, 0.3, 0.04)
        return np.asarray(reached & (draw.uniform("response", people.number, sent) < chance))

    return _on_days(days, mask)


@dataclass(frozen=True)
class Lines:
    """Order lines; `order` is the index of the order. Shape of each array: (lines,)."""

    order: Index
    position: Index
    product: Index
    quantity: Index
    price_cents: Index


def list_price_cents(spec: WorldSpec, product: Index) -> Index:
    """List price of a product in cents, log-normally distributed."""
    draw = Draws(spec.seed)
    return np.asarray(np.round(np.exp(np.log(22.0) + 0.75 * draw.normal("price", product)) * 100), dtype=np.int64)


def order_lines(spec: WorldSpec, people: People, placed: Events) -> Lines:
    """One to four lines per order, mostly popular products from the customer's two preferred categories."""
    draw = Draws(spec.seed)
    number, day = people.number[placed.who], placed.day
    size = 1 + draw.index("lines", 4, number, day) * (draw.uniform("more", number, day) < 0.6)
    order = np.repeat(np.arange(len(number)), size)
    position = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    place = (number[order], day[order], position)
    which = draw.uniform("which", *place)
    owner = placed.who[order]
    category = np.select(
        [which < 0.6, which < 0.82],
        [people.category[owner], people.second_category[owner]],
        draw.index("any", len(CATEGORIES), *place),
    )
    # Zipf-like: a power of a uniform draw favours low ranks; a personal offset varies preferences within a category.
    rank = (draw.uniform("rank", *place) ** 2.2 * PRODUCTS_PER_CATEGORY).astype(np.int64)
    corner = draw.index("corner", 3, people.number[owner]) * 9
    product = category * PRODUCTS_PER_CATEGORY + (rank + corner) % PRODUCTS_PER_CATEGORY
    price_factor = np.exp(0.12 * np.log(people.basket[owner]))
    cents = np.maximum(np.round(list_price_cents(spec, product) * price_factor), 99).astype(np.int64)
    quantity = 1 + (draw.uniform("quantity", *place) < 0.2) * (1 + draw.index("pieces", 3, *place)) * (
        people.basket[owner] > 0.7
    )
    return Lines(order, position, product, quantity.astype(np.int64), cents)


def second_of_day(spec: WorldSpec, stream: str, number: Index, day: Index) -> Index:
    """Second of the day between 07:00 and 23:00, mostly in the evening."""
    draw = Draws(spec.seed)
    mean = (draw.uniform(stream, number, day, 1) + draw.uniform(stream, number, day, 2)) / 2
    return np.asarray(7 * 3600 + (mean**0.8) * 16 * 3600 - 1, dtype=np.int64)
