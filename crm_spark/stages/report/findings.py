"""Key findings as sentences: the summary of the report and the last lines of a demo."""

from collections.abc import Iterable
from typing import Any

from crm_spark.sources.config import Source
from crm_spark.stages.report.churn_words import churn_words
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.words import LABELS, count, counted, is_known, money, percent, reason_of


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
    return float(row["value"]) if row is not None and is_known(row["value"]) else None


def num_rows(facts: Facts, name: str, **criteria: Any) -> int:
    """Return the number of rows that a metric is based on; 0 if there is no such metric."""
    row = metric(facts, name, **criteria)
    return 0 if row is None else int(row["num_rows"])


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum of the known values; None if none is known."""
    known = [value for value in values if is_known(value)]
    return sum(known) if known else None


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
    flow = [row for row in facts.flow if primary.get(row["source"]) == row["entity"] and row["num_in"]]
    num_in, accepted, quarantined, duplicates = (
        sum(row[name] for row in flow) for name in ("num_in", "num_accepted", "num_quarantined", "num_duplicate")
    )
    if not num_in:
        return ""
    num_arrived = sum(num_delivered(facts, row) for row in flow)
    arrived = f"{counted(num_arrived, 'record')} arrived from {counted(len(flow), 'source')}"
    if num_arrived != num_in:
        arrived += f", and {counted(num_in, 'row')} {_were(num_in)} read from {'it' if num_arrived == 1 else 'them'}"
        if accepted == num_in:
            return f"{arrived} and accepted."
    if accepted == num_in:
        return f"{arrived} and {'was' if num_in == 1 else 'were all'} accepted."
    parts = []
    if quarantined:
        reason = _reason_for_quarantine(facts, quarantined)
        share = percent(quarantined / num_in, 1)
        parts.append(f"{count(quarantined)} {_were(quarantined)} quarantined for correction ({share}{reason})")
    if duplicates:
        noun = "a duplicate or older version" if duplicates == 1 else "duplicates or older versions"
        parts.append(f"{count(duplicates)} {_were(duplicates)} {noun}")
    return f"{arrived}. {' and '.join(parts)}; {_accepted(accepted, num_in - quarantined - duplicates)}."


def num_delivered(facts: Facts, row: dict[str, Any]) -> int:
    """Records that the source of a row of `flow` delivered; a record that names no key of the entity is not mapped."""
    return next((d["rows"] for d in facts.deliveries if d["source"] == row["source"]), row["num_in"])


def _were(number: float) -> str:
    return "was" if number == 1 else "were"


def _accepted(accepted: int, num_others: int) -> str:
    if not accepted:
        return "no record was accepted"
    if accepted != num_others:
        return f"{count(accepted)} {_were(accepted)} accepted"
    return "the other one was accepted" if accepted == 1 else "all others were accepted"


def quarantined_by_reason(facts: Facts) -> dict[str, int]:
    """Return the number of quarantined records of each reason.

    A source that feeds several entities makes several rows of a record: of each reason the entity with most rows counts.
    """
    of_source: dict[tuple[str, str], int] = {}
    for row in facts.reasons:
        if row["status"] == "quarantined":
            key = (row["source"], row["reason"])
            of_source[key] = max(of_source.get(key, 0), row["n"])
    by_reason: dict[str, int] = {}
    for (_, reason), number in of_source.items():
        by_reason[reason] = by_reason.get(reason, 0) + number
    return by_reason


def _reason_for_quarantine(facts: Facts, num_quarantined: int) -> str:
    """Return the most frequent reason; empty if several are equally frequent."""
    by_reason = quarantined_by_reason(facts)
    top = most_frequent(by_reason)
    if top is None:
        return ""
    is_only = len(by_reason) == 1 and by_reason[top] == num_quarantined
    return f", {'reason' if is_only else 'most frequent reason'}: {reason_of(top)}"


def most_frequent(counts: dict[str, int]) -> str | None:
    """Return the key with the highest count; None if there is none, or several."""
    highest = max(counts.values(), default=0)
    keys = [key for key, number in counts.items() if number == highest]
    return keys[0] if len(keys) == 1 else None


def _identity(facts: Facts, primary: dict[str, str]) -> str:
    prospects = facts.num_prospects
    apart = (
        f"{counted(prospects, 'prospect')} {'is' if prospects == 1 else 'are'} known only from campaigns or leads and not counted."
        if prospects
        else ""
    )
    return " ".join(filter(None, (_customers(facts), apart)))


def _customers(facts: Facts) -> str:
    if not facts.num_customers:
        return ""
    additional = facts.num_records - facts.num_customers
    if additional == 0:
        return (
            "There is 1 customer, with one record."
            if facts.num_customers == 1
            else f"There are {count(facts.num_customers)} customers, each with one record."
        )
    if additional < 0:
        return f"{counted(facts.num_customers, 'customer')} {'is' if facts.num_customers == 1 else 'are'} known."
    share = percent(additional / facts.num_records)
    return (
        f"{count(facts.num_records)} person records belong to {counted(facts.num_customers, 'customer')}: "
        f"{share} were additional records of the same person."
    )


def _revenue(facts: Facts, primary: dict[str, str]) -> str:
    now, before = value(facts, "revenue_recent"), value(facts, "revenue_before")
    revenue = ""
    if now is not None:
        change = _change_of_revenue(now, before, f"the previous {facts.horizon_days} days")
        revenue = f"Revenue in the last {facts.horizon_days} days was {money(now, facts.currency)}{change}."
    return " ".join(sentence for sentence in (revenue, _repeat_rate(facts)) if sentence)


def _change_of_revenue(now: float, before: float | None, period: str) -> str:
    if before is None or before < 0:
        return ""
    if before == 0:
        return f", after none in {period}" if now > 0 else f", as in {period}"
    if round(abs(now / before - 1), 2) == 0:
        return f", {'the same as' if now == before else 'about as much as'} in {period}"
    return f", {abs(now / before - 1):,.0%} {'more' if now > before else 'less'} than in {period}"


def _repeat_rate(facts: Facts) -> str:
    rate, days, words = value(facts, "retention"), facts.horizon_days, facts.words
    if rate is None:
        return ""
    if num_rows(facts, "retention") == 1:
        again = words.bought if rate else f"did not {words.buy}"
        return f"The only customer who {words.bought} in the previous {days} days {again} again."
    return (
        f"Repeat purchase rate: {percent(rate)} of the customers who {words.bought} in the previous {days} days "
        f"{words.bought} again."
    )


def _best_segment(facts: Facts, primary: dict[str, str]) -> str:
    ranked = sorted(
        (row for row in facts.segments if is_known(row["revenue_fraction"])), key=lambda row: -row["revenue_fraction"]
    )
    if len(ranked) < 2 or not ranked[0]["revenue_fraction"] > max(ranked[1]["revenue_fraction"], 0):
        return ""
    best = ranked[0]
    return (
        f"The segment with the highest revenue is {best['name']}: {percent(best['customer_fraction'])} of customers and "
        f"{percent(best['revenue_fraction'])} of all revenue to date."
    )


def _customers_at_risk(facts: Facts, primary: dict[str, str]) -> str:
    at_risk = [r for r in facts.risk if r["value_band"] in ("high", "medium") and r["risk"] == "high"]
    if not at_risk:
        return ""
    num, revenue = sum(r["n"] for r in at_risk), total(r["at_stake"] for r in at_risk)
    amount = f": {money(revenue, facts.currency)} of the revenue at risk" if revenue else ""
    return (
        f"{counted(num, 'customer')} of high or medium value {'has' if num == 1 else 'have'} a high risk of "
        f"{churn_words(facts).risk}{amount}.{_churn_reason(facts)}"
    )


def _churn_reason(facts: Facts) -> str:
    top = most_frequent({row["reason"]: row["n"] for row in facts.churn_reasons})
    reason = facts.reason_words.get(top or "", "")
    return f" The most frequent reason for churn risk is {reason}." if reason else ""


def _feedback(facts: Facts, primary: dict[str, str]) -> str:
    num_texts = sum(row["n"] for row in facts.texts)
    if not num_texts:
        return ""
    by_label = {label: sum(r["n"] for r in facts.texts if r["label"] == label) for label in LABELS}
    if num_texts == 1:
        opinion = {"recommends": "recommends us", "does_not_recommend": "does not recommend us"}
        label = most_frequent(by_label)
        return f"The only customer text {opinion.get(label or '', 'expresses no clear opinion')}."
    return (
        f"Of {counted(num_texts, 'customer text')}, {percent(by_label['recommends'] / num_texts)} recommend us, "
        f"{percent(by_label['does_not_recommend'] / num_texts)} do not recommend us and "
        f"{percent(by_label['no_clear_opinion'] / num_texts)} express no clear opinion."
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
        f"cases. A prediction by the time since the last {facts.words.purchase} alone reaches {percent(baseline)}."
    )


def _recommendations(facts: Facts, primary: dict[str, str]) -> str:
    name = next((r["metric"] for r in facts.metrics if r["metric"].startswith("hit_rate_at_")), None)
    if name is None or num_rows(facts, name) < 2:
        return ""  # the rate of a single customer says nothing
    personal, best_sellers = value(facts, name, model="als"), value(facts, name, is_baseline=True)
    if personal is None or best_sellers is None:
        return ""
    buyers, number = "Of the customers who bought a product new to them", name.split("_")[-1]
    if personal > best_sellers:
        return (
            f"{buyers}, {percent(personal)} bought one of their {number} personal recommendations. Recommending best sellers "
            f"would have reached {percent(best_sellers)}."
        )
    return (
        f"{buyers}, {percent(best_sellers)} bought one of the {number} best sellers that they did not have. Personal "
        f"recommendations would have reached {percent(personal)}, so best sellers are recommended."
    )


def _actions(facts: Facts, primary: dict[str, str]) -> str:
    chosen = [r for r in facts.actions if r["action"] != "none"]
    if not chosen:
        return ""
    num, num_control = sum(r["n"] for r in chosen), sum(r["num_holdout"] for r in chosen)
    planned = f"A next best action is planned for {counted(num, 'customer')}."
    if not num_control:
        return f"{planned} There is no control group, so the effect cannot be measured."
    form = "forms" if num_control == 1 else "form"
    return (
        f"{planned} {count(num_control)} of them {form} a control group that does not receive it, so that the effect can be "
        "measured."
    )
