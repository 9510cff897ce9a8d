"""Conversion of the cells of one column."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from crm_spark.quality.rules import QualityRules, load_rules
from crm_spark.sources.config import load_source
from crm_spark.stages.clean.config import CleanConfig
from crm_spark.stages.clean.mapping import NOTE, REASON, VALUE, CompanyDefaults, converted
from crm_spark.stages.clean.standardise import load_standards

ROOT = Path(__file__).resolve().parents[3]
RULES = QualityRules(
    placeholders={"any": ["n/a", "-"], "order.person_id": ["0000"]}, affirmative=["ja", "1"], negative=["nein", "0"]
)
OWN_RULES = load_rules(str(ROOT / "conf/quality"))
STANDARDS = load_standards(
    CleanConfig(
        **{
            key: str(ROOT / f"conf/domains/{key if key != 'dates' else 'date_words'}.yaml")
            for key in ("names", "dates", "currencies", "mail_providers")
        }
    )
)
COMPANY = CompanyDefaults()
NEEDED = {
    "order": {"order_id": "i", "ordered_at": "i", "status": "i"},
    "order_line": {"line_id": "i", "order_id": "i", "product_id": "i", "quantity": "i", "unit_price": "i"},
    "person": {"person_id": "i"},
    "product": {"product_id": "i"},
}


@pytest.fixture
def convert(spark, tmp_path) -> Callable[..., list[dict[str, Any]]]:
    """Rows of cells by source column -> for each row, mapped column -> (value, reason, note)."""

    def convert(entity, columns, rows, head="", rules=OWN_RULES, company=COMPANY):
        path = tmp_path / "shop.yaml"
        mapped = "".join(f"      {name}: {how}\n" for name, how in (NEEDED[entity] | columns).items())
        path.write_text(
            f"files: {{path: x, format: csv}}\n{head}\nfeeds:\n  {entity}:\n    columns:\n{mapped}", encoding="utf-8"
        )
        source = load_source(path)
        names = list(rows[0])
        cells = [(str(i), *(row[name] for name in names)) for i, row in enumerate(rows)]
        frame = spark.createDataFrame(cells, ", ".join(f"{name} string" for name in ("i", *names)))
        made, _ = converted(frame, source, entity, source.feeds[entity], rules, STANDARDS, company)
        present = set(made.columns)
        parts = [
            F.struct(*(
                (F.col(part.format(name)) if part.format(name) in present else F.lit(None)).alias(key)
                for key, part in (("value", VALUE), ("reason", REASON), ("note", NOTE))
            )).alias(name)
            for name in columns
        ]  # fmt: skip
        found = made.select(F.col("i").cast("int").alias("i"), *parts).orderBy("i").collect()
        return [{name: tuple(row[name]) for name in columns} for row in found]

    return convert


@pytest.fixture
def read(convert) -> Callable[..., dict[str, Any]]:
    """Cells of one column -> value, or reason code of an invalid one."""

    def read(entity, column, mapping, cells, head=""):
        rows = convert(entity, {column: mapping}, [{"c": cell} for cell in cells], head, RULES)
        return {cell: row[column][1] or row[column][0] for cell, row in zip(cells, rows, strict=True)}

    return read


@pytest.fixture
def notes(convert) -> Callable[..., dict[str, Any]]:
    """Cells of one column -> (value or reason code, note)."""

    def notes(entity, column, mapping, cells, head=""):
        rows = convert(entity, {column: mapping}, [{"c": cell} for cell in cells], head)
        return {c: (row[column][1] or row[column][0], row[column][2]) for c, row in zip(cells, rows, strict=True)}

    return notes
