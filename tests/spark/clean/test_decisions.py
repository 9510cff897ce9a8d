"""Effect of rules on rows: every check x {passed, failed, null} x null policy x severity."""

from datetime import datetime
from decimal import Decimal
from itertools import product

import pytest
from pyspark.sql import functions as F
from support.lake import frame

from crm_spark.contracts.silver import ENTITIES
from crm_spark.quality.checks import CHECKS
from crm_spark.quality.rules import Rule
from crm_spark.stages.clean.conform import compact, finding
from crm_spark.stages.clean.decisions import with_decision, with_reference_findings
from crm_spark.stages.clean.lines import LATER_LINE

ARRIVED = datetime(2025, 1, 2)
CASES = [
    # entity, column, check, parameters, what holds, what breaks it
    ("order_line", "quantity", "greater_than", {"bound": 0}, 0.5, 0.0),
    ("order_line", "quantity", "less_than", {"bound": 10}, 9.5, 10.0),
    ("order_line", "quantity", "at_least", {"bound": 1}, 1.0, 0.5),
    ("order_line", "quantity", "at_most", {"bound": 10}, 10.0, 10.5),
    ("order_line", "quantity", "between", {"low": 1, "high": 10}, 10.0, 0.0),
    (
        "order_line",
        "quantity",
        "product_equals",
        {"factor": "unit_price", "product": "amount", "tolerance": 0.01},
        3.0,
        4.0,
    ),
    ("order", "status", "one_of", {"values": ["completed", "cancelled"]}, "completed", "Completed"),
    ("order", "status", "none_of", {"values": ["test"]}, "completed", "test"),
    ("order", "order_id", "matches", {"pattern": "^A[0-9]+$"}, "A1", "A1;"),
    ("order", "order_id", "no_longer_than", {"characters": 3}, "äöü", "äöüß"),
    ("order", "ordered_at", "not_after_arrival", {"days": 1}, datetime(2025, 1, 3), datetime(2025, 1, 3, 0, 0, 1)),
    ("order", "ordered_at", "not_before", {"day": "2000-01-01"}, datetime(2000, 1, 1), datetime(1999, 12, 31)),
    ("person", "updated_at", "not_before_column", {"other": "joined_at"}, datetime(2025, 1, 1), datetime(2024, 1, 1)),
]
BESIDE = {"unit_price": Decimal(2), "amount": Decimal(6), "joined_at": datetime(2025, 1, 1)}
"""Values of the columns that a check compares with."""
POLICIES = list(product(("pass", "fail"), ("warn", "quarantine", "block")))


def test_every_check_has_a_case():
    assert {case[2] for case in CASES} | {"exists_in"} == set(CHECKS)


@pytest.mark.parametrize("entity", ["order_line", "order", "person"])
def test_rule_has_the_effect_of_its_severity_and_null_policy(spark, entity):
    cases = [case for case in CASES if case[0] == entity]
    rows, expected = [], {}
    findings = F.array().cast("array<struct<code: string, column: string, severity: string>>")
    contract = ENTITIES[entity]
    for number, (_, column, check, params, holds, breaks) in enumerate(cases):
        for policy, (on_null, severity) in enumerate(POLICIES):
            rule = Rule(
                code="broken",
                entity=entity,
                column=column,
                check=check,
                params=params,
                on_null=on_null,
                severity=severity,
            )
            for state, value in (("holds", holds), ("breaks", breaks), ("unknown", None)):
                row_id = f"{check}:{number}:{policy}:{state}"
                beside = {name: v for name, v in BESIDE.items() if name in contract.column_names and name != column}
                rows.append({**beside, "row_id": row_id, column: value})
                is_broken = state == "breaks" or (state == "unknown" and on_null == "fail")
                expected[row_id] = (
                    ["broken"] if is_broken and severity != "warn" else [],
                    [f"broken:{column}"] if is_broken and severity == "warn" else None,
                )
            is_here = F.col("row_id").startswith(f"{check}:{number}:{policy}:")
            violation = F.when(rule.violation, finding(F.lit(rule.code), column, severity))
            findings = F.when(is_here, compact([violation])).otherwise(findings)
    typed = spark.createDataFrame(
        [tuple(row.get(name) for name in contract.column_names) for row in rows],
        "struct<" + ",".join(f"`{c.name}`: {c.type.simpleString()}" for c in contract.columns) + ">",
    )
    validated = with_decision(
        typed.withColumn("_arrived_at", F.lit(ARRIVED)).withColumn("_findings", findings), entity, blocked={}
    ).collect()
    assert {row["row_id"]: (row["_reasons"], row["notes"]) for row in validated} == expected
    assert len(expected) == len(cases) * 18


def test_reference_is_looked_up_in_the_same_system(spark):
    rows = [
        {"row_id": r, "system": s, "product_id": p} for r, s, p in (("a", "x", "1"), ("b", "y", "1"), ("c", "x", "2"))
    ]
    typed = frame(spark, ENTITIES["order_line"], rows).withColumns({"_findings": compact([]), LATER_LINE: F.lit(False)})
    keys = spark.createDataFrame([("x", "1"), ("x", "1"), ("y", "9")], "system string, product_id string")
    rule = Rule(
        code="unknown_product", entity="order_line", column="product_id", check="exists_in",
        params={"entity": "product", "key": "product_id"},
    )  # fmt: skip
    validated = with_decision(
        with_reference_findings(typed, rule, keys, ["x", "y"]), "order_line", blocked={}
    ).collect()
    assert {row["row_id"]: row["_reasons"] for row in validated} == {
        "a": [],
        "b": ["unknown_product"],
        "c": ["unknown_product"],
    }
    only_x = with_decision(with_reference_findings(typed, rule, keys, ["x"]), "order_line", blocked={}).collect()
    assert {row["row_id"]: row["_reasons"] for row in only_x} == {"a": [], "b": [], "c": ["unknown_product"]}
    without_reference = with_decision(
        with_reference_findings(typed, rule, None, []), "order_line", blocked={}
    ).collect()
    assert [row["_reasons"] for row in without_reference] == [[], [], []], "no source of the company makes products"


def test_rows_of_a_blocked_delivery_have_only_its_reason_code(spark):
    rows = [{"row_id": r, "source": "shop", "batch_id": b} for r, b in (("a", "1"), ("b", "2"))]
    broken = compact([finding(F.lit("low"), "quantity", "quarantine")])
    typed = frame(spark, ENTITIES["order_line"], rows).withColumn("_findings", broken)
    blocked = {("shop", "order_line", "1"): "mostly_quarantined", ("shop", "order", "2"): "other_entity"}
    validated = with_decision(typed, "order_line", blocked).collect()
    assert {row["row_id"]: row["_reasons"] for row in validated} == {"a": ["mostly_quarantined"], "b": ["low"]}
