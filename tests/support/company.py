"""A company small enough to count by hand, with one fault of each kind."""

from pathlib import Path

SOURCE = """
system: shop
files: {path: "*/orders*.csv", format: csv, options: {delimiter: ";"}}
time_zone: Europe/Berlin
currency: USD
decimal: ","
feeds:
  order_line:
    columns:
      line_id: {from: [No, Pos], join: "-"}
      order_id: No
      product_id: Item
      quantity: Qty
      unit_price: Price
  order:
    one_row_per_key: true
    columns:
      order_id: No
      person_id: Customer
      ordered_at: {from: Day, formats: ["dd.MM.yyyy HH:mm"]}
      status: {from: State, map: {OK: completed, STORNO: cancelled}}
"""

REVIEWS = """
system: shop
files: {path: "*/reviews*.csv", format: csv}
feeds:
  feedback:
    columns:
      feedback_id: id
      person_id: who
      given_at: {from: day, formats: [iso]}
      kind: {value: review}
      text: body
      rating: stars
      label: {from: stars, ranges: {does_not_recommend: [1, 2], no_clear_opinion: [3, 3], recommends: [4, 5]}}
"""

HEADER = "No;Pos;Customer;Item;Qty;Price;Day;State"
FIRST = [
    "A1;1;K1;X;2;10,50;05.01.2025 23:30;OK",
    "A1;2;K1;Y;1;3,00;05.01.2025 23:30;OK",
    "A2;1;K2;X;1;10,50;06.01.2025 10:00;STORNO",
    "A2;1;K2;X;1;10,50;06.01.2025 10:00;STORNO",  # exact repeat
    "A3;1;K1;X;1;0,00;07.01.2025 10:00;OK",  # non_positive_price
    "A4;1;K3;X;-1;10,50;07.01.2025 10:00;OK",  # non_positive_quantity
    "A5;1;K3;X;zwei;10,50;07.01.2025 10:00;OK",  # bad_number
    "A6;1;K3;X;1;10,50;31.02.2025 10:00;OK",  # bad_date of the order; the line is fine
    "A7;1;K3;X;1;10,50;01.01.2099 10:00;OK",  # future_date of the order
    "A8;1;K3;X;1;10,50;08.01.2025 10:00;??",  # unknown_value of the order
    ";1;K3;X;1;10,50;08.01.2025 10:00;OK",  # missing_required
    "A9",  # malformed_record
]
SECOND = [
    "B1;1;K1;Y;1;3,00;09.01.2025 10:00;OK",
    "A1;2;K1;Y;1;3,00;05.01.2025 23:30;OK",  # a line silver has already
]
REVIEW_ROWS = [
    'r1,K1,2025-01-10,5,"Good, ""really"" good.\nTwo lines, one comma."',
    "r2,K2,2025-01-11,1,  kept as written  ",
    "r3,K2,2025-01-12,9,stars off the scale",
    "r4,K3,2025-01-13,3,",
]


def lay_out(root: Path, *, second: bool = False) -> Path:
    """Writes configuration and first delivery (and the second) below `root`; returns the settings file."""
    (root / "sources").mkdir(parents=True, exist_ok=True)
    (root / "sources" / "orders.yaml").write_text(SOURCE)
    (root / "sources" / "reviews.yaml").write_text(REVIEWS)
    deliver(root, "1", FIRST, REVIEW_ROWS)
    if second:
        deliver(root, "2", SECOND, [])
    base = Path(__file__).resolve().parents[2] / "conf" / "local.yaml"
    path = root / "company.yaml"
    path.write_text(
        f"extends: {base}\ncompany: {{currency: EUR, exchange_rates: {{USD: 0.5}}}}\n"
        "ingest: {sources_dir: ./sources, data_dir: ./data}\nclean: {max_quarantined_fraction: 0.9}\n"
        'session: {java_options: "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m"}\n'
    )
    return path


def deliver(root: Path, day: str, orders: list[str], reviews: list[str]) -> None:
    """Writes the files of one day."""
    folder = root / "data" / day
    folder.mkdir(parents=True, exist_ok=True)
    if orders:
        (folder / "orders.csv").write_text("\n".join([HEADER, *orders]) + "\n")
    if reviews:
        (folder / "reviews.csv").write_text("\n".join(["id,who,day,stars,body", *reviews]) + "\n")
