"""Person records per system: CRM contacts with duplicates, shop accounts, marketplace buyers."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from crm_spark.world.draws import Draws
from crm_spark.world.people import CITIES, DOMAINS, GIVEN, STREETS, Index, People, family_name, scattered
from crm_spark.world.records import Planted, Row, SourceFile, at, german_date
from crm_spark.world.spec import WorldSpec

DUPLICATE_OFFSET = 20_000_000
"""Added to a customer number to get the number of the duplicate CRM record."""
NICKNAMES = {
    "Katharina": "Kathi", "Elizabeth": "Liz", "Jessica": "Jess", "Susanne": "Susi", "Margaret": "Maggie", "Stephanie": "Steffi",
    "Rebecca": "Becky", "Victoria": "Vicky", "Thomas": "Tom", "Michael": "Mike", "Christopher": "Chris", "Daniel": "Dan",
    "Matthias": "Matze", "Sebastian": "Basti", "Wolfgang": "Wolfi", "Robert": "Bob", "William": "Bill", "James": "Jim",
    "Joseph": "Joe", "Edward": "Ed", "Benjamin": "Ben", "Samuel": "Sam", "Nicholas": "Nick", "Timothy": "Tim", "Leonard": "Lenny",
}  # fmt: skip
DISTURBANCES = ("none", "typo", "nickname", "moved", "married", "other_mail")


@dataclass(frozen=True)
class Identity:
    """Spelling of a person in one system."""

    given: str
    family: str
    mail: str
    phone: str
    street: str
    postcode: str
    city: str
    birth_on: datetime
    disturbance: str


class Registry:
    """Deterministic spelling of people per system."""

    def __init__(self, spec: WorldSpec, people: People):
        self.spec, self.people, self.draw = spec, people, Draws(spec.seed)
        self.midnight = datetime(spec.start_on.year, spec.start_on.month, spec.start_on.day)

    def identity(self, who: int, system: str, share_disturbed: float) -> Identity:
        """Spelling of a person in a system.

        Args:
            who: index in the block.
            system: system name; seeds the disturbances.
            share_disturbed: fraction of people with a disturbed spelling.
        """
        p, i = self.people, int(self.people.number[who])
        kind = DISTURBANCES[1 + int(self.draw.index(f"{system} kind", 5, i))]
        if float(self.draw.uniform(f"{system} disturbed", i)) >= share_disturbed:
            kind = "none"
        given, family = GIVEN[p.given[who]], family_name(int(p.family[who]))
        home = (int(p.city[who]), int(p.street[who]), int(p.house[who]))
        if kind == "nickname" and given not in NICKNAMES:
            kind = "typo"
        mail = f"{given}.{family}{i % 9973}@{DOMAINS[int(self.draw.index('domain', len(DOMAINS), i))]}".lower()
        if kind == "typo":
            family = _typo(family, int(self.draw.index(f"{system} typo", 1000, i)))
        elif kind == "nickname":
            given = NICKNAMES[given]
        elif kind == "moved":
            home = (
                int(self.draw.index(f"{system} c", len(CITIES), i)),
                int(self.draw.index(f"{system} s", len(STREETS), i)),
                int(self.draw.index(f"{system} h", 140, i)),
            )
        elif kind == "married":
            family = family_name(int(self.draw.index("married", 460, i)))
        elif kind == "other_mail":
            mail = f"{given[0]}.{family}.{i % 7919}@{DOMAINS[(i + 1) % len(DOMAINS)]}".lower()
        city, prefix = CITIES[home[0]]
        return Identity(
            given=given,
            family=family,
            mail=mail,
            phone=f"015{scattered(np.int64(abs(int(p.phone[who])) + (p.phone[who] < 0) * DUPLICATE_OFFSET), 3) % 10**9:09d}",
            street=f"{STREETS[home[1]]}straße {home[2] + 1}",
            postcode=f"{prefix}{100 + (home[1] * 41 + home[0] * 7) % 900:03d}",
            city=city,
            birth_on=datetime(1942, 1, 1) + timedelta(days=int(p.birth_day[who])),
            disturbance=kind,
        )


def _typo(name: str, draw: int) -> str:
    """Swap two adjacent letters or drop one."""
    place = 1 + draw % max(len(name) - 2, 1)
    return (
        name[:place] + name[place + 1] + name[place] + name[place + 2 :]
        if draw % 2 and place + 1 < len(name)
        else name[:place] + name[place + 1 :]
    )


def crm_id(number: int) -> str:
    """Customer id in the CRM."""
    return f"C{int(scattered(np.int64(number), 0)):010d}"


def shop_id(people: People, who: int) -> str:
    """Customer id in the shop (prefix K for accounts, G for guests)."""
    prefix = "K" if people.has_account[who] else "G"
    return f"{prefix}{int(scattered(people.number[who], 1)):010d}"


def market_id(number: int) -> str:
    """Buyer id in the marketplace."""
    return f"mk-{int(scattered(np.int64(number), 2)):x}"


def joined_in(spec: WorldSpec, join_day: Index, days: range) -> Index:
    """Customers who joined in these days; the history includes everyone who joined earlier."""
    first = -(10**6) if days.start == 0 else days.start
    return np.flatnonzero((join_day >= first) & (join_day < days.stop))


def has_duplicate(spec: WorldSpec, people: People) -> np.ndarray:
    """Whether a customer has a duplicate CRM record; matches the configured share of duplicates."""
    share = spec.duplicate_fraction / (1 - spec.duplicate_fraction)
    return np.asarray(people.in_crm & (Draws(spec.seed).uniform("twin", people.number) < share))


def duplicate_day(spec: WorldSpec, people: People) -> Index:
    """Day on which the duplicate record is created."""
    return np.maximum(people.join_day, 0) + Draws(spec.seed).index("twin day", 250, people.number)


def crm_contacts(spec: WorldSpec, people: People, days: range) -> SourceFile:
    """CRM export: `Family, Given`, German dates, J/N."""
    registry, rows, keys = Registry(spec, people), [], []
    for who in joined_in(spec, people.join_day, days):
        if people.in_crm[who]:
            number = int(people.number[who])
            rows.append(_crm_row(registry, who, registry.identity(who, "crm", 0.0), number, int(people.join_day[who])))
            keys.append(number)
    duplicates = has_duplicate(spec, people)
    for who in joined_in(spec, duplicate_day(spec, people), days):
        if duplicates[who]:
            number = int(people.number[who]) + DUPLICATE_OFFSET
            day = int(duplicate_day(spec, people)[who])
            rows.append(_crm_row(registry, who, registry.identity(who, "crm twin", 0.85), number, day))
            keys.append(number)
    columns = ("Kontaktnr", "Name", "EMail", "Telefon", "Anschrift", "PLZ", "Ort", "Geburt", "Werbung", "Angelegt")
    faults = (Planted("missing_required", "Kontaktnr", ""), Planted("future_date", "Angelegt", "01.01.2099"))
    return SourceFile("crm_contacts", "csv", columns, rows, faults, ";", keys)


def _crm_row(registry: Registry, who: int, person: Identity, number: int, day: int) -> Row:
    consent = {0: "", 1: "J", 2: "N"}[int(registry.people.consent[who])]
    return {
        "Kontaktnr": crm_id(number),
        "Name": f"{person.family}, {person.given}",
        "EMail": person.mail.upper() if number % 7 == 0 else person.mail,
        "Telefon": f"+49 {person.phone[1:4]} {person.phone[4:]}" if number % 3 else person.phone,
        "Anschrift": person.street.replace("straße", "str.") if number % 2 else person.street,
        "PLZ": person.postcode,
        "Ort": person.city,
        "Geburt": person.birth_on.strftime("%d.%m.%Y"),
        "Werbung": consent,
        "Angelegt": german_date(at(registry.midnight, day, 43_200)),
    }


def shop_accounts(spec: WorldSpec, people: People, days: range) -> SourceFile:
    """Shop accounts and guests: separate name columns, ISO dates, partly missing birth dates."""
    registry, rows, keys = Registry(spec, people), [], []
    for who in joined_in(spec, people.join_day, days):
        number = int(people.number[who])
        person = registry.identity(who, "shop", 0.3)
        has_birth = people.has_account[who] and float(registry.draw.uniform("shop birth", number)) < 0.7
        rows.append(
            {
                "customer_no": shop_id(people, who),
                "first_name": person.given,
                "last_name": person.family,
                "email": person.mail,
                "phone": person.phone if float(registry.draw.uniform("shop phone", number)) < 0.6 else "",
                "street": person.street,
                "zip": person.postcode,
                "city": person.city,
                "date_of_birth": person.birth_on.strftime("%Y-%m-%d") if has_birth else "",
                "created_at": at(registry.midnight, int(people.join_day[who]), 36_000).strftime("%Y-%m-%d %H:%M:%S"),
            }
        )
        keys.append(number)
    columns = (
        "customer_no",
        "first_name",
        "last_name",
        "email",
        "phone",
        "street",
        "zip",
        "city",
        "date_of_birth",
        "created_at",
    )
    faults = (
        Planted("missing_required", "customer_no", ""),
        Planted("future_date", "created_at", "2099-06-01 00:00:00"),
    )
    return SourceFile("shop_accounts", "csv", columns, rows, faults, ",", keys)
