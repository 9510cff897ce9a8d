"""A worker's life: reads a hundred batches and then one of a hundred megabytes, and says what memory that took.

`python tests/support/scored_batches.py MODEL ENGINE`; prints JSON, all memory in MB.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from crm_spark.stages.score import scorer
from crm_spark.stages.score.config import ScoreConfig


def memory_mb():
    return psutil.Process().memory_info().rss / 1e6


def peak():
    """The most that was held since the last call of `forget_peak`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


def batches(count, memory_after):
    draw = np.random.default_rng(1)
    for number in range(count):
        texts = [" ".join(draw.choice(["fine", "broken", "shirt", "late"], 1 + n % 60)) for n in range(200)]
        yield pd.DataFrame({"text_hash": [f"{number}-{n}" for n in range(200)], "text": texts})
        memory_after.append(memory_mb())


def main(folder, engine):
    loads, load = [], scorer.load
    scorer.load = lambda *given: loads.append(1) or load(*given)
    recipe = scorer.make_scorer(folder, ScoreConfig(engine=engine, precision="fp32", window_rows=200))
    memory_after = []
    num_rows = sum(len(frame) for frame in recipe(batches(110, memory_after)))
    before = memory_mb()
    big = pd.DataFrame({"text_hash": [str(n) for n in range(100)], "text": ["word " * 200_000] * 100})
    big["text"] = [f"{n} {text}" for n, text in enumerate(big["text"])]
    texts = memory_mb() - before
    forget_peak()
    before_big = memory_mb()
    num_big = sum(len(frame) for frame in recipe(iter([big])))
    grown = peak() - before_big
    print(
        json.dumps(
            {
                "loads": len(loads),
                "rows": num_rows,
                "grown_over_100_batches": memory_after[-1] - memory_after[9],
                "big_rows": num_big,
                "texts": texts,
                "grown_over_a_big_batch": grown,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
