"""The same command as an Airflow DAG: one run at a time, exit code 1 is a failed task.

A retry goes on where the last attempt stopped: cases that are done are not run twice.
"""

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    "facelab_nightly",
    schedule="30 2 * * *",
    start_date=datetime.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
) as dag:
    BashOperator(
        task_id="sweep",
        bash_command=".venv/bin/facelab run experiments/skew-sweep.yaml --jobs 2",
        cwd="/home/me/facelab",
        retries=1,
    )
