"""What running guests notice of applies: a stream of numbered packets through each, while the file changes at random.

Real guests under QEMU, asked from the internet through forwards, both families: 100 datagrams a second, and one TCP
connection that is kept from the first apply to the last.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench import byhand, wayout
from bench.changes import CHANGES, GUESTS, File
from bench.inside import WrongError
from bench.table import Cell, Effort, Goal, Grid, Table
from lab import Lab, flow
from lab.guest import RealGuest

FILE = "/etc/guestnet/guestnet.yaml"
RATE = 100  # packets a second
SECONDS = 1.0  # the goal, of a restart
SETTLE = 0.5  # seconds behind an apply in which what is lost is still its own
WAYS = {"IPv4": "203.0.113.2", "IPv6": "2001:db8:1::2"}


class Did(NamedTuple):
    """An apply: what it changed, whose outage the plan named, when it ran, and how long its restarts took (s)."""

    change: str
    named: frozenset[str]
    begin: float
    end: float
    restarts: float = 0.0

    @property
    def live(self) -> bool:
        return not self.named


class Outcome(NamedTuple):
    """`gaps`: of each apply, by guest, the longest time without an answer, in seconds. `broken`: streams whose TCP
    connection ended."""

    did: tuple[Did, ...]
    gaps: tuple[Mapping[str, float], ...]
    broken: tuple[str, ...]

    def named(self) -> list[tuple[Did, float]]:
        """The longest of those that the plan named, of each apply that named any."""
        return [(did, max(gaps[name] for name in did.named)) for did, gaps in self._pairs() if did.named]

    def others(self) -> list[tuple[Did, float]]:
        """The longest of those that it did not name."""
        pairs = [(did, [gap for name, gap in gaps.items() if name not in did.named]) for did, gaps in self._pairs()]
        return [(did, max(left)) for did, left in pairs if left]

    def _pairs(self) -> list[tuple[Did, Mapping[str, float]]]:
        return list(zip(self.did, self.gaps, strict=True))


def measure(effort: Effort) -> Table:
    with ready() as (lab, web1):
        found = run(lab, effort.applies)
        out = {what: ways_out(lab, web1, what) for what in _OUT}
    named, others = found.named(), found.others()
    goals = [Goal("connections that broke: 0", 0, len(found.broken), ", ".join(found.broken) or "none")]
    goals.append(Goal("whom the plan does not name: at most 0 s without an answer", 0, *_worst(others)))
    if named:
        goals.append(Goal(f"restart: at most {SECONDS:g} s without an answer", SECONDS, *_worst(named)))
    leaked = max((way.leaked, what) for what, ways in out.items() for way in ways.values())
    goals.append(Goal("packets of guests that left un-NATed: 0", 0, *leaked))
    grids = [
        Grid("longest time without an answer, of four streams", tuple(_rows(found)), {"longest s": "{}"}),
        Grid("a guest's own ways out meanwhile: longest time without an answer", tuple(_out_rows(out))),
    ]
    grids.append(Grid("virsh net-destroy and net-start without guestnet", tuple(_peer_rows(effort))))
    return Table(
        name="outage",
        title=f"outage: what two running guests notice of {effort.applies} applies of a file that changes at random",
        grids=tuple(grids),
        goals=tuple(goals),
        notes=(
            f"{RATE} datagrams a second and one TCP connection for each guest and family, through forwards;",
            "restart s: the longest that the restart itself took, most of it in libvirt, which runs some 70 iptables.",
        ),
    )


def _worst(some: list[tuple[Did, float]]) -> tuple[float, str]:
    return max((gap, did.change) for did, gap in some)


def _rows(found: Outcome) -> Iterator[dict[str, Cell]]:
    for what in CHANGES:
        mine = [did for did in found.did if did.change == what]
        if mine:
            named = sorted(frozenset[str]().union(*(did.named for did in mine)))
            longest, others = (
                max((gap for did, gap in some if did.change == what), default=0.0)
                for some in (found.named(), found.others())
            )
            yield {
                "change": what,
                "applies": len(mine),
                "plan": f"restart: {', '.join(named)}" if named else "live",
                "longest s": longest if named else "",
                "others s": others,
                "restart s": round(max(did.restarts for did in mine), 1) if named else "",
            }


def _out_rows(out: Mapping[str, Mapping[str, wayout.Way]]) -> Iterator[dict[str, Cell]]:
    for what, ways in out.items():
        for family, way in ways.items():
            yield {
                "change": what,
                "family": family,
                "known flow s": way.known,
                "new flows s": way.new,
                "un-NATed packets": way.leaked,
            }


def _peer_rows(effort: Effort) -> Iterator[dict[str, Cell]]:
    for name, checkout in (("none", None), *effort.peers):
        left = byhand.restarted(checkout)
        after = f"after {byhand.PATIENCE} s"
        yield {
            "hook": name,
            "forward before": _yes(left.before),
            f"forward {after}": _yes(left.forward),
            f"way out {after}": _yes(left.out),
            "forward after the guest's restart": _yes(left.again),
        }


def _yes(true: bool) -> str:
    return "yes" if true else "no"


@contextmanager
def ready(seed: int = 7) -> Iterator[tuple[Lab, RealGuest]]:
    """A host with the first file applied and both guests running, each a mirror; the first of them."""
    with Lab() as lab:
        host = lab.host
        host.write(FILE, File(random.Random(seed)).text())  # noqa: S311  not a secret
        host.guestnet("apply", "--yes")
        host.libvirtd.restart()
        guests = [host.define_guest(name, network) for name, (network, _) in GUESTS.items()]
        for guest in guests:
            guest.start()
        for guest in guests:
            guest.wait_addresses()
            guest.run("mirror 5001")
        yield lab, guests[0]


def run(lab: Lab, applies: int, seed: int = 7) -> Outcome:
    """Raises WrongError when an apply fails, or its plan is not empty afterwards."""
    file = File(random.Random(seed))  # noqa: S311  not a secret
    did: list[Did] = []
    kinds = file.chance.sample(list(CHANGES), len(CHANGES))
    with ExitStack() as todo:
        host, streams = lab.host, _streams(lab, todo)
        for number in range(applies):
            # Each kind comes before any comes again.
            change = kinds[number % len(kinds)]
            CHANGES[change](file)
            host.write(FILE, file.text())
            plan = json.loads(host.guestnet("plan", "--format", "json").stdout)
            begin = time.monotonic()
            done = host.guestnet("apply", "--yes", check=False)
            named = frozenset(name for one in plan["changes"] for name in one["cuts_off"])
            restarts = sum(map(float, re.findall(r"done  network .* restarted +([0-9.]+) s", done.stderr)))
            did.append(Did(change, named, begin, time.monotonic(), restarts))
            if done.returncode or host.guestnet("plan", "--detailed-exitcode", check=False).returncode:
                raise WrongError(f"{change}: {done.stderr}")
        told = {name: json.loads(one.communicate(timeout=30)[0]) for name, one in streams.items()}
    broken = tuple(name for name, one in told.items() if one.get("tcp") != "whole")
    gaps = tuple(
        {guest: max(_gap(told[f"{guest} {family}"], apply) for family in WAYS) for guest in GUESTS} for apply in did
    )
    return Outcome(tuple(did), gaps, broken)


def _streams(lab: Lab, todo: ExitStack) -> dict[str, subprocess.Popen[str]]:
    found = {}
    for guest, (_, port) in GUESTS.items():
        for family, address in WAYS.items():
            argv = ["/usr/bin/python3", "-c", Path(flow.__file__).read_text(), address, str(port), str(RATE)]
            one = lab.inet.popen(argv, stdin=subprocess.PIPE)
            todo.callback(one.kill)
            if one.stdout is None or one.stdout.readline() != "ready\n":
                raise WrongError(f"{guest} does not answer over {family}")
            found[f"{guest} {family}"] = one
    return found


def _gap(told: dict[str, Any], apply: Did) -> float:
    """The longest run of lost datagrams that began during an apply, in seconds."""
    longest = length = 0
    before = -1
    for number in told["udp lost"]:
        sent = told["began"] + number / RATE
        length = length + 1 if number == before + 1 and length else int(apply.begin <= sent <= apply.end + SETTLE)
        before, longest = number, max(longest, length)
    return longest / RATE


_OUT = {
    "DHCP range, live": ("range", 90),
    "domain, a restart": ("domain", "b"),
}


def ways_out(lab: Lab, guest: RealGuest, what: str) -> dict[str, wayout.Way]:
    """By family, those of a guest in `lab` while a change is applied to the first file."""
    host, (name, value) = lab.host, _OUT[what]
    host.write(FILE, File(random.Random(0)).text())  # noqa: S311  not a secret
    host.guestnet("apply", "--yes")
    host.write(FILE, File(random.Random(0), {name: value}).text())  # noqa: S311  not a secret
    with wayout.answering(lab):
        return wayout.during(lab, guest, lambda: host.guestnet("apply", "--yes"))
