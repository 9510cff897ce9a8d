"""A process that takes a lease and commits under it as it is told: a line in, a line out."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext

from crm_spark.core.errors import LeaseHeldError
from crm_spark.core.lease import Lease


class Slow(Lease):
    """Rests between finding the lake free and taking it: time for another to find it free as well."""

    def _take(self):
        time.sleep(0.05)
        super()._take()


class WithoutLocks(Slow):
    """As on a mount that has no locks."""

    def _locked(self, how):
        return nullcontext()


class Blind(WithoutLocks):
    """Commits without a look at whose lease it is."""

    def _is_mine(self):
        return True


ENDED_WELL = (None, None, None)
KINDS = {kind.__name__: kind for kind in (Slow, WithoutLocks, Blind)}


class Taker:
    """Such a process, seen from the test."""

    def __init__(self, kind):
        command = [sys.executable, __file__, kind.__name__]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert self.answer() == "ready"

    def tell(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def answer(self):
        return self.process.stdout.readline().strip()

    def ask(self, *words):
        self.tell(*words)
        return self.answer()

    def stop(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.communicate()


@contextmanager
def takers(kind, number):
    made = [Taker(kind) for _ in range(number)]
    try:
        yield made
    finally:
        for taker in made:
            taker.kill()


def serve(kind):
    print("ready", flush=True)
    lease, commit = None, None
    for line in sys.stdin:
        match line.split():
            case ["take", root, seconds]:
                lease = kind(root, run_id=f"of-{os.getpid()}", time_to_live_seconds=float(seconds))
                answer = attempt(f"held {root}", lease.__enter__)
            case ["commit"]:
                answer = attempt("committed", committed, lease)
            case ["begin"]:
                commit = lease.committing()
                answer = attempt("begun", commit.__enter__)
            case ["end"]:
                answer = attempt("committed", commit.__exit__, *ENDED_WELL)
            case ["leave"]:
                answer = attempt("left", lease.__exit__, *ENDED_WELL)
        print(answer, flush=True)


def attempt(done, work, *arguments):
    try:
        work(*arguments)
    except LeaseHeldError as error:
        return f"refused: {error}"
    return done


def committed(lease):
    with lease.committing():
        pass


if __name__ == "__main__":
    serve(KINDS[sys.argv[1]])
