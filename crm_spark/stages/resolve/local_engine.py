"""Linkage of records in one process, by DuckDB."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from crm_spark.stages.resolve.blocking import CAPS, BlockingRule, Counted, key_column
from crm_spark.stages.resolve.comparisons import UNIQUE_ID
from crm_spark.stages.resolve.engine import (
    COUNT_UP_TO,
    MAX_NEIGHBOURS,
    STRONG,
    TRAIN_UP_TO,
    Engine,
    Weights,
)
from crm_spark.stages.resolve.evidence import Evidence
from crm_spark.stages.resolve.mixture import Rates, match_probability
from crm_spark.stages.resolve.model import Model
from crm_spark.stages.resolve.scoring import FREQUENCY, connect, score_pairs, weights_by_column
from crm_spark.stages.resolve.sessions import Session

_ALL_PAIRS = f"SELECT a.{UNIQUE_ID} AS l, b.{UNIQUE_ID} AS r FROM records AS a JOIN records AS b ON a.{UNIQUE_ID} < b.{UNIQUE_ID}"


class LocalEngine(Engine[pa.Table]):
    """Records in a DuckDB database in memory: an `Engine` whose pairs are tables of record numbers.

    Args:
        records: record_key, the columns of evidence and the blocking keys, sorted by record_key.
        evidence: the columns to compare.
    """

    def __init__(self, records: pa.Table, evidence: Sequence[Evidence]) -> None:
        self._db, self._evidence, self._num_records = connect(), evidence, records.num_rows
        self._db.register("loaded", records)
        frequencies = [
            f"CASE WHEN {e.column} IS NOT NULL THEN count(*) OVER (PARTITION BY {e.column}) / "
            f"(count({e.column}) OVER ())::DOUBLE END AS {FREQUENCY.format(e.column)}"
            for e in evidence
        ]
        numbered = f"(SELECT *, (row_number() OVER ()) - 1 AS {UNIQUE_ID} FROM loaded)"
        self._db.execute(f"CREATE TABLE records AS SELECT {', '.join(['*', *frequencies])} FROM {numbered}")
        self._db.unregister("loaded")
        self._pairs: Callable[[int, int], str] = lambda _part, _parts: _ALL_PAIRS

    @override
    def agreeing_pairs(self, column_sets: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
        found = {}
        for columns in column_sets:
            blocks = f"SELECT count(*) AS n FROM records WHERE {_are_known(columns)} GROUP BY {', '.join(columns)}"
            ((number,),) = self._rows(f"SELECT coalesce(sum(n * (n - 1) // 2), 0) FROM ({blocks})")
            found[columns] = int(number)
        return found

    @override
    def training_records(self, sessions: Sequence[Session]) -> tuple[pa.Table, pa.Table]:
        columns = ", ".join([UNIQUE_ID, *(e.column for e in self._evidence)])
        if self._num_records <= TRAIN_UP_TO:
            records = self._table(f"SELECT {columns} FROM records ORDER BY {UNIQUE_ID}")
            return records, records
        one_in = -(-self._num_records // TRAIN_UP_TO)
        sample = f"SELECT {columns} FROM records WHERE hash(record_key) % {one_in} = 0 ORDER BY {UNIQUE_ID}"
        blocks = [
            f"SELECT {UNIQUE_ID} FROM records WHERE {_are_known(s.columns)} "
            f"AND hash({', '.join(s.columns)}) % {s.one_in} = 0 "
            f"QUALIFY count(*) OVER (PARTITION BY {', '.join(s.columns)}) > 1"
            for s in sessions
        ]
        chosen = (
            f"SELECT {columns} FROM records WHERE {UNIQUE_ID} IN ({' UNION ALL '.join(blocks)}) ORDER BY {UNIQUE_ID}"
        )
        return self._table(sample), self._table(chosen) if blocks else self._table(sample)

    @override
    def count_pairs(self, rules: Sequence[tuple[int, ...]]) -> list[Counted]:
        one_in = max(1, self._num_records // COUNT_UP_TO)
        counted = []
        for keys in rules:
            names = list(map(key_column, keys))
            columns = ", ".join(names)
            sampled = f" AND hash({columns}) % {one_in} = 0" if one_in > 1 else ""
            pairs = [f"coalesce(sum(n * (n - 1) // 2) FILTER (n <= {cap}), 0)" for cap in CAPS]
            left_out = [f"coalesce(sum(n) FILTER (n > {cap}), 0)" for cap in CAPS]
            blocks = f"SELECT count(*) AS n FROM records WHERE {_are_known(names)}{sampled} GROUP BY {columns}"
            (row,) = self._rows(f"SELECT {', '.join([*pairs, *left_out])} FROM ({blocks})")
            totals = [int(value) * one_in for value in row]
            counted.append(Counted(keys, tuple(totals[: len(CAPS)]), tuple(totals[len(CAPS) :])))
        return counted

    @override
    def block(self, rules: Sequence[BlockingRule]) -> None:
        if not rules:
            return
        self._db.execute("CREATE TABLE blocks (rule INTEGER, a BIGINT, b BIGINT, record BIGINT)")
        for number, rule in enumerate(rules):
            names = list(map(key_column, rule.keys))
            self._db.execute(
                f"INSERT INTO blocks SELECT {number}, {names[0]}, {names[-1]}, {UNIQUE_ID} "
                f"FROM records WHERE {_are_known(names)} "
                f"QUALIFY count(*) OVER (PARTITION BY {', '.join(names)}) BETWEEN 2 AND {rule.max_block}"
            )
        self._pairs = lambda part, parts: (
            "SELECT DISTINCT a.record AS l, b.record AS r FROM blocks AS a JOIN blocks AS b "
            f"ON a.rule = b.rule AND a.a = b.a AND a.b = b.b AND a.record < b.record WHERE a.record % {parts} = {part}"
        )

    @override
    def score_sample(self, parts: int, model: Model) -> Weights:
        return weights_of(self._score(self._pairs(0, parts), model))

    @override
    def score(self, parts: int, model: Model, *, least_bits: float) -> tuple[pa.Table, Weights]:
        scored, weights = [], []
        for part in range(parts):
            found = self._score(self._pairs(part, parts), model)
            weights.append(weights_of(found))
            scored.append(found.filter(pc.field("bits") >= least_bits))
        return pa.concat_tables(scored), Weights.concat(weights)

    @override
    def score_common(
        self, pairs: pa.Table, rates: Rates, model: Model, *, least_bits: float
    ) -> tuple[pa.Table, Weights] | None:
        strong = with_probability(pairs, rates).filter(pc.field("probability") >= STRONG)
        self._db.register("strong", strong.select(["l", "r"]))
        self._db.register("known", pairs.select(["l", "r"]))
        query = f"""
            WITH both_ways AS (SELECT l AS x, r AS y FROM strong UNION ALL SELECT r, l FROM strong),
            kept AS (SELECT x, y FROM both_ways QUALIFY count(*) OVER (PARTITION BY x) <= {MAX_NEIGHBOURS})
            SELECT DISTINCT a.y AS l, b.y AS r FROM kept AS a JOIN kept AS b ON a.x = b.x AND a.y < b.y
            ANTI JOIN known ON known.l = a.y AND known.r = b.y
            """
        part = self._score(query, model)
        if not part.num_rows:
            return None
        return pa.concat_tables([pairs, part.filter(pc.field("bits") >= least_bits)]), weights_of(part)

    @override
    def explain(self, pairs: pa.Table, model: Model) -> pa.Table:
        self._db.register("asked", pairs.select(["l", "r"]))
        scored = self._score("SELECT l, r FROM asked", model, by_column=True)
        return scored.select(["l", "r"]).append_column("weights", weights_by_column(scored, self._evidence))

    def _score(self, query: str, model: Model, *, by_column: bool = False) -> pa.Table:
        self._db.execute(f"CREATE OR REPLACE TABLE pairs AS {query}")
        return score_pairs(self._db, "records", "pairs", model, self._evidence, by_column=by_column)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._db.execute(query).fetchall()
        return rows

    def _table(self, query: str) -> pa.Table:
        return self._db.sql(query).to_arrow_table()


def _are_known(columns: Sequence[str]) -> str:
    """Condition: none of the columns is null."""
    return " AND ".join(f"{column} IS NOT NULL" for column in columns)


def with_probability(pairs: pa.Table, rates: Rates) -> pa.Table:
    """Add `probability` of a match and `support` for one cluster of scored pairs."""
    probability, support = match_probability(pairs["bits"].to_numpy(), pairs["own"].to_numpy(), rates)
    return pairs.append_column("probability", pa.array(probability)).append_column("support", pa.array(support))


def weights_of(scored: pa.Table) -> Weights:
    """Group scored pairs by their weights."""
    return grouped_weights(scored.group_by(["bits", "own"]).aggregate([("l", "count")]))


def grouped_weights(groups: pa.Table) -> Weights:
    """Weights of groups with bits, own and l_count, in a fixed order: sums over them are the same on every engine."""
    groups = groups.sort_by([("bits", "ascending"), ("own", "ascending")])
    return Weights(*(groups[name].to_numpy().astype(np.float64) for name in ("bits", "own", "l_count")))
