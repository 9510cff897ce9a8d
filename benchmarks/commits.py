"""Cost of a small write as the table ages: 500 batches to one table, seconds per write in windows of 50."""

import argparse
import shutil
import statistics
import time

from benchmarks.figures import OUT, Figure
from crm_spark.contracts.types import LONG, STRING
from crm_spark.core.contract import TableContract, required
from crm_spark.core.session import SessionConfig, build_session
from crm_spark.core.tables import TableStore

NUM_BATCHES, WINDOW = 500, 50
NIGHT = TableContract(
    "ops.night", ("night",), (required("night", STRING, "Night."), required("num_rows", LONG, "Rows.")), "A night."
)


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Append and merge in turns, as a refresh does, and compare the last window with the second."""
    lake = OUT / "commits"
    shutil.rmtree(lake, ignore_errors=True)
    spark = build_session(
        SessionConfig(master="local[2,4]", driver_memory="2g", shuffle_partitions=2), app_name="commits"
    )
    store = TableStore(spark, str(lake))
    seconds, figures = [], []
    for number in range(NUM_BATCHES):
        frame = spark.createDataFrame([(f"n{number}", number)], NIGHT.schema)
        write = store.append if number % 2 else store.merge
        started = time.monotonic()
        write(NIGHT, frame, batch_id=f"night {number}", digest=str(number), is_unique=True)
        seconds.append(time.monotonic() - started)
        if (number + 1) % WINDOW == 0:
            median = statistics.median(seconds[-WINDOW:])
            known = store.state(NIGHT).num_known_transactions
            label = f"writes {number + 2 - WINDOW} to {number + 1}"
            figures.append(Figure(f"{label}: median", median, "seconds"))
            figures.append(Figure(f"{label}: slowest", max(seconds[-WINDOW:]), "seconds"))
            figures.append(Figure(f"{label}: batch ids in the checksum file", float(known or 0), "ids"))
            print(label, round(median, 2), known, flush=True)
    second, last = (statistics.median(seconds[i : i + WINDOW]) for i in (WINDOW, NUM_BATCHES - WINDOW))
    figures.append(Figure("last window over the second", last / second, "ratio", "<= 1.2"))
    spark.stop()
    return figures
