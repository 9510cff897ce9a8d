"""Connected components of a graph of records, on Spark."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

COLLECT_UP_TO = 2_000_000
"""Edges up to which components are found in the driver, which takes seconds; beyond, Spark finds them."""
NODES = "record bigint, component bigint"
Save = Callable[[DataFrame], DataFrame]


def components(spark: SparkSession, edges: DataFrame, save: Save, *, collect_up_to: int = COLLECT_UP_TO) -> DataFrame:
    """Return record, component (the smallest record of it) of every record that has an edge.

    Args:
        spark: the session.
        edges: l, r.
        save: materialises a frame, which cuts its plan.
        collect_up_to: edges up to which the driver finds the components.
    """
    edges = save(edges.select("l", "r"))
    if edges.count() <= collect_up_to:
        return _in_driver(spark, edges)
    return _by_stars(edges, save)


def _in_driver(spark: SparkSession, edges: DataFrame) -> DataFrame:
    table = edges.toArrow()
    if not table.num_rows:
        return spark.createDataFrame([], NODES)
    nodes, index = np.unique(np.concatenate([table["l"].to_numpy(), table["r"].to_numpy()]), return_inverse=True)
    left, right = index[: table.num_rows], index[table.num_rows :]
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), (len(nodes), len(nodes)))
    _, label = connected_components(graph, directed=False)
    first = np.full(label.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, label, nodes)
    return spark.createDataFrame(pd.DataFrame({"record": nodes, "component": first[label]}), NODES)


def _by_stars(edges: DataFrame, save: Save) -> DataFrame:
    """Alternate large and small stars until every record points to the smallest of its component.

    Kiveris et al., Connected Components in MapReduce and Beyond, SoCC 2014: O(log² N) rounds in theory, also for chains.
    """
    current = save(_directed(edges).distinct())
    before: tuple[int, int] | None = None
    while True:
        current = save(_star(current, is_large=True))
        current = save(_star(current, is_large=False))
        row = current.agg(
            F.count(F.lit(1)).alias("n"), F.sum(F.xxhash64("l", "r").cast("decimal(38,0)")).alias("sum")
        ).first()
        assert row is not None
        after = (row["n"], int(row["sum"] or 0))
        if after == before:
            break
        before = after
    roots = current.select(F.col("r").alias("record")).distinct().withColumn("component", F.col("record"))
    members = current.select(F.col("l").alias("record"), F.col("r").alias("component"))
    return members.unionByName(roots)


def _directed(edges: DataFrame) -> DataFrame:
    """Edges from the larger record to the smaller one."""
    return edges.where("l <> r").select(F.greatest("l", "r").alias("l"), F.least("l", "r").alias("r"))


def _star(edges: DataFrame, *, is_large: bool) -> DataFrame:
    """Connect the neighbours of every record with the smallest among them and the record.

    A large star moves the larger neighbours of a record, a small star the record and its smaller ones.
    """
    both = edges.unionByName(edges.select(F.col("r").alias("l"), F.col("l").alias("r"))) if is_large else edges
    smallest = both.groupBy("l").agg(F.least(F.min("r"), F.col("l")).alias("m"))
    moved = both.join(smallest, "l")
    if is_large:
        return moved.where("r > l").select(F.col("r").alias("l"), F.col("m").alias("r")).distinct()
    itself = smallest.select("l", F.col("m").alias("r"))
    others = moved.where("r <> m").select(F.col("r").alias("l"), F.col("m").alias("r"))
    return itself.unionByName(others).where("l <> r").distinct()
