"""Jobs as processes of their own."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support.refreshed import ROOT

from crm_spark.stages.train.processes import end_with_parent


def start_script(script, *arguments, stdout=None, environment=None):
    """A script in a process group of its own, so that its JVM dies with it; it dies with the tests as well."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **(environment or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )


@contextmanager
def started(job, *arguments, environment=None):
    """A job, with its JVM; whatever the test does, both are gone after the block."""
    process = start_script(f"jobs/{job}.py", *arguments, environment=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def run(job, *arguments, environment=None):
    """Exit code and standard error of a job."""
    with started(job, *arguments, environment=environment) as process:
        stderr = process.communicate()[1]
        return process.returncode, stderr


def unprivileged(*command: str, **how):
    """Runs as a user to whom permissions apply: root gives up the right to read what it may not."""
    if os.geteuid() == 0:
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if subprocess.run([*drop, "true"], capture_output=True).returncode != 0:
            pytest.skip("root cannot give up its rights here (util-linux: setpriv)")
        command = (*drop, *command)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **how)
