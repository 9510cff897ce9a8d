"""Generate the product catalogue, shop orders and lines, and marketplace orders."""

from datetime import datetime

import numpy as np

from crm_spark.world.behaviour import Events, Lines, list_price_cents, order_lines, orders, second_of_day
from crm_spark.world.draws import Draws
from crm_spark.world.identities import Registry, market_id, shop_id
from crm_spark.world.people import CATEGORIES, PRODUCTS_PER_CATEGORY, People
from crm_spark.world.records import Planted, SourceFile, at, german_date, german_number, local, milliseconds
from crm_spark.world.spec import WorldSpec

_USD_PER_EUR = 1.25


def sku(product: int) -> str:
    """Product code used by shop and marketplace."""
    return f"{CATEGORIES[product // PRODUCTS_PER_CATEGORY][:3].upper()}-{product % PRODUCTS_PER_CATEGORY:03d}"


def _product_name(product: int) -> str:
    kinds = ("Classic", "Compact", "Deluxe", "Eco", "Everyday", "Junior", "Light", "Pro", "Studio", "Travel")
    return f"{kinds[product % 10]} {CATEGORIES[product // PRODUCTS_PER_CATEGORY]} no. {product % PRODUCTS_PER_CATEGORY + 1}"


def products(spec: WorldSpec) -> SourceFile:
    """Product catalogue."""
    number = np.arange(len(CATEGORIES) * PRODUCTS_PER_CATEGORY)
    prices = list_price_cents(spec, number)
    rows = [
        {
            "Artikel": sku(int(p)),
            "Bezeichnung": _product_name(int(p)),
            "Gruppe": CATEGORIES[int(p) // PRODUCTS_PER_CATEGORY],
            "Listenpreis": german_number(int(c)),
        }
        for p, c in zip(number, prices)
    ]
    return SourceFile(
        "products", "csv", ("Artikel", "Bezeichnung", "Gruppe", "Listenpreis"), rows, (), ";", [int(p) for p in number]
    )


def is_on_market(spec: WorldSpec, people: People, placed: Events) -> np.ndarray:
    """Whether an order is placed in the marketplace instead of the shop."""
    draw = Draws(spec.seed).uniform("market order", people.number[placed.who], placed.day)
    return np.asarray(people.on_market[placed.who] & (draw < 0.45))


def order_states(spec: WorldSpec, people: People, placed: Events) -> np.ndarray:
    """Order state: 0 completed, 1 cancelled, 2 returned; returns increase with dissatisfaction."""
    draw = Draws(spec.seed).uniform("state", people.number[placed.who], placed.day)
    p_return = 0.06 - 0.04 * people.mood[placed.who]
    return np.select([draw < 0.02, draw < 0.02 + p_return], [1, 2], 0)


def order_number(people: People, placed: Events, index: int) -> str:
    """Order number; unique because there is at most one order per customer and day."""
    return f"{placed.day[index]:04d}-{people.number[placed.who[index]]:08d}"


def shop_orders(spec: WorldSpec, people: People, days: range) -> list[SourceFile]:
    """Shop orders and lines: semicolon-delimited, decimal comma, separate date and time columns."""
    every = orders(spec, people, days)
    placed = every.where(~is_on_market(spec, people, every))
    seconds = second_of_day(spec, "shop second", people.number[placed.who], placed.day)
    states = order_states(spec, people, placed)
    lines = order_lines(spec, people, placed)
    midnight = Registry(spec, people).midnight
    heads = []
    for k in range(len(placed.who)):
        moment = at(midnight, int(placed.day[k]), int(seconds[k]))
        heads.append(
            {
                "BestellNr": order_number(people, placed, k),
                "KundenNr": shop_id(people, int(placed.who[k])),
                "Datum": german_date(moment),
                "Uhrzeit": local(moment).strftime("%H:%M"),
                "Status": ("OK", "STORNO", "RETOURE")[int(states[k])],
            }
        )
    keys = [int(people.number[w]) * 10_000 + int(d) for w, d in zip(placed.who, placed.day)]
    head_faults = (
        Planted("bad_date", "Datum", "31.02.2024"),
        Planted("future_date", "Datum", "01.01.2099"),
        Planted("unknown_value", "Status", "X9"),
        Planted("missing_required", "BestellNr", ""),
    )
    return [
        SourceFile(
            "shop_orders", "csv", ("BestellNr", "KundenNr", "Datum", "Uhrzeit", "Status"), heads, head_faults, ";", keys
        ),
        _shop_lines(people, placed, lines, keys),
    ]


def _shop_lines(people: People, placed: Events, lines: Lines, keys: list[int]) -> SourceFile:
    rows = [
        {
            "BestellNr": order_number(people, placed, int(o)),
            "Pos": str(int(p) + 1),
            "Artikel": sku(int(a)),
            "Menge": str(int(q)),
            "Einzelpreis": german_number(int(c)),
        }
        for o, p, a, q, c in zip(lines.order, lines.position, lines.product, lines.quantity, lines.price_cents)
    ]
    faults = (
        Planted("bad_number", "Menge", "zwei"),
        Planted("non_positive_price", "Einzelpreis", "0,00"),
        Planted("non_positive_quantity", "Menge", "-1"),
        Planted("missing_required", "BestellNr", ""),
    )
    line_keys = [keys[int(o)] * 10 + int(p) for o, p in zip(lines.order, lines.position)]
    return SourceFile(
        "shop_order_lines", "csv", ("BestellNr", "Pos", "Artikel", "Menge", "Einzelpreis"), rows, faults, ";", line_keys
    )


def marketplace_orders(spec: WorldSpec, people: People, days: range) -> SourceFile:
    """Marketplace feed: one JSON line per order line, US cents, epoch milliseconds."""
    every = orders(spec, people, days)
    placed = every.where(is_on_market(spec, people, every))
    seconds = second_of_day(spec, "market second", people.number[placed.who], placed.day)
    states, lines = order_states(spec, people, placed), order_lines(spec, people, placed)
    registry = Registry(spec, people)
    buyers = {int(w): registry.identity(int(w), "market", 0.25) for w in np.unique(placed.who)}
    rows, keys = [], []
    for o, p, a, q, c in zip(lines.order, lines.position, lines.product, lines.quantity, lines.price_cents):
        who, day = int(placed.who[o]), int(placed.day[o])
        buyer, number = buyers[who], int(people.number[who])
        rows.append(
            {
                "orderId": f"M{order_number(people, placed, int(o))}",
                "line": int(p) + 1,
                "placedAt": milliseconds(at(registry.midnight, day, int(seconds[o]))),
                "state": ("shipped", "cancelled", "returned")[int(states[o])],
                "buyer": market_id(number),
                "buyerName": f"{buyer.given} {buyer.family}",
                "buyerMail": buyer.mail,
                "shipStreet": buyer.street,
                "shipZip": buyer.postcode,
                "shipCity": buyer.city,
                "sku": sku(int(a)),
                "title": _product_name(int(a)),
                "qty": int(q),
                "cents": int(c * _USD_PER_EUR),
            }
        )
        keys.append((number * 10_000 + day) * 10 + int(p))
    faults = (
        Planted("bad_number", "qty", "many"),
        Planted("non_positive_price", "cents", 0),
        Planted("non_positive_quantity", "qty", 0),
        Planted("missing_required", "orderId", None),
    )
    return SourceFile("marketplace_orders", "jsonl.gz", tuple(rows[0]) if rows else (), rows, faults, "", keys)


def midnight_of(spec: WorldSpec) -> datetime:
    """Start of the simulation, UTC."""
    return datetime(spec.start_on.year, spec.start_on.month, spec.start_on.day)
