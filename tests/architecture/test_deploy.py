"""The examples in deploy/ name jobs, options and files that exist."""

import re
import runpy
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import typer

from crm_spark.cli.app import app
from crm_spark.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def parsed(command, arguments):
    """The options of a command, by name."""
    commands = typer.main.get_command(app)
    return commands.get_command(None, command).make_context(command, list(arguments)).params


def test_the_dag_runs_every_stage_in_order_and_is_read_without_spark(monkeypatch):
    operators = []

    class BashOperator(SimpleNamespace):
        def __init__(self, **arguments):
            super().__init__(**arguments, after=[])
            operators.append(self)

        def __rshift__(self, other):
            other.after.append(self.task_id)

    airflow = {
        "airflow.models.dag": {"DAG": lambda *_, **__: nullcontext()},
        "airflow.operators.bash": {"BashOperator": BashOperator},
    }
    for name, content in airflow.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
    values = runpy.run_path(str(DEPLOY / "airflow_refresh.py"))
    assert [operator.task_id for operator in operators] == list(STAGES)
    assert [operator.after for operator in operators] == [[], *([stage] for stage in STAGES[:-1])]
    for operator in operators:
        assert (ROOT / re.search(r"jobs/\w+\.py", operator.bash_command)[0]).exists()
    assert parsed("ingest", values["WHERE"].split())["conf"] == Path("conf/company.yaml")
    assert (ROOT / "conf" / "company.yaml").exists()
    code = "import sys, crm_spark.stages; print([m for m in ('pyspark', 'pydantic', 'torch') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_crontab_starts_an_existing_job_with_valid_options():
    lines = [line for line in (DEPLOY / "refresh.cron").read_text().splitlines() if not line.startswith("#")]
    (command,) = (line.split("&&")[1].split(">>")[0] for line in lines)
    words = command.split()
    assert (ROOT / words[1]).exists()
    assert parsed("refresh", words[2:])["lake"] == "/data/lake"
    assert all(re.fullmatch(r"[\d*]+", field) for field in lines[0].split()[:5])


def test_shell_scripts_parse():
    for script in [*DEPLOY.glob("*.sh"), ROOT / ".ci" / "run"]:
        assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""
