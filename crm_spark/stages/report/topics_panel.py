"""What customers talk about, how it sounds, and which words speak for and against us."""

from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import count, plain

_TITLE = "What customers talk about"
_FOR, _AGAINST = "recommends", "does_not_recommend"


def topics(facts: Facts, primary: dict[str, str]) -> Panel:
    """Sentiment of aspects, sentiment over time, products that moved, words of each segment."""
    if not (facts.aspects or facts.sentiment_by_month):
        return Panel("topics", _TITLE, "There are not enough texts yet to tell what customers talk about.")
    shown = [*([_aspects(facts)] if facts.aspects else []), *([_over_time(facts)] if facts.sentiment_by_month else [])]
    lead = (
        "Sentiment is the probability that a text recommends us less the probability that it does not: +1 is all praise, -1 all "
        "blame. Of an aspect only the parts of a text that speak of it are read."
    )
    tables = []
    if facts.product_sentiment:
        tables.append(("Products whose sentiment fell or rose most", _products(facts)))
    if facts.segment_words:
        tables.append(("Words that speak for and against us, by segment", _words(facts)))
    return Panel("topics", _TITLE, lead, shown, tables=tables, notes=_notes(facts))


def _notes(facts: Facts) -> list[str]:
    notes = [f"Nothing is shown that fewer than {facts.min_customers_per_cell} customers wrote about."]
    if facts.product_sentiment:
        notes.append(
            f"Products are compared over the last {facts.horizon_days} days and as many before; only changes of more than "
            "two standard errors are listed."
        )
    if facts.segment_words:
        notes.append(
            "Behind a word stands what it adds, in the mean over a sample of texts, to the logit of their verdict "
            "(integrated gradients)."
        )
    return notes


def _aspects(facts: Facts) -> Chart:
    rows = facts.aspects
    names, sentiments = [plain(r["aspect"]) for r in rows], [r["sentiment"] for r in rows]
    table = Table(
        ["Aspect", "Texts", "Sentiment", "Standard error"],
        [[name, count(r["n"]), f"{r['sentiment']:+.2f}", _error(r["standard_error"])] for name, r in zip(names, rows)],
    )
    said = [f"{sentiment:+.2f}" for sentiment in sentiments]  # no longer: the bars of a phone are short
    return Chart(
        "How it sounds when customers speak of ...",
        charts.bars(names, {"sentiment": sentiments}, unit="sentiment", number="+.2f", colours=["@c1"], texts=said),
        "Bars: mean sentiment of each aspect, from -1 to 1.",
        table,
    )


def _over_time(facts: Facts) -> Chart:
    rows = facts.sentiment_by_month
    table = Table(
        ["Month", "Texts", "Sentiment", "Standard error"],
        [[r["month"], count(r["n"]), f"{r['sentiment']:+.2f}", _error(r["standard_error"])] for r in rows],
    )
    errors = [2 * (r["standard_error"] or 0.0) for r in rows]
    return Chart(
        "Sentiment of all texts by month",
        charts.trend([r["month"] for r in rows], [r["sentiment"] for r in rows], errors, unit="sentiment"),
        "Line: mean sentiment of the texts of each month, with two standard errors up and down.",
        table,
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
    said = {
        (name, label): ", ".join(
            f"{r['word']} ({r['mean_attribution']:+.2f})"
            for r in facts.segment_words
            if (r["name"], r["label"]) == (name, label)
        )
        for name in names
        for label in (_FOR, _AGAINST)
    }
    rows = [[name, said[name, _FOR] or "–", said[name, _AGAINST] or "–"] for name in names]
    return Table(["Segment", "For us", "Against us"], rows, numeric_from=3)


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
