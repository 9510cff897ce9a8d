"""Ranks and agents killed or stopped in the middle of a training; it ends with the weights of an undisturbed one."""

import os
import random
import signal
import threading
import time
from contextlib import suppress

import pytest
from support.ranks import digest, processes_of, train
from support.tiny_bert import tiny_encoder, write_shards

LONG = {"num_epochs": 24, "patience": 24, "timeout_seconds": 15}
"""168 steps of two ranks, a checkpoint every 10."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    encoder = tiny_encoder(tmp_path_factory.mktemp("encoder"))
    write_shards(folder, encoder, num_groups=4, group_rows=25, num_examples=96)
    return folder


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    train(shards, out, **LONG)
    return digest(out)


class Disturber(threading.Thread):
    """Strikes at the steps it is told, as soon as the checkpoint of the step is there; or while it is written."""

    def __init__(self, out, strikes):
        super().__init__(daemon=True)
        self.out, self.strikes, self.times, self.is_over = out, strikes, [], False
        self.resumed_from = []

    def run(self):
        for step, strike, while_written in self.strikes:
            if not self.reaches(step, while_written) or not strike(self.out):
                continue
            self.times.append(time.monotonic())
            self.resumed_from.append(self.newest())

    def newest(self):
        return max((int(path.name[5:13]) for path in (self.out / "checkpoints").glob("step-*.pt")), default=0)

    def reaches(self, step, while_written):
        while not self.is_over:
            drafts = list((self.out / "checkpoints").glob(".*.draft"))
            if self.newest() >= step and len(processes_of(self.out)) == 2 and (drafts or not while_written):
                return True
            time.sleep(0.001 if while_written else 0.02)
        return False


def send(signal_number, *, to_agent=False):
    def strike(out):
        processes = processes_of(out, agents=to_agent)
        with suppress(ProcessLookupError):
            if processes:
                os.kill(random.choice(processes), signal_number)
                return True
        return False

    return strike


def disturbed(shards, out, strikes, *, max_restarts):
    """Trains while it is disturbed: seconds, the disturber, and what the log says."""
    out.mkdir(parents=True)
    disturber = Disturber(out, strikes)
    disturber.start()
    try:
        train(shards, out, max_restarts=max_restarts, max_seconds=900, **LONG)
    finally:
        disturber.is_over = True
        disturber.join()
    assert processes_of(out) == processes_of(out, agents=True) == []
    return disturber, (out / "train.log").read_text()


@pytest.mark.slow
def test_killed_rank_and_killed_agent_do_not_change_the_weights(shards, undisturbed, tmp_path):
    strikes = [(30, send(signal.SIGKILL), False), (90, send(signal.SIGKILL, to_agent=True), False)]
    disturber, log = disturbed(shards, tmp_path / "out", strikes, max_restarts=3)
    assert len(disturber.times) == 2 and digest(tmp_path / "out") == undisturbed
    assert log.count("a rank failed or hung") == 2
    assert all(f"resumes from step-{step:08d}" in log for step in disturber.resumed_from)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_in_four_runs_do_not_change_the_weights(shards, undisturbed, tmp_path):
    num_kills = num_while_written = num_same = 0
    for run in range(4):
        out = tmp_path / f"run-{run}"
        steps = sorted(random.sample(range(0, 160, 5), 5))
        strikes = [
            (step, send(signal.SIGKILL, to_agent=number == run), number % 2 == 1) for number, step in enumerate(steps)
        ]
        disturber, _ = disturbed(shards, out, strikes, max_restarts=8)
        num_kills += len(disturber.times)
        num_while_written += sum(while_written for _, _, while_written in strikes)
        num_same += digest(out) == undisturbed
    print(
        f"{num_kills} kills, {num_while_written} of them while a checkpoint was written; {num_same} of 4 runs with equal weights"
    )
    assert num_kills == 20 and num_same == 4


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_hangs_are_detected(shards, undisturbed, tmp_path):
    for run, step in enumerate((10, 70, 130)):
        out = tmp_path / f"run-{run}"
        disturber, log = disturbed(shards, out, [(step, send(signal.SIGSTOP), False)], max_restarts=2)
        assert len(disturber.times) == 1 and digest(out) == undisturbed
        assert log.count("a rank failed or hung") == 1
        ended_at = os.path.getmtime(out / "train.log")
        print(
            f"hang at step {step}: the training was over {ended_at - time.time() + time.monotonic() - disturber.times[0]:.0f} s later"
        )


def test_invalid_training_is_not_retried(tmp_path, shards):
    from crm_spark.core.errors import CrmError

    with pytest.raises(CrmError, match="exit code 2"):
        train(shards, tmp_path / "out", max_restarts=3, frozen_layers=7)
    log = (tmp_path / "out" / "train.log").read_text()
    assert "the encoder has 2 layers" in log and "a rank failed or hung" not in log
