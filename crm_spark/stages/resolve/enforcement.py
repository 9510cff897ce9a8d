"""Makes decisions hold in the final clusters, also for records and rules that the linkage does not see."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.stages.resolve.decision_files import Decision

_SPLIT_OFF = "decided:{}"
"""Cluster of records that a decision takes out of theirs; no record has such a key."""


def enforced(members: DataFrame, decisions: Sequence[Decision]) -> DataFrame:
    """Clusters in which every decision holds. Grain: record_key.

    Args:
        members: record_key, cluster of every record.
        decisions: decisions without contradictions, about records of `members`.
    """
    keys = sorted({key for decision in decisions for key in decision.pair})
    if not keys:
        return members
    spark = members.sparkSession
    asked = spark.createDataFrame([(key,) for key in keys], "record_key string")
    cluster_of = {row["record_key"]: row["cluster"] for row in members.join(asked, "record_key", "left_semi").collect()}
    renamed, moved = changes(cluster_of, decisions)
    if not renamed and not moved:
        return members
    names = spark.createDataFrame(sorted(renamed.items()), "cluster string, _renamed string")
    records = spark.createDataFrame(sorted(moved.items()), "record_key string, _moved string")
    joined = members.join(F.broadcast(names), "cluster", "left").join(F.broadcast(records), "record_key", "left")
    return joined.withColumn("cluster", F.coalesce("_moved", "_renamed", "cluster")).select(*members.columns)


def changes(cluster_of: Mapping[str, str], decisions: Sequence[Decision]) -> tuple[dict[str, str], dict[str, str]]:
    """What must change for all decisions to hold.

    Whole clusters are merged where no decision forbids it, because the linkage is right about their other records; otherwise only
    the records of the decision move.

    Args:
        cluster_of: cluster of each record of a decision.
        decisions: without contradictions.

    Returns:
        New name by name of each cluster that is merged into another, and cluster by record that leaves its own.
    """
    groups = _groups(cluster_of, decisions)
    group_of = {record: name for name, records in groups.items() for record in records}
    conflicts: defaultdict[str, set[str]] = defaultdict(set)
    for decision in decisions:
        if decision.is_same is False:
            left, right = (group_of[key] for key in decision.pair)
            conflicts[left].add(right)
            conflicts[right].add(left)
    place = _split(cluster_of, groups, conflicts)
    renamed, place = _merged(place, groups, conflicts)
    final = {record: _last(renamed, cluster) for record, cluster in place.items()}
    names = {name: _last(renamed, name) for name in renamed}
    moved = {r: cluster for r, cluster in final.items() if _last(renamed, cluster_of[r]) != cluster}
    return {name: new for name, new in names.items() if not name.startswith(_SPLIT_OFF.format(""))}, moved


def _groups(cluster_of: Mapping[str, str], decisions: Sequence[Decision]) -> dict[str, list[str]]:
    """Records that decisions make one person, by the first of them; each other record is a group of its own."""
    first = {record: record for record in cluster_of}
    for decision in decisions:
        if decision.is_same:
            left, right = sorted(_last_of(first, key) for key in decision.pair)
            first[right] = left
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for record in sorted(cluster_of):
        groups[_last_of(first, record)].append(record)
    return dict(groups)


def _split(
    cluster_of: Mapping[str, str], groups: Mapping[str, Sequence[str]], conflicts: Mapping[str, set[str]]
) -> dict[str, str]:
    """Cluster of each record after groups that must be apart have left the clusters that they share; the largest stays."""
    inside: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, records in groups.items():
        for record in records:
            inside[cluster_of[record]][name].append(record)
    place = dict(cluster_of)
    for present in inside.values():
        staying: set[str] = set()
        for name, records in sorted(present.items(), key=lambda item: (-len(item[1]), item[0])):
            if conflicts.get(name, set()) & staying:
                place |= dict.fromkeys(records, _SPLIT_OFF.format(name))
            else:
                staying.add(name)
    return place


def _merged(
    place: dict[str, str], groups: Mapping[str, Sequence[str]], conflicts: Mapping[str, set[str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """New names of merged clusters, and the cluster of each record, so that each group is in one cluster."""
    renamed: dict[str, str] = {}
    occupants: defaultdict[str, set[str]] = defaultdict(set)
    for name, records in groups.items():
        for record in records:
            occupants[place[record]].add(name)
    for name, records in groups.items():
        found = sorted({_last(renamed, place[record]) for record in records})
        target = found[0]
        for other in found[1:]:
            forbidden = set().union(*(conflicts.get(each, set()) for each in occupants[target]))
            if forbidden & occupants[other]:
                leaving = [record for record in records if _last(renamed, place[record]) == other]
                place |= dict.fromkeys(leaving, target)
                occupants[other].discard(name)
            else:
                renamed[other] = target
                occupants[target] |= occupants.pop(other)
    return renamed, place


def _last(renamed: Mapping[str, str], name: str) -> str:
    while name in renamed:
        name = renamed[name]
    return name


def _last_of(first: Mapping[str, str], record: str) -> str:
    while first[record] != record:
        record = first[record]
    return record
