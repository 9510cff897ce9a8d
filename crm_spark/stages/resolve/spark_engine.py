"""Linkage of records on Spark: blocks and pairs are joined by Spark, each partition of pairs is scored by DuckDB."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from typing_extensions import override

from crm_spark.stages.resolve.blocking import CAPS, BlockingRule, Counted, key_column
from crm_spark.stages.resolve.comparisons import UNIQUE_ID
from crm_spark.stages.resolve.components import Save
from crm_spark.stages.resolve.engine import (
    COUNT_UP_TO,
    MAX_NEIGHBOURS,
    STRONG,
    TRAIN_UP_TO,
    Engine,
    Weights,
)
from crm_spark.stages.resolve.evidence import Evidence
from crm_spark.stages.resolve.local_engine import grouped_weights, with_probability
from crm_spark.stages.resolve.mixture import Rates
from crm_spark.stages.resolve.model import Model
from crm_spark.stages.resolve.scoring import FREQUENCY, connect, score_pairs, weights_by_column
from crm_spark.stages.resolve.sessions import Session

_KEYS, _VALUES = "block_keys", "value_hashes"
SCORED = "l bigint, r bigint, bits double, own double"
EXPLAINED = "l bigint, r bigint, weights map<string, double>"
_ROWS_AT_ONCE = 200_000


class SparkEngine(Engine[DataFrame]):
    """Records in a DataFrame: an `Engine` whose pairs are DataFrames of record numbers.

    Args:
        records: record_key, the columns of evidence and the blocking keys, and record, a number; materialised.
        evidence: the columns to compare.
        num_records: number of records.
        save: materialises a frame, which cuts its plan.
    """

    def __init__(
        self,
        records: DataFrame,
        evidence: Sequence[Evidence],
        *,
        num_records: int,
        save: Save,
    ) -> None:
        self._evidence, self._num_records, self._save = evidence, num_records, save
        self._columns = [e.column for e in evidence]
        keys = [name for name in records.columns if name.startswith(key_column(""))]
        arrays = {
            _KEYS: F.array(*keys),
            _VALUES: F.array(*(F.when(F.col(c).isNotNull(), F.xxhash64(c)) for c in self._columns)),
        }
        self.records = save(_with_frequencies(records.withColumns(arrays).drop(*keys), self._columns))
        self._pairs: DataFrame | None = None

    @override
    def agreeing_pairs(self, column_sets: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
        if not column_sets:
            return {}
        places = [tuple(self._columns.index(c) for c in columns) for columns in column_sets]
        blocks = _sizes(_blocks(self.records, _VALUES, places))
        rows = blocks.groupBy("rule").agg(F.sum(F.expr("n * (n - 1) div 2")).alias("pairs")).collect()
        return dict.fromkeys(column_sets, 0) | {column_sets[row["rule"]]: int(row["pairs"]) for row in rows}

    @override
    def training_records(self, sessions: Sequence[Session]) -> tuple[pa.Table, pa.Table]:
        if self._num_records <= TRAIN_UP_TO:
            everything = self._collected(self.records)
            return everything, everything
        one_in = -(-self._num_records // TRAIN_UP_TO)
        sample = self._collected(self.records.where(F.pmod(F.xxhash64("record_key"), F.lit(one_in)) == 0))
        chosen = [_sampled_blocks(self.records, session) for session in sessions]
        if not chosen:
            return sample, sample
        numbers = reduce(DataFrame.unionByName, chosen).distinct()
        return sample, self._collected(self.records.join(numbers, UNIQUE_ID, "left_semi"))

    @override
    def count_pairs(self, rules: Sequence[tuple[int, ...]]) -> list[Counted]:
        one_in = max(1, self._num_records // COUNT_UP_TO)
        keyed = _blocks(self.records, _KEYS, rules)
        blocks = _sizes(keyed.where(F.pmod("key.hash", F.lit(one_in)) == 0) if one_in > 1 else keyed)
        pairs = [F.sum(F.when(F.col("n") <= cap, F.expr("n * (n - 1) div 2")).otherwise(0)) for cap in CAPS]
        left_out = [F.sum(F.when(F.col("n") > cap, F.col("n")).otherwise(0)) for cap in CAPS]
        totals = blocks.groupBy("rule").agg(F.array(*pairs).alias("pairs"), F.array(*left_out).alias("left_out"))
        found = {row["rule"]: row for row in totals.collect()}
        nothing = {"pairs": [0] * len(CAPS), "left_out": [0] * len(CAPS)}
        counted = []
        for i, keys in enumerate(rules):
            row = found.get(i, nothing)
            scaled = [tuple(int(value) * one_in for value in row[name]) for name in ("pairs", "left_out")]
            counted.append(Counted(keys, scaled[0], scaled[1]))
        return counted

    @override
    def block(self, rules: Sequence[BlockingRule]) -> None:
        if not rules:
            left, right = (self.records.select(F.col(UNIQUE_ID).alias(name)) for name in ("l", "r"))
            self._pairs = self._save(left.join(right, F.col("l") < F.col("r")))
            return
        exploded = _blocks(self.records, _KEYS, [rule.keys for rule in rules]).select(UNIQUE_ID, "key.rule", "key.hash")
        cap = F.element_at(F.array(*(F.lit(rule.max_block) for rule in rules)), F.col("rule") + 1)
        # Counted before they are gathered: a hot block never comes together in one row.
        sizes = exploded.groupBy("rule", "hash").agg(F.count(F.lit(1)).alias("n"))
        small = sizes.where((F.col("n") >= 2) & (F.col("n") <= cap)).drop("n")
        blocks = exploded.join(small, ["rule", "hash"]).groupBy("rule", "hash")
        members = blocks.agg(F.sort_array(F.collect_list(UNIQUE_ID)).alias("members"))
        self._pairs = self._save(_pairs_of(members).distinct())

    @override
    def score_sample(self, parts: int, model: Model) -> Weights:
        assert self._pairs is not None
        sample = self._pairs.where(F.pmod(F.xxhash64("l"), F.lit(parts)) == 0)
        return _weights(self._save(self._scored(sample, model)))

    @override
    def score(self, parts: int, model: Model, *, least_bits: float) -> tuple[DataFrame, Weights]:
        assert self._pairs is not None
        scored = self._save(self._scored(self._pairs, model))
        return scored.where(F.col("bits") >= least_bits), _weights(scored)

    @override
    def score_common(
        self, pairs: DataFrame, rates: Rates, model: Model, *, least_bits: float
    ) -> tuple[DataFrame, Weights] | None:
        strong = probable(pairs, rates).where(F.col("probability") >= STRONG)
        both = strong.select("l", "r").union(strong.select("r", "l")).groupBy("l")
        members = both.agg(F.sort_array(F.collect_list("r")).alias("members"))
        found = _pairs_of(members.where(F.size("members") <= MAX_NEIGHBOURS)).distinct()
        more = self._save(self._scored(found.join(pairs, ["l", "r"], "left_anti"), model))
        if more.isEmpty():
            return None
        return self._save(pairs.unionByName(more.where(F.col("bits") >= least_bits))), _weights(more)

    @override
    def explain(self, pairs: DataFrame, model: Model) -> DataFrame:
        return self._scored(pairs.select("l", "r"), model, by_column=True)

    def _scored(self, pairs: DataFrame, model: Model, *, by_column: bool = False) -> DataFrame:
        names = [*self._columns, *(FREQUENCY.format(c) for c in self._columns)]
        both = pairs
        for end in ("l", "r"):
            ends = self.records.select(F.col(UNIQUE_ID).alias(end), *(F.col(n).alias(f"{n}_{end}") for n in names))
            both = both.join(ends, end)
        scorer = _scorer(model, self._evidence, names, by_column=by_column)
        return both.mapInArrow(scorer, EXPLAINED if by_column else SCORED)

    def _collected(self, records: DataFrame) -> pa.Table:
        """Records in the order of their keys, numbered."""
        table = (
            records.select("record_key", *self._columns).orderBy("record_key").toArrow().drop_columns(["record_key"])
        )
        return table.add_column(0, UNIQUE_ID, pa.array(range(table.num_rows), pa.int64()))


def probable(pairs: DataFrame, rates: Rates) -> DataFrame:
    """Add `probability` of a match and `support` for one cluster of scored pairs."""

    def add(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from with_probability(pa.Table.from_batches([batch]), rates).to_batches()

    return pairs.select("l", "r", "bits", "own").mapInArrow(add, f"{SCORED}, probability double, support double")


def _scorer(
    model: Model, evidence: Sequence[Evidence], names: Sequence[str], *, by_column: bool
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Scores batches of pairs that carry the values of both records."""

    def scored(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for pairs in _gathered(batches):
            number = pairs.num_rows
            ends = [pairs.select([f"{name}_{end}" for name in names]).rename_columns(list(names)) for end in ("l", "r")]
            numbers = pa.array(range(2 * number), pa.int64())
            records = pa.concat_tables(ends).add_column(0, UNIQUE_ID, numbers)
            connection = connect()
            connection.register("records", records)
            connection.register("pairs", pa.table({"l": numbers[:number], "r": numbers[number:]}))
            found = score_pairs(connection, "records", "pairs", model, evidence, by_column=by_column)
            connection.close()
            # In the order of the pairs.
            weights = (
                {"weights": weights_by_column(found, evidence)} if by_column else {n: found[n] for n in ("bits", "own")}
            )
            yield from pa.table({"l": pairs["l"], "r": pairs["r"], **weights}).to_batches()

    return scored


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of many batches: each score has a fixed cost."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= _ROWS_AT_ONCE:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if any(b.num_rows for b in waiting):
        yield pa.Table.from_batches(waiting)


def _with_frequencies(records: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Add the frequency of each value among the known values of its column."""
    joined = records
    for column in columns:
        counts = records.where(F.col(column).isNotNull()).groupBy(column).agg(F.count(F.lit(1)).alias("_n"))
        total = F.broadcast(counts.agg(F.sum("_n").alias("_total")))
        frequency = (F.col("_n") / F.col("_total")).alias(FREQUENCY.format(column))
        joined = joined.join(counts.crossJoin(total).select(column, frequency), column, "left")
    return joined


def _blocks(records: DataFrame, column: str, rules: Sequence[Sequence[int]]) -> DataFrame:
    """Add `key`: number of a rule and hash of the block of the record; a record is in no block of a rule if a value is null.

    Args:
        records: with an array of hashed values.
        column: the array.
        rules: places of the values in the array, of each rule.
    """
    # One lambda over a literal: an expression per rule makes plans of hundreds of megabytes.
    places = [
        F.struct(F.lit(i).alias("rule"), F.array(*(F.lit(p + 1) for p in r)).alias("at")) for i, r in enumerate(rules)
    ]

    def key(rule: Column) -> Column:
        values = F.transform(rule["at"], lambda place: F.element_at(column, place))
        return F.struct(rule["rule"].alias("rule"), values.alias("values"))

    keys = F.transform(F.array(*places), key)
    exploded = records.withColumn("key", F.explode(keys)).where(~F.exists("key.values", lambda v: v.isNull()))
    return exploded.withColumn("key", F.struct("key.rule", F.xxhash64("key.values").alias("hash")))


def _sizes(blocks: DataFrame) -> DataFrame:
    """Sizes of the blocks, `n`. Grain: rule x hash."""
    return blocks.groupBy("key.rule", "key.hash").agg(F.count(F.lit(1)).alias("n"))


def _pairs_of(blocks: DataFrame) -> DataFrame:
    """All pairs within sorted `members`: l < r."""
    left = blocks.select(F.posexplode("members").alias("position", "l"), "members")
    rest = F.slice("members", F.col("position") + 2, F.size("members"))
    return left.select("l", F.explode(rest).alias("r"))


def _sampled_blocks(records: DataFrame, session: Session) -> DataFrame:
    """Numbers of the records in a sample of the blocks of a session."""
    known = records.dropna(subset=list(session.columns))
    sampled = known.where(F.pmod(F.xxhash64(*session.columns), F.lit(session.one_in)) == 0)
    repeated = sampled.groupBy(*session.columns).count().where("count > 1").drop("count")
    return sampled.join(repeated, list(session.columns), "left_semi").select(UNIQUE_ID)


def _weights(scored: DataFrame) -> Weights:
    groups = scored.groupBy("bits", "own").agg(F.count(F.lit(1)).alias("l_count")).toArrow()
    return grouped_weights(groups)
