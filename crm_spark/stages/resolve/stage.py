"""Resolve stage: link silver persons to customers. Existing customer ids are kept."""

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import (
    CUSTOMER,
    CUSTOMER_LINK,
    CUSTOMER_LINK_CHANGE,
    IDENTITY_DECISION,
    IDENTITY_EVENT,
    IDENTITY_REVIEW,
)
from crm_spark.contracts.silver import (
    APPOINTMENT,
    CAMPAIGN_CONTACT,
    CAMPAIGN_RESPONSE,
    DEAL,
    EVENT_TIMES,
    FEEDBACK,
    HISTORY,
    INTERACTION,
    LOCATION,
    ORDER,
    PAYMENT,
    PERSON,
    PRODUCT,
    RELATION,
    SUBSCRIPTION,
    USAGE,
)
from crm_spark.core.config import read_yaml
from crm_spark.core.context import JobContext, StageResult, skipped_without_persons
from crm_spark.core.contract import TableContract
from crm_spark.core.errors import ConfigError
from crm_spark.core.scratch import scratch
from crm_spark.core.session import with_shuffle_partitions
from crm_spark.core.stage import Stage
from crm_spark.sources.config import Source, attributes_of, load_sources
from crm_spark.stages.resolve.average_link import ALWAYS, NEVER
from crm_spark.stages.resolve.components import Save
from crm_spark.stages.resolve.config import ResolveConfig
from crm_spark.stages.resolve.decisions import Decided, decisions_digest, must_or_cannot
from crm_spark.stages.resolve.enforcement import enforced
from crm_spark.stages.resolve.evidence import Evidence, evidence_of, person_records
from crm_spark.stages.resolve.golden import golden_record
from crm_spark.stages.resolve.golden_fields import GoldenField, golden_fields
from crm_spark.stages.resolve.identity import assign
from crm_spark.stages.resolve.ledger import events, link_changes, minted_at
from crm_spark.stages.resolve.link import link, present_evidence
from crm_spark.stages.resolve.linkage import CLUSTERS, PAIRS, Linked
from crm_spark.stages.resolve.mailboxes import only_email, with_mailboxes
from crm_spark.stages.resolve.review import pairs_for_review

ACTIVITY = (
    ORDER,
    PAYMENT,
    SUBSCRIPTION,
    USAGE,
    APPOINTMENT,
    INTERACTION,
    FEEDBACK,
    CAMPAIGN_CONTACT,
    CAMPAIGN_RESPONSE,
    DEAL,
)
_FEEDS_OF_LEADS = {CAMPAIGN_CONTACT.entity, CAMPAIGN_RESPONSE.entity, DEAL.entity}
"""Entities of campaigns and sales teams: a person known only from them is a prospect."""
INPUTS = (PERSON, HISTORY[PERSON.entity], *ACTIVITY)
_KEYS = ["system", "person_id"]


def run(ctx: JobContext) -> StageResult:
    """Link the records of each person across all systems."""
    people = ctx.tables.read(PERSON)
    with scratch(ctx, "resolve") as keep, with_shuffle_partitions(ctx.spark, people.count()):
        number = count()
        return _run(ctx, people, lambda frame: keep(frame, f"frame{next(number)}"))


def _run(ctx: JobContext, people: DataFrame, save: Save) -> StageResult:
    cfg: ResolveConfig = ctx.settings.resolve
    first_events = first_seen(ctx).cache()
    everyone = people.select(*_KEYS).union(first_events.select(*_KEYS)).distinct()
    everyone = everyone.withColumn("record_key", F.concat_ws("|", *_KEYS)).cache()
    if everyone.isEmpty():
        return skipped_without_persons()
    sources = load_sources(Path(ctx.settings.ingest.sources_dir))
    attributes = attributes_of(sources, "person")
    fields = golden_fields(cfg.golden, attributes, {source.system for source in sources})
    evidence = evidence_of(attributes)
    records = person_records(people, evidence, max_shared=cfg.max_block, nicknames=nicknames(cfg.nicknames)).cache()
    pairs, decided = must_or_cannot(ctx, everyone.select("record_key"))
    linked = _linked(ctx, cfg, records, evidence, save, pairs)
    members = everyone.select("record_key").join(linked.clusters, "record_key", "left")
    members = members.withColumn("cluster", F.coalesce("cluster", "record_key"))
    members = enforced(members, decided.applied)
    links = ctx.tables.read(CUSTOMER_LINK).select(
        F.concat_ws("|", *_KEYS).alias("record_key"), F.col("customer_id").alias("former_id")
    )
    # Checkpoint: the plan reads the table that is overwritten below.
    ages = minted_at(ctx.tables.read(IDENTITY_EVENT)).localCheckpoint()
    assigned = assign(members, links, ages).localCheckpoint()
    _write(ctx, assigned, ages, everyone, linked.pairs, people, first_events, sources, fields)
    _write_review(ctx, decided, linked.pairs, assigned, records)
    num_customers = assigned.select("customer_id").distinct().count()
    num_records = everyone.count()
    note = "; ".join(
        [
            f"{num_records} records linked to {num_customers} customers",
            linked.note,
            *_too_large(ctx, assigned),
            *decided.notes,
        ]
    )
    return StageResult(num_customers, note=note)


def _too_large(ctx: JobContext, assigned: DataFrame) -> list[str]:
    """Report customers with more records than plausible, largest first."""
    most = ctx.settings.resolve.max_cluster
    sizes = assigned.groupBy("customer_id").count().where(F.col("count") > most)
    number, largest = sizes.agg(F.count(F.lit(1)), F.max("count")).collect()[0]
    if not number:
        return []
    ctx.log.warning(
        "resolve: %d customers have more than %d records, the largest %d: look at gold.customer_link for a shared value, such as a "
        "placeholder in the names or addresses of a source",
        number,
        most,
        largest,
    )
    return [f"{number} customers with more than {most} records, the largest {largest}"]


def _linked(
    ctx: JobContext,
    cfg: ResolveConfig,
    records: DataFrame,
    evidence: tuple[Evidence, ...],
    save: Save,
    pairs: DataFrame,
) -> Linked:
    bare = only_email(records, evidence)
    linkable = records.join(bare.select("record_key"), "record_key", "left_anti").cache()
    present = present_evidence(linkable, evidence)
    num_records = linkable.count()
    if not present:
        none = ctx.spark.createDataFrame([], CLUSTERS)
        note = "no evidence of identity except e-mail; matched by exact e-mail"
        return Linked(ctx.spark.createDataFrame([], PAIRS), with_mailboxes(none, linkable, bare), note)
    constraints = pairs.select(
        "record_key_l", "record_key_r", F.when(F.col("is_same"), ALWAYS).otherwise(NEVER).alias("support")
    )
    linked = link(
        ctx.spark, linkable, present, cfg, num_records=num_records, seed=ctx.seed, decided=constraints, save=save
    )
    return Linked(linked.pairs, with_mailboxes(linked.clusters, linkable, bare), linked.note)


def _write(
    ctx: JobContext,
    assigned: DataFrame,
    ages: DataFrame,
    everyone: DataFrame,
    pairs: DataFrame,
    people: DataFrame,
    first_events: DataFrame,
    sources: Sequence[Source],
    fields: Sequence[GoldenField],
) -> None:
    inside = pairs.where("is_linked")
    ends = inside.select(F.col("record_key_l").alias("record_key"), "match_probability").union(
        inside.select("record_key_r", "match_probability")
    )
    strongest = ends.groupBy("record_key").agg(F.max("match_probability").alias("match_probability"))
    linked = assigned.join(everyone, "record_key").join(strongest, "record_key", "left")
    _write_ledger(ctx, assigned, ages, everyone, pairs)
    golden = golden_record(
        linked.select(*_KEYS, "customer_id"),
        people,
        first_events,
        known_persons=_known_persons(ctx, lead_sources(sources)),
        fields=fields,
    )
    ctx.tables.merge(
        CUSTOMER_LINK,
        linked.select(*CUSTOMER_LINK.column_names),
        batch_id=ctx.batch_id("link"),
        digest=ctx.fingerprint,
        is_unique=True,
    )
    ctx.tables.replace(CUSTOMER, golden, batch_id=ctx.batch_id("customer"), digest=ctx.fingerprint, is_unique=True)


def _write_ledger(ctx: JobContext, assigned: DataFrame, ages: DataFrame, everyone: DataFrame, pairs: DataFrame) -> None:
    """Write what happened to ids and links, before the links: after an interruption, a rerun would derive nothing from new links."""
    run = {"batch_id": F.lit(ctx.batch_id()), "run_id": F.lit(ctx.run_id), "happened_at": F.lit(ctx.started_at)}
    event_id = F.sha2(F.concat_ws("|", "kind", "customer_id", "other_customer_id", "batch_id"), 256)
    ctx.tables.merge(
        IDENTITY_EVENT,
        events(assigned, ages, pairs).withColumns(run).withColumn("event_id", event_id),
        batch_id=ctx.batch_id("event"),
        digest=ctx.fingerprint,
        insert_only=True,
    )
    changes = (
        link_changes(assigned)
        .join(everyone, "record_key")
        .withColumns({"batch_id": F.lit(ctx.batch_id()), "changed_at": F.lit(ctx.started_at)})
    )
    change_id = F.sha2(F.concat_ws("|", *_KEYS, "customer_id", "batch_id"), 256)
    ctx.tables.merge(
        CUSTOMER_LINK_CHANGE,
        changes.withColumn("change_id", change_id).select(*CUSTOMER_LINK_CHANGE.column_names),
        batch_id=ctx.batch_id("change"),
        digest=ctx.fingerprint,
        insert_only=True,
    )


def _write_review(ctx: JobContext, decided: Decided, pairs: DataFrame, assigned: DataFrame, records: DataFrame) -> None:
    cfg = ctx.settings.resolve.review
    review = pairs_for_review(
        pairs,
        assigned.select("record_key", "customer_id"),
        records,
        low=cfg.low,
        high=cfg.high,
        max_pairs=cfg.max_pairs,
        decided=decided.pairs(ctx.spark),
    )
    ctx.tables.replace(IDENTITY_REVIEW, review, batch_id=ctx.batch_id("review"), digest=ctx.fingerprint, is_unique=True)
    ctx.tables.replace(
        IDENTITY_DECISION,
        decided.rows(ctx.spark),
        batch_id=ctx.batch_id("decision"),
        digest=ctx.fingerprint,
        is_unique=True,
    )


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Declarations of the sources that the golden record depends on."""
    sources = load_sources(Path(ctx.settings.ingest.sources_dir))
    attributes = attributes_of(sources, "person")
    return {
        "lead_sources": lead_sources(sources),
        "decisions": decisions_digest(ctx.settings.resolve.decisions),
        "attributes": {name: attribute.declaration for name, attribute in sorted(attributes.items())},
    }


def _known_persons(ctx: JobContext, of_leads: list[str]) -> DataFrame | None:
    """People with a record outside the lead sources; None if there are no such sources."""
    if not of_leads:
        return None
    versions = ctx.tables.read(HISTORY[PERSON.entity])
    return versions.where(~F.col("source").isin(*of_leads)).select(*_KEYS)


def lead_sources(sources: Iterable[Source]) -> list[str]:
    """Names of the sources that tell of campaigns, leads or deals, and of nothing that a customer does."""
    others = {PERSON.entity, PRODUCT.entity, LOCATION.entity, RELATION.entity}
    return [s.name for s in sources if _FEEDS_OF_LEADS & set(s.feeds) and set(s.feeds) <= _FEEDS_OF_LEADS | others]


def first_seen(ctx: JobContext) -> DataFrame:
    """Earliest event of every person. Grain: system, person_id.

    Returns:
        first_seen_at; is_customer, whether one of the events is not of a campaign or a sales team.
    """
    parts = [
        ctx.tables.read(table)
        .where(F.col("person_id").isNotNull())
        .select(
            *_KEYS,
            _known_at(table).alias("at"),
            F.lit(table.entity not in _FEEDS_OF_LEADS).alias("is_customer"),
        )
        for table in ACTIVITY
    ]
    union = parts[0]
    for part in parts[1:]:
        union = union.unionByName(part)
    return union.groupBy(*_KEYS).agg(F.min("at").alias("first_seen_at"), F.max("is_customer").alias("is_customer"))


def _known_at(table: TableContract) -> Column:
    """Time of an event; that of a booking for an appointment, which may lie in the future."""
    event = F.col(EVENT_TIMES[table.entity])
    return F.least(F.col("booked_at"), event) if table == APPOINTMENT else event


def nicknames(path: str | None) -> dict[str, str]:
    """Map nicknames to full given names; ambiguous nicknames are omitted.

    Raises:
        ConfigError: an entry is not a list.
    """
    if path is None:
        return {}
    full_names: dict[str, set[str]] = {}
    for full, shorts in read_yaml(Path(path)).items():
        if not isinstance(shorts, list):
            raise ConfigError(f"{path}: {full}: expected a list of nicknames, got {type(shorts).__name__}.")
        for short in shorts:
            full_names.setdefault(str(short).lower(), set()).add(str(full).lower())
    return {short: next(iter(names)) for short, names in full_names.items() if len(names) == 1}


STAGE = Stage("resolve", run, reads=INPUTS, inputs=inputs, has_as_of=False)
