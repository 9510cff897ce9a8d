"""Panels for model owners: prediction quality against baselines, drift and job runs."""

from typing import Any

from crm_spark.core.context import SKIPPED
from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.missing import PANEL_OF_STAGE, note_of
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import BASELINES, count, counted, decimal, is_known, money, percent, title_of

_COMPARISONS = (
    ("churn_auc", "Churn", "AUC (higher is better)", True),
    ("churn_cross_entropy", "Churn", "cross-entropy per customer (lower is better)", False),
    ("value_mean_absolute_error", "Expected revenue", "mean absolute error per customer (lower is better)", False),
    ("value_top_tenth_share", "Expected revenue", "share of revenue in the top predicted 10% (higher is better)", True),
    ("hit_rate_at_", "Recommendations", "hit rate among customers with a new purchase (higher is better)", True),
    ("macro_f1", "Text labels", "macro-F1 (higher is better)", True),
    ("accuracy", "Text labels", "accuracy (higher is better)", True),
    ("cross_entropy", "Text labels", "cross-entropy per text (lower is better)", False),
)
"""Metric or its prefix, prediction, measure, and whether a higher value is better."""


def prediction_quality(facts: Facts, primary: dict[str, str]) -> Panel:
    """Every model compared with its baselines on data that was not used for training."""
    title = "Prediction quality"
    rows = [row for comparison in _COMPARISONS for row in _compare(facts, *comparison)]
    gap_charts, campaigns = _information_gap_charts(facts), _campaigns(facts)
    if not rows and not gap_charts:
        return Panel("prediction-quality", title, "No predictions have been evaluated yet.", tables=campaigns)
    lead = "Each model was evaluated on data that was not used to train it."
    if not rows:
        return Panel("prediction-quality", title, lead, gap_charts, tables=campaigns)
    table = Table(["Prediction", "Measure", "Model", "Baseline", "Result", "Rows"], rows, numeric_from=2)
    num_better = sum(1 for row in rows if row[4] == "better")
    result = f"in {num_better} of {counted(len(rows), 'comparison')}" if num_better else "in no comparison"
    lead += f" Compared with simple baselines, the model is better {result}."
    tables = [("Models compared with baselines", table), *campaigns]
    return Panel("prediction-quality", title, lead, gap_charts, tables=tables)


def _campaigns(facts: Facts) -> list[tuple[str, Table]]:
    """Return the response rates of contacted customers and of the control group."""
    rows = [r for r in facts.metrics if r["metric"] == "campaign_response" and r["slice"] == "all"]
    rows.sort(key=lambda row: row["is_baseline"])
    cells = [
        ["control group" if r["is_baseline"] else "contacted", percent(r["value"], 1), count(r["num_rows"])]
        for r in rows
    ]
    title = "Response to campaigns: customers contacted in a campaign, and control groups"
    return [(title, Table(["Group", "Response rate", "Customers"], cells))] if cells else []


def _compare(facts: Facts, prefix: str, prediction: str, measure: str, higher_is_better: bool) -> list[list[str]]:
    """Return one table row per baseline of a metric."""
    matches = [
        r
        for r in facts.metrics
        if r["slice"] == "all" and (r["metric"] == prefix or (prefix.endswith("_") and r["metric"].startswith(prefix)))
    ]
    matches = [r for r in matches if is_known(r["value"]) and r["num_rows"] > 1]  # one row is no evidence
    model = next((r for r in matches if not r["is_baseline"]), None)
    if model is None:
        return []
    rows = []
    for baseline in (r for r in matches if r["is_baseline"]):
        difference = model["value"] - baseline["value"]
        is_better = difference > 0 if higher_is_better else difference < 0
        name = BASELINES.get(baseline["model"], title_of(baseline["model"]).lower()).format(**facts.words.model_dump())
        rows.append(
            [
                prediction,
                measure,
                _figure(model),
                f"{_figure(baseline)} ({name})",
                "better" if is_better else "not better",
                count(model["num_rows"]),
            ]
        )
    return rows


def _figure(row: dict[str, Any]) -> str:
    unit, number = row["unit"], row["value"]
    if unit == "fraction":
        return f"{number:.3f}"
    if unit == "bits":
        return f"{number:.3f} bits"
    return money(number, unit) if len(unit) == 3 and unit.isupper() else f"{number:,.3f}"


def _information_gap_charts(facts: Facts) -> list[Chart]:
    """Return the information gap by source and by segment, largest gap first."""
    gap_charts = []
    for dimension in ("source", "segment"):
        rows = [r for r in facts.metrics if r["metric"] == "information_gap" and r["slice"].startswith(f"{dimension}=")]
        slices = sorted({r["slice"] for r in rows})
        if not slices:
            continue
        bits = {(r["slice"], bool(r["is_baseline"])): r["value"] for r in rows}
        size = {r["slice"]: r["num_rows"] for r in rows}
        slices.sort(key=lambda s: -(bits.get((s, False)) or 0.0))
        values = [s.split("=", 1)[1] for s in slices]
        names = [title_of(v) for v in values] if dimension == "source" else values
        series = {
            "text model": [bits.get((s, False)) for s in slices],
            "class prior": [bits.get((s, True)) for s in slices],
        }
        table = Table(
            [dimension.capitalize(), "Texts", "Text model (bits per text)", "Class prior (bits per text)"],
            [
                [n, count(size[s]), decimal(bits.get((s, False))), decimal(bits.get((s, True)))]
                for n, s in zip(names, slices)
            ],
        )
        gap_charts.append(
            Chart(
                f"Information gap by {dimension}",
                charts.bars(names, series, unit="bits per text", number=".2f", colours=["@c1", "@neutral"]),
                f"Bar chart: information gap in bits per text by {dimension}, for the text model and the class prior.",
                table,
            )
        )
    return gap_charts


def monitoring(facts: Facts, primary: dict[str, str]) -> Panel:
    """Feature drift since the previous snapshot, and the latest run of each stage."""
    tables = [*_drift_table(facts), *_run_table(facts)]
    return Panel("monitoring", "Monitoring", _drift_lead(facts), tables=tables)


def _drift_lead(facts: Facts) -> str:
    if not facts.drift:
        note = note_of(facts, "monitor")
        # A summary of drift belongs to a run of another day; only the sentence about missing data explains the gap.
        return f"{note[0].upper()}{note[1:]}." if " needs " in note else "Feature drift has not been measured yet."
    num, num_drifted = len(facts.drift), sum(1 for r in facts.drift if r["psi"] > r["threshold"])
    if not num_drifted:
        return "No customer feature drifted since the previous snapshot."
    return (
        f"{num_drifted} of {counted(num, 'customer feature')} drifted since the previous snapshot: the population stability "
        "index (PSI) is above the threshold."
    )


def _drift_table(facts: Facts) -> list[tuple[str, Table]]:
    rows = [
        [
            title_of(r["feature"]),
            f"{r['psi']:.3f}",
            f"{r['threshold']:.3f}",
            "drifted" if r["psi"] > r["threshold"] else "stable",
        ]
        for r in facts.drift
    ]
    title = "Feature drift since the previous snapshot"
    return [(title, Table(["Feature", "PSI", "Threshold", "Status"], rows))] if rows else []


def _run_table(facts: Facts) -> list[tuple[str, Table]]:
    rows = [
        [title_of(r["stage"]), r["status"], count(r["num_rows"]), f"{r['seconds']:.1f}", _details(facts, r)]
        for r in facts.runs
    ]
    header = ["Stage", "Status", "Rows", "Seconds", "Details"]
    return [("Latest run of each stage", Table(header, rows, numeric_from=2))] if rows else []


def _details(facts: Facts, run: dict[str, Any]) -> str:
    """Return the note of a run; what the panels state already is not repeated."""
    if run["status"] == SKIPPED and run["stage"] in PANEL_OF_STAGE:
        return f"see {PANEL_OF_STAGE[run['stage']]}"
    if run["stage"] == "monitor" and not facts.drift and " needs " in (run["note"] or ""):
        return "see above"
    return run["note"] or ""
