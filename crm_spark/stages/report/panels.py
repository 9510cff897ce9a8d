"""Panels of the report, in page order, and the key figures above them.

To add a panel, write a function `(facts, primary) -> Panel` and list it in PANELS.
"""

from collections.abc import Callable

from crm_spark.stages.report import charts
from crm_spark.stages.report.customers_panel import customers, customers_at_risk
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.findings import value
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.predictions_panel import monitoring, prediction_quality
from crm_spark.stages.report.quality_panel import data_quality
from crm_spark.stages.report.text_model_panel import text_model
from crm_spark.stages.report.topics_panel import topics
from crm_spark.stages.report.words import LABELS, count, counted, money, percent, title_of


def key_figures(facts: Facts) -> list[tuple[str, str, str]]:
    """Return label, figure and remark (unit, period, comparison) of each key figure."""
    currency, days = facts.currency, facts.horizon_days
    figures: list[tuple[str, str, str]] = []
    if facts.num_customers:
        figures.append(("Customers", count(facts.num_customers), f"from {count(facts.num_records)} person records"))
    active = value(facts, "active_customers")
    if active:
        share = percent(active / facts.num_customers)
        figures.append(
            ("Active customers", count(active), f"ordered in the last {days} days; {share} of all customers")
        )
    now, before = value(facts, "revenue_recent"), value(facts, "revenue_before")
    if now:
        change = f"; {now / before - 1:+.0%} on the previous {days} days" if before else ""
        figures.append(("Revenue", money(now, currency), f"last {days} days{change}"))
    repeat_rate = value(facts, "retention")
    if repeat_rate is not None:
        remark = f"of customers of the previous {days} days ordered again in the last {days} days"
        figures.append(("Repeat purchase rate", percent(repeat_rate), remark))
    if facts.risk:
        at_risk = money(sum(r["at_stake"] for r in facts.risk), currency)
        figures.append(("Revenue at risk", at_risk, f"expected revenue likely to be lost in the next {days} days"))
    satisfaction = value(facts, "satisfaction")
    if satisfaction is not None:
        figures.append(("Satisfaction", f"{satisfaction:+.2f}", "average to date, from -1 (low) to +1 (high)"))
    gap, baseline = (value(facts, "information_gap", is_baseline=flag) for flag in (False, True))
    if gap is not None:
        scale = f"; {baseline:.2f} without reading the texts" if baseline is not None else ""
        figures.append(("Information gap", f"{gap:.2f}", f"0 = perfect prediction of customer opinions{scale}"))
    return figures


def data_received(facts: Facts, primary: dict[str, str]) -> Panel:
    """Records of each source by row status: accepted, duplicate, quarantined."""
    flow = [row for row in facts.flow if primary.get(row["source"]) == row["entity"] and row["num_in"]]
    statuses = (
        ("num_accepted", "Accepted", "@flow_good"),
        ("num_duplicate", "Duplicates", "@flow_muted"),
        ("num_quarantined", "Quarantined", "@flow_bad"),
    )
    links = [
        (title_of(r["source"]), name, float(r[key]), colour) for r in flow for key, name, colour in statuses if r[key]
    ]
    columns = ("num_in", "num_accepted", "num_duplicate", "num_quarantined")
    table = Table(
        ["Source", "Records", "Accepted", "Duplicates and older versions", "Quarantined"],
        [[title_of(r["source"]), *(count(r[name]) for name in columns)] for r in flow],
    )
    unmapped = [d for d in facts.deliveries if d["source"] not in primary and d["rows"]]
    notes = [
        f"{title_of(d['source'])}: {counted(d['rows'], 'record')} received. This source has no mapping yet, so its records are "
        "stored but not used."
        for d in unmapped
    ]
    num_rejected = sum(r["n"] for r in facts.rejected_files)
    if num_rejected:
        notes.append(f"{counted(num_rejected, 'file')} could not be read. Please ask the sender for a new copy.")
    total, files = sum(r["num_in"] for r in flow), sum(d["files"] for d in facts.deliveries)
    lead = (
        f"To date, {counted(total, 'record')} arrived in {counted(files, 'file')}. Each record was accepted, recognised as a "
        "duplicate or older version, or quarantined for correction. The three counts add up to the records received."
    )
    chart = Chart(
        "Records by source and status",
        charts.flow(links),
        "Flow diagram: number of accepted, duplicate and quarantined records of each source.",
        table,
    )
    return Panel("data-received", "Data received", lead, [chart], notes=notes)


def feedback(facts: Facts, primary: dict[str, str]) -> Panel:
    """Predicted label of every text, by source and by month."""
    title = "Customer feedback"
    if not facts.texts:
        return Panel("feedback", title, "There are no classified customer texts yet.")
    colours = ["@good", "@bad", "@neutral"]
    sources = list(dict.fromkeys(r["source"] for r in facts.texts))
    counts = {(r["source"], r["label"]): r["n"] for r in facts.texts}
    total = {s: sum(counts.get((s, label), 0) for label in LABELS) for s in sources}
    shares = {words: [100 * counts.get((s, label), 0) / total[s] for s in sources] for label, words in LABELS.items()}
    table = Table(
        ["Source", "Texts", *(words.capitalize() for words in LABELS.values())],
        [[title_of(s), count(total[s]), *(count(counts.get((s, label), 0)) for label in LABELS)] for s in sources],
    )
    by_source = charts.bars(
        [title_of(s) for s in sources], shares, unit="% of texts", colours=colours, is_stacked=True, number=".0f"
    )
    alt = "Stacked bar chart: share of positive, negative and neutral texts in each source."
    panel_charts = [Chart("Customer opinion by source", by_source, alt, table)]
    if facts.texts_by_month:
        panel_charts.append(_feedback_by_month(facts, colours))
    lead = (
        f"Every customer text from {counted(len(sources), 'source')} was classified automatically: the customer recommends us, "
        "does not recommend us, or gives no clear opinion."
    )
    return Panel("feedback", title, lead, panel_charts)


def _feedback_by_month(facts: Facts, colours: list[str]) -> Chart:
    months = sorted({r["month"] for r in facts.texts_by_month})[-24:]
    counts = {(r["month"], r["label"]): r["n"] for r in facts.texts_by_month}
    series = {words: [float(counts.get((m, label), 0)) for m in months] for label, words in LABELS.items()}
    table = Table(
        ["Month", *(words.capitalize() for words in LABELS.values())],
        [[m, *(count(counts.get((m, label), 0)) for label in LABELS)] for m in months],
    )
    return Chart(
        "Customer opinion by month (number of texts)",
        charts.columns(months, series, unit="texts", colours=colours),
        "Stacked column chart: number of positive, negative and neutral texts per month.",
        table,
    )


PanelBuilder = Callable[[Facts, dict[str, str]], Panel]
PANELS: tuple[PanelBuilder, ...] = (
    data_received,
    data_quality,
    customers,
    feedback,
    topics,
    text_model,
    customers_at_risk,
    prediction_quality,
    monitoring,
)
