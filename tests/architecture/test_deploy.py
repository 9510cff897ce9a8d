"""The examples in deploy/ name jobs, options and files that exist."""

import re
import runpy
import shutil
import subprocess
import sys
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from crm_spark.cli.app import app
from crm_spark.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def parsed(command, arguments):
    """The options of a command, by name."""
    commands = typer.main.get_command(app)
    return commands.get_command(None, command).make_context(command, list(arguments)).params


@pytest.fixture
def dag(monkeypatch):
    """The values of the DAG's file, read with stand-ins for Airflow, and its tasks; tests/e2e/test_airflow.py runs it."""
    operators = []

    class Operator(SimpleNamespace):
        def __init__(self, **arguments):
            super().__init__(**arguments, after=[])
            operators.append(self)

        def __rshift__(self, other):
            other.after.append(self.task_id)

    airflow = {
        "airflow.sdk": {"DAG": lambda *_, **__: nullcontext(), "Asset": str},
        "airflow.sdk.exceptions": {"AirflowException": RuntimeError, "AirflowFailException": PermissionError},
        "airflow.providers.standard.operators.python": {"PythonOperator": Operator},
    }
    for name, content in airflow.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
    return SimpleNamespace(**runpy.run_path(str(DEPLOY / "airflow_refresh.py")), tasks=operators)


def test_the_dag_runs_every_stage_in_order_and_is_read_without_spark(dag):
    names = [task.task_id for task in dag.tasks]
    assert names == [*STAGES, "no_blocked_data"]
    assert [task.after for task in dag.tasks] == [[], *([name] for name in names[:-1])]
    assert all((ROOT / "jobs" / f"{stage}.py").exists() for stage in STAGES)
    assert {task.task_id: task.outlets for task in dag.tasks[:-1] if task.outlets} == {
        "ingest": ["crm_spark_bronze"],
        "clean": ["crm_spark_silver"],
        "resolve": ["crm_spark_gold"],
        "segment": ["crm_spark_features"],
        "score": ["crm_spark_scores"],
        "decide": ["crm_spark_actions"],
        "report": ["crm_spark_report"],
    }
    assert parsed("ingest", dag.OPTIONS.split())["conf"] == Path("conf/company.yaml")
    assert (ROOT / "conf" / "company.yaml").exists()
    code = "import sys, crm_spark.stages; print([m for m in ('pyspark', 'pydantic', 'torch') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(0, 0), (3, 3), (1, RuntimeError), (4, RuntimeError), (137, RuntimeError), (2, PermissionError)],
)
def test_exit_codes_decide_whether_a_stage_is_tried_again(dag, tmp_path, code, outcome):
    dag.run_stage.__globals__.update(SUBMIT=f"exit {code};", HOME=str(tmp_path))
    context = {"dag_run": SimpleNamespace(run_type="scheduled")}
    if isinstance(outcome, int):
        assert dag.run_stage("clean", **context) == outcome
    else:
        with pytest.raises(outcome, match="clean: "):
            dag.run_stage("clean", **context)


def test_a_backfill_computes_what_was_known(dag, tmp_path):
    dag.run_stage.__globals__.update(SUBMIT="echo >command", HOME=str(tmp_path), OPTIONS="--lake L")
    for run_type in ("backfill", "scheduled"):
        dag.run_stage("score", dag_run=SimpleNamespace(run_type=run_type), logical_date=date(2025, 3, 1))
        words = (tmp_path / "command").read_text().split()
        assert words == ["jobs/score.py", "--lake", "L", *(["--as-of", "2025-03-01"] if run_type == "backfill" else [])]
    assert parsed("score", words[1:])["lake"] == "L"


def test_crontab_starts_an_existing_job_with_valid_options():
    lines = [line for line in (DEPLOY / "refresh.cron").read_text().splitlines() if not line.startswith("#")]
    (command,) = (line.split("&&")[1].split(">>")[0] for line in lines)
    words = command.split()
    assert (ROOT / words[1]).exists()
    assert parsed("refresh", words[2:])["lake"] == "/data/lake"
    assert all(re.fullmatch(r"[\d*]+", field) for field in lines[0].split()[:5])


def test_the_systemd_units_start_an_existing_job_with_valid_options(tmp_path):
    service, timer = (tmp_path / f"crm-spark-refresh.{kind}" for kind in ("service", "timer"))
    text = (DEPLOY / service.name).read_text()
    words = re.search(r"^ExecStart=(.*)$", text, flags=re.M)[1].split()
    assert words[0].endswith(".venv/bin/python") and (ROOT / words[1]).exists()
    assert parsed("refresh", words[2:])["lake"] == "/data/lake"
    if shutil.which("systemd-analyze"):
        service.write_text(text.replace(words[0], sys.executable).replace("/opt/crm_spark", str(ROOT)))
        shutil.copy(DEPLOY / timer.name, timer)
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(service), str(timer)], capture_output=True, text=True
        )
        problems = [line for line in checked.stderr.splitlines() if "crm-spark-refresh" in line]
        assert problems == []


def test_shell_scripts_parse():
    for script in [*DEPLOY.glob("*.sh"), ROOT / ".ci" / "run"]:
        assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""
