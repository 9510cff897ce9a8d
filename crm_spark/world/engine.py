"""Run generation tasks with Spark. A task is a deterministic function of the specification and its block."""

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from crm_spark.world.dirt import with_faults
from crm_spark.world.files import write_file
from crm_spark.world.identities import crm_contacts, shop_accounts
from crm_spark.world.interactions import campaign_files, shop_reviews, support_tickets, survey_answers, web_events
from crm_spark.world.people import people
from crm_spark.world.plan import Task
from crm_spark.world.records import Row, SourceFile
from crm_spark.world.sales import marketplace_orders, products, shop_orders
from crm_spark.world.spec import WorldSpec
from crm_spark.world.truth import campaign_truth, customer_truth, person_truth, shift_truth, write_truth


def run_task(spec: WorldSpec, task: Task, out: str) -> list[tuple[str, int, int]]:
    """Write the files of a task and their ground truth; return (source, records, bytes) per file."""
    crowd, days = people(spec, task.block), range(task.first, task.last)
    tickets, ticket_truth = support_tickets(spec, crowd, days)
    reviews, review_truth = shop_reviews(spec, crowd, days)
    surveys, survey_truth = survey_answers(spec, crowd, days)
    files: list[SourceFile] = [
        crm_contacts(spec, crowd, days),
        shop_accounts(spec, crowd, days),
        *shop_orders(spec, crowd, days),
        marketplace_orders(spec, crowd, days),
        tickets,
        reviews,
        surveys,
        web_events(spec, crowd, days),
        *campaign_files(spec, crowd, days),
    ]
    if task.drop == 0 and task.block == 0:
        files.append(products(spec))
    written, dirty = [], []
    for file in files:
        records, planted = with_faults(spec, file)
        if not records:
            continue
        name = f"{file.source}-{task.block:04d}.{file.format}"
        num_bytes = write_file(file, records, Path(out) / "drops" / task.folder / name)
        written.append((file.source, len(records), num_bytes))
        dirty += [
            {"source": file.source, "file": f"{task.folder}/{name}", "position": number, "reason": reason}
            for number, reason in planted
        ]
    texts = [*ticket_truth, *review_truth, *survey_truth]
    _write_truths(spec, task, Path(out) / "truth", dirty, texts, campaign_truth(spec, crowd, days))
    if task.drop == 0:
        place = f"{task.block:04d}"
        write_truth(person_truth(spec, crowd), Path(out) / "truth", "person", place)
        write_truth(customer_truth(spec, crowd), Path(out) / "truth", "customer", place)
    return written


def _write_truths(
    spec: WorldSpec, task: Task, folder: Path, dirty: list[Row], texts: list[Row], campaigns: list[Row]
) -> None:
    place = f"{task.folder}-{task.block:04d}"
    for table, rows in (("dirty_row", dirty), ("text", texts), ("campaign_effect", campaigns)):
        write_truth(rows, folder, table, place)
    if task.drop == 0 and task.block == 0:
        write_truth(shift_truth(spec), folder, "shift", "0000")


def generate(spark: SparkSession, spec: WorldSpec, tasks: list[Task], out: str) -> dict[str, tuple[int, int]]:
    """Run all tasks; return (records, bytes) by source. `out` must be writable from every node."""
    content: dict[str, Any] = spec.model_dump()

    def work(task: Task) -> list[tuple[str, int, int]]:
        return run_task(WorldSpec(**content), task, out)

    # One partition per task; the plan starts with the history blocks, which are the largest.
    sizes = spark.sparkContext.parallelize(tasks, len(tasks)).flatMap(work).collect()
    totals: dict[str, tuple[int, int]] = {}
    for source, num_records, num_bytes in sizes:
        records, size = totals.get(source, (0, 0))
        totals[source] = (records + num_records, size + num_bytes)
    return dict(sorted(totals.items()))
