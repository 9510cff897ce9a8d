"""An Airflow DAG: a nightly refresh, the stages as tasks so that a failed one is seen and cleared by its name."""

import sys
from datetime import datetime, timedelta

from airflow.models.dag import DAG
from airflow.operators.bash import BashOperator

HOME = "/opt/crm_spark"
sys.path.append(HOME)
from crm_spark.stages import STAGES  # noqa: E402  # the list alone: Airflow needs neither Spark nor the project's packages

COMPILE = "-XX:-DontCompileHugeMethods"  # else Java interprets the code of wide plans
SUBMIT = (
    "spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 --py-files crm_spark.zip "
    f"--driver-java-options {COMPILE} --conf spark.executor.extraJavaOptions={COMPILE}"
)
WHERE = "--conf conf/company.yaml --lake /data/lake --set ingest.data_dir=/data/drops"

with DAG(
    "crm_spark_refresh",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # one run at a time holds the lake
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
):
    before = None
    for stage in STAGES:
        # A stage that has nothing new to do ends at once; a retry goes on where the last try was cut off.
        task = BashOperator(task_id=stage, bash_command=f"cd {HOME} && {SUBMIT} jobs/{stage}.py {WHERE}")
        if before is not None:
            before >> task
        before = task
