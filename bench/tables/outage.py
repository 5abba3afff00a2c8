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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.inside import WrongError
from bench.table import Cell, Effort, Goal, Grid, Table
from lab import Lab, flow

FILE = "/etc/guestnet/guestnet.yaml"
RATE = 100  # packets a second
SECONDS = 1.0  # the goal, of a restart
SETTLE = 0.5  # seconds behind an apply in which what is lost is still its own
PATIENCE = 5  # seconds without an answer after which nobody comes back by itself
WAYS = {"IPv4": "203.0.113.2", "IPv6": "2001:db8:1::2"}
GUESTS = {"web1": ("lab", 4023), "web2": ("dmz", 4024)}  # network, port of the host


@dataclass
class File:
    """What the file says of what may change."""

    chance: random.Random
    knobs: dict[str, Any] = field(default_factory=dict)
    forwards: list[int] = field(default_factory=list)

    def text(self) -> str:
        get = self.knobs.get
        hosts = ", ".join(f"n{i}.example: 10.0.0.{i}" for i in range(1, 1 + get("dns", 1)))
        more = "".join(f", {port}:{port}" for port in self.forwards)
        return f"""
networks:
  lab:
    mode: nat
    ipv4: {{address: 10.9.1.1/24, ranges: [10.9.1.{get("range", 100)}-10.9.1.199]}}
    ipv6: "fd00:9:0:1::1/64"
    nat: {{ports: {get("ports", 30000)}-60000}}
    dns: {{hosts: {{{hosts}}}}}
    domain: {get("domain", "a")}.internal
    autostart: {str(get("autostart", True)).lower()}
{"    egress: {deny: [private]}" if get("egress") else ""}
  dmz:
    mode: routed
    ipv4: 10.9.2.1/24
    ipv6: "fd00:9:0:2::1/64"
    inbound: {"closed" if get("closed") else "open"}
    stp: {str(get("stp", True)).lower()}
    guest_isolation: {str(get("isolation", False)).lower()}
{"  more: {mode: isolated, ipv4: 10.9.3.1/24, ipv6: none}" if get("more") else ""}
guests:
  web1: {{network: lab, forwards: ["4023:5001/tcp+udp"{more}]}}
  web2: {{network: dmz, forwards: [{{ports: 4024, to: 5001, protocol: tcp+udp{get("from", "")}}}]}}
{"  other: {network: lab, mac: '52:54:00:00:77:01'}" if get("guest") else ""}
"""


def _turn(name: str, *values: Any) -> Callable[[File], None]:
    """Another of these values than it has now."""

    def change(file: File) -> None:
        file.knobs[name] = file.chance.choice([one for one in values if one != file.knobs.get(name, values[0])])

    return change


def _forward(file: File) -> None:
    port = 5100 + file.chance.randrange(20)
    file.forwards.remove(port) if port in file.forwards else file.forwards.append(port)


CHANGES: dict[str, Callable[[File], None]] = {
    "a forward more or less": _forward,
    "from of a forward": _turn("from", "", ', from: [203.0.113.0/24, "2001:db8::/32"]'),
    "DNS names": _turn("dns", 1, 2, 3),
    "DHCP range": _turn("range", 100, 90, 80),
    "ports of NAT": _turn("ports", 30000, 31000),
    "domain": _turn("domain", "a", "b"),
    "autostart": _turn("autostart", True, False),
    "egress": _turn("egress", False, True),
    "inbound": _turn("closed", False, True),
    "STP": _turn("stp", True, False),
    "guest_isolation": _turn("isolation", False, True),
    "a network more or less": _turn("more", False, True),
    "a guest more or less": _turn("guest", False, True),
}


class Did(NamedTuple):
    """An apply: what it changed, whether the plan said live, when it ran, and how long its restarts took (s)."""

    change: str
    live: bool
    begin: float
    end: float
    restarts: float = 0.0


class Outcome(NamedTuple):
    """`gaps`: the longest time without an answer during each apply, over all streams, in seconds. `broken`: streams
    whose TCP connection ended."""

    did: tuple[Did, ...]
    gaps: tuple[float, ...]
    broken: tuple[str, ...]


def measure(effort: Effort) -> Table:
    with ready() as lab:
        found = run(lab, effort.applies)
        alone = without(lab)
    rows: list[dict[str, Cell]] = []
    for what in CHANGES:
        mine = [(did, gap) for did, gap in zip(found.did, found.gaps, strict=True) if did.change == what]
        if mine:
            said = "live" if all(did.live for did, _ in mine) else "restart"
            longest, step = max(gap for _, gap in mine), max(did.restarts for did, _ in mine)
            rows.append({"change": what, "applies": len(mine), "plan": said, "longest s": longest, "libvirt s": step})
    by_hand: dict[str, Cell] = {"change": "virsh net-destroy, net-start, no guestnet", "applies": 1, "plan": ""}
    rows.append(by_hand | {"longest s": alone, "libvirt s": ""})
    live = [(gap, did.change) for did, gap in zip(found.did, found.gaps, strict=True) if did.live]
    restarts = [(gap, did.change) for did, gap in zip(found.did, found.gaps, strict=True) if not did.live]
    goals = [Goal("connections that broke: 0", 0, len(found.broken), ", ".join(found.broken) or "none")]
    for what, limit, some in (("live: nothing lost", 0.0, live), ("restart", SECONDS, restarts)):
        if some:
            goals.append(Goal(f"{what}, longest without an answer: at most {limit:g} s", limit, *max(some)))
    return Table(
        name="outage",
        title=f"outage: what two running guests notice of {effort.applies} applies of a file that changes at random",
        grids=(Grid("longest time without an answer, of four streams", tuple(rows), {"longest s": "{}"}),),
        goals=tuple(goals),
        notes=(
            f"{RATE} datagrams a second and one TCP connection for each guest and family, through forwards;",
            "libvirt s: the longest that the restart itself took, most of it in libvirt, which runs some 50 iptables.",
        ),
    )


@contextmanager
def ready(seed: int = 7) -> Iterator[Lab]:
    """A host with the first file applied and both guests running, each a mirror."""
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
        yield lab


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
            live = not any(one["cuts_off"] for one in plan["changes"])
            restarts = sum(map(float, re.findall(r"done  network .* restarted +([0-9.]+) s", done.stderr)))
            did.append(Did(change, live, begin, time.monotonic(), restarts))
            if done.returncode or host.guestnet("plan", "--detailed-exitcode", check=False).returncode:
                raise WrongError(f"{change}: {done.stderr}")
        told = {name: json.loads(one.communicate(timeout=30)[0]) for name, one in streams.items()}
    broken = tuple(name for name, one in told.items() if one.get("tcp") != "whole")
    gaps = tuple(max(_gap(one, apply) for one in told.values() if "began" in one) for apply in did)
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


def without(lab: Lab) -> str:
    """The same restart by hand, on a host whose libvirt runs no hook of ours."""
    host = lab.host
    host.shell("mv /etc/libvirt/hooks /etc/libvirt/hooks.away; mkdir /etc/libvirt/hooks")
    host.libvirtd.restart()
    host.virsh("net-destroy", "lab")
    host.virsh("net-start", "lab")
    time.sleep(PATIENCE)
    address = WAYS["IPv4"]
    answered = lab.inet.probe("tcp", address, GUESTS["web1"][1], source="203.0.113.9").answered
    return "came back" if answered else "until the guest reboots"
