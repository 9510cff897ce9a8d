"""The examples in deploy/ name jobs, options and files that exist."""

import ast
import re
import subprocess
from pathlib import Path

import typer

from crm_spark.cli.app import app
from crm_spark.pipeline import STAGES

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def parsed(command, arguments):
    """The options of a command, by name."""
    commands = typer.main.get_command(app)
    return commands.get_command(None, command).make_context(command, list(arguments)).params


def test_the_dag_has_every_stage_in_order():
    tree = ast.parse((DEPLOY / "airflow_refresh.py").read_text())
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(values["STAGES"]) == STAGES
    arguments = ast.literal_eval(values["WHERE"]).split()
    assert parsed("ingest", arguments)["conf"] == Path("conf/company.yaml")
    assert (ROOT / "conf" / "company.yaml").exists()


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
