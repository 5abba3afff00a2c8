"""Who is meant by a name: guests and their NICs, networks, addresses, those that nobody has, those that do not run."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_interface

import pytest

from guestnet.decide.facts import Domain, DomainNic, Facts, Lease
from guestnet.decide.places import Place, find, running_domain
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve
from guestnet.words.problems import GuestnetError

FILE = """
networks:
  lab: {mode: nat, bridge: virbr1, ipv4: 10.66.1.1/24, ipv6: "fd00:66:1::1/64"}
  only: {mode: nat, bridge: virbr2, ipv4: 10.66.2.1/24, ipv6: none}
  off: {mode: nat, bridge: virbr3, ipv4: 10.66.3.1/24}
  spare: {mode: bridge, bridge: br1, interface: eth1}
guests:
  web1: {network: lab, mac: "52:54:00:12:34:56", ipv4: 10.66.1.10}
  two: {nics: [{network: lab, mac: "52:54:00:12:34:57"}, {network: only, mac: "52:54:00:12:34:58"}]}
  outside1: {network: spare}
  idle: {network: "off"}
"""
WORLD = resolve(
    load_spec(FILE, "test.yaml"), Memory(), random=random.Random(1), taken=Taken(), macs={}  # noqa: S311  no secret
)[0]  # fmt: skip
FACTS = Facts(
    hostname="kvm1",
    libvirt="9.0.0",
    domains=(
        Domain("web1", True, (DomainNic("lab", "52:54:00:12:34:56"),)),
        Domain("stray", False, (DomainNic("lab", "52:54:00:00:00:01"), DomainNic("default", "52:54:00:00:00:02"))),
        Domain("foreign", True, (DomainNic("default", "52:54:00:00:00:03"),)),
    ),
    leases=(Lease("lab", "52:54:00:00:00:01", ip_address("10.66.1.99")),),
    addresses=(("up0", ip_interface("203.0.113.2/24")), ("virbr1", ip_interface("10.66.1.1/24"))),
)
RUNNING = frozenset({"lab", "only", "spare"})


def place(name: str, beside: Place | None = None) -> Place:
    return find(WORLD, FACTS, RUNNING, name, beside)


@pytest.mark.parametrize(
    ("name", "kind", "network", "address"),
    [
        ("internet", "internet", None, ""),
        ("host", "host", None, ""),
        ("lab", "network", "lab", ""),
        ("spare", "network", "spare", ""),
        ("web1", "guest", "lab", ""),
        ("outside1", "guest", "spare", ""),
        ("10.66.1.77", "address", "lab", "10.66.1.77"),
        ("fd00:66:1:0::77", "address", "lab", "fd00:66:1::77"),
        ("10.66.1.1", "host", None, "10.66.1.1"),
        ("203.0.113.2", "host", None, "203.0.113.2"),
        ("203.0.113.9", "outside", None, "203.0.113.9"),
    ],
)
def test_who_is_meant(name: str, kind: str, network: str | None, address: str) -> None:
    found = place(name)
    assert (found.name, found.kind, found.network and found.network.name, found.address) == (
        name,
        kind,
        network,
        address,
    )


def test_a_guest_is_meant_with_its_nic_beside_the_other() -> None:
    assert place("two").nic == WORLD.guests[2].nics[0]
    found = place("two", place("only"))
    assert (found.nic, found.network) == (WORLD.guests[2].nics[1], place("only").network)


def test_a_domain_that_the_file_does_not_name() -> None:
    found = place("stray")
    assert found.nic is not None
    assert (found.nic.network, found.nic.mac, str(found.nic.ipv4), found.nic.ipv6) == (
        "lab", "52:54:00:00:00:01", "10.66.1.99", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "families"),
    [("lab", (4, 6)), ("only", (4,)), ("spare", (4, 6)), ("internet", (4, 6)), ("fd00::1", (6,)), ("10.66.1.77", (4,))],
)
def test_families(name: str, families: tuple[int, ...]) -> None:
    assert tuple(family for family in (4, 6) if place(name).has(family)) == families


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("web2", 'nobody knows web2 (did you mean "web1"?)'),
        ("intrenet", 'nobody knows intrenet (did you mean "internet"?)'),
        (
            "qqqq",
            "nobody knows qqqq (write internet, host, an address, or one of idle, lab, off, only, outside1, spare, two",
        ),
        ("", "nobody knows "),
        ("10.66.1.300", "nobody knows 10.66.1.300"),
        ("off", "network off does not run (start it: guestnet apply)"),
        ("idle", "network off does not run (start it: guestnet apply)"),
        ("10.66.3.9", "network off does not run (start it: guestnet apply)"),
        ("foreign", "guest foreign has no NIC in a network of the file (name another, or its address)"),
    ],
)
def test_who_cannot_be_meant(name: str, said: str) -> None:
    with pytest.raises(GuestnetError) as caught:
        place(name)
    assert str(caught.value).startswith(said)


def test_whether_a_guest_runs() -> None:
    guests = {guest.name: guest for guest in WORLD.guests}
    assert running_domain(FACTS, guests["web1"]) is True
    assert running_domain(FACTS, guests["two"]) is None
