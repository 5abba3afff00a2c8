"""Loss of power at any moment of a change: what is on the disk then is the old or the new of each file, whole; the
journal knows of each step that was begun; and what was said to be done is done.

The changes are done by guestnet in a lab, and what each did to the disk is recorded. What would be there after a loss
of power is computed, from no more than was synced: a lab's disk can't be switched off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from lab.host import GUESTNET, Host
from tests.live.conftest import FILE, SEED, apply
from tests.power.disk import Disk
from tests.power.promises import Record, broken

pytestmark = pytest.mark.lab

RECORDER = Path(__file__).parent / "record.py"
NEW = SEED + '  db: {network: lab, mac: "52:54:00:12:34:57", forwards: ["4999:22"]}\n'


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    """By what was done."""
    with Lab() as lab:
        host = lab.host
        host.guestnet("plan", check=False)
        found = {"setup": recorded(host, "setup"), "setup --remove": recorded(host, "setup", "--remove")}
        host.write(FILE, SEED)
        found["first apply"] = recorded(host, "apply", "--yes")
        host.write(FILE, NEW)
        found["apply"] = recorded(host, "apply", "--yes")
        found["rollback"] = recorded(host, "rollback", "--yes")
        found["a failing apply"] = recorded(host, "apply", "--yes", fail=4)
        host.run([GUESTNET.parent / "python", RECORDER, json.dumps({"kill": 4}), "apply", "--yes"], check=False)
        found["rollback after a kill"] = recorded(host, "rollback", "--yes")
        found["apply --confirm"] = recorded(host, "apply", "--yes", "--confirm", "600")
        found["confirm"] = recorded(host, "confirm")
        found["forward add"] = recorded(host, "forward", "add", "web1", "4777:77")
        host.run([GUESTNET.parent / "python", "-c", RESERVE, RECORDER.parent])
        found["the hook"] = json.loads(host.read("/run/lab/power"))
        host.shell("rm /var/lib/guestnet/compiled/admit")
        found["mending"] = recorded(host, "apply", "--yes")
        host.write(FILE, "networks: {}\n")
        found["nothing in the file"] = recorded(host, "apply", "--yes")
        apply(host, NEW)
        found["destroy"] = recorded(host, "destroy", "--yes")
    return found


# The hook's own way to write, without a guest that would be started for it.
RESERVE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from record import Recorder
recorder = Recorder()
recorder.install()
from guestnet.faces.hook.reservations import write_reservation
path = "/var/lib/libvirt/dnsmasq/guestnet-lab/db"
recorder.note("will", path, "file:52:54:00:12:34:58,192.168.84.11,db\\n")
write_reservation(path, "52:54:00:12:34:58", "192.168.84.11", "-", "db")
recorder.tell()
"""


def recorded(host: Host, *verb: str, fail: int = 0) -> Record:
    host.run([GUESTNET.parent / "python", RECORDER, json.dumps({"fail": fail}), *verb], check=not fail)
    found: Record = json.loads(host.read("/run/lab/power"))
    return found


def syncs(record: Record) -> Iterator[int]:
    """Where something was synced that was not yet."""
    disk = Disk(record["before"])
    for number, event in enumerate(record["events"]):
        if disk.happen(event) and event[0] == "fsync":
            yield number


def with_events(record: Record, events: list[list[Any]]) -> Record:
    return {**record, "events": events}


def test_old_or_new_and_known_to_the_journal(records: dict[str, Record]) -> None:
    for name, record in records.items():
        assert list(broken(record)) == [], name
    print({name: f"{len(record['events'])} moments" for name, record in records.items()})


def test_without_any_one_sync_that_does_not_hold(records: dict[str, Record]) -> None:
    count = 0
    for name, record in records.items():
        events = record["events"]
        for at in syncs(record):
            count += 1
            less = with_events(record, events[:at] + events[at + 1 :])
            assert any(broken(less)), f"{name}: {events[at - 3 : at + 1]}"
    assert count > 200
    print(f"{count} syncs left out, one at a time")


def test_renamed_before_it_is_synced(records: dict[str, Record]) -> None:
    for name, record in records.items():
        events = record["events"]
        for at, event in enumerate(events):
            if event[0] == "rename" and events[at - 1][0] == "fsync":
                swapped = [*events[: at - 1], event, events[at - 1], *events[at + 1 :]]
                assert any(broken(with_events(record, swapped))), f"{name}: {event}"


def test_written_in_place(records: dict[str, Record]) -> None:
    """No temporary name, and so no rename."""
    for name, record in records.items():
        events = record["events"]
        for _, temporary, target in [event for event in events if event[0] == "rename" and "guestnet-new" in event[1]]:
            in_place = [
                [target if part == temporary else part for part in event]
                for event in events
                if event != ["rename", temporary, target]
            ]
            assert any(broken(with_events(record, in_place))), f"{name}: {target}"
