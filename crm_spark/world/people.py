"""Customer attributes as deterministic functions of the customer number."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crm_spark.world.draws import Draws, FloatArray
from crm_spark.world.spec import WorldSpec

Index = NDArray[np.int64]
_PRIME = 1_000_000_007
GIVEN = [
    "Anna",
    "Maria",
    "Laura",
    "Julia",
    "Sarah",
    "Lena",
    "Katharina",
    "Elizabeth",
    "Emily",
    "Jessica",
    "Sophie",
    "Hannah",
    "Clara",
    "Susanne",
    "Barbara",
    "Margaret",
    "Christina",
    "Stephanie",
    "Patricia",
    "Rebecca",
    "Victoria",
    "Nicole",
    "Theresa",
    "Alexandra",
    "Jennifer",
    "Valerie",
    "Camille",
    "Lucia",
    "Carmen",
    "Ines",
    "Thomas",
    "Michael",
    "Alexander",
    "Daniel",
    "Christopher",
    "Matthias",
    "Andreas",
    "Peter",
    "Stefan",
    "Sebastian",
    "Maximilian",
    "Wolfgang",
    "Robert",
    "William",
    "James",
    "Richard",
    "Joseph",
    "Edward",
    "Benjamin",
    "Samuel",
    "Anthony",
    "Nicholas",
    "Timothy",
    "Walter",
    "Vincent",
    "Leonard",
    "Philip",
    "Patrick",
    "Pablo",
    "Diego",
]
FAMILY_START = [
    "Ber",
    "Hof",
    "Stein",
    "Wald",
    "Schn",
    "Mei",
    "Kra",
    "Len",
    "Neu",
    "Ost",
    "Rei",
    "Sommer",
    "Tann",
    "Vog",
    "Win",
    "Zim",
    "Ash",
    "Brad",
    "Carl",
    "Dun",
    "Ell",
    "Fair",
    "Gold",
    "Har",
]
FAMILY_END = [
    "mann",
    "berg",
    "er",
    "feld",
    "bauer",
    "ner",
    "ling",
    "hausen",
    "stein",
    "ford",
    "ton",
    "ley",
    "worth",
    "man",
    "field",
    "son",
    "well",
    "brook",
    "den",
    "ham",
]
STREETS = [
    "Linden",
    "Garten",
    "Schul",
    "Markt",
    "Birken",
    "Rosen",
    "Bahnhof",
    "Kirch",
    "Wiesen",
    "Berg",
    "Mühl",
    "Park",
    "Ahorn",
    "Sonnen",
    "Ring",
    "Hafen",
]
CITIES = (
    ("Hamburg", "20"), ("Berlin", "10"), ("Köln", "50"), ("München", "80"), ("Leipzig", "04"), ("Dresden", "01"), ("Bremen", "28"),
    ("Stuttgart", "70"), ("Freiburg", "79"), ("Kiel", "24"), ("Mainz", "55"), ("Erfurt", "99"),
)  # fmt: skip
DOMAINS = ("gmail.com", "web.example", "mail.example", "post.example", "inbox.example")
CATEGORIES = ("clothing", "kitchen", "garden", "toys", "electronics", "books")
PRODUCTS_PER_CATEGORY = 50


@dataclass(frozen=True)
class People:
    """A block of customers. Shape of each array: (customers,)."""

    number: Index
    given: Index
    family: Index
    household: Index
    birth_day: Index
    city: Index
    street: Index
    house: Index
    mail: Index
    phone: Index
    join_day: Index
    leave_day: Index
    """First day without orders; may be after the end of the simulation."""
    hazard: FloatArray
    """Daily probability of leaving."""
    rate: FloatArray
    """Expected orders per day."""
    basket: FloatArray
    """Factor on the prices of purchased products."""
    mood: FloatArray
    """Satisfaction in [-1, 1]."""
    category: Index
    second_category: Index
    in_crm: NDArray[np.bool_]
    has_account: NDArray[np.bool_]
    on_market: NDArray[np.bool_]
    consent: Index
    """Marketing consent: 0 unknown, 1 given, 2 refused."""
    is_responsive: NDArray[np.bool_]


def people(spec: WorldSpec, block: int) -> People:
    """Generate the customers of a block."""
    draw = Draws(spec.seed)
    i = np.arange(block * spec.block, min((block + 1) * spec.block, spec.customers), dtype=np.int64)
    shares_home = draw.uniform("household", i // 2) < 0.2
    home = np.where(shares_home, -(i // 2) - 1, i)
    end = spec.history_days
    was_there = draw.uniform("early", i) < 0.45
    join_day = np.where(was_there, -draw.index("before", 400, i), draw.index("join", end + max(spec.days, 120), i))
    mood = np.clip(0.35 + 0.55 * draw.normal("mood", i), -1, 1)
    hazard = np.clip(0.0011 * np.exp(-1.1 * mood + 0.35 * draw.normal("hazard", i)), 1e-5, 0.02)
    lifetime = np.log(1 - draw.uniform("life", i)) / np.log1p(-hazard)
    shared_phone = shares_home & (draw.uniform("shared phone", i // 2) < 0.5)
    category = draw.index("category", len(CATEGORIES), i)
    return People(
        number=i,
        given=draw.index("given", len(GIVEN), i),
        family=draw.index("family", len(FAMILY_START) * len(FAMILY_END), home),
        household=home,
        birth_day=draw.index("birth", 23_000, i),
        city=draw.index("city", len(CITIES), home),
        street=draw.index("street", len(STREETS), home),
        house=1 + draw.index("house", 140, home),
        mail=i,
        phone=np.where(shared_phone, home, i),
        join_day=join_day,
        leave_day=join_day + 1 + lifetime.astype(np.int64),
        hazard=hazard,
        rate=np.exp(np.log(3.2) + 0.85 * draw.normal("rate", i)) / 365,
        basket=np.exp(0.55 * draw.normal("basket", i)),
        mood=mood,
        category=category,
        second_category=(category + 1 + draw.index("second", len(CATEGORIES) - 1, i)) % len(CATEGORIES),
        in_crm=draw.uniform("crm", i) < 0.8,
        has_account=draw.uniform("account", i) >= spec.guest_fraction,
        on_market=draw.uniform("market", i) < 0.3,
        consent=np.select([draw.uniform("consent", i) < 0.65, draw.uniform("refuse", i) < 0.3], [1, 2], 0),
        is_responsive=draw.uniform("responsive", i) < 0.35,
    )


def scattered(number: Any, salt: int) -> Any:
    """Map numbers to unique pseudo-random ids: an affine map modulo a prime."""
    return (number * (48_271 + 2 * salt) + 12_345_701 * (salt + 1)) % _PRIME


def family_name(code: int) -> str:
    """Family name of a code in [0, 480)."""
    return FAMILY_START[code // len(FAMILY_END)] + FAMILY_END[code % len(FAMILY_END)]
