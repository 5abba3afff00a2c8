"""A scenario's change, over and over, with a fault in each; and what must be true afterwards: the host is exactly what
it was, or exactly what it was to be."""

from __future__ import annotations

import difflib
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Self

from lab import Lab
from lab.host import GUESTNET
from lab.process import wait_for
from lab.systemd import Systemd
from tests.faults.inject import REPORT, Effect, Report
from tests.faults.scenarios import SECONDS, Scenario
from tests.live.conftest import FILE
from tests.live.snapshot import snapshot

INJECT = Path(__file__).parent / "inject.py"
PYTHON = GUESTNET.parent / "python"
JOURNAL = "/var/lib/guestnet/journal"
# What can go wrong with an effect of each kind.
FAULTS = {
    "program": ("refused", "time-out", "late", "EPERM"),
    "file": ("EIO", "ENOSPC", "EPERM"),
    "sysctl": ("EPERM", "EIO"),
    "libvirt": ("refused", "disconnect", "late", "daemon killed"),
    "netlink": ("EPERM", "ENOBUFS"),
}
LASTING = {"file": "ENOSPC", "program": "refused"}  # also while it takes back what it did
_MORE = f"""
for tap in /sys/class/net/vnet*; do
  [ ! -e $tap ] || echo "$tap in $(readlink $tap/master) isolated $(cat $tap/brport/isolated)"
done
cat {FILE} 2>/dev/null
true
"""
BACK, AGAIN, TIME = "back", "again", "time"
SOON, LATE = "2", "60"  # seconds until it undoes itself


@dataclass(frozen=True)
class Point:
    """One fault: before which effect of the command, or, `returning`, of the way back from it; and what follows."""

    at: int
    effect: Effect
    do: str
    then: str
    lasting: bool = False
    returning: bool = False

    @property
    def label(self) -> str:
        if self.do == "kill":
            return f"kill{' of the way back' if self.returning else ''}; then {self.then}"
        return f"{self.effect.name} {self.do}{', and all after it' if self.lasting else ''}"

    def __str__(self) -> str:
        where = (
            f"effect {self.at}{' of the way back' if self.returning else ''} ({self.effect.kind} {self.effect.what})"
        )
        return f"{self.do}{' from' if self.lasting else ' at'} {where}; then {self.then}"


@dataclass
class Cycles:
    """`old` and `new`: the host before and after the command. Use it with `with`, which makes the lab."""

    scenario: Scenario
    old: str = ""
    new: str = ""
    report: Report = field(default_factory=Report)
    return_report: Report = field(default_factory=Report)

    def __enter__(self) -> Self:
        scenario = self.scenario
        with ExitStack() as stack:
            self.lab = stack.enter_context(Lab(uplink=scenario.uplink, name=f"faults-{scenario.name}"))
            host = self.lab.host
            for number, nic in enumerate(scenario.nics):
                self.lab.inet.plug(host, nic, f"p{number}")
                host.sysctl(f"ipv6/conf/{nic}/accept_ra", 0)
                host.shell(f"ip link set {nic} up; ip link set {nic} down")  # a first time leaves it a queue
            self.systemd = stack.enter_context(Systemd(host)) if scenario.systemd else None
            host.guestnet("plan", check=False)  # libvirt and iptables make their own chains at the first look
            for xml in scenario.networks:
                host.define_network(xml)
            host.shell(scenario.script)
            self._stand()
            self._look()
            self._ends = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _stand(self) -> None:
        """The host as it is before the command. Guests that have run through the last one are put back by apply."""
        scenario, host = self.scenario, self.lab.host
        if scenario.before:
            host.write(FILE, scenario.before)
            self.guestnet("apply", "--yes")
        for verb in scenario.first:
            self.guestnet(*verb)
        if scenario.guests and not host.virsh("-q", "list", "--name").stdout.strip():
            host.libvirtd.restart()  # it sees the hooks
            for guest in scenario.guests:
                host.define_guest(guest.name, guest.network, guest.mac, memory=16)
                host.virsh("start", "--paused", guest.name)
            if scenario.before:
                self.guestnet("apply", "--yes")
        self._file = scenario.file or (scenario.before and host.read(FILE))
        self._write()
        self.old = self.state()

    def _look(self) -> None:
        """What the command does, and the way back, when nothing goes wrong."""
        done = self._run("", 0, self._verb(LATE))
        assert done.returncode == 0, done
        self.report = self._read()
        assert self.report.kinds == self.scenario.kinds, "as they are said to be"
        assert {effect.what for effect in self.report.effects if effect.kind == "libvirt"} >= self.scenario.calls
        self.new = self.state()
        assert self.new != self.old
        if self.scenario.returns:
            done = self._run("", 0, self.scenario.back)
            assert done.returncode == 0, done
            self.return_report = self._read()
            self._settled()
            self.same({self.old}, "all went well, and the way back")
        else:
            self._stand()

    def guestnet(self, *verb: str, check: bool = True) -> CompletedProcess[str]:
        where = self.systemd or self.lab.host
        return where.run([GUESTNET, *verb], check=check, timeout=120)

    def state(self) -> str:
        """All of the host: also how running guests' taps are plugged in, the file, and our units."""
        units = self.systemd.systemctl("list-units", "--all", "--no-legend", "guestnet*").stdout if self.systemd else ""
        return f"{snapshot(self.lab.host)}{self.lab.host.run(['sh', '-c', _MORE]).stdout}{units}"

    def points(self) -> list[Point]:
        """All there are."""
        found = []
        by_time = [TIME] if SECONDS in self.scenario.verb else []
        returns = self.return_report.effects if self.scenario.back[0] == "rollback" else []
        for at, effect in enumerate(self.report.effects, 1):
            found += [Point(at, effect, "kill", then) for then in (BACK, AGAIN, *by_time) if not effect.looks]
        for at, effect in enumerate(returns, 1):
            found += [Point(at, effect, "kill", then, returning=True) for then in (BACK, AGAIN) if not effect.looks]
        effects = self.report.effects
        first = {effect: at for at, effect in reversed(list(enumerate(effects, 1)))}
        last = {effect: at for at, effect in enumerate(effects, 1)}
        for at, effect in enumerate(effects, 1):
            if effect.looks and at not in (first[effect], last[effect]):
                continue  # the same questions are asked again and again
            then = (BACK, AGAIN)[at % 2]
            lasting = LASTING.get(effect.kind)
            faults = [do for do in FAULTS[effect.kind] if do != "daemon killed" or not self.systemd]
            found += [Point(at, effect, do, then) for do in faults]
            found += [Point(at, effect, lasting, then, lasting=True)] if lasting else []
        return found

    def try_(self, point: Point) -> None:
        """Raises AssertionError, with what differs, when the host is neither what it was nor what it was to be. Ends
        with the host as it was."""
        if point.returning:
            self._way_back_killed(point)
        elif point.do == "kill":
            self._killed(point)
        else:
            self._failed(point)

    def _killed(self, point: Point) -> None:
        done = self._fault(point)
        assert done.returncode in (-9, 137), (str(point), done)
        if point.then == TIME:
            self._by_time()
        self._home(point, self._again(str(point)) if point.then == AGAIN else None)

    def _failed(self, point: Point) -> None:
        """Without an error it has been overcome, and the change is there; else all is as it was, now or after a
        rollback when even the undoing failed."""
        host = self.lab.host
        done = self._fault(point)
        assert done.returncode in (0, 1), (str(point), done)
        assert "Traceback" not in done.stderr, (str(point), done)
        assert self._read().came, f"{point}: it has not been felt"
        if point.do == "daemon killed":
            host.libvirtd.start()
        found = None
        if done.returncode == 0:
            # What an apply goes on without, and the next run does: a record of libvirt's of a NIC, that works without
            # it; and an empty folder of ours, when nothing else is left.
            if point.effect.what == "portCreateXML" or not self.scenario.returns:
                self.guestnet(*self.scenario.again)
            found = self.same({self.new}, f"{point}, overcome")
        elif self.scenario.undoes and not host.exists(JOURNAL):
            found = self.same({self.old, self.new}, str(point))
        self._home(point, self._again(str(point)) if point.then == AGAIN and done.returncode else found)

    def _way_back_killed(self, point: Point) -> None:
        self.guestnet(*self._verb(LATE))
        done = self._run("kill", point.at, self.scenario.back)
        assert done.returncode in (-9, 137), (str(point), done)
        self._home(point, self._again(str(point)) if point.then == AGAIN else None)

    def _again(self, what: str) -> str:
        """Forward: the state then. Where the file is written by the command, that goes by whether it was yet."""
        again = self.guestnet(*self.scenario.again, check=False)
        if again.returncode and "waits for its confirmation" in again.stderr:  # it was done, and killed thereafter
            again = self.guestnet("confirm")
        assert again.returncode == 0, (what, again)
        return self.same({self.new} | ({self.old} if self.scenario.edits else set()), f"{what}: it is done")

    def _home(self, point: Point, found: str | None = None) -> None:
        """To the old state, by the way back when there is something to go back from. found: how it is now."""
        what = str(point)
        if not self.lab.host.exists(JOURNAL):
            found = found or self.state()
            if self.scenario.undoes and found not in {self.old, self.new}:
                # It was killed while it tidied up: an empty folder goes with the next run of any verb.
                self.guestnet("confirm", check=False)
                found = self.same({self.old, self.new}, what)
            if found == self.old:
                self._settled()
                return
            if not self.scenario.returns:
                self._stand()
                return
        gone = self.guestnet(*self.scenario.back, check=False)
        assert gone.returncode == 0 or "was itself a rollback" in gone.stderr, (what, gone)
        self._settled()
        if self.scenario.edits and point.then == AGAIN:
            self._write()  # that apply had not written it
        self.same({self.old}, f"{what}: it is gone back from")

    def _by_time(self) -> None:
        """Waits until it is undone; where it was killed before somebody counted, the next guestnet has to see to it."""
        wait_for("the undoing", lambda: not self._counting(), timeout=90)

    def _settled(self) -> None:
        if SECONDS in self.scenario.verb:
            wait_for("the end of the countdown", lambda: not self._counting())

    def _counting(self) -> bool:
        return bool(self.lab.host.run(["pgrep", "-f", "guestnet.faces.countdown"], check=False).stdout)

    def _verb(self, seconds: str) -> tuple[str, ...]:
        return tuple(word.replace(SECONDS, seconds) for word in self.scenario.verb)

    def _fault(self, point: Point) -> CompletedProcess[str]:
        return self._run(point.do, point.at, self._verb(SOON if point.then == TIME else LATE), lasting=point.lasting)

    def _run(self, do: str, at: int, verb: tuple[str, ...], *, lasting: bool = False) -> CompletedProcess[str]:
        for port in self.scenario.opened:  # a connection that the old forward lets in
            self.lab.inet.probe("udp", "203.0.113.2", port, timeout=0.05)
        where = self.systemd or self.lab.host
        order = json.dumps({"at": at, "do": do, "lasting": lasting})
        self.lab.host.shell(f"rm -f {REPORT}")
        return where.run([PYTHON, INJECT, order, *verb], check=False, timeout=120)

    def _read(self) -> Report:
        return Report.read(self.lab.host.read(REPORT))

    def _write(self) -> None:
        if self._file:
            self.lab.host.write(FILE, self._file)

    def same(self, wanted: set[str], what: str) -> str:
        """The state now, which is one of those."""
        found = self.state()
        if found in wanted:
            return found
        shortest = min((_differences(one, found) for one in wanted), key=len)
        raise AssertionError("\n".join([f"after {what}, but:", *shortest]))


def _differences(wanted: str, found: str) -> list[str]:
    lines = difflib.unified_diff(wanted.splitlines(), found.splitlines(), "wanted", "found", n=0, lineterm="")
    return list(lines)
