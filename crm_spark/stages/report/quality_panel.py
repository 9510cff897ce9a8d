"""Panel on data quality: quarantined records, findings in accepted records, released records, newest events."""

from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.findings import most_frequent, quarantined_by_reason
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import TREATMENTS, count, counted, reason_of, title_of


def data_quality(facts: Facts, primary: dict[str, str]) -> Panel:
    """Reasons for quarantine, with further quality tables below."""
    title = "Data quality"
    quarantined = [r for r in facts.reasons if r["status"] == "quarantined"]
    tables, notes = _tables(facts), _notes(facts)
    if not quarantined:
        lead = "No records are quarantined." if facts.flow else "No records have arrived yet."
        return Panel("quality", title, lead, tables=tables, notes=notes)
    by_reason = quarantined_by_reason(facts)
    ordered = sorted(by_reason.items(), key=lambda item: -item[1])[:10]
    names = [reason_of(code) for code, _ in ordered]
    numbers = [float(n) for _, n in ordered]
    table = Table(
        ["Source", "Entity", "Reason", "Example (file, record)", "Records"],
        [
            [
                title_of(r["source"]),
                title_of(r["entity"]),
                reason_of(r["reason"]),
                f"{r['file']}, {r['position']}",
                count(r["n"]),
            ]
            for r in quarantined
        ],
        numeric_from=4,
    )
    chart = Chart(
        "Quarantined records by reason",
        charts.bars(names, {"records": numbers}, unit="records", colours=["@bad"], texts=[count(n) for n in numbers]),
        "Bar chart: number of quarantined records for each reason.",
        table,
    )
    lead = (
        f"{_most_frequent_reason(by_reason)}Quarantined records are stored; they can be processed again once the source or the "
        "rule has been corrected."
    )
    return Panel("quality", title, lead, [chart], tables=tables, notes=notes)


def _most_frequent_reason(by_reason: dict[str, int]) -> str:
    if len(by_reason) == 1:
        return f"Reason for quarantine: {reason_of(next(iter(by_reason)))}. "
    top = most_frequent(by_reason)
    return f"Most frequent reason for quarantine: {reason_of(top)}. " if top else ""


def _tables(facts: Facts) -> list[tuple[str, Table]]:
    """Return the quality tables that have rows."""
    by_day = [
        [str(r["day"]), title_of(r["source"]), reason_of(r["reason"]), f"{r['file']}, {r['position']}", count(r["n"])]
        for r in facts.quarantined_by_day
    ]
    accepted = [
        [
            title_of(r["source"]),
            f"{title_of(r['entity'])}: {title_of(r['column']).lower()}",
            TREATMENTS.get(r["severity"]) or title_of(r["severity"]).lower(),
            reason_of(r["code"]),
            f"{r['file']}, {r['position']}",
            count(r["n"]),
        ]
        for r in facts.findings_in_accepted
    ]
    released = [
        [
            str(r["day"]),
            r["released_by"],
            title_of(r["source"]),
            ", ".join(reason_of(code) for code in r["reason"].split(", ")),
            f"{r['rules_before'][:8]} → {r['rules'][:8]}",
            count(r["n"]),
        ]
        for r in facts.released
    ]
    superseded = [
        [title_of(r["source"]), title_of(r["entity"]), title_of(r["by_source"]), count(r["n"])]
        for r in facts.superseded
    ]
    rejected = [[title_of(r["source"]), reason_of(r["reason"]), r["file"], count(r["n"])] for r in facts.rejected_files]
    newest = [
        [title_of(r["source"]), title_of(r["entity"]), r["last_event_at"].strftime("%Y-%m-%d %H:%M")]
        for r in facts.flow
        if r["last_event_at"] is not None
    ]
    tables = (
        (
            "Quarantined records by day of arrival",
            ["Day", "Source", "Reason", "Example (file, record)", "Records"],
            by_day,
            4,
        ),
        (
            "Findings in accepted records",
            ["Source", "Field", "Treatment", "Finding", "Example (file, record)", "Records"],
            accepted,
            5,
        ),
        (
            "Records released from quarantine",
            ["Day", "Released by", "Source", "Reason for quarantine", "Rules version", "Records"],
            released,
            5,
        ),
        (
            "Accepted records replaced by a newer version",
            ["Source", "Entity", "Source of the newer version", "Records"],
            superseded,
            3,
        ),
        ("Rejected files", ["Source", "Reason", "Example", "Files"], rejected, 3),
        (f"Newest event by source ({facts.time_zone})", ["Source", "Entity", "Newest event"], newest, 3),
    )
    return [(title, Table(header, rows, numeric_from=numeric)) for title, header, rows, numeric in tables if rows]


def _notes(facts: Facts) -> list[str]:
    return [
        f"{title_of(r['source'])}, {title_of(r['entity']).lower()}: {reason_of(r['code'])} "
        f"({counted(r['n'], 'delivery', 'deliveries')})."
        for r in facts.warnings
    ]
