"""Numbers of tasks follow the cluster's size."""

from types import SimpleNamespace

import pytest

from crm_spark.core.parallelism import num_tasks, num_training_workers


def cluster(cores):
    return SimpleNamespace(sparkContext=SimpleNamespace(defaultParallelism=cores))


@pytest.mark.parametrize(("cores", "tasks"), [(1, 4), (2, 4), (8, 16), (200, 400)])
def test_two_tasks_per_core_and_at_least_four(cores, tasks):
    assert num_tasks(cluster(cores)) == tasks


@pytest.mark.parametrize(
    ("cores", "rows", "workers"),
    [(2, 5_000, 1), (2, 10_000_000, 1), (16, 1_000_000, 1), (16, 1_000_001, 2), (16, 10**8, 8)],
)
def test_one_training_worker_per_million_rows_on_at_most_half_of_the_cores(cores, rows, workers):
    assert num_training_workers(cluster(cores), rows) == workers
