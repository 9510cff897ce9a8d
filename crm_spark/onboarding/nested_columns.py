"""Fields of JSON objects and lists in the cells of an unknown file, as columns of their own."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import decoded, encoded
from crm_spark.sources.mappings import Feed, Mapping
from crm_spark.stages.clean.records import records_of

_NUM_ROWS = 200
_DEPTH = 2
_MOSTLY = 0.8


@dataclass(frozen=True)
class FlatRecords:
    """Records with the fields of their objects as columns, named by their paths.

    Attributes:
        records: grain: record.
        each: list of which each element is a record of its own; None for none.
        elements: grain: element of that list; with the columns of its record. Equal to `records` without a list.
        element_columns: columns that are fields of the elements.
    """

    records: DataFrame
    each: str | None
    elements: DataFrame
    element_columns: tuple[str, ...] = ()


def flat(records: DataFrame) -> FlatRecords:
    """Find objects and lists of objects in the cells of the first records; the list with most elements is unfolded."""
    names = [name for name in records.columns if not name.startswith("_")]
    sample = records.select(*(F.col(f"`{name}`") for name in names)).limit(_NUM_ROWS).collect()
    paths: list[str] = []
    lists: dict[str, list[dict[str, Any]]] = {}
    nested: list[str] = []
    for name in names:
        values = [value for row in sample if (value := (row[name] or "").strip()) not in ("", "null")]
        parsed = [_parsed(value) for value in values]
        own = decoded(name)
        if _is_mostly(parsed, dict):
            nested.append(name)
            paths += _fields(own, [value for value in parsed if isinstance(value, dict)])
        elif _is_mostly(parsed, list) and (items := [i for v in parsed for i in v or () if isinstance(i, dict)]):
            nested.append(name)
            lists[own] = items
    each = max(lists, key=lambda name: len(lists[name]), default=None)
    inner = _fields(each, lists[each]) if each is not None else []
    if not nested:
        return FlatRecords(records, None, records)
    lineage = {"_row_id": F.lit(""), "_file_sha256": F.lit("")}
    prepared = records.withColumns(lineage)
    parents = records_of(prepared, _reading(paths)).drop(*nested, *lineage)
    if each is None:
        return FlatRecords(parents, None, parents)
    rows = records_of(prepared, _reading([*paths, *inner], each)).drop(*nested, *lineage)
    return FlatRecords(parents, each, rows, tuple(encoded(name, 0) for name in inner))


def _reading(paths: list[str], each: str | None = None) -> Feed:
    return Feed(each=each, columns={"any": Mapping.model_validate({"from": paths})} if paths else {})


def _parsed(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_mostly(values: list[Any], kind: type) -> bool:
    return bool(values) and sum(isinstance(value, kind) for value in values) >= _MOSTLY * len(values)


def _fields(prefix: str, objects: list[dict[str, Any]], depth: int = 1) -> list[str]:
    """Paths to the texts and numbers in objects."""
    names = Counter(name for value in objects for name in value)
    found: list[str] = []
    for name in names:
        values = [value[name] for value in objects if value.get(name) is not None]
        inner = [value for value in values if isinstance(value, dict)]
        if inner and depth < _DEPTH:
            found += _fields(f"{prefix}.{name}", inner, depth + 1)
        elif values and "." not in name and not any(isinstance(value, (dict, list)) for value in values):
            found.append(f"{prefix}.{name}")
    return found
