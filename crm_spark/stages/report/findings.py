"""Key findings as sentences: the summary of the report and the last lines of a demo."""

from typing import Any

from crm_spark.contracts.features import CHURN_REASONS
from crm_spark.sources.config import Source
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.words import LABELS, count, counted, money, percent, reason_of


def primary_entities(sources: tuple[Source, ...]) -> dict[str, str]:
    """Return for each source the entity with one row per record; if every entity is grouped by key, the first one."""
    primary = {}
    for source in sources:
        row_level = [entity for entity, feed in source.feeds.items() if not feed.one_row_per_key]
        entities = row_level or list(source.feeds)
        if entities:
            primary[source.name] = entities[0]
    return primary


def metric(facts: Facts, name: str, *, model: str | None = None, is_baseline: bool = False, slice: str = "all") -> Any:
    """Return the matching row of ops.metric, or None."""
    for row in facts.metrics:
        is_match = row["metric"] == name and row["slice"] == slice and bool(row["is_baseline"]) == is_baseline
        if is_match and model in (None, row["model"]):
            return row
    return None


def value(facts: Facts, name: str, **criteria: Any) -> float | None:
    """Return the value of the matching row of ops.metric, or None."""
    row = metric(facts, name, **criteria)
    return None if row is None else float(row["value"])


def findings(facts: Facts, primary: dict[str, str]) -> list[str]:
    """Return at most ten sentences, most important first; a finding without data is left out."""
    builders = (
        _received_records,
        _identity,
        _revenue,
        _best_segment,
        _customers_at_risk,
        _feedback,
        _information_gap,
        _churn_prediction,
        _recommendations,
        _actions,
    )
    return [sentence for build in builders if (sentence := build(facts, primary))]


def _received_records(facts: Facts, primary: dict[str, str]) -> str:
    flow = [row for row in facts.flow if primary.get(row["source"]) == row["entity"]]
    total = sum(row["num_in"] for row in flow)
    if not total:
        return ""
    quarantined, duplicates = sum(row["num_quarantined"] for row in flow), sum(row["num_duplicate"] for row in flow)
    top = next((r for r in facts.reasons if r["status"] == "quarantined"), None)
    reason = f", most frequent reason: {reason_of(top['reason'])}" if top else ""
    return (
        f"{count(total)} records arrived from {counted(len(flow), 'source')}. {count(quarantined)} were quarantined for "
        f"correction ({percent(quarantined / total, 1)}{reason}) and {count(duplicates)} were duplicates or older versions; "
        "all others were accepted."
    )


def _identity(facts: Facts, primary: dict[str, str]) -> str:
    if not facts.num_customers:
        return ""
    additional = facts.num_records - facts.num_customers
    if additional <= 0:
        return f"There are {counted(facts.num_customers, 'customer')}, each with one record."
    return (
        f"{count(facts.num_records)} person records belong to {counted(facts.num_customers, 'customer')}: "
        f"{percent(additional / facts.num_records)} were additional records of the same person."
    )


def _revenue(facts: Facts, primary: dict[str, str]) -> str:
    now, before, repeat_rate = (value(facts, name) for name in ("revenue_recent", "revenue_before", "retention"))
    if not now:
        return ""
    previous = f"the previous {facts.horizon_days} days"
    change = f", {abs(now / before - 1):.0%} {'more' if now >= before else 'less'} than in {previous}" if before else ""
    repeat = (
        f" Repeat purchase rate: {percent(repeat_rate)} of the customers who bought in {previous} bought again."
        if repeat_rate is not None
        else ""
    )
    return f"Revenue in the last {facts.horizon_days} days was {money(now, facts.currency)}{change}.{repeat}"


def _best_segment(facts: Facts, primary: dict[str, str]) -> str:
    if not facts.segments:
        return ""
    best = facts.segments[0]
    return (
        f"The segment with the highest revenue is {best['name']}: {percent(best['customer_fraction'])} of customers and "
        f"{percent(best['revenue_fraction'])} of all revenue to date."
    )


def _customers_at_risk(facts: Facts, primary: dict[str, str]) -> str:
    at_risk = [r for r in facts.risk if r["value_band"] != "low" and r["risk"] == "high"]
    if not at_risk:
        return ""
    num, revenue = sum(r["n"] for r in at_risk), sum(r["at_stake"] for r in at_risk)
    reason = CHURN_REASONS.get(facts.churn_reasons[0]["reason"], "") if facts.churn_reasons else ""
    tail = f" The most frequent reason for churn risk is {reason}." if reason else ""
    return (
        f"{counted(num, 'customer')} of high or medium value will probably not order in the next {facts.horizon_days} days: "
        f"{money(revenue, facts.currency)} of the revenue at risk.{tail}"
    )


def _feedback(facts: Facts, primary: dict[str, str]) -> str:
    total = sum(row["n"] for row in facts.texts)
    if not total:
        return ""
    by_label = {label: sum(r["n"] for r in facts.texts if r["label"] == label) for label in LABELS}
    return (
        f"Of {counted(total, 'customer text')}, {percent(by_label['recommends'] / total)} recommend us, "
        f"{percent(by_label['does_not_recommend'] / total)} do not recommend us and "
        f"{percent(by_label['no_clear_opinion'] / total)} express no clear opinion."
    )


def _information_gap(facts: Facts, primary: dict[str, str]) -> str:
    gap, baseline = value(facts, "information_gap"), value(facts, "information_gap", is_baseline=True)
    if gap is None or baseline is None:
        return ""
    return (
        f"The information gap is {gap:.2f}. It measures how far our predictions differ from the opinions that customers "
        f"actually give. A perfect prediction has a gap of 0; a prediction without reading the texts has {baseline:.2f}."
    )


def _churn_prediction(facts: Facts, primary: dict[str, str]) -> str:
    auc, baseline = value(facts, "churn_auc"), value(facts, "churn_auc", is_baseline=True)
    if auc is None or baseline is None:
        return ""
    return (
        f"Given one customer who left and one who stayed, the prediction identifies the one who left in {percent(auc)} of "
        f"cases. A prediction by the time since the last order alone reaches {percent(baseline)}."
    )


def _recommendations(facts: Facts, primary: dict[str, str]) -> str:
    name = next((r["metric"] for r in facts.metrics if r["metric"].startswith("hit_rate_at_")), None)
    if name is None:
        return ""
    hit_rate, best_sellers = value(facts, name, model="als"), value(facts, name, is_baseline=True)
    if hit_rate is None or best_sellers is None:
        return ""
    return (
        f"Of the customers who bought a product new to them, {percent(hit_rate)} bought one of their {name.split('_')[-1]} "
        f"personal recommendations. Recommending best sellers would have reached {percent(best_sellers)}."
    )


def _actions(facts: Facts, primary: dict[str, str]) -> str:
    chosen = [r for r in facts.actions if r["action"] != "none"]
    if not chosen:
        return ""
    num, num_control = sum(r["n"] for r in chosen), sum(r["num_holdout"] for r in chosen)
    return (
        f"A next best action is planned for {counted(num, 'customer')}. {count(num_control)} of them form a control group "
        "that does not receive it, so that the effect can be measured."
    )
