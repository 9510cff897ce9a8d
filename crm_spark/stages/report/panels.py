"""Panels of the report, in page order, and the key figures above them.

To add a panel, write a function `(facts, primary) -> Panel` and list it in PANELS.
"""

from collections.abc import Callable

from crm_spark.stages.report import charts
from crm_spark.stages.report.customers_panel import customers, customers_at_risk
from crm_spark.stages.report.facts import Facts, Rows
from crm_spark.stages.report.findings import num_delivered, num_rows, total, value
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.predictions_panel import monitoring, prediction_quality
from crm_spark.stages.report.quality_panel import data_quality
from crm_spark.stages.report.text_model_panel import text_model
from crm_spark.stages.report.topics_panel import topics
from crm_spark.stages.report.words import LABELS, count, counted, money, percent, title_of

KeyFigure = tuple[str, str, str]


def key_figures(facts: Facts) -> list[KeyFigure]:
    """Return label, figure and remark (unit, period, comparison) of each key figure; unknown figures are left out."""
    builders = (
        _customers,
        _active_customers,
        _revenue,
        _repeat_rate,
        _revenue_at_risk,
        _satisfaction,
        _information_gap,
    )
    return [figure for build in builders if (figure := build(facts))]


def _customers(facts: Facts) -> KeyFigure | None:
    if not facts.num_customers:
        return None
    besides = f"; {counted(facts.num_prospects, 'prospect')} besides" if facts.num_prospects else ""
    return "Customers", count(facts.num_customers), f"from {counted(facts.num_records, 'person record')}{besides}"


def _active_customers(facts: Facts) -> KeyFigure | None:
    active = value(facts, "active_customers")
    if active is None or not facts.num_customers:
        return None
    share = percent(active / facts.num_customers)
    remark = f"{facts.words.bought} in the last {facts.horizon_days} days; {share} of all customers"
    return "Active customers", count(active), remark


def _revenue(facts: Facts) -> KeyFigure | None:
    now, before = value(facts, "revenue_recent"), value(facts, "revenue_before")
    if now is None:
        return None
    change = ""
    if before is not None and before > 0:
        difference = round(now / before - 1, 2)
        previous = f"the previous {facts.horizon_days} days"
        change = f"; {difference:+,.0%} on {previous}" if difference else f"; about as much as in {previous}"
    return "Revenue", money(now, facts.currency), f"last {facts.horizon_days} days{change}"


def _repeat_rate(facts: Facts) -> KeyFigure | None:
    rate, days = value(facts, "retention"), facts.horizon_days
    if rate is None:
        return None
    num_buyers = num_rows(facts, "retention")
    buyers = (
        f"the only customer of the previous {days} days"
        if num_buyers == 1
        else f"customers of the previous {days} days"
    )
    return "Repeat purchase rate", percent(rate), f"of {buyers} {facts.words.bought} again in the last {days} days"


def _revenue_at_risk(facts: Facts) -> KeyFigure | None:
    at_stake = total(row["at_stake"] for row in facts.risk)
    if at_stake is None:
        return None
    remark = f"expected revenue likely to be lost in the next {facts.horizon_days} days"
    return "Revenue at risk", money(at_stake, facts.currency), remark


def _satisfaction(facts: Facts) -> KeyFigure | None:
    satisfaction = value(facts, "satisfaction")
    if satisfaction is None:
        return None
    return "Satisfaction", f"{satisfaction:+.2f}", "average to date, from -1 (low) to +1 (high)"


def _information_gap(facts: Facts) -> KeyFigure | None:
    gap, baseline = (value(facts, "information_gap", is_baseline=flag) for flag in (False, True))
    if gap is None:
        return None
    scale = f"; {baseline:.2f} without reading the texts" if baseline is not None else ""
    return "Information gap", f"{gap:.2f}", f"0 = perfect prediction of customer opinions{scale}"


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
        ["Source", "Records", "Mapped rows", "Accepted", "Duplicates and older versions", "Quarantined"],
        [
            *(
                [title_of(d["source"]), count(d["rows"]), *("not mapped" for _ in columns)]
                for d in _unmapped(facts, primary)
            ),
            *(
                [title_of(r["source"]), count(num_delivered(facts, r)), *(count(r[name]) for name in columns)]
                for r in flow
            ),
        ],
    )
    chart = Chart(
        "Records by source and status",
        charts.flow(links),
        "Flow diagram: number of accepted, duplicate and quarantined records of each source.",
        table,
    )
    return Panel(
        "data-received",
        "Data received",
        _unmapped_sources(facts, primary) + _lead_of_data_received(facts, flow),
        [chart] if links else [],
        notes=_notes_of_data_received(facts),
    )


def _lead_of_data_received(facts: Facts, flow: Rows) -> str:
    num_records = sum(r["num_in"] for r in flow)
    if not num_records:
        return "No records of a source with a mapping have arrived yet."
    num_files = sum(d["files"] for d in facts.deliveries if d["source"] in {r["source"] for r in flow})
    num_arrived = sum(num_delivered(facts, r) for r in flow)
    files = counted(num_files, "file")
    if num_arrived == num_records:
        lead = (
            f"To date, {counted(num_arrived, 'record')} arrived in {files}. Each record was accepted, recognised as a duplicate "
            "or older version, or quarantined for correction."
        )
    else:
        rows = "1 row was" if num_records == 1 else f"{count(num_records)} rows were"
        lead = (
            f"To date, {counted(num_arrived, 'record')} arrived in {files}. By the mapping, {rows} read from them. Each row was "
            "accepted, recognised as a duplicate or older version, or quarantined for correction."
        )
    statuses = ("num_accepted", "num_duplicate", "num_quarantined")
    differ = [title_of(r["source"]) for r in flow if sum(r[name] for name in statuses) != r["num_in"]]
    if differ:
        return f"{lead} The three counts do not add up to the rows read from {', '.join(differ)}."
    return f"{lead} The three counts add up to the rows read."


def _unmapped(facts: Facts, primary: dict[str, str]) -> Rows:
    return [d for d in facts.deliveries if d["source"] not in primary and d["rows"]]


def _unmapped_sources(facts: Facts, primary: dict[str, str]) -> str:
    unmapped = _unmapped(facts, primary)
    if not unmapped:
        return ""
    names, num_records = ", ".join(title_of(d["source"]) for d in unmapped), sum(d["rows"] for d in unmapped)
    has, is_stored = "has" if len(unmapped) == 1 else "have", "is" if num_records == 1 else "are"
    return f"{names} {has} no mapping: {counted(num_records, 'record')} {is_stored} stored but not used. "


def _notes_of_data_received(facts: Facts) -> list[str]:
    notes = []
    num_rejected = sum(r["n"] for r in facts.rejected_files)
    if num_rejected:
        were = "was" if num_rejected == 1 else "were"
        notes.append(f"{counted(num_rejected, 'file')} {were} rejected; the reasons are below, under Data quality.")
    return notes


def feedback(facts: Facts, primary: dict[str, str]) -> Panel:
    """Predicted label of every text, by source and by month."""
    title = "Customer feedback"
    if not facts.texts:
        return Panel("feedback", title, _why_no_texts(facts))
    colours = ["@good", "@bad", "@neutral"]
    sources = list(dict.fromkeys(r["source"] for r in facts.texts))
    counts = {(r["source"], r["label"]): r["n"] for r in facts.texts}
    totals = {s: sum(counts.get((s, label), 0) for label in LABELS) for s in sources}
    shares = {words: [100 * counts.get((s, label), 0) / totals[s] for s in sources] for label, words in LABELS.items()}
    table = Table(
        ["Source", "Texts", *(words.capitalize() for words in LABELS.values())],
        [[title_of(s), count(totals[s]), *(count(counts.get((s, label), 0)) for label in LABELS)] for s in sources],
    )
    by_source = charts.bars(
        [title_of(s) for s in sources], shares, unit="% of texts", colours=colours, is_stacked=True, number=".0f"
    )
    alt = "Stacked bar chart: share of positive, negative and neutral texts in each source."
    panel_charts = [Chart("Customer opinion by source", by_source, alt, table)]
    if facts.texts_by_month:
        panel_charts.append(_feedback_by_month(facts, colours))
    num_texts = sum(totals.values())
    were = "was" if num_texts == 1 else "were"
    lead = (
        f"{counted(num_texts, 'customer text')} from {counted(len(sources), 'source')} {were} classified automatically: the "
        "customer recommends us, does not recommend us, or gives no clear opinion."
    )
    return Panel("feedback", title, lead, panel_charts)


def _why_no_texts(facts: Facts) -> str:
    if facts.model_card:
        return "There are no classified customer texts yet."
    return "Customer texts are not classified yet, because no text model is in production."


def _feedback_by_month(facts: Facts, colours: list[str]) -> Chart:
    months = sorted({r["month"] for r in facts.texts_by_month})[-_MAX_MONTHS:]
    counts = {(r["month"], r["label"]): r["n"] for r in facts.texts_by_month}
    series = {words: [float(counts.get((m, label), 0)) for m in months] for label, words in LABELS.items()}
    table = Table(
        ["Month", *(words.capitalize() for words in LABELS.values())],
        [[m, *(count(counts.get((m, label), 0)) for label in LABELS)] for m in months],
    )
    return Chart(
        f"Customer opinion by month (number of texts, at most the last {_MAX_MONTHS} months with texts)",
        charts.columns(months, series, unit="texts", colours=colours),
        "Stacked column chart: number of positive, negative and neutral texts per month.",
        table,
    )


_MAX_MONTHS = 24
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
