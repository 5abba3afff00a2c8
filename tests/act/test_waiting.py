"""An apply that waits for its confirmation, without one: its files in namespaces, where no libvirt and no lab is."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pytest

from guestnet.act import confirm, journal
from guestnet.act.confirm import Pending
from guestnet.act.unfinished import unfinished
from guestnet.host import clock

# What an apply leaves that was done, and waits for so many seconds.
WAITS = """
import sys
from guestnet.act import confirm, journal
head = journal.Head("apply", "/x.yaml")
journal.Journal(head).keep()
confirm._write(confirm._pending(head.id, int(sys.argv[1]), None))
"""
MAIN = "from guestnet.faces.cli import main; main()"
# Has the host for two seconds.
HOLDS = """
import time
from guestnet.host.lock import apply_lock
with apply_lock():
    print("held", flush=True)
    time.sleep(2)
"""
# What is said of it with so many seconds left, and of one that was cut off.
TOLD = """
import sys
from guestnet.act import confirm, journal
from guestnet.act.unfinished import unfinished
for seconds in map(float, sys.argv[1:]):
    confirm._write(confirm._pending(confirm._stands(), seconds, None))
    print(*unfinished())
written = journal.Journal(journal.Head("apply", "/x.yaml"))
written.begin()
for seconds in map(float, sys.argv[1:]):
    confirm._write(confirm._pending(confirm._stands(), seconds, None))
    print(*unfinished())
"""
CONFIRM = 'mkfifo /run/p; "$0" -c "$HOLDS" > /run/p & read said < /run/p; exec "$0" -c "$MAIN" confirm'
ALONE = ["unshare", "-rmnpf", "--mount-proc", "--kill-child"]
SCRIPT = """
set -e
for folder in /run /var/lib /var/log /etc /usr/local; do mount -t tmpfs -o mode=755 tmpfs $folder; done
"$1" -c "$WAITS" "$2"; shift 2
exec "$@"
"""


def within(seconds: int, *argv: str) -> subprocess.CompletedProcess[str]:
    """Runs a program where an apply waits for so many seconds more; what counts that down ends with it."""
    return subprocess.run(
        [*ALONE, "sh", "-c", SCRIPT, "-", sys.executable, str(seconds), *argv],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "WAITS": WAITS, "HOLDS": HOLDS, "MAIN": MAIN},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("verb", [["setup"], ["setup", "--remove"]])
def test_setup_is_refused(verb: list[str]) -> None:
    done = within(30, sys.executable, "-c", MAIN, *verb)
    assert done.returncode == 1
    assert "waits for its confirmation, another" in done.stderr
    assert "guestnet confirm keeps it, guestnet rollback undoes it; then try again" in done.stderr


def test_confirm_waits_for_who_has_the_host() -> None:
    done = within(30, "sh", "-c", CONFIRM, sys.executable)
    assert (done.returncode, done.stderr) == (0, "confirmed: what was applied stays\n")


def test_from_what_is_confirmed_rollback_goes_back() -> None:
    done = within(30, sys.executable, "-c", MAIN, "--format", "json", "confirm")
    assert json.loads(done.stdout)["result"]["rollback"] is True
    script = f'"$0" -c "$MAIN" confirm; rm {journal.POINT}; "$0" -c "$MAIN" --format json confirm'
    again = within(30, "sh", "-c", script, sys.executable)
    assert "it was confirmed already" in again.stderr
    assert json.loads(again.stdout)["result"]["rollback"] is False, "there is nothing to go back from"


def test_but_not_longer_than_there_is_time() -> None:
    done = within(1, "sh", "-c", CONFIRM, sys.executable)
    assert done.returncode == 1
    assert "too late" in done.stderr or "is changing this host" in done.stderr


def test_what_is_said_of_it() -> None:
    now = clock.since_boot()
    there, over = (Pending("x", 60, clock.boot(), now + left, None, 0) for left in (1000, -0.1))
    assert "another " in str(there)
    assert there.todo == "guestnet confirm keeps it, guestnet rollback undoes it"
    assert "its time is over, and it is being undone" in str(over)
    assert "guestnet confirm keeps" not in over.todo
    assert "guestnet rollback" in over.todo


def test_the_seconds_that_are_left() -> None:
    """Up to the next whole one: nobody is told that there are 0 s while there is time."""
    done = within(30, sys.executable, "-c", TOLD, "40.4", "0.4", "0")
    waits, soon, over, cut_off, cut_soon, cut_over = done.stdout.splitlines()
    assert "waits for its confirmation, another 41 s: " in waits
    assert "waits for its confirmation, another 1 s: guestnet confirm keeps it" in soon
    assert "its time is over, and it is being undone: what becomes of that is in " in over
    assert cut_off.endswith("; or it undoes itself in 41 s")
    assert cut_soon.endswith("; or it undoes itself in 1 s")
    assert cut_over.endswith("; its time is over, and it is being undone")


def test_one_number_of_seconds_in_all_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on between two looks at it; here by a second a look, as it would around a full one."""
    start, looks = clock.since_boot(), itertools.count()
    monkeypatch.setattr(clock, "since_boot", lambda: start + next(looks))
    pending = Pending("x", 60, clock.boot(), start + 30, None, 0)
    monkeypatch.setattr(confirm, "waiting", lambda: pending)
    monkeypatch.setattr(journal, "left", lambda: None)
    (waits,) = unfinished()
    assert f"another {waits.seconds} s" in waits.what
