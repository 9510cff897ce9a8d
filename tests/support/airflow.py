"""A real Airflow with its scheduler, in an environment of its own."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from local_cluster import free_port

ROOT = Path(__file__).resolve().parents[2]
DAG = "crm_spark_refresh"


def install(folder: Path) -> Path | None:
    """Install Airflow into a new environment; None without access to packages."""
    uv = [Path(sys.executable).parent / "uv"]
    made = subprocess.run([*uv, "venv", "-q", str(folder), "--python", sys.executable])
    packages = ["pip", "install", "-q", "--python", str(folder / "bin" / "python")]
    done = subprocess.run([*uv, *packages, "-r", str(ROOT / "deploy" / "airflow-requirements.txt")])
    return folder if made.returncode == done.returncode == 0 else None


@dataclass
class Airflow:
    """A running Airflow."""

    bin: Path
    home: Path
    env: dict[str, str]

    def command(self, *arguments: str) -> None:
        subprocess.run([self.bin / "airflow", *arguments], env=self.env, check=True, capture_output=True)

    def query(self, sql: str) -> list[tuple]:
        """Rows of Airflow's own database."""
        connection = sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True, timeout=60)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def run(self, run_id: str, *, minutes: int = 20) -> str:
        """Trigger a run and return its state at its end."""
        self.command("dags", "trigger", DAG, "--run-id", run_id)
        return self.wait(f"run_id = '{run_id}'", minutes=minutes)[run_id]

    def wait(self, condition: str, *, num_runs: int = 1, minutes: int = 20) -> dict[str, str]:
        """State by id of the runs that satisfy a condition, once they have ended."""
        deadline = time.monotonic() + minutes * 60
        while time.monotonic() < deadline:
            states = dict(self.query(f"select run_id, state from dag_run where dag_id = '{DAG}' and {condition}"))
            if len(states) >= num_runs and set(states.values()) <= {"success", "failed"}:
                return states
            time.sleep(1)
        raise AssertionError(f"{condition}: not ended after {minutes} minutes: {states}")

    def tries(self, run_id: str) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task of a run."""
        rows = self.query(f"select task_id, state, try_number from task_instance where run_id = '{run_id}'")
        return {task: (state, number) for task, state, number in rows}


@contextmanager
def airflow(environment: Path, home: Path, **variables: str) -> Iterator[Airflow]:
    """Start scheduler, API server and DAG processor; all end with the block."""
    (home / "dags").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "airflow_refresh.py", home / "dags")
    port = str(free_port())
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    }
    paths = f"{environment / 'bin'}:{os.environ['PATH']}"
    others = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    env = {**others, **settings, **variables, "PATH": paths}
    running = Airflow(environment / "bin", home, env)
    with (home / "airflow.log").open("w") as log:
        how = {"env": env, "stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True}
        process = subprocess.Popen([running.bin / "airflow", "standalone"], **how)
        try:
            _wait_for_dag(running)
            running.command("dags", "unpause", DAG)
            yield running
        finally:
            # Its workers have sessions of their own.
            everything = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            os.killpg(process.pid, signal.SIGTERM)
            _, alive = psutil.wait_procs(everything, timeout=60)
            for each in alive:
                each.kill()


def _wait_for_dag(running: Airflow, *, seconds: int = 240) -> None:
    for _ in range(seconds):
        try:
            if running.query(f"select 1 from dag where dag_id = '{DAG}'"):
                return
        except sqlite3.OperationalError:  # the database is not there yet
            pass
        time.sleep(1)
    raise AssertionError(f"the DAG was not read:\n{(running.home / 'airflow.log').read_text()[-3000:]}")
