"""What customers talk about, how it sounds, and which words speak for and against us."""

from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import count, plain

_TITLE = "What customers talk about"
_FOR, _AGAINST = "recommends", "does_not_recommend"


def topics(facts: Facts, primary: dict[str, str]) -> Panel:
    """Tone of aspects, tone over time, products that moved, words of each segment."""
    if not (facts.aspects or facts.tone_by_month):
        return Panel("topics", _TITLE, "There are not enough texts yet to tell what customers talk about.")
    shown = [*([_aspects(facts)] if facts.aspects else []), *([_over_time(facts)] if facts.tone_by_month else [])]
    lead = (
        "Tone is the probability that a text recommends us less the probability that it does not: +1 is all praise, -1 all "
        "blame. Of an aspect only the parts of a text that speak of it are read."
    )
    tables = []
    if facts.product_tone:
        tables.append(("Products whose tone fell or rose most", _products(facts)))
    if facts.segment_words:
        tables.append(("Words that speak for and against us, by segment", _words(facts)))
    return Panel("topics", _TITLE, lead, shown, tables=tables, notes=_notes(facts))


def _notes(facts: Facts) -> list[str]:
    notes = [f"Nothing is shown that fewer than {facts.least_customers} customers wrote about."]
    if facts.product_tone:
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
    names, tones = [plain(r["aspect"]) for r in rows], [r["tone"] for r in rows]
    table = Table(
        ["Aspect", "Texts", "Tone", "Standard error"],
        [[name, count(r["n"]), f"{r['tone']:+.2f}", _error(r["standard_error"])] for name, r in zip(names, rows)],
    )
    said = [f"{tone:+.2f}" for tone in tones]  # no longer: the bars of a phone are short
    return Chart(
        "How it sounds when customers speak of ...",
        charts.bars(names, {"tone": tones}, unit="tone", number="+.2f", colours=["@c1"], texts=said),
        "Bars: mean tone of each aspect, from -1 to 1.",
        table,
    )


def _over_time(facts: Facts) -> Chart:
    rows = facts.tone_by_month
    table = Table(
        ["Month", "Texts", "Tone", "Standard error"],
        [[r["month"], count(r["n"]), f"{r['tone']:+.2f}", _error(r["standard_error"])] for r in rows],
    )
    errors = [2 * (r["standard_error"] or 0.0) for r in rows]
    return Chart(
        "Tone of all texts by month",
        charts.trend([r["month"] for r in rows], [r["tone"] for r in rows], errors, unit="tone"),
        "Line: mean tone of the texts of each month, with two standard errors up and down.",
        table,
    )


def _products(facts: Facts) -> Table:
    return Table(
        ["Product", "Tone before", "Tone now", "Change", "Texts before", "Texts now"],
        [
            [
                r["name"] or r["product_id"],
                f"{r['before']:+.2f}",
                f"{r['now']:+.2f}",
                f"{r['change']:+.2f}",
                count(r["n_before"]),
                count(r["n_now"]),
            ]
            for r in facts.product_tone
        ],
    )


def _words(facts: Facts) -> Table:
    names = list(dict.fromkeys(r["name"] for r in facts.segment_words))
    said = {
        (name, label): ", ".join(
            f"{r['word']} ({r['mean_share']:+.2f})"
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
