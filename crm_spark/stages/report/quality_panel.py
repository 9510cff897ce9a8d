"""The panel on data quality: why records were set aside, what was noted, what came back, how fresh the sources are."""

from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import NOTED, QUARANTINE, count, plain


def data_quality(facts: Facts, primary: dict[str, str]) -> Panel:
    """Why records were set aside, and how fresh the sources are."""
    bad = [r for r in facts.reasons if r["status"] == "quarantined"]
    by_reason: dict[str, int] = {}
    for row in bad:
        by_reason[row["reason"]] = by_reason.get(row["reason"], 0) + row["n"]
    ordered = sorted(by_reason.items(), key=lambda item: -item[1])[:10]
    names = [QUARANTINE.get(code) or plain(code) for code, _ in ordered]
    numbers = [float(n) for _, n in ordered]
    table = Table(
        ["Source", "Entity", "Reason", "Example: file, record", "Records"],
        [
            [
                plain(r["source"]),
                plain(r["entity"]),
                QUARANTINE.get(r["reason"]) or plain(r["reason"]),
                f"{r['file']}, {r['position']}",
                count(r["n"]),
            ]
            for r in bad
        ],
        numeric_from=4,
    )
    beside, notes = _quality_tables(facts), _quality_notes(facts)
    if not bad:
        return Panel("quality", "Data quality", "No record had to be set aside.", tables=beside, notes=notes)
    chart = Chart(
        "Why records were set aside",
        charts.bars(names, {"records": numbers}, unit="records", colours=["@bad"], texts=[count(n) for n in numbers]),
        "Bars: number of records set aside for each reason.",
        table,
    )
    lead = (
        f"{names[0].capitalize()} is the most frequent reason. A record that was set aside is not lost: "
        "mend the rule or the source and it comes back."
    )
    return Panel("quality", "Data quality", lead, [chart], tables=beside, notes=notes)


def _quality_tables(facts: Facts) -> list[tuple[str, Table]]:
    """Those that have rows: set aside by day, noted and kept, come back, files not read, newest events."""

    def reason(code: str) -> str:
        return QUARANTINE.get(code) or plain(code)

    by_day = [
        [str(r["day"]), plain(r["source"]), reason(r["reason"]), f"{r['file']}, {r['position']}", count(r["n"])]
        for r in facts.quarantined_by_day
    ]
    noted = [
        [
            plain(r["source"]),
            f"{plain(r['entity'])}: {plain(r['column']).lower()}",
            NOTED.get(r["severity"]) or plain(r["severity"]),
            reason(r["code"]),
            f"{r['file']}, {r['position']}",
            count(r["n"]),
        ]
        for r in facts.noted
    ]
    back = [
        [str(r["day"]), r["released_by"], plain(r["source"]), ", ".join(reason(c) for c in r["reason"].split(", ")),
         f"{r['rules_before'][:8]} → {r['rules'][:8]}", count(r["n"])]
        for r in facts.came_back
    ]  # fmt: skip
    gave_way = [[plain(r["source"]), plain(r["entity"]), plain(r["by_source"]), count(r["n"])] for r in facts.gave_way]
    unread = [[plain(r["source"]), reason(r["reason"]), r["file"], count(r["n"])] for r in facts.unread]
    fresh = [
        [plain(r["source"]), plain(r["entity"]), r["last_event_at"].strftime("%Y-%m-%d %H:%M")]
        for r in facts.flow
        if r["last_event_at"] is not None
    ]
    tables = (
        ("Set aside, by day of arrival", ["Day", "Source", "Reason", "Example: file, record", "Records"], by_day, 4),
        (
            "Noted in records that stayed",
            ["Source", "What", "What follows", "Finding", "Example: file, record", "Records"],
            noted,
            5,
        ),
        (
            "Came back after something was mended",
            ["Day", "By", "Source", "Had been set aside for", "Rules", "Records"],
            back,
            5,
        ),
        ("Gave way to a newer version since", ["Source", "Entity", "Newer one from", "Records"], gave_way, 3),
        ("Files that could not be read", ["Source", "Reason", "Example", "Files"], unread, 3),
        ("Newest event by source", ["Source", "Entity", "Newest event"], fresh, 3),
    )
    return [(title, Table(header, rows, numeric_from=numeric)) for title, header, rows, numeric in tables if rows]


def _quality_notes(facts: Facts) -> list[str]:
    return [
        f"{plain(r['source'])}, {plain(r['entity']).lower()}: {QUARANTINE.get(r['code']) or plain(r['code']).lower()} "
        f"({count(r['n'])} {'delivery' if r['n'] == 1 else 'deliveries'})."
        for r in facts.warnings
    ]
