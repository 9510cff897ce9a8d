"""Shop files for ingest and clean benchmarks: order lines, persons and reviews (8:1:1) with 2% invalid records."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.process_monitor import ROOT

FILE_ROWS = 250_000
NUM_PRODUCTS = 5_000
SOURCES = ("shop_order_lines", "shop_accounts", "reviews", "products")
_GIVEN = ["ANNA", "jörg", "Marie-Claire", "Dr. Peter", "josé", "Frau Karin", "Zoë", "john", "Łukasz", "ayşe"]
_FAMILY = [
    "MÜLLER",
    "van den Berg",
    "o'brien",
    "Schmidt",
    "García Márquez",
    "mcdonald",
    "Nguyen",
    "Kowalski",
    "de Vries",
]
_STREET = ["Hauptstraße", "Lange Str.", "Am Markt", "Bahnhofstrasse", "Goethe-Allee", "Kirchplatz"]
_CITY = ["BERLIN", "münchen", "Köln", "hamburg", "Frankfurt am Main"]
_SAID = (
    "the dress fits well but colour is off not what we expected delivery late support helpful price fair would buy again "
    "fabric thin sleeves long too small returned perfect summer office wedding cheap soft itchy quality seams size &amp; great"
)
_WORDS = _SAID.split()


def write(folder: Path, num_rows: int, *, day: str = "2025-01-01", first: int = 0) -> None:
    """Write `num_rows` records to `folder/day`, and the products once; keys start at `first`."""
    target = folder / day
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    random = np.random.default_rng(first + 1)
    shares = {"shop_order_lines": 0.8, "shop_accounts": 0.1, "reviews": 0.1}
    makers = {"shop_order_lines": _lines, "shop_accounts": _accounts, "reviews": _reviews}
    for name, share in shares.items():
        for part, (start, size) in enumerate(_parts(round(num_rows * share))):
            rows = makers[name](random, first + start, size)
            separator = ";" if name == "shop_order_lines" else ","
            rows.to_csv(target / f"{name}_{part:04d}.csv", index=False, sep=separator)
    if first == 0:
        _products().to_csv(target / "products.csv", index=False, sep=";")


def lay_out_sources(folder: Path) -> Path:
    """Write the source configurations of these files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(ROOT / "conf" / "sources" / f"{name}.yaml", folder)
    return folder


def _parts(num_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num_rows, FILE_ROWS):
        yield start, min(FILE_ROWS, num_rows - start)


def _products() -> pd.DataFrame:
    numbers = np.arange(NUM_PRODUCTS)
    return pd.DataFrame(
        {"Artikel": [f"P{n:05d}" for n in numbers], "Bezeichnung": "Thing", "Gruppe": "Things", "Listenpreis": "9,90"}
    )


def _lines(random: np.random.Generator, first: int, size: int) -> pd.DataFrame:
    number = np.arange(first, first + size)
    cents = random.integers(100, 20_000, size)
    cents[random.random(size) < 0.01] = 0
    frame = pd.DataFrame(
        {
            "BestellNr": [f"B{n // 3:09d}" for n in number],
            "Pos": number % 3 + 1,
            "Artikel": [f"P{p:05d}" for p in random.integers(0, NUM_PRODUCTS + 10, size)],
            "Menge": random.integers(1, 6, size).astype(str),
            "Einzelpreis": [f"{c // 100},{c % 100:02d}" for c in cents],
        }
    )
    frame.loc[random.random(size) < 0.005, "Menge"] = "zwei"
    repeats = frame.iloc[: size // 200]
    return pd.concat([frame.iloc[: size - len(repeats)], repeats])


def _accounts(random: np.random.Generator, first: int, size: int) -> pd.DataFrame:
    number = np.arange(first, first + size)
    given, family = random.choice(_GIVEN, size), random.choice(_FAMILY, size)
    house = random.integers(1, 200, size)
    days = pd.Timestamp("1940-01-01") + pd.to_timedelta(random.integers(0, 24_000, size), unit="D")
    frame = pd.DataFrame(
        {
            "customer_no": [f"K{n:08d}" for n in number],
            "first_name": given,
            "last_name": family,
            "email": [f"Mail{n}+shop@Example.com" for n in number],
            "phone": [f"030 {n:07d}" for n in number % 9_000_000 + 1_000_000],
            "street": [f"{s} {n}" for s, n in zip(random.choice(_STREET, size), house)],
            "zip": [str(z) for z in random.integers(1000, 99_999, size)],
            "city": random.choice(_CITY, size),
            "date_of_birth": days.strftime("%Y-%m-%d"),
            "created_at": "2024-03-04 10:11:12",
        }
    )
    frame.loc[random.random(size) < 0.01, "date_of_birth"] = "unknown"
    frame.loc[random.random(size) < 0.01, "created_at"] = "soon"
    return frame


def _reviews(random: np.random.Generator, first: int, size: int) -> pd.DataFrame:
    number = np.arange(first, first + size)
    lengths = random.integers(5, 60, size)
    words = random.choice(_WORDS, int(lengths.sum()))
    ends = np.cumsum(lengths)
    bodies = [" ".join(words[end - length : end]) for length, end in zip(lengths, ends)]
    frame = pd.DataFrame(
        {
            "review_id": [f"R{n:09d}" for n in number],
            "customer_no": [f"K{n:08d}" for n in random.integers(0, size, size)],
            "sku": [f"P{p:05d}" for p in random.integers(0, NUM_PRODUCTS, size)],
            "stars": random.integers(1, 6, size).astype(str),
            "title": "My opinion",
            "body": bodies,
            "posted": "2024-05-06",
        }
    )
    frame.loc[random.random(size) < 0.01, "stars"] = "9"
    return frame
