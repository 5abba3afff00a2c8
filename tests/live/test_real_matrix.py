"""The matrix with real guests: each mode's row, both families, asked with the guests' own packets, equals the predicted
one; and their addresses come from the right server. guestnet's own probes have no part in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import NamedTuple

import pytest

from lab import Lab
from lab.fake import Static
from lab.guest import RealGuest
from lab.namespace import Namespace
from lab.probe import Answer, Probes, question, understand
from lab.process import run
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  lab: {mode: nat, bridge: virbr1, stp: false, ipv4: 10.77.1.1/24, ipv6: "fd00:77:1::1/64"}
  cell: {mode: isolated, bridge: virbr2, stp: false, ipv4: 10.77.2.1/24, ipv6: "fd00:77:2::1/64"}
  dmz: {mode: routed, bridge: virbr3, stp: false, ipv4: 198.51.100.1/24, ipv6: "2001:db8:77:3::1/64"}
  spare: {mode: bridge, bridge: br1, interface: eth1}
  tap: {mode: macvtap, interface: eth2}
guests:
  n: {network: lab, mac: "52:54:00:77:00:01", ipv4: 10.77.1.10, ipv6: "::10", forwards: ["4080:80/tcp+udp"]}
  i: {network: cell, mac: "52:54:00:77:00:02", ipv4: 10.77.2.10, ipv6: "::10"}
  r: {network: dmz, mac: "52:54:00:77:00:03", ipv4: 198.51.100.10, ipv6: "::10"}
  b: {network: spare, mac: "52:54:00:77:00:04"}
  m: {network: tap, mac: "52:54:00:77:00:05"}
"""
GUESTS = {"n": "lab", "i": "cell", "r": "dmz", "b": "spare", "m": "tap"}
# With a way to every network, it is the host that decides who comes in.
UPSTREAM = """
ip route add 10.77.0.0/16 via 203.0.113.2; ip route add 198.51.100.0/24 via 203.0.113.2
ip -6 route add fd00:77::/32 via 2001:db8:1::2; ip -6 route add 2001:db8:77::/48 via 2001:db8:1::2
"""
ROUTER = {"ipv4": "203.0.113.1", "ipv6": "2001:db8:1::1"}
UPLINK = {"ipv4": "203.0.113.2", "ipv6": "2001:db8:1::2"}
# The host's addresses that guests ask for, and the addresses of a second machine in each network
HOST = {
    "lab": {"ipv4": "10.77.1.1", "ipv6": "fd00:77:1::1"},
    "cell": {"ipv4": "10.77.2.1", "ipv6": "fd00:77:2::1"},
    "dmz": {"ipv4": "198.51.100.1", "ipv6": "2001:db8:77:3::1"},
    "spare": UPLINK,
    "tap": UPLINK,
}
SECOND = {
    "lab": {"ipv4": "10.77.1.250", "ipv6": "fd00:77:1::250"},
    "cell": {"ipv4": "10.77.2.250", "ipv6": "fd00:77:2::250"},
    "dmz": {"ipv4": "198.51.100.250", "ipv6": "2001:db8:77:3::250"},
    "spare": {"ipv4": "203.0.113.60", "ipv6": "2001:db8:1::60"},
    "tap": {"ipv4": "203.0.113.61", "ipv6": "2001:db8:1::61"},
}
LAN = {"ipv4": ip_network("203.0.113.0/24"), "ipv6": ip_network("2001:db8:1::/64")}
ON_LAN = ("spare", "tap")
FAMILIES = ("ipv4", "ipv6")
PATIENCE = 1.0  # seconds
Cell = tuple[str, str, str]  # from, to, family


class World(NamedTuple):
    lab: Lab
    guests: dict[str, RealGuest]  # by network
    addresses: dict[str, dict[str, str]]  # by network and family


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        for number in (1, 2):
            lab.inet.plug(lab.host, f"eth{number}", f"p{number}")
        lab.host.shell("echo 0 > /proc/sys/net/ipv6/conf/eth2/accept_ra; ip link set eth2 up")
        apply(lab.host, FILE)
        lab.inet.shell(UPSTREAM)
        lab.host.libvirtd.restart()
        guests = {
            network: lab.host.define_guest(name, network, f"52:54:00:77:00:0{i + 1}", memory=160)
            for i, (name, network) in enumerate(GUESTS.items())
        }
        for guest in guests.values():
            guest.start()
        lab.host.echo(7, name="host")
        for network, bridge in (("lab", "virbr1"), ("cell", "virbr2"), ("dmz", "virbr3"), ("spare", "br1")):
            second = SECOND[network]
            static = Static(f"{second['ipv4']}/24", f"{second['ipv6']}/64", *HOST[network].values())
            lab.host.fake_guest(f"{network}2", bridge, plug=static)
        beside = macvlan(lab)
        found = {network: map(str, guest.wait_addresses()) for network, guest in guests.items()}
        yield World(lab, guests, {network: dict(zip(FAMILIES, its, strict=True)) for network, its in found.items()})
        beside.stop()


def macvlan(lab: Lab) -> Namespace:
    """A second machine on the NIC that the macvtap guest is on: a macvlan is to the kernel what a macvtap is."""
    made = Namespace("tap2", parent=lab.host)
    made.start()
    enter = ["nsenter", "-t", str(lab.host.init.pid), "-n", "--"]
    link = ["ip", "link", "add", "link", "eth2", "name", "eth0", "netns", str(made.init.pid)]
    run([*enter, *link, "type", "macvlan", "mode", "bridge"])
    made.shell(
        f"ip link set eth0 up; ip addr add {SECOND['tap']['ipv4']}/24 dev eth0\n"
        f"ip addr add {SECOND['tap']['ipv6']}/64 dev eth0 nodad"
    )
    made.echo(80, name="tap2")
    return made


def test_addresses_come_from_the_right_server(world: World) -> None:
    assert {network: world.addresses[network] for network in ("lab", "cell", "dmz")} == {
        "lab": {"ipv4": "10.77.1.10", "ipv6": "fd00:77:1::10"},
        "cell": {"ipv4": "10.77.2.10", "ipv6": "fd00:77:2::10"},
        "dmz": {"ipv4": "198.51.100.10", "ipv6": "2001:db8:77:3::10"},
    }, "as reserved"
    for network in ON_LAN:
        for family in FAMILIES:
            assert ip_network(world.addresses[network][family]).subnet_of(LAN[family])  # type: ignore[arg-type]
    given = world.lab.inet.read("/run/lab/leases")
    asked = [name for name, network in GUESTS.items() if world.guests[network].mac in given]
    assert asked == ["b", "m"], "the LAN's server gave these their addresses, and no other"


class Asking(NamedTuple):
    """What is asked for a cell; by forward: the address and port that one is at."""

    cell: Cell
    address: str
    port: int
    by_forward: bool = False


def from_guest(network: str) -> list[Asking]:
    """What its guest asks: the internet, the host, and the second machine in its network."""
    return [
        asking
        for family in FAMILIES
        for asking in (
            Asking((network, "internet", family), ROUTER[family], 7),
            Asking((network, "host", family), HOST[network][family], 7),
            Asking((network, network, family), SECOND[network][family], 80),
        )
    ]


def to_guest(source: str, world: World) -> list[Asking]:
    """What the internet or the host asks for in each network."""
    ways = [
        Asking((source, network, family), world.addresses[network][family], 80)
        for network in world.guests
        for family in FAMILIES
    ]
    if source == "internet":
        ways += [Asking((source, "lab", family), UPLINK[family], 4080, by_forward=True) for family in FAMILIES]
    return ways


def ask(where: Probes, askings: Sequence[Asking]) -> list[tuple[Asking, Answer]]:
    """On both protocols. In a guest with one script for all: each run of its agent costs as much as a probe."""
    asked = [(one, protocol) for one in askings for protocol in ("tcp", "udp")]
    if not isinstance(where, RealGuest):
        return [(one, where.probe(protocol, one.address, one.port, timeout=PATIENCE)) for one, protocol in asked]
    lines = [question("/bin/probe", protocol, one.address, one.port, None, PATIENCE) for one, protocol in asked]
    script = "".join(f"{' '.join(words)} > /tmp/asked{i} & " for i, words in enumerate(lines))
    script += "wait; " + "".join(f"cat /tmp/asked{i}; " for i in range(len(lines)))
    told = where.run(script).stdout.splitlines()
    return [
        (one, understand(subprocess.CompletedProcess(words, 0, line)))
        for (one, _), words, line in zip(asked, lines, told, strict=True)
    ]


def verdicts(told: list[tuple[Asking, Answer]]) -> dict[Cell, str]:
    """yes: everything came through; forwards: what was asked by one, and nothing else."""
    found = {}
    for cell in dict.fromkeys(one.cell for one, _ in told):
        direct = {answer.answered for one, answer in told if one.cell == cell and not one.by_forward}
        forwards = {answer.answered for one, answer in told if one.cell == cell and one.by_forward}
        if direct == {True}:
            found[cell] = "yes"
        elif direct == {False} and True not in forwards:
            found[cell] = "no"
        else:
            found[cell] = "forwards" if direct == {False} and forwards == {True} else "partly"
    return found


def test_the_measured_matrix_is_the_predicted_one(world: World) -> None:
    asked: list[tuple[Probes, list[Asking]]] = [
        (world.lab.inet, to_guest("internet", world)),
        (world.lab.host, to_guest("host", world)),
        *((guest, from_guest(network)) for network, guest in world.guests.items()),
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        found = verdicts([answer for told in pool.map(lambda one: ask(*one), asked) for answer in told])
    assert len(found) == 5 * 5 * 2
    predicted = {}
    for one in json.loads(world.lab.host.guestnet("--format", "json", "reach").stdout)["cells"]:
        ends = (one["from"]["name"] or one["from"]["kind"], one["to"]["name"] or one["to"]["kind"], one["family"])
        # This LAN gives addresses and a router in both families, and lets everybody in.
        predicted[ends] = "yes" if one["predicted"] == "lan" else one["predicted"]
    assert found == {cell: predicted[cell] for cell in found}
    assert set(found.values()) == {"yes", "no", "forwards"}


def test_who_is_seen(world: World) -> None:
    """NAT hides a guest behind the host, and nothing else does; a forward keeps the client's address."""
    seen = {network: world.guests[network].probe("tcp", ROUTER["ipv4"], 7).seen for network in ("lab", "dmz", *ON_LAN)}
    assert {network: str(address) for network, address in seen.items()} == {
        "lab": UPLINK["ipv4"],
        "dmz": "198.51.100.10",
        "spare": world.addresses["spare"]["ipv4"],
        "tap": world.addresses["tap"]["ipv4"],
    }
    told = world.lab.inet.probe("tcp", UPLINK["ipv6"], 4080, source="2001:db8:1::9")
    assert told.text == "n tcp 80 from 2001:db8:1::9"
