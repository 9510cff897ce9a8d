"""Panel on topics in customer texts: sentiment by topic, month and product, words that drive the score."""

from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import count, counted, decimal, title_of

_TITLE = "Topics in customer feedback"
_POSITIVE, _NEGATIVE = "recommends", "does_not_recommend"


def topics(facts: Facts, primary: dict[str, str]) -> Panel:
    """Sentiment by topic, by month and by product; words that drive the score by segment."""
    if not (facts.aspects or facts.sentiment_by_month):
        return Panel("topics", _TITLE, _why_no_topics(facts))
    panel_charts = [
        *([_by_aspect(facts)] if facts.aspects else []),
        *([_by_month(facts)] if len(facts.sentiment_by_month) > 1 else []),  # one month is no development
    ]
    lead = "Sentiment ranges from -1 (customers do not recommend us) to +1 (customers recommend us)."
    if facts.aspects:
        lead += " The sentiment of a topic is based only on the sentences that mention it."
    tables = []
    if len(facts.sentiment_by_month) == 1:
        tables.append(("Sentiment of all texts by month", _months(facts)))
    if facts.product_sentiment:
        title = f"Products with the largest change in sentiment (last {facts.horizon_days} days against the {facts.horizon_days} before)"
        tables.append((title, _products(facts)))
    if facts.segment_words:
        tables.append(("Words that drive the score, by segment", _words(facts)))
    return Panel("topics", _TITLE, lead, panel_charts, tables=tables, notes=_notes(facts))


def _why_no_topics(facts: Facts) -> str:
    if not facts.texts:
        return "There are no classified customer texts yet."
    return f"No topic and no month has texts by at least {counted(facts.min_customers_per_cell, 'customer')} yet."


def _notes(facts: Facts) -> list[str]:
    minimum = facts.min_customers_per_cell
    notes = [f"Results that are based on fewer than {minimum} customers are not shown."] if minimum > 1 else []
    if facts.product_sentiment:
        notes.append("Products are listed only if the change in sentiment is larger than random variation explains.")
    if facts.segment_words:
        notes.append(
            "The number after a word is its average effect on the score of a text, measured on a sample of texts."
        )
    return notes


def _by_aspect(facts: Facts) -> Chart:
    rows = facts.aspects
    names, sentiments = [title_of(r["aspect"]) for r in rows], [r["sentiment"] for r in rows]
    table = Table(
        ["Topic", "Texts", "Sentiment (-1 to +1)", "Uncertainty (±)"],
        [[name, count(r["n"]), f"{r['sentiment']:+.2f}", _error(r["standard_error"])] for name, r in zip(names, rows)],
    )
    texts = [f"{sentiment:+.2f}" for sentiment in sentiments]  # short enough for the bars on a phone
    return Chart(
        "Sentiment by topic",
        charts.bars(names, {"sentiment": sentiments}, unit="sentiment", number="+.2f", colours=["@c1"], texts=texts),
        "Bar chart: average sentiment of each topic, from -1 to +1.",
        table,
    )


def _months(facts: Facts) -> Table:
    return Table(
        ["Month", "Texts", "Sentiment (-1 to +1)", "Uncertainty (±)"],
        [
            [r["month"], count(r["n"]), f"{r['sentiment']:+.2f}", _error(r["standard_error"])]
            for r in facts.sentiment_by_month
        ],
    )


def _by_month(facts: Facts) -> Chart:
    rows = facts.sentiment_by_month
    errors = [2 * (r["standard_error"] or 0.0) for r in rows]
    return Chart(
        "Sentiment of all texts by month",
        charts.trend([r["month"] for r in rows], [r["sentiment"] for r in rows], errors, unit="sentiment"),
        "Line chart: average sentiment of the texts of each month, with its range of uncertainty.",
        _months(facts),
    )


def _products(facts: Facts) -> Table:
    return Table(
        ["Product", "Sentiment before", "Sentiment now", "Change", "Texts before", "Texts now"],
        [
            [
                r["name"] or r["product_id"],
                f"{r['before']:+.2f}",
                f"{r['now']:+.2f}",
                f"{r['change']:+.2f}",
                count(r["n_before"]),
                count(r["n_now"]),
            ]
            for r in facts.product_sentiment
        ],
    )


def _words(facts: Facts) -> Table:
    names = list(dict.fromkeys(r["name"] for r in facts.segment_words))
    cells = {
        (name, label): ", ".join(
            f"{r['word']} ({r['mean_attribution']:+.2f})"
            for r in facts.segment_words
            if (r["name"], r["label"]) == (name, label)
        )
        for name in names
        for label in (_POSITIVE, _NEGATIVE)
    }
    rows = [[name, cells[name, _POSITIVE] or "–", cells[name, _NEGATIVE] or "–"] for name in names]
    return Table(["Segment", "Words in positive texts", "Words in negative texts"], rows, numeric_from=3)


def _error(value: float | None) -> str:
    return decimal(value, 2)
