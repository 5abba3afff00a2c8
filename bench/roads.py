"""Roads from a client through a forwarding host to a guest: a lab each, alike in all but the rules of its host.

All of them stand at one time, so that a turn on one and a turn on the next are a moment apart. `Pace` times the turns.
"""

from __future__ import annotations

import random
import select
import statistics
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.inside import WrongError
from lab import Lab, process, programs
from lab.fake import FakeGuest, Static
from lab.host import IPV4, IPV6, Host

BRIDGE = "virbr84"  # as in the network of `world`
PATIENCE = 30.0  # seconds, of one turn
PARTS = 8  # of all rounds: how far apart their ratios are says how much the ratio of all can be believed
ASKED = {4: IPV4, 6: IPV6}
HOST4, HOST6, GUEST4, GUEST6 = "10.84.0.1", "fd84::1", "10.84.200.10", "fd84::c80a"
SYSCTLS = {
    "ipv4/ip_forward": 1,
    "ipv6/conf/all/forwarding": 1,
    "netfilter/nf_conntrack_tcp_timeout_close": 1,  # else thousands of ended ones fill its table
}

Kind = Literal["connections", "bytes"]
Ports = tuple[int, int]  # one of the host, and that of the guest it leads to
Rules = Callable[[Host], Ports]  # puts a host's rules in force
Rates = dict[tuple[str, int], list[float]]  # a second, by contestant and family, round by round


@dataclass(frozen=True)
class Road:
    name: str
    lab: Lab
    guest: FakeGuest
    ports: Ports


@contextmanager
def built(contestants: Mapping[str, Rules]) -> Iterator[list[Road]]:
    with ExitStack() as stack:
        yield [_road(name, rules, stack.enter_context(Lab(libvirtd=False))) for name, rules in contestants.items()]


def _road(name: str, rules: Rules, lab: Lab) -> Road:
    host = lab.host
    host.shell(
        f"ip link add {BRIDGE} type bridge\n"
        f"ip link set {BRIDGE} up\n"
        f"ip addr add {HOST4}/16 dev {BRIDGE}\n"
        f"ip addr add {HOST6}/64 dev {BRIDGE} nodad\n"
    )
    plug = Static(f"{GUEST4}/16", f"{GUEST6}/64", HOST4, HOST6)
    guest = host.fake_guest("guest", BRIDGE, plug=plug, ports=())
    for key, value in SYSCTLS.items():
        host.sysctl(key, value)
    return Road(name, lab, guest, rules(host))


def measured(roads: Sequence[Road], pace: Pace, kind: Kind, count: int, rounds: int) -> Rates:
    """In each round every road has one turn of `count` in each family, in an order of chance. One is not counted."""
    rates: Rates = {(road.name, family): [] for family in ASKED for road in roads}
    chance = random.Random(84)  # noqa: S311  the order of turns
    turns = [(road, family) for road in roads for family in ASKED]
    for number in range(rounds + 1):
        for road, family in chance.sample(turns, len(turns)):
            taken = pace.turn(road, kind, family, count)
            if number:
                rates[road.name, family].append(count / taken)
    return rates


def fast(rates: Sequence[float]) -> float:
    """The rate that one turn in ten is above. What else the machine does makes turns slower, never faster: two roads
    that are alike have medians 3 % apart on a busy one, these 0.5 %."""
    return statistics.quantiles(rates, n=10)[-1] if len(rates) > 1 else rates[0]


def middle(rates: Sequence[float]) -> float:
    return statistics.median(rates)


def ratio(rates: Sequence[float], floor: Sequence[float]) -> tuple[float, float, float]:
    """To the floor; the least and the most of `PARTS` parts of the rounds."""
    size = max(2, len(rates) // PARTS)
    parts = [fast(rates[i : i + size]) / fast(floor[i : i + size]) for i in range(0, len(rates) - size + 1, size)]
    whole = fast(rates) / fast(floor)
    return whole, min(parts, default=whole), max(parts, default=whole)


class Pace:
    """The program `pace`, which is both ends of each connection; to be closed."""

    def __init__(self, road: Road) -> None:
        # Only a network is entered, so that the program finds processes by the ids they have here.
        argv: list[str | Path] = ["nsenter", "-t", str(road.lab.inet.init.pid), "-n", "--", programs.path("pace")]
        self._running = process.popen(argv, stdin=subprocess.PIPE)

    def turn(self, road: Road, kind: Kind, family: int, count: int) -> float:
        """The seconds of so many connections or bytes. Raises WrongError when one does not get through."""
        ends = (road.lab.inet.init.pid, road.guest.init.pid, ASKED[family], *road.ports)
        line = _answer(self._running, " ".join(map(str, (kind, *ends, count))))
        if not line:
            self._running.kill()
            said = self._running.communicate()[1].strip()
            raise WrongError(f"{road.name}, IPv{family}, {kind}: {said or f'no end of it in {PATIENCE:g} s'}")
        return float(line)

    def close(self) -> None:
        self._running.kill()
        self._running.communicate()


def _answer(program: subprocess.Popen[str], question: str) -> str:
    if program.stdin is None or program.stdout is None:
        raise ValueError("a program without pipes")
    program.stdin.write(f"{question}\n")
    program.stdin.flush()
    readable, _, _ = select.select([program.stdout], [], [], PATIENCE)
    return program.stdout.readline() if readable else ""


def in_small_packets(roads: Iterable[Road]) -> None:
    """From now on the kernel makes a packet of each segment, as a NIC without offloads sends and receives them."""
    for road in roads:
        for end, nic in ((road.lab.inet, "lan0"), (road.guest, "eth0")):
            end.run(["ip", "link", "set", nic, "gso_max_segs", "1"])
