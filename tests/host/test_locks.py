"""The lock that one guestnet has at a time: given and taken, waited for, and not that of a file which is gone."""

from __future__ import annotations

import subprocess
import sys

ALL = r"""
import os, subprocess, sys, time
from guestnet.host.lock import FOLDER, NAMES, apply_lock
from guestnet.words.problems import GuestnetError

HOLDS = "import sys; from guestnet.host.lock import apply_lock as it\nwith it(): print(flush=True); sys.stdin.read()"

def other():
    one = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    one.stdout.readline()
    return one

def refused(wait):
    start = time.monotonic()
    try:
        with apply_lock(wait=wait):
            return None
    except GuestnetError as error:
        assert "is changing this host" in str(error)
        return time.monotonic() - start

first = other()
assert refused(0.0) < 0.3
assert 0.5 <= refused(0.5) < 2

# Whoever had it has removed its file, as destroy does: the next makes a new one.
(FOLDER / NAMES[0]).unlink()
with apply_lock() as lock:
    assert refused(0.0) is not None
    lock.give()
    assert not lock.held
    second = other()
    try:
        lock.take()
    except GuestnetError:
        pass
    else:
        raise SystemExit("two have it")
    second.kill()
    second.wait()
    lock.take(5.0)
    assert lock.held
    assert (FOLDER / NAMES[0]).read_text() == f"{os.getpid()}\n"
    assert refused(0.0) is not None
with apply_lock():
    pass
first.kill()
"""


def test_it() -> None:
    script = 'mount -t tmpfs tmpfs /run && exec "$0" -c "$1"'
    argv = ["unshare", "-rm", "sh", "-c", script, sys.executable, ALL]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
