"""Companies with hardly any data: files, sources and settings."""

from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PERSONS = """
system: shop
files: {path: "persons*.csv", format: csv}
feeds:
  person:
    columns:
      person_id: id
      given_name: first
      family_name: last
      email: mail
      has_marketing_consent: consent
"""
ORDERS = """
system: shop
files: {path: "orders*.csv", format: csv}
currency: EUR
feeds:
  order:
    columns: {order_id: no, person_id: who, ordered_at: {from: day, formats: [iso]}, status: {value: completed}}
"""
LINES = """
  order_line:
    columns: {line_id: no, order_id: no, product_id: item, quantity: quantity, unit_price: price}
"""
LAST_DAY = date(2025, 1, 31)


def lay_out(root: Path, *, num_persons: int, consent: str, days_ago: list[tuple[int, int]], has_amounts: bool) -> Path:
    """Write files and configuration; returns the settings file.

    Args:
        root: folder to write to.
        num_persons: number of persons.
        consent: value of the consent column.
        days_ago: person and days before the last day of each order, all of the same product.
        has_amounts: whether the orders have lines.
    """
    for name in ("sources", "data"):
        (root / name).mkdir(parents=True)
    persons = [f"p{i},{chr(65 + i % 26)}nn,Lee{i},p{i}@shop.example,{consent}" for i in range(num_persons)]
    orders = [f"o{i},p{who},{LAST_DAY - timedelta(days=ago)},tea,1,10.00" for i, (who, ago) in enumerate(days_ago)]
    files = {
        "sources/persons.yaml": PERSONS,
        "sources/orders.yaml": ORDERS + (LINES if has_amounts else ""),
        "data/persons.csv": "\n".join(["id,first,last,mail,consent", *persons, ""]),
        "data/orders.csv": "\n".join(["no,who,day,item,quantity,price", *orders, ""]),
        "company.yaml": f"extends: {ROOT / 'conf' / 'local.yaml'}\ncompany: {{currency: EUR}}\n"
        "ingest: {sources_dir: ./sources, data_dir: ./data}\n",
    }
    for name, content in files.items():
        (root / name).write_text(content)
    return root / "company.yaml"
