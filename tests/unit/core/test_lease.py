"""One writer at a time, also across processes."""

import json
import os
import subprocess
import sys
import time

import pytest

from crm_spark.core.errors import ExitCode, LeaseHeldError
from crm_spark.core.lease import LEASE_FILE, TIME_TO_LIVE_SECONDS, Lease

HOLD = """
import sys, time
from crm_spark.core.lease import Lease
with Lease(sys.argv[1], run_id="other"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold_in_another_process(root):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_second_client_is_rejected_with_the_name_of_the_holder(tmp_path):
    other = hold_in_another_process(tmp_path)
    try:
        with pytest.raises(LeaseHeldError, match="run other") as caught, Lease(str(tmp_path), run_id="mine"):
            pass
        assert caught.value.exit_code == ExitCode.LEASE_HELD == 4
    finally:
        other.kill()
        other.wait()


def test_lease_of_a_killed_process_is_taken_over_under_the_next_token(tmp_path):
    other = hold_in_another_process(tmp_path)
    other.kill()
    other.wait()
    with Lease(str(tmp_path), run_id="mine") as lease:
        assert lease.token == 2


def test_holder_that_lost_its_lease_cannot_commit(tmp_path):
    with Lease(str(tmp_path), run_id="slow") as slow:
        path = tmp_path / LEASE_FILE
        content = {**json.loads(path.read_text()), "host": "elsewhere"}
        path.write_text(json.dumps(content))
        long_ago = time.time() - TIME_TO_LIVE_SECONDS - 1
        os.utime(path, (long_ago, long_ago))
        with Lease(str(tmp_path), run_id="quick") as quick:
            with quick.committing():
                pass
            with pytest.raises(LeaseHeldError, match="another run took over the lease"), slow.committing():
                raise AssertionError("it may commit")


def test_lease_is_released_after_the_block(tmp_path):
    with Lease(str(tmp_path), run_id="mine"):
        assert (tmp_path / LEASE_FILE).exists()
    assert not (tmp_path / LEASE_FILE).exists()
