"""An Airflow 3 DAG: a nightly refresh with a task per stage and an asset per layer. Needs deploy/airflow-requirements.txt only.

Settings are environment variables of the scheduler:
  CRM_SPARK_HOME       folder of the project
  CRM_SPARK_SUBMIT     what runs a job; default: the spark-submit of docs/cluster.md
  CRM_SPARK_OPTIONS    options of every job
  CRM_SPARK_ALERT_URL  gets a POST with a JSON object when a task has failed for good; default: none
  CRM_SPARK_RETRY_SECONDS  time between two tries

A backfill of past days runs with `--as-of`: it computes what was known at the end of each day.
"""

import json
import os
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException

HOME = os.environ.get("CRM_SPARK_HOME", "/opt/crm_spark")
sys.path.append(HOME)
from crm_spark.stages import STAGES  # noqa: E402  # the list alone: Airflow needs neither Spark nor the project's packages

COMPILE = "-XX:-DontCompileHugeMethods"  # else Java interprets the code of wide plans
SUBMIT = os.environ.get(
    "CRM_SPARK_SUBMIT",
    "spark-submit --jars $(ls build/package/jars/*.jar | paste -sd, -) --py-files build/package/crm_spark.zip "
    f"--driver-java-options {COMPILE} --conf spark.executor.extraJavaOptions={COMPILE}",
)
OPTIONS = os.environ.get(
    "CRM_SPARK_OPTIONS", "--conf conf/company.yaml --lake /data/lake --set ingest.data_dir=/data/drops"
)
LAYERS = {
    "ingest": "bronze",
    "clean": "silver",
    "resolve": "gold",
    "segment": "features",
    "score": "scores",
    "decide": "actions",
    "report": "report",
}
"""The last stage that writes a layer: downstream DAGs are scheduled on its asset, such as Asset("crm_spark_gold")."""
BAD_INPUT, DATA_BLOCKED = 2, 3


def run_stage(stage: str, **context) -> int:
    """Run a stage and return its exit code: 0, or 3 if an expectation blocked data, in which case the others go on."""
    command = f"{SUBMIT} jobs/{stage}.py {OPTIONS}"
    if context["dag_run"].run_type == "backfill":
        command += f" --as-of {context['logical_date']:%Y-%m-%d}"
    code = subprocess.run(["bash", "-ec", command], cwd=HOME).returncode
    if code == BAD_INPUT:
        raise AirflowFailException(f"{stage}: bad configuration or input; another try would fail again. See its log.")
    if code not in (0, DATA_BLOCKED):
        raise AirflowException(f"{stage}: exit code {code}. The next try goes on where this one stopped.")
    return code


def require_no_blocked_data(**context) -> None:
    """Fail the run, so that a person looks at it, if an expectation blocked data; everything else was processed."""
    blocked = [stage for stage in STAGES if context["ti"].xcom_pull(task_ids=stage) == DATA_BLOCKED]
    if blocked:
        raise AirflowFailException(
            f"{', '.join(blocked)}: data is blocked. See ops.finding, correct it, then run replay."
        )


def alert(context) -> None:
    """Report a task that has failed for good."""
    url, task = os.environ.get("CRM_SPARK_ALERT_URL"), context["ti"]
    if url:
        content = {"dag": task.dag_id, "task": task.task_id, "run": context["run_id"], "try": task.try_number}
        request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()


with DAG(
    "crm_spark_refresh",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a refresh reads whatever has arrived, so that one run makes up for missed nights
    max_active_runs=1,  # one run at a time holds the lake
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=float(os.environ.get("CRM_SPARK_RETRY_SECONDS", "600"))),
        "on_failure_callback": alert,
    },
):
    before = None
    for stage in STAGES:
        outlets = [Asset(f"crm_spark_{LAYERS[stage]}")] if stage in LAYERS else []
        task = PythonOperator(task_id=stage, python_callable=run_stage, op_kwargs={"stage": stage}, outlets=outlets)
        if before is not None:
            before >> task
        before = task
    before >> PythonOperator(task_id="no_blocked_data", python_callable=require_no_blocked_data, retries=0)
