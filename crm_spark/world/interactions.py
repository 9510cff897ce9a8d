"""Generate tickets, reviews, surveys, web visits and campaign files."""

import numpy as np

from crm_spark.world.behaviour import (
    CAMPAIGN_EVERY,
    RESPONSE_DELAY,
    Events,
    campaign_contacts,
    campaign_responses,
    is_holdout,
    reviews,
    second_of_day,
    surveys,
    tickets,
    visits,
)
from crm_spark.world.draws import Draws
from crm_spark.world.identities import Registry, crm_id, shop_id
from crm_spark.world.people import Index, People
from crm_spark.world.records import Planted, Row, SourceFile, at, iso_offset, milliseconds
from crm_spark.world.sales import midnight_of, sku
from crm_spark.world.spec import WorldSpec
from crm_spark.world.texts import Text, meanings, write

NUM_PRODUCTS = 300


def _texts(spec: WorldSpec, people: People, events: Events, stream: str, *, is_long: bool) -> tuple[Index, list[Text]]:
    draw, number = Draws(spec.seed), people.number[events.who]
    meaning = meanings(draw, stream, people.mood[events.who], number, events.day)
    return meaning, write(draw, stream, meaning, number, events.day, is_long=is_long)


def support_tickets(spec: WorldSpec, people: People, days: range) -> tuple[SourceFile, list[Row]]:
    """Support tickets (JSON lines, persons identified by e-mail) and the ground truth of their texts."""
    events = tickets(spec, people, days)
    number = people.number[events.who]
    draw, registry = Draws(spec.seed), Registry(spec, people)
    # Tickets are mostly complaints and questions; recommendations are rare.
    leaning = draw.uniform("ticket leaning", number, events.day)
    meaning = np.select([leaning < 0.6, leaning < 0.92], [1, 2], 0)
    texts = write(draw, "ticket", meaning, number, events.day, is_long=True)
    seconds = second_of_day(spec, "ticket second", number, events.day)
    rows, truth, keys = [], [], []
    for k, text in enumerate(texts):
        who, day = int(events.who[k]), int(events.day[k])
        ticket = f"T{day:04d}{int(number[k]):08d}"
        rows.append(
            {
                "ticket": ticket,
                "from": registry.identity(who, "shop", 0.3).mail,
                "opened": iso_offset(at(registry.midnight, day, int(seconds[k]))),
                "channel": "phone note" if int(number[k] + day) % 4 == 0 else "mail",
                "subject": text.title,
                "body": text.body,
            }
        )
        truth.append(_text_truth("support_tickets", ticket, text))
        keys.append(int(number[k]) * 10_000 + day)
    columns = ("ticket", "from", "opened", "channel", "subject", "body")
    faults = (
        Planted("missing_required", "ticket", None),
        Planted("bad_date", "opened", "yesterday"),
        Planted("future_date", "opened", "2099-01-01T00:00:00+01:00"),
    )
    return SourceFile("support_tickets", "jsonl", columns, rows, faults, "", keys), truth


def shop_reviews(spec: WorldSpec, people: People, days: range) -> tuple[SourceFile, list[Row]]:
    """Reviews with star ratings (CSV with quoted line breaks) and the ground truth of their texts."""
    events = reviews(spec, people, days)
    number, draw = people.number[events.who], Draws(spec.seed)
    meaning, texts = _texts(spec, people, events, "review", is_long=True)
    stars = _rating(draw, "review", meaning, number, events.day, ((4, 5), (1, 2), (3, 3)))
    seconds = second_of_day(spec, "review second", number, events.day)
    product = draw.index("review product", NUM_PRODUCTS, number, events.day)
    rows, truth, keys = [], [], []
    for k, text in enumerate(texts):
        day = int(events.day[k])
        review = f"R{day:04d}{int(number[k]):08d}"
        rows.append(
            {
                "review_id": review,
                "customer_no": shop_id(people, int(events.who[k])),
                "sku": sku(int(product[k])),
                "stars": str(int(stars[k])),
                "title": text.title,
                "body": text.body.replace(". ", ".\n", 1) if int(number[k]) % 2 else text.body,
                "posted": at(midnight_of(spec), day, int(seconds[k])).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
        truth.append(_text_truth("reviews", review, text))
        keys.append(int(number[k]) * 10_000 + day)
    columns = ("review_id", "customer_no", "sku", "stars", "title", "body", "posted")
    faults = (
        Planted("bad_rating", "stars", "9"),
        Planted("bad_number", "stars", "****"),
        Planted("bad_date", "posted", "soon"),
        Planted("missing_required", "review_id", ""),
    )
    return SourceFile("reviews", "csv", columns, rows, faults, ",", keys), truth


def survey_answers(spec: WorldSpec, people: People, days: range) -> tuple[SourceFile, list[Row]]:
    """Survey scores from 0 to 10 by CRM contact, partly with a comment, and the ground truth of the texts."""
    events = surveys(spec, people, days)
    number, draw = people.number[events.who], Draws(spec.seed)
    meaning, texts = _texts(spec, people, events, "survey", is_long=False)
    score = _rating(draw, "survey", meaning, number, events.day, ((9, 10), (0, 6), (7, 8)))
    has_comment = draw.uniform("survey comment", number, events.day) < 0.5
    rows, truth, keys = [], [], []
    for k, text in enumerate(texts):
        day = int(events.day[k])
        answer = f"U{day:04d}{int(number[k]):08d}"
        comment = text.body if has_comment[k] else None
        sent = at(midnight_of(spec), day, 50_000).strftime("%Y-%m-%d")
        rows.append(
            {
                "answer_id": answer,
                "contact": crm_id(int(number[k])),
                "answered_on": sent,
                "score": int(score[k]),
                "comment": comment,
            }
        )
        if comment:
            truth.append(_text_truth("surveys", answer, text))
        keys.append(int(number[k]) * 10_000 + day)
    columns = ("answer_id", "contact", "answered_on", "score", "comment")
    faults = (
        Planted("bad_rating", "score", 42),
        Planted("bad_date", "answered_on", "n.d."),
        Planted("missing_required", "answer_id", None),
    )
    return SourceFile("surveys", "parquet", columns, rows, faults, "", keys), truth


def _text_truth(source: str, record_id: str, text: Text) -> Row:
    return {
        "source": source,
        "record_id": record_id,
        "meaning": text.meaning,
        "language": text.language,
        "construction": text.construction,
    }


def _rating(
    draw: Draws, stream: str, meaning: Index, number: Index, day: Index, scale: tuple[tuple[int, int], ...]
) -> Index:
    """Rating in the range of the meaning; 6 % of the ratings are random."""
    low, high = (np.array([r[end] for r in scale])[meaning] for end in (0, 1))
    fair = low + np.floor(draw.uniform(f"{stream} score", number, day) * (high - low + 1)).astype(np.int64)
    bottom, top = min(r[0] for r in scale), max(r[1] for r in scale)
    any_score = bottom + draw.index(f"{stream} slip", top - bottom + 1, number, day)
    return np.where(draw.uniform(f"{stream} noise", number, day) < 0.06, any_score, fair)


def web_events(spec: WorldSpec, people: People, days: range) -> SourceFile:
    """Web visits by shop customer id, with epoch milliseconds."""
    events = visits(spec, people, days)
    number, draw = people.number[events.who], Draws(spec.seed)
    seconds = second_of_day(spec, "visit second", number, events.day)
    page = draw.index("page", 4, number, events.day)
    product = draw.index("page product", NUM_PRODUCTS, number, events.day)
    midnight = midnight_of(spec)
    rows = [
        {
            "id": f"W{int(d):04d}{int(n):08d}",
            "visitor": shop_id(people, int(w)),
            "ts": milliseconds(at(midnight, int(d), int(s))),
            "page": ("product", "search", "basket", "help")[int(g)],
            "sku": sku(int(a)) if g == 0 else None,
        }
        for w, n, d, s, g, a in zip(events.who, number, events.day, seconds, page, product)
    ]
    keys = [int(n) * 10_000 + int(d) for n, d in zip(number, events.day)]
    faults = (Planted("bad_date", "ts", "now"), Planted("missing_required", "id", None))
    return SourceFile("web_events", "jsonl.gz", ("id", "visitor", "ts", "page", "sku"), rows, faults, "", keys)


def campaign_files(spec: WorldSpec, people: People, days: range) -> list[SourceFile]:
    """Campaign contacts with their group (target or control), and responses."""
    sent, back = campaign_contacts(spec, people, days), campaign_responses(spec, people, days)
    midnight = midnight_of(spec)
    contact_keys = [int(people.number[w]) * 10_000 + int(d) for w, d in zip(sent.who, sent.day)]
    holdout_by_day = {int(d): is_holdout(spec, people, int(d)) for d in np.unique(sent.day)}
    contact_rows = [
        {
            "campaign": f"camp-{int(d) // CAMPAIGN_EVERY:03d}",
            "contact": crm_id(int(people.number[w])),
            "sent": at(midnight, int(d), 32_400).strftime("%Y/%m/%d"),
            "channel": "mail",
            "group": "control" if holdout_by_day[int(d)][w] else "target",
        }
        for w, d in zip(sent.who, sent.day)
    ]
    response_rows = [
        {
            "campaign": f"camp-{(int(d) - RESPONSE_DELAY) // CAMPAIGN_EVERY:03d}",
            "contact": crm_id(int(people.number[w])),
            "when": at(midnight, int(d), 60_000).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "kind": "click",
        }
        for w, d in zip(back.who, back.day)
    ]
    response_keys = [int(people.number[w]) * 10_000 + int(d) for w, d in zip(back.who, back.day)]
    contact_faults = (
        Planted("bad_date", "sent", "2024/13/45"),
        Planted("unknown_value", "group", "???"),
        Planted("missing_required", "campaign", ""),
    )
    response_faults = (Planted("bad_date", "when", "?soon"), Planted("missing_required", "campaign", ""))
    return [
        SourceFile(
            "campaign_contacts",
            "csv",
            ("campaign", "contact", "sent", "channel", "group"),
            contact_rows,
            contact_faults,
            "|",
            contact_keys,
        ),
        SourceFile(
            "campaign_responses",
            "csv",
            ("campaign", "contact", "when", "kind"),
            response_rows,
            response_faults,
            ",",
            response_keys,
        ),
    ]
