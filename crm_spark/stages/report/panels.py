"""The panels of the report. A new one: a function here, and its name in PANELS."""

from collections.abc import Callable
from typing import Any

from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.findings import value
from crm_spark.stages.report.model_panel import reading
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.quality_panel import data_quality
from crm_spark.stages.report.topics_panel import topics
from crm_spark.stages.report.words import FEATURES, LABELS, MODELS, count, money, percent, plain


def tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """The figures on top: label, figure, remark."""
    currency, horizon = facts.currency, f"last {facts.horizon_days} days"
    made: list[tuple[str, str, str]] = []
    if facts.num_customers:
        made.append(("Customers", count(facts.num_customers), f"from {count(facts.num_records)} records"))
    active = value(facts, "active_customers")
    if active:
        made.append(("Bought lately", count(active), f"{percent(active / facts.num_customers)} of all, {horizon}"))
    now, before = value(facts, "revenue_recent"), value(facts, "revenue_before")
    if now:
        made.append(
            ("Revenue", money(now, currency), f"{now / before - 1:+.0%} on the time before" if before else horizon)
        )
    kept = value(facts, "retention")
    if kept is not None:
        made.append(("Came back", percent(kept), "of those who bought in the time before"))
    if facts.risk:
        made.append(("At stake", money(sum(r["at_stake"] for r in facts.risk), currency), "revenue that may not come"))
    mood = value(facts, "satisfaction")
    if mood is not None:
        made.append(("Satisfaction", f"{mood:+.2f}", "from -1 (unhappy) to +1 (happy)"))
    gap = value(facts, "information_gap")
    if gap is not None:
        made.append(("Information gap", f"{gap:.2f} bits", "what we cannot foresee of a customer's verdict"))
    return made


def what_came_in(facts: Facts, primary: dict[str, str]) -> Panel:
    """The flow of rows from each source to its status."""
    flow = [row for row in facts.flow if primary.get(row["source"]) == row["entity"] and row["num_in"]]
    statuses = (
        ("num_accepted", "Accepted", "@flow_good"),
        ("num_duplicate", "Repeats", "@flow_muted"),
        ("num_quarantined", "Set aside", "@flow_bad"),
    )
    links = [
        (plain(r["source"]), name, float(r[key]), colour) for r in flow for key, name, colour in statuses if r[key]
    ]
    table = Table(
        ["Source", "Records", "Accepted", "Repeats and older versions", "Set aside"],
        [
            [plain(r["source"]), *(count(r[k]) for k in ("num_in", "num_accepted", "num_duplicate", "num_quarantined"))]
            for r in flow
        ],
    )
    unused = [d for d in facts.deliveries if d["source"] not in primary and d["rows"]]
    notes = [
        f"{plain(d['source'])}: {count(d['rows'])} records are kept as received; nothing is made of them yet."
        for d in unused
    ]
    refused = sum(r["n"] for r in facts.unread)
    if refused:
        notes.append(f"{count(refused)} files could not be read and were refused whole; ask for them again.")
    total, files = sum(r["num_in"] for r in flow), sum(d["files"] for d in facts.deliveries)
    lead = (
        f"{count(total)} records arrived in {count(files)} files. Accepted, repeated and set aside add up to what came in, "
        "for every delivery."
    )
    chart = Chart(
        "From each source to its status",
        charts.flow(links),
        "A flow diagram from sources to accepted, repeated, set aside.",
        table,
    )
    return Panel("came-in", "What came in, and what became of it", lead, [chart], notes=notes)


def customers(facts: Facts, primary: dict[str, str]) -> Panel:
    """Segments: sizes, typical customers, map."""
    if not facts.segments:
        return Panel(
            "customers", "Customers and segments", "There are too few customers with orders to tell groups of them."
        )
    rows, currency = facts.segments, facts.currency
    table = Table(
        [
            "Segment",
            "Customers",
            "Share of customers",
            "Share of revenue",
            "Orders",
            "Days since last order",
            "Spent so far",
            "Satisfaction",
        ],
        [
            [
                r["name"],
                count(r["num_customers"]),
                percent(r["customer_fraction"]),
                percent(r["revenue_fraction"]),
                count(r["median_num_orders"]),
                "–" if r["median_recency_days"] is None else count(r["median_recency_days"]),
                money(r["median_monetary"], currency),
                "–" if r["mean_satisfaction"] is None else f"{r['mean_satisfaction']:+.2f}",
            ]
            for r in rows
        ],
    )
    names = [r["name"] for r in rows]
    shares = {
        "share of customers": [100 * r["customer_fraction"] for r in rows],
        "share of revenue": [100 * r["revenue_fraction"] for r in rows],
    }
    sizes = Chart(
        "How many they are, and what they bring",
        charts.bars(names, shares, unit="per cent", number=".1f"),
        "Bars: each segment's share of customers and of revenue.",
        table,
    )
    clouds: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in names if any(p["name"] == name for p in facts.segment_map)
    }
    for point in facts.segment_map:
        clouds.setdefault(point["name"], ([], []))[0].append(point["x"])
        clouds[point["name"]][1].append(point["y"])
    where = Chart(
        "Map of the customers: near each other means alike",
        charts.scatter(clouds, x="buys more →", y="second difference →"),
        "Scatter: sampled customers by their first two principal components, coloured by segment.",
        Table(["Segment", "Customers drawn"], [[name, count(len(xs))] for name, (xs, _) in clouds.items()]),
    )
    lead = (
        "Groups of customers who buy alike, by how lately, how often and how much. The middle customer of each stands for it "
        "in the table."
    )
    return Panel(
        "customers",
        "Customers and segments",
        lead,
        [sizes, where],
        tables=[("The typical customer of each segment", table)],
    )


def voice(facts: Facts, primary: dict[str, str]) -> Panel:
    """What customers say, by source and over time, and how far it can be foreseen."""
    if not facts.texts:
        return Panel("voice", "What customers say", "There are no texts yet that a model has read.")
    colours = ["@good", "@bad", "@neutral"]
    sources = list(dict.fromkeys(r["source"] for r in facts.texts))
    by = {(r["source"], r["verdict"]): r["n"] for r in facts.texts}
    total = {s: sum(by.get((s, label), 0) for label in LABELS) for s in sources}
    shares = {words: [100 * by.get((s, label), 0) / total[s] for s in sources] for label, words in LABELS.items()}
    table = Table(
        ["Source", "Texts", *LABELS.values()],
        [[plain(s), count(total[s]), *(count(by.get((s, label), 0)) for label in LABELS)] for s in sources],
    )
    shown = [
        Chart(
            "Verdicts by source",
            charts.bars(
                [plain(s) for s in sources],
                shares,
                unit="per cent of texts",
                colours=colours,
                is_stacked=True,
                number=".0f",
            ),
            "Stacked bars: share of verdicts in each source.",
            table,
        )
    ]
    if facts.texts_by_month:
        months = sorted({r["month"] for r in facts.texts_by_month})[-24:]
        monthly = {(r["month"], r["verdict"]): r["n"] for r in facts.texts_by_month}
        series = {words: [float(monthly.get((m, label), 0)) for m in months] for label, words in LABELS.items()}
        over_time = Table(
            ["Month", *LABELS.values()], [[m, *(count(monthly.get((m, label), 0)) for label in LABELS)] for m in months]
        )
        shown.append(
            Chart(
                "Verdicts by month",
                charts.columns(months, series, unit="texts", colours=colours),
                "Stacked columns: texts a month by verdict.",
                over_time,
            )
        )
    return Panel("voice", "What customers say", _voice_lead(facts, sources), [*shown, *_gap_charts(facts)])


def _voice_lead(facts: Facts, sources: list[str]) -> str:
    return f"Every text from {len(sources)} source{'s' if len(sources) > 1 else ''} was read by the model and given one of three verdicts."


def _gap_charts(facts: Facts) -> list[Chart]:
    """The information gap by source and by segment."""
    made = []
    for dimension, title in (
        ("source", "Where the information gap is widest, by source"),
        ("segment", "The information gap by segment"),
    ):
        rows = [r for r in facts.metrics if r["metric"] == "information_gap" and r["slice"].startswith(f"{dimension}=")]
        slices = sorted({r["slice"] for r in rows})
        if not slices:
            continue
        bits = {(r["slice"], bool(r["is_baseline"])): r["value"] for r in rows}
        size = {r["slice"]: r["num_rows"] for r in rows}
        slices.sort(key=lambda s: -bits.get((s, False), 0.0))
        names = [plain(s.split("=", 1)[1]) if dimension == "source" else s.split("=", 1)[1] for s in slices]
        series = {
            "after reading": [bits.get((s, False), 0.0) for s in slices],
            "without reading": [bits.get((s, True), 0.0) for s in slices],
        }
        table = Table(
            [dimension.capitalize(), "Texts", "Bits after reading", "Bits without reading"],
            [
                [n, count(size[s]), f"{bits.get((s, False), 0):.3f}", f"{bits.get((s, True), 0):.3f}"]
                for n, s in zip(names, slices)
            ],
        )
        made.append(
            Chart(
                title,
                charts.bars(names, series, unit="bits a text", number=".2f", colours=["@c1", "@neutral"]),
                f"Bars: bits a text by {dimension}.",
                table,
            )
        )
    return made


def churn_and_value(facts: Facts, primary: dict[str, str]) -> Panel:
    """Who may leave, and what is at stake."""
    if not facts.risk:
        return Panel(
            "churn",
            "Who may leave, and what is at stake",
            "There is too little history of orders to predict who comes back.",
        )
    bands, risks = ["high", "medium", "low"], ["low", "medium", "high"]
    cell = {(r["value_band"], r["risk"]): r for r in facts.risk}
    stake = [[cell[(b, k)]["at_stake"] if (b, k) in cell else 0.0 for k in risks] for b in bands]
    texts = [
        [
            f"{count(cell[(b, k)]['n'])}<br>{money(cell[(b, k)]['at_stake'], facts.currency)}"
            if (b, k) in cell
            else "none"
            for k in risks
        ]
        for b in bands
    ]
    table = Table(
        ["Value", "Risk", "Customers", "Expected revenue", "At stake"],
        [
            [
                b,
                k,
                count(cell[(b, k)]["n"]),
                money(cell[(b, k)]["expected_revenue"], facts.currency),
                money(cell[(b, k)]["at_stake"], facts.currency),
            ]
            for b in bands
            for k in risks
            if (b, k) in cell
        ],
        numeric_from=2,
    )
    grid = Chart(
        "Customers and revenue at stake, by value and risk",
        charts.matrix([f"{b} value" for b in bands], [f"{k} risk" for k in risks], stake, texts, unit=""),
        "Shaded table: customers and revenue at stake for each value band and risk.",
        table,
    )
    names = [f"{5 * r['bucket']}–{5 * r['bucket'] + 5}%" for r in facts.churn_histogram]
    spread = Chart(
        f"How likely customers are not to buy in the next {facts.horizon_days} days",
        charts.columns(
            names,
            {"customers": [float(r["n"]) for r in facts.churn_histogram]},
            unit="customers",
            colours=["@c1"],
            height=260,
        ),
        "Columns: number of customers by probability of not buying.",
        Table(["Probability", "Customers"], [[n, count(r["n"])] for n, r in zip(names, facts.churn_histogram)]),
    )
    shown = [grid, spread]
    if facts.churn_reasons:
        why = [FEATURES.get(r["reason"], plain(r["reason"])) for r in facts.churn_reasons]
        numbers = [float(r["n"]) for r in facts.churn_reasons]
        shown.append(
            Chart(
                "What raises the risk most, among customers at risk",
                charts.bars(
                    why, {"customers": numbers}, unit="customers", colours=["@c1"], texts=[count(n) for n in numbers]
                ),
                "Bars: number of customers by the sign that raises their risk most.",
                Table(["Sign", "Customers"], [[w, count(n)] for w, n in zip(why, numbers)]),
            )
        )
    lead = (
        f"Expected revenue is what a customer will probably spend in the next {facts.horizon_days} days; at stake is the part "
        "that the risk of not coming back takes from it."
    )
    return Panel("churn", "Who may leave, and what is at stake", lead, shown)


def actions(facts: Facts, primary: dict[str, str], titles: dict[str, str]) -> Panel:
    """What to do, for how many, and who is left out to measure it."""
    chosen = [r for r in facts.actions if r["action"] != "none"]
    if not chosen:
        return Panel("actions", "What to do next", "No rule of the strategy applies to any customer.")
    names = [titles.get(r["action"], plain(r["action"])) for r in chosen]
    table = Table(
        ["Action", "Because", "Customers", "Withheld to measure", "Revenue at stake"],
        [
            [
                n,
                plain(r["reason"]).lower(),
                count(r["n"]),
                count(r["num_holdout"]),
                money(r["at_stake"], facts.currency),
            ]
            for n, r in zip(names, chosen)
        ],
        numeric_from=2,
    )
    series = {
        "gets the action": [float(r["n"] - r["num_holdout"]) for r in chosen],
        "withheld to measure the effect": [float(r["num_holdout"]) for r in chosen],
    }
    chart = Chart(
        "One action for each customer",
        charts.bars(names, series, unit="customers", is_stacked=True, colours=["@c1", "@neutral"]),
        "Stacked bars: customers by action.",
        table,
    )
    nobody = {r["reason"]: r["n"] for r in facts.actions if r["action"] == "none"}
    notes = []
    if nobody.get("no_consent"):
        notes.append(
            f"{count(nobody['no_consent'])} customers would get an action and are left alone because they refused contact."
        )
    if nobody.get("no_rule_applies"):
        notes.append(f"{count(nobody['no_rule_applies'])} customers need nothing now.")
    lead = (
        "Each customer gets the first action of the strategy that fits. A share, drawn at random, does not get it: the "
        "difference will show what it is worth."
    )
    tables = []
    if facts.offers:
        offered = [[r["name"] or r["product_id"], count(r["n"])] for r in facts.offers]
        tables.append(
            ("Products recommended most often (among the first three offers)", Table(["Product", "Customers"], offered))
        )
    return Panel("actions", "What to do next", lead, [chart], tables=tables, notes=notes)


_JUDGED = (
    ("churn_auc", "Telling leavers from stayers", "pairs put in the right order", True),
    ("churn_cross_entropy", "Churn: uncertainty left", "bits a customer, less is better", False),
    ("value_mean_absolute_error", "Revenue of a customer: mean error", "less is better", False),
    ("value_top_tenth_share", "Revenue found in the tenth predicted best", "share of all revenue", True),
    ("hit_rate_at_", "Offers: bought at least one", "share of customers who bought something new", True),
    ("macro_f1", "Reading texts: macro-F1", "mean over the three verdicts, 1 is perfect", True),
    ("accuracy", "Reading texts: accuracy", "share of texts read right", True),
    ("cross_entropy", "Reading texts: uncertainty left", "bits a text, less is better", False),
    ("campaign_response", "Response to campaigns", "contacted, against the hold-out", True),
)


def how_good(facts: Facts, primary: dict[str, str]) -> Panel:
    """Every model beside its baseline, on data it had not seen."""
    rows = []
    for prefix, title, remark, more_is_better in _JUDGED:
        found = [
            r
            for r in facts.metrics
            if r["slice"] == "all"
            and (r["metric"] == prefix or (prefix.endswith("_") and r["metric"].startswith(prefix)))
        ]
        ours = [r for r in found if not r["is_baseline"]]
        for guess in (r for r in found if r["is_baseline"]):
            for mine in ours[:1]:
                is_better = mine["value"] > guess["value"] if more_is_better else mine["value"] < guess["value"]
                rows.append(
                    [
                        title,
                        remark,
                        _figure(mine),
                        f"{_figure(guess)} ({MODELS.get(guess['model'], plain(guess['model']).lower())})",
                        "better" if is_better else "not better",
                        count(mine["num_rows"]),
                    ]
                )
    if not rows:
        return Panel("how-good", "How good are the predictions", "Nothing has been predicted yet.")
    table = Table(["What", "Measured as", "Ours", "Plain guess", "", "Measured on"], rows, numeric_from=2)
    won = sum(1 for row in rows if row[4] == "better")
    lead = (
        "Each was judged on what happened later, or on texts it had not seen, beside the plain guess anyone could make. "
        f"Ours is better in {won} of {len(rows)} comparisons."
    )
    return Panel("how-good", "How good are the predictions", lead, tables=[("Ours and the plain guess", table)])


def _figure(row: dict[str, Any]) -> str:
    unit, number = row["unit"], row["value"]
    if unit == "fraction":
        return f"{number:.3f}"
    if unit == "bits":
        return f"{number:.3f} bits"
    return money(number, unit) if len(unit) == 3 and unit.isupper() else f"{number:,.3f}"


def watch(facts: Facts, primary: dict[str, str]) -> Panel:
    """What moved since the last snapshot, and what ran."""
    moved = [r for r in facts.drift if r["psi"] > r["threshold"]]
    tables = []
    if facts.drift:
        shown = [
            [
                plain(r["feature"]),
                f"{r['psi']:.3f}",
                f"{r['threshold']:.3f}",
                "moved" if r["psi"] > r["threshold"] else "steady",
            ]
            for r in facts.drift
        ]
        tables.append(
            (
                "How far each figure moved since the snapshot before",
                Table(["Figure", "Change (PSI)", "Noticeable from", ""], shown),
            )
        )
    runs = [
        [plain(r["stage"]), r["status"], count(r["num_rows"]), f"{r['seconds']:.1f}", r["note"] or ""]
        for r in facts.runs
    ]
    tables.append(("What ran last", Table(["Stage", "Result", "Rows", "Seconds", "Said"], runs, numeric_from=2)))
    lead = (
        f"{len(moved)} of {len(facts.drift)} figures moved more than chance explains since the snapshot before."
        if facts.drift
        else "There is no earlier snapshot to compare with yet."
    )
    return Panel("watch", "What changed, and what ran", lead, tables=tables)


Maker = Callable[[Facts, dict[str, str]], Panel]
PANELS: tuple[Maker, ...] = (
    what_came_in,
    data_quality,
    customers,
    voice,
    topics,
    reading,
    churn_and_value,
    how_good,
    watch,
)
