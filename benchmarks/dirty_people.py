"""Person records of people who were written down many times and badly: half of the fields missing, slips in every one.

Used to judge identity resolution: the truth is the person of each record. Nothing in the stage is tuned to a single seed of it.
"""

import random
import string
from datetime import date, timedelta

from crm_spark.world.people import FAMILY_END, FAMILY_START, GIVEN

Record = dict[str, str | None]
PLACES = [f"{start}{end}" for start in ("North", "South", "East", "West", "Old", "New", "Upper", "Lower", "Great", "Little") for end in
          ("ford", "ham", "ton", "bury", "field", "bridge", "mouth", "wick", "stead", "dale", "port", "minster")]  # fmt: skip
OCCUPATIONS = ["writer", "painter", "composer", "physician", "lawyer", "politician", "engineer", "teacher", "actor", "soldier", "priest",
               "merchant", "botanist", "historian", "sculptor", "printer", "sailor", "farmer", "architect", "singer"]  # fmt: skip
TITLES = ["Sir", "Dr", "Reverend", "Professor", "Captain", "Lady", "Lord", "Colonel"]
_MISSING = {"given_name": 0.15, "family_name": 0.15, "birth": 0.5, "place": 0.55, "occupation": 0.5, "postcode": 0.6}


def dirty_people(num_people: int, *, seed: int, most_records: int = 20) -> tuple[list[Record], list[int]]:
    """Return the records, and the person of each.

    Args:
        num_people: number of people.
        seed: of all draws.
        most_records: largest number of records of a person; the mean is half of it.
    """
    draw = random.Random(seed)
    records, people = [], []
    for person in range(num_people):
        truth = _person(draw)
        for _ in range(draw.randint(1, most_records)):
            records.append(_record(truth, draw))
            people.append(person)
    order = list(range(len(records)))
    draw.shuffle(order)
    return [{"id": str(i), **records[k]} for i, k in enumerate(order)], [people[k] for k in order]


def _person(draw: random.Random) -> dict[str, str]:
    given = [draw.choice(GIVEN)] + ([draw.choice(GIVEN)] if draw.random() < 0.4 else [])
    birth = date(1800, 1, 1) + timedelta(days=draw.randrange(180 * 365))
    return {
        "given_name": " ".join(given),
        # Common and rare names: the square makes the first ones frequent.
        "family_name": FAMILY_START[int(len(FAMILY_START) * draw.random() ** 2)] + draw.choice(FAMILY_END),
        "birth": birth.strftime("%Y%m%d"),
        "place": draw.choice(PLACES),
        "occupation": draw.choice(OCCUPATIONS),
        "postcode": f"{draw.randrange(3000):04d}",
    }


def _record(truth: dict[str, str], draw: random.Random) -> Record:
    record: Record = {name: None if draw.random() < _MISSING[name] else value for name, value in truth.items()}
    if record["given_name"]:
        names = record["given_name"].split()
        if len(names) > 1 and draw.random() < 0.5:
            names = names[:1]
        if draw.random() < 0.12:
            names[0] = names[0][0]
        record["given_name"] = " ".join(([draw.choice(TITLES)] if draw.random() < 0.12 else []) + names)
    if draw.random() < 0.04:
        record["given_name"], record["family_name"] = record["family_name"], record["given_name"]
    if record["birth"] and draw.random() < 0.1:
        record["birth"] = record["birth"][:4] + ("" if draw.random() < 0.7 else "0101")
    for name, value in record.items():
        if value and draw.random() < 0.12:
            record[name] = _slip(
                value, draw, string.digits if name in ("birth", "postcode") else string.ascii_lowercase
            )
    return record


def _slip(value: str, draw: random.Random, letters: str) -> str:
    i = draw.randrange(len(value))
    kind = draw.randrange(4) if len(value) > 1 else 0
    if kind == 0:
        return value[:i] + draw.choice(letters) + value[i + 1 :]
    if kind == 1 and len(value) > 2:
        return value[:i] + value[i + 1 :]
    if kind == 2:
        return value[:i] + draw.choice(letters) + value[i:]
    i = min(i, len(value) - 2)
    return value[:i] + value[i + 1] + value[i] + value[i + 2 :]
