"""What a user would write instead: pandas on one core, the same rules, verbatim and clean rows as Parquet.

`python -m benchmarks.cleaning_pandas DATA OUT`: no lake, no history, no lease, no account of the rows: files in, files out.
"""

import sys
import warnings
from pathlib import Path

import pandas as pd

from benchmarks.process_monitor import ROOT
from crm_spark.quality.rules import load_rules
from crm_spark.settings import load_settings
from crm_spark.stages.clean.contacts import e164
from crm_spark.stages.clean.standardise import load_standards
from crm_spark.stages.clean.texts import language, plain

_EMAIL = r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"


def main(data: Path, out: Path) -> None:
    """Reads, keeps verbatim, types, judges, deduplicates and writes each kind of file."""
    out.mkdir(parents=True, exist_ok=True)
    clean = load_settings(ROOT / "conf" / "company.yaml", []).clean
    rules, standards = load_rules(clean.rules_dir), load_standards(clean)
    anywhere = rules.placeholders["any"]
    products = pd.read_csv(next(data.rglob("products*.csv")), sep=";", dtype=str)["Artikel"]

    def read(name: str, separator: str = ",") -> pd.DataFrame:
        parts = []
        for path in sorted(data.rglob(f"{name}*.csv")):
            part = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
            part["file"], part["position"] = path.name, range(len(part))
            parts.append(part)
        frame = pd.concat(parts, ignore_index=True)
        frame["content_hash"] = pd.util.hash_pandas_object(frame.iloc[:, :-2], index=False)
        frame.to_parquet(out / f"bronze_{name}.parquet")
        return frame

    def cells(frame: pd.DataFrame, column: str, also: list[str] | None = None) -> pd.Series:
        text = frame[column].str.strip()
        return text.mask(text.str.lower().isin([*anywhere, *(also or []), ""]))

    def write(name: str, frame: pd.DataFrame, reasons: dict[str, pd.Series], key: str, latest: str | None) -> None:
        why = pd.Series("", index=frame.index)
        for code, failed in reasons.items():
            why = why.mask(failed, why + code + ",")
        frame[why != ""][["file", "position"]].assign(reasons=why[why != ""]).to_parquet(
            out / f"quarantine_{name}.parquet"
        )
        sound = frame[why == ""]
        order = [latest, "content_hash"] if latest else ["content_hash"]
        sound.sort_values(order).drop_duplicates(key, keep="last").to_parquet(out / f"silver_{name}.parquet")

    raw = read("shop_order_lines", ";")
    lines = raw[["file", "position", "content_hash"]].copy()
    lines["line_id"] = cells(raw, "BestellNr") + "-" + cells(raw, "Pos")
    lines["order_id"] = cells(raw, "BestellNr")
    lines["product_id"] = cells(raw, "Artikel", rules.placeholders["order_line.product_id"])
    for column, cell in (("quantity", "Menge"), ("unit_price", "Einzelpreis")):
        raw_cells = cells(raw, cell)
        number = raw_cells.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
        lines[column] = pd.to_numeric(number, errors="coerce")
        lines[f"{column}_bad"] = raw_cells.notna() & lines[column].isna()
    lines["amount"] = lines["quantity"] * lines["unit_price"]
    lines["is_unknown_product"] = ~lines["product_id"].isin(products)
    write("order_line", lines, {
        "bad_number": lines["quantity_bad"] | lines["unit_price_bad"],
        "missing_required": lines[["line_id", "order_id"]].isna().any(axis=1),
        "non_positive_price": lines["unit_price"] <= 0,
        "non_positive_quantity": lines["quantity"] <= 0,
    }, "line_id", None)  # fmt: skip

    raw = read("shop_accounts")
    people = raw[["file", "position", "content_hash"]].copy()
    people["person_id"] = cells(raw, "customer_no")
    given, family = cells(raw, "first_name"), cells(raw, "last_name")
    rows = zip(given.where(given.notna(), None), family.where(family.notna(), None), strict=True)
    written = [standards.names.written(*row) for row in rows]
    people["title"], people["given_name"], people["family_name"] = zip(*written, strict=True)
    people["email"] = cells(raw, "email", rules.placeholders["person.email"]).str.lower()
    people["email"] = people["email"].where(people["email"].str.match(_EMAIL, na=False))
    people["email_match"] = people["email"].str.replace(r"\+[^@]*@", "@", regex=True)
    phones = cells(raw, "phone", rules.placeholders["person.phone"])
    people["phone"] = [e164(None if pd.isna(p) else p, "DE") for p in phones]
    streets = [standards.addresses.street(s, "DE") for s in raw["street"]]
    people["street"], people["house_number"] = zip(*streets, strict=True)
    people["postcode"] = [standards.addresses.postcode(p, "DE") for p in raw["zip"]]
    people["city"] = [standards.names.place(c) for c in raw["city"]]
    people["birth_on"] = pd.to_datetime(cells(raw, "date_of_birth"), format="%Y-%m-%d", errors="coerce")
    joined = cells(raw, "created_at")
    people["joined_at"] = pd.to_datetime(joined, format="%Y-%m-%d %H:%M:%S", errors="coerce")
    write("person", people, {
        "bad_date": joined.notna() & people["joined_at"].isna(),
        "missing_required": people["person_id"].isna(),
        "future_date": people["joined_at"] > pd.Timestamp.now() + pd.Timedelta(days=1),
    }, "person_id", "joined_at")  # fmt: skip

    raw = read("reviews")
    reviews = raw[["file", "position", "content_hash", "title", "body"]].copy()
    reviews["feedback_id"] = cells(raw, "review_id")
    reviews["person_id"], reviews["product_id"] = cells(raw, "customer_no"), cells(raw, "sku")
    reviews["plain_title"] = [plain(text) for text in raw["title"]]
    reviews["plain_text"] = [plain(text) for text in raw["body"]]
    both = zip(reviews["plain_title"], reviews["plain_text"], strict=True)
    reviews["language"] = [language("\n".join(filter(None, pair))) for pair in both]
    stars = pd.to_numeric(cells(raw, "stars"), errors="coerce")
    reviews["rating"] = stars
    reviews["label"] = stars.map(
        {1: "does_not_recommend", 2: "does_not_recommend", 3: "no_clear_opinion", 4: "recommends", 5: "recommends"}
    )
    reviews["given_at"] = pd.to_datetime(cells(raw, "posted"), format="ISO8601", errors="coerce")
    write("feedback", reviews, {
        "bad_rating": stars.notna() & reviews["label"].isna(),
        "missing_required": reviews["feedback_id"].isna(),
        "future_date": reviews["given_at"] > pd.Timestamp.now() + pd.Timedelta(days=1),
    }, "feedback_id", "given_at")  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
