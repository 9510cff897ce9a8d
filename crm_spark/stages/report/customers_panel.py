"""Panels about customers: segments, customers at risk, next best actions."""

from crm_spark.stages.report import charts
from crm_spark.stages.report.churn_words import churn_words
from crm_spark.stages.report.facts import Facts, Rows
from crm_spark.stages.report.missing import explained, reason_for_skipping
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import count, counted, decimal, is_known, money, percent, title_of


def customers(facts: Facts, primary: dict[str, str]) -> Panel:
    """Segments: size, revenue, typical customer, map."""
    title = "Customer segments"
    if not facts.segments:
        reason = reason_for_skipping(facts, "segment")
        return Panel("customers", title, explained("There are no segments yet", reason))
    rows, currency, words = facts.segments, facts.currency, facts.words
    header = [
        "Segment",
        "Customers",
        "Share of customers",
        "Share of revenue",
        f"{words.purchases.capitalize()} per customer (median)",
        f"Days since last {words.purchase} (median)",
        "Revenue per customer (median)",
        "Satisfaction (average, -1 to +1)",
    ]
    table = Table(
        header,
        [
            [
                r["name"],
                count(r["num_customers"]),
                percent(r["customer_fraction"]),
                percent(r["revenue_fraction"]),
                count(r["median_num_orders"]),
                count(r["median_recency_days"]),
                money(r["median_monetary"], currency),
                decimal(r["mean_satisfaction"], 2, sign="+"),
            ]
            for r in rows
        ],
    )
    names = [r["name"] for r in rows]
    panel_charts = [_segment_sizes(rows, names, table), *([_segment_map(facts, names)] if facts.segment_map else [])]
    return Panel("customers", title, _lead_of_segments(facts), panel_charts, tables=[("Segment profiles", table)])


def _lead_of_segments(facts: Facts) -> str:
    day, words = facts.as_of.strftime("%-d %B %Y"), facts.words
    if _has_revenue(facts):
        return (
            f"Segments group customers by how recently and how often they {words.buy}, and by their revenue. "
            f"{words.purchases.capitalize()} and revenue cover all {words.purchases} up to {day}."
        )
    return f"Segments group customers by how recently and how often they {words.buy}, up to {day}. {_NO_REVENUE}"


_NO_REVENUE = "Their revenue is 0 or unknown."


def _has_revenue(facts: Facts) -> bool:
    return any(is_known(row["revenue_fraction"]) for row in facts.segments)


def _segment_sizes(rows: Rows, names: list[str], table: Table) -> Chart:
    shares = {"share of customers": [100 * r["customer_fraction"] for r in rows]}
    if all(is_known(r["revenue_fraction"]) for r in rows):
        shares["share of revenue"] = [100 * r["revenue_fraction"] for r in rows]
    shown = " and ".join(shares)
    return Chart(
        f"{shown.capitalize()} by segment",
        charts.bars(names, shares, unit="%", number=".1f"),
        f"Bar chart: {shown} of each segment.",
        table,
    )


def _segment_map(facts: Facts, names: list[str]) -> Chart:
    points: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in names if any(p["name"] == name for p in facts.segment_map)
    }
    for point in facts.segment_map:
        points.setdefault(point["name"], ([], []))[0].append(point["x"])
        points[point["name"]][1].append(point["y"])
    return Chart(
        "Customer map: customers with similar buying behaviour are close together",
        charts.scatter(
            points,
            x="higher revenue →" if _revenue_varies(facts) else "differences in buying behaviour →",
            y="other differences in buying behaviour →",
        ),
        "Scatter chart: a sample of customers, placed by buying behaviour and coloured by segment.",
        Table(["Segment", "Customers in the sample"], [[name, count(len(xs))] for name, (xs, _) in points.items()]),
    )


def _revenue_varies(facts: Facts) -> bool:
    # The map is oriented by revenue: without differences in it, neither direction means more.
    return len({row["median_monetary"] for row in facts.segments if is_known(row["median_monetary"])}) > 1


def customers_at_risk(facts: Facts, primary: dict[str, str]) -> Panel:
    """Churn risk, expected revenue at risk and reasons."""
    title, days, churn = "Customers at risk", facts.horizon_days, churn_words(facts)
    if not facts.risk:
        reason = reason_for_skipping(facts, "predict")
        return Panel("churn", title, explained(f"It is not predicted yet which customers will {churn.stay}", reason))
    has_value = any(is_known(row["expected_revenue"]) for row in facts.risk)
    panel_charts = [*([_risk_matrix(facts)] if has_value else []), _risk_histogram(facts)]
    if facts.churn_reasons:
        panel_charts.append(_risk_reasons(facts))
    lead = f"Churn risk is the probability that a customer {churn.event}."
    if not has_value:
        return Panel("churn", title, f"{lead} Expected revenue and revenue at risk are unknown.", panel_charts)
    lead += (
        f" Expected revenue is the forecast for the same {days} days. Revenue at risk is expected revenue multiplied by churn "
        "risk."
    )
    notes = [
        "Customer value: high is the 10% of customers with the highest expected revenue, medium the next 40%, low the rest."
    ]
    return Panel("churn", title, lead, panel_charts, notes=notes)


def _risk_matrix(facts: Facts) -> Chart:
    bands, risks = ["high", "medium", "low"], ["low", "medium", "high"]
    cells = {(r["value_band"], r["risk"]): r for r in facts.risk}
    values = [[(cells[(b, k)]["at_stake"] or 0.0) if (b, k) in cells else 0.0 for k in risks] for b in bands]
    texts = [
        [
            f"{counted(cells[(b, k)]['n'], 'customer')}<br>{money(cells[(b, k)]['at_stake'], facts.currency)}"
            if (b, k) in cells
            else "0 customers"
            for k in risks
        ]
        for b in bands
    ]
    table = Table(
        ["Customer value", "Churn risk", "Customers", "Expected revenue", "Revenue at risk"],
        [
            [
                b,
                k,
                count(cells[(b, k)]["n"]),
                money(cells[(b, k)]["expected_revenue"], facts.currency),
                money(cells[(b, k)]["at_stake"], facts.currency),
            ]
            for b in bands
            for k in risks
            if (b, k) in cells
        ],
        numeric_from=2,
    )
    return Chart(
        f"Customers and revenue at risk in the next {facts.horizon_days} days, by customer value and churn risk",
        charts.matrix([f"{b} value" for b in bands], [f"{k} risk" for k in risks], values, texts, unit=""),
        "Table with shaded cells: customers and revenue at risk for each customer value and churn risk.",
        table,
    )


def _risk_histogram(facts: Facts) -> Chart:
    names = [f"{5 * r['bucket']}–{5 * r['bucket'] + 5}%" for r in facts.churn_histogram]
    series = {"customers": [float(r["n"]) for r in facts.churn_histogram]}
    return Chart(
        f"Number of customers by churn risk (next {facts.horizon_days} days)",
        charts.columns(names, series, unit="customers", colours=["@c1"], height=260),
        "Column chart: number of customers by churn risk, in steps of 5%.",
        Table(["Churn risk", "Customers"], [[n, count(r["n"])] for n, r in zip(names, facts.churn_histogram)]),
    )


def _risk_reasons(facts: Facts) -> Chart:
    reasons = [facts.reason_words.get(r["reason"], title_of(r["reason"])) for r in facts.churn_reasons]
    numbers = [float(r["n"]) for r in facts.churn_reasons]
    return Chart(
        "Main reason for churn risk (customers with medium or high risk)",
        charts.bars(
            reasons, {"customers": numbers}, unit="customers", colours=["@c1"], texts=[count(n) for n in numbers]
        ),
        "Bar chart: number of customers by the main reason for their churn risk.",
        Table(["Reason", "Customers"], [[reason, count(n)] for reason, n in zip(reasons, numbers)]),
    )


def actions(facts: Facts, primary: dict[str, str], titles: dict[str, str]) -> Panel:
    """Next best actions with the number of customers and the control group."""
    title = "Next best actions"
    if not facts.actions:
        reason = reason_for_skipping(facts, "decide")
        return Panel("actions", title, explained("No actions have been planned yet", reason))
    chosen = [r for r in facts.actions if r["action"] != "none"]
    notes = _without_action(facts)
    if not facts.offers and (reason := reason_for_skipping(facts, "recommend")):
        notes.append(explained("Products are not recommended", reason))
    if not chosen:
        return Panel("actions", title, "No action is planned for any customer.", tables=_offers(facts), notes=notes)
    lead = (
        "Each customer is assigned the first action of the strategy whose conditions apply; customers who may not be contacted "
        f"get none. {_control_group(chosen)}"
    )
    names = [titles.get(r["action"], title_of(r["action"])) for r in chosen]
    return Panel(
        "actions", title, lead, [_customers_by_action(facts, chosen, names)], tables=_offers(facts), notes=notes
    )


def _control_group(chosen: Rows) -> str:
    if not any(row["num_holdout"] for row in chosen):
        return "There is no control group."
    return "A random control group does not receive the action; comparing both groups later shows the effect of the action."


def _customers_by_action(facts: Facts, chosen: Rows, names: list[str]) -> Chart:
    table = Table(
        ["Action", "Reason", "Customers", "Control group", "Revenue at risk"],
        [
            [
                n,
                title_of(r["reason"]).lower(),
                count(r["n"]),
                count(r["num_holdout"]),
                money(r["at_stake"], facts.currency),
            ]
            for n, r in zip(names, chosen)
        ],
        numeric_from=2,
    )
    series = {"receive the action": [float(r["n"] - r["num_holdout"]) for r in chosen]}
    alt = "Bar chart: number of customers who receive each action"
    if any(r["num_holdout"] for r in chosen):
        series["control group (no action)"] = [float(r["num_holdout"]) for r in chosen]
        alt += ", and its control group"
    return Chart(
        "Customers by next best action",
        charts.bars(names, series, unit="customers", is_stacked=True, colours=["@c1", "@neutral"]),
        f"{alt}.",
        table,
    )


def _without_action(facts: Facts) -> list[str]:
    """Return one sentence per reason for no action: refused, not known, none needed."""
    number = {r["reason"]: r["n"] for r in facts.actions if r["action"] == "none"}
    notes = []
    if num := number.get("no_consent"):
        notes.append(f"{counted(num, 'customer')} with a matching action may not be contacted (no marketing consent).")
    if num := number.get("consent_unknown"):
        are = "is" if num == 1 else "are"
        notes.append(
            f"{counted(num, 'customer')} with a matching action {are} not contacted, because consent is required and unknown."
        )
    if num := number.get("not_known"):
        have = "has" if num == 1 else "have"
        notes.append(
            f"{counted(num, 'customer')} {have} no action for now: whether one applies depends on data that is missing."
        )
    if num := number.get("no_rule_applies"):
        needs = "needs" if num == 1 else "need"
        notes.append(f"{counted(num, 'customer')} {needs} no action: the conditions of none apply.")
    return notes


def _offers(facts: Facts) -> list[tuple[str, Table]]:
    if not facts.offers:
        return []
    offered = [[r["name"] or r["product_id"], count(r["n"])] for r in facts.offers]
    title = "Most recommended products (top three recommendations per customer)"
    return [(title, Table(["Product", "Customers"], offered))]
