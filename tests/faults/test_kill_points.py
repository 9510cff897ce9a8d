"""SIGKILL at six named points of each of the thirteen stages: 78 kills of one lake, which ends like one that nothing disturbed."""

import signal
import subprocess
from pathlib import Path

import pytest
from support.company import lay_out
from support.crash_test_job import POINTS, READ_BY
from support.crash_testing import as_arguments, content, finish, ledger, left_behind
from support.jobs import start_script
from support.refreshed import FAST, ROOT, files_of, generate_company, settings_for

from crm_spark.contracts.ops import DELIVERY
from crm_spark.pipeline import STAGES

SETTINGS = [
    *FAST,
    # As the session of the tests: sums of doubles differ in the last digit with the number of partitions.
    "session.shuffle_partitions=2",
]


def killed_at(stage, point, *arguments):
    """The stage's job, killed there: its exit code, what it said and what went wrong."""
    process = start_script("tests/support/crash_test_job.py", stage, point, *arguments, stdout=subprocess.PIPE)
    output, errors = process.communicate(timeout=900)
    return process.returncode, output, errors


def files(lake):
    """What is no table, by name: with its content where nothing in it tells one run from another."""
    contents = dict.fromkeys(files_of(lake / "files"))
    for name in contents:
        if name.endswith(("manifest.json", "registry.json", "findings.json", "model.json", "shards/current")):
            contents[name] = (lake / "files" / name).read_text()
    return contents


def differing(one, other):
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_kills_at_each_point_of_each_stage_do_not_change_the_tables(spark, tmp_path):
    company, whole, lake = tmp_path / "company", tmp_path / "whole", tmp_path / "killed"
    generate_company(spark, company)
    conf, overrides = ROOT / "conf" / "demo.yaml", [f"ingest.data_dir={company / 'drops'}", *SETTINGS]
    arguments = ["--conf", conf, "--lake", lake, *as_arguments(overrides)]
    sources, num_kills, faults = Path(settings_for(company).ingest.sources_dir), 0, []
    for stage in STAGES:
        assert finish(conf, whole, overrides, (stage,))[stage].status == "done", f"{stage} has nothing to do"
        for point in POINTS:
            code, output, errors = killed_at(stage, point, *arguments)
            num_kills += code == -signal.SIGKILL
            if code != -signal.SIGKILL:
                faults.append(f"{stage} ended before {point}: {errors[-2000:]}")
            elif point == "data_files" and stage not in READ_BY and output.strip() not in left_behind(lake):
                faults.append(f"{stage}: the kill came after the commit")
        if finish(conf, lake, overrides, (stage,))[stage].status not in ("up_to_date", "no_new_input"):
            faults.append(f"{stage} ran again though the ledger has it")
        if ledger(spark, lake) != ledger(spark, whole):
            faults.append(f"{stage}: the ledger differs")
        tables = [content(spark, which, sources, DELIVERY) for which in (lake, whole)]
        faults += [f"{stage}: {name} differs" for name in [*differing(*tables), *differing(files(lake), files(whole))]]
        print(stage, num_kills, faults, flush=True)
    assert faults == []
    assert num_kills == 78


@pytest.mark.slow
@pytest.mark.parametrize("point", ["read", "commit"])
def test_job_that_does_not_reach_its_point_is_not_killed(tmp_path, point):
    """The negative control: nothing to train from is no kill in training."""
    conf = lay_out(tmp_path)
    code, _, errors = killed_at("train", point, "--conf", conf, "--lake", tmp_path / "lake", "--as-of", "2025-01-31")
    assert code == 0 and "no labelled texts" in errors
