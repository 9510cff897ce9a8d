"""What the figures say, in sentences: the top of the report and the end of a demo."""

from typing import Any

from crm_spark.sources.config import Source
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.words import FEATURES, LABELS, QUARANTINE, count, money, percent


def primary_entities(sources: tuple[Source, ...]) -> dict[str, str]:
    """The entity that has one row per record of a source; where every entity is folded, the first."""
    found = {}
    for source in sources:
        unfolded = [entity for entity, feed in source.feeds.items() if not feed.one_row_per_key]
        entities = unfolded or list(source.feeds)
        if entities:
            found[source.name] = entities[0]
    return found


def metric(facts: Facts, name: str, *, model: str | None = None, is_baseline: bool = False, slice: str = "all") -> Any:
    """The row of ops.metric, or null."""
    for row in facts.metrics:
        is_named = row["metric"] == name and row["slice"] == slice and bool(row["is_baseline"]) == is_baseline
        if is_named and model in (None, row["model"]):
            return row
    return None


def value(facts: Facts, name: str, **which: Any) -> float | None:
    """The figure, or null."""
    row = metric(facts, name, **which)
    return None if row is None else float(row["value"])


def findings(facts: Facts, primary: dict[str, str]) -> list[str]:
    """At most ten sentences, the most important first; each says only what the lake holds."""
    makers = (_rows, _identity, _revenue, _best_segment, _risk, _voice, _gap, _churn, _offers, _actions)
    return [sentence for make in makers if (sentence := make(facts, primary))]


def _rows(facts: Facts, primary: dict[str, str]) -> str:
    flow = [row for row in facts.flow if primary.get(row["source"]) == row["entity"]]
    total = sum(row["num_in"] for row in flow)
    if not total:
        return ""
    bad, repeated = sum(row["num_quarantined"] for row in flow), sum(row["num_duplicate"] for row in flow)
    worst = next((r for r in facts.reasons if r["status"] == "quarantined"), None)
    why = f", most often {QUARANTINE.get(worst['reason'], worst['reason'])}" if worst else ""
    return (
        f"{count(total)} records came in from {len(flow)} sources and every one is accounted for: "
        f"{count(bad)} were set aside ({percent(bad / total, 1)}{why}), {count(repeated)} were repeats or older versions."
    )


def _identity(facts: Facts, primary: dict[str, str]) -> str:
    if not facts.num_customers:
        return ""
    merged = facts.num_records - facts.num_customers
    if merged <= 0:
        return f"{count(facts.num_customers)} customers are known, each by one record."
    return (
        f"{count(facts.num_records)} records of people turned out to be {count(facts.num_customers)} customers: "
        f"{percent(merged / facts.num_records)} were the same person again."
    )


def _revenue(facts: Facts, primary: dict[str, str]) -> str:
    now, before, kept = (value(facts, name) for name in ("revenue_recent", "revenue_before", "retention"))
    if not now:
        return ""
    change = (
        f", {abs(now / before - 1):.0%} {'more' if now >= before else 'less'} than in the time before" if before else ""
    )
    held = f"; {percent(kept)} of those who bought then bought again" if kept is not None else ""
    return f"The last {facts.horizon_days} days brought {money(now, facts.currency)}{change}{held}."


def _best_segment(facts: Facts, primary: dict[str, str]) -> str:
    if not facts.segments:
        return ""
    best = facts.segments[0]
    return (
        f"{best['name']} are {percent(best['customer_fraction'])} of the customers and brought "
        f"{percent(best['revenue_fraction'])} of all revenue."
    )


def _risk(facts: Facts, primary: dict[str, str]) -> str:
    at_risk = [r for r in facts.risk if r["value_band"] != "low" and r["risk"] == "high"]
    if not at_risk:
        return ""
    num, stake = sum(r["n"] for r in at_risk), sum(r["at_stake"] for r in at_risk)
    why = FEATURES.get(facts.churn_reasons[0]["reason"], "") if facts.churn_reasons else ""
    tail = f"; the sign seen most often among customers at risk is {why}" if why else ""
    return (
        f"{count(num)} customers of high or medium value will probably not come back within {facts.horizon_days} days: "
        f"{money(stake, facts.currency)} of expected revenue is at stake{tail}."
    )


def _voice(facts: Facts, primary: dict[str, str]) -> str:
    total = sum(row["n"] for row in facts.texts)
    if not total:
        return ""
    by_label = {label: sum(r["n"] for r in facts.texts if r["verdict"] == label) for label in LABELS}
    return (
        f"Of {count(total)} texts, {percent(by_label['recommends'] / total)} recommend us, "
        f"{percent(by_label['does_not_recommend'] / total)} do not, {percent(by_label['no_clear_opinion'] / total)} have no clear opinion."
    )


def _gap(facts: Facts, primary: dict[str, str]) -> str:
    ours, guess = value(facts, "information_gap"), value(facts, "information_gap", is_baseline=True)
    if ours is None or guess is None:
        return ""
    verb = "closes" if guess >= ours else "misses, adding to it,"
    return (
        f"What customers will say is uncertain by {guess:.2f} bits a text; reading the text {verb} {abs(guess - ours):.2f} of "
        f"them, so the information gap is {ours:.2f} bits (measured on texts the model had not seen)."
    )


def _churn(facts: Facts, primary: dict[str, str]) -> str:
    ours, guess = value(facts, "churn_auc"), value(facts, "churn_auc", is_baseline=True)
    if ours is None or guess is None:
        return ""
    return (
        f"Shown one customer who left and one who stayed, we pick the leaver {percent(ours)} of the time; going by the time "
        f"since the last order alone it is {percent(guess)}."
    )


def _offers(facts: Facts, primary: dict[str, str]) -> str:
    name = next((r["metric"] for r in facts.metrics if r["metric"].startswith("hit_rate_at_")), None)
    if name is None:
        return ""
    ours, best_sellers = value(facts, name, model="als"), value(facts, name, is_baseline=True)
    if ours is None or best_sellers is None:
        return ""
    return (
        f"{percent(ours)} of those who later bought something new bought one of our {name.split('_')[-1]} personal offers; "
        f"the best sellers would have met {percent(best_sellers)}."
    )


def _actions(facts: Facts, primary: dict[str, str]) -> str:
    chosen = [r for r in facts.actions if r["action"] != "none"]
    if not chosen:
        return ""
    num, held = sum(r["n"] for r in chosen), sum(r["num_holdout"] for r in chosen)
    return f"There is a next action for {count(num)} customers; it is withheld from {count(held)} of them to measure whether it helps."
