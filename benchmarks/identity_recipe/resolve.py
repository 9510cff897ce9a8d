"""The whole trial: records in, cluster of each record out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy.sparse import coo_matrix, csr_matrix
from splink import DuckDBAPI, Linker

from benchmarks.identity_recipe.average_link import average_link
from benchmarks.identity_recipe.blocking import BLOCK_KEYS, plan
from benchmarks.identity_recipe.evidence import NAME, Evidence
from benchmarks.identity_recipe.model import FIRST_PRIOR, match_rate_of, prior_bits, trained, without_matches
from benchmarks.identity_recipe.sessions import Session, choose_sessions, expected_pairs
from crm_spark.stages.resolve.splink_adapter import configure_duckdb

CLUSTER_THRESHOLD = 0.35
_STRONG = 0.8
_MAX_NEIGHBOURS = 40
_LOWEST = 0.01
_MOST_BITS = 30.0


@dataclass(frozen=True)
class Resolved:
    """Result of a trial.

    Attributes:
        clusters: record_key -> cluster.
        compared: pairs of record keys that were compared, with their match probability.
        num_rules: blocking rules.
        num_sessions: EM sessions.
    """

    clusters: dict[str, int]
    compared: pd.DataFrame
    num_rules: int
    num_sessions: int


def resolve(records: DataFrame, evidence: Sequence[Evidence], *, seed: int, rounds: int = 2) -> Resolved:
    """Resolve records in one process.

    Args:
        records: record_key and the columns of evidence.
        evidence: the columns to use.
        seed: of the random pairs.
        rounds: times that records with a common strong match are compared, too.
    """
    num_records = records.count()
    blocked = plan(records, evidence, num_records=num_records)
    table = blocked.records.orderBy("record_key").toArrow().to_pandas()
    sessions = choose_sessions(
        _sessions(table, evidence), [e.column for e in evidence], [e.column for e in evidence if e.kind == NAME]
    )
    api = DuckDBAPI()
    configure_duckdb(api)
    frame = api.register(table)
    linker = trained(frame, evidence, sessions, training_pairs=1_000_000, seed=seed)
    index = {key: i for i, key in enumerate(table["record_key"])}
    pairs = _scored(linker, index)
    total = num_records * (num_records - 1) / 2
    rate = match_rate_of(pairs["bits"].to_numpy(), np.ones(len(pairs)), total)
    settings = without_matches(linker, match_rate=rate)
    pairs = _scored(Linker(frame, settings, log_level=40), index)
    for _ in range(rounds):
        rate = match_rate_of(pairs["bits"].to_numpy(), np.ones(len(pairs)), total)
        more = common_matches(num_records, pairs, _probability(pairs, rate))
        if more.empty:
            break
        scored = _scored_pairs(table, settings, more, index)
        pairs = pd.concat([pairs, scored], ignore_index=True).drop_duplicates(["l", "r"])
    rate = match_rate_of(pairs["bits"].to_numpy(), np.ones(len(pairs)), total)
    pairs["probability"] = _probability(pairs, rate)
    kept = pairs[pairs["probability"] > _LOWEST]
    left, right = kept["l"].to_numpy(np.int64), kept["r"].to_numpy(np.int64)
    clusters = average_link(num_records, left, right, kept["probability"].to_numpy(), threshold=CLUSTER_THRESHOLD)
    return Resolved(dict(zip(table["record_key"], clusters.tolist())), pairs, len(blocked.rules), len(sessions))


def _sessions(table: pd.DataFrame, evidence: Sequence[Evidence]) -> list[Session]:
    columns, size = [each.column for each in evidence], len(table)
    agreeing = {
        chosen: table[list(chosen)].dropna().groupby(list(chosen)).size().to_numpy(float)
        for k in (1, 2)
        for chosen in combinations(columns, k)
    }
    collisions = {column: float((agreeing[(column,)] ** 2).sum()) / size**2 for column in columns}
    return [
        Session(chosen, int((n * (n - 1) / 2).sum()), expected_pairs(size, collisions, chosen))
        for chosen, n in agreeing.items()
    ]


def _scored(linker: Linker, index: dict[str, int]) -> pd.DataFrame:
    """Compared pairs: l < r, indexes of records, and bits, the weight of the evidence without the prior."""
    predicted = linker.inference.predict(threshold_match_weight=-12).as_pyarrow_table()
    frame = predicted.select(["record_key_l", "record_key_r", "match_weight"]).to_pandas()
    left, right = frame["record_key_l"].map(index).to_numpy(), frame["record_key_r"].map(index).to_numpy()
    bits = frame["match_weight"].to_numpy() - prior_bits(FIRST_PRIOR)
    return pd.DataFrame({"l": np.minimum(left, right), "r": np.maximum(left, right), "bits": bits})


def _probability(pairs: pd.DataFrame, rate: float) -> NDArray[np.float64]:
    bits = np.minimum(pairs["bits"].to_numpy(), _MOST_BITS) + prior_bits(rate)
    return np.asarray(1 / (1 + np.exp2(-bits)))


def common_matches(num_records: int, pairs: pd.DataFrame, probability: NDArray[np.float64]) -> pd.DataFrame:
    """Pairs that were not compared, of records with a strong match in common: l < r.

    Records with more than a number of strong matches give no pairs.
    """
    strong = pairs[probability >= _STRONG]
    shape = (num_records, num_records)
    graph = _symmetric(strong["l"].to_numpy(), strong["r"].to_numpy(), shape)
    is_hub = np.asarray(graph.sum(axis=1)).ravel() > _MAX_NEIGHBOURS
    graph = graph[~is_hub]
    common = (graph.T @ graph).tocoo()
    found = common.row < common.col
    known = set((pairs["l"].to_numpy().astype(np.int64) * num_records + pairs["r"].to_numpy()).tolist())
    keys = common.row[found].astype(np.int64) * num_records + common.col[found]
    new = np.array([key for key in keys.tolist() if key not in known], np.int64)
    return pd.DataFrame({"l": new // num_records, "r": new % num_records})


def _symmetric(left: NDArray[Any], right: NDArray[Any], shape: tuple[int, int]) -> csr_matrix:
    ones = np.ones(2 * len(left), np.float32)
    return coo_matrix((ones, (np.concatenate([left, right]), np.concatenate([right, left]))), shape).tocsr()


def _scored_pairs(
    table: pd.DataFrame, settings: dict[str, Any], pairs: pd.DataFrame, index: dict[str, int]
) -> pd.DataFrame:
    """Score given pairs with a trained model: each pair is a block of its own."""
    number = np.arange(len(pairs))
    ends = pd.DataFrame({"i": np.concatenate([pairs["l"], pairs["r"]]), "key": np.concatenate([number, number])})
    keys = ends.groupby("i")["key"].agg(list)
    chosen = table.iloc[keys.index].assign(**{BLOCK_KEYS: keys.to_numpy()})
    api = DuckDBAPI()
    configure_duckdb(api)
    linker = Linker(api.register(chosen), settings, log_level=40)
    return _scored(linker, index)
