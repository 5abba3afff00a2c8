"""The list of forwards: the elements that each is, what is in force of them, and whose the counted bytes are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import ip_network

import pytest

from guestnet.compile import ruleset, wire
from guestnet.decide.forwardlist import Element, Listed, listed
from guestnet.decide.forwardrows import Row, elements, rows
from guestnet.spec.load import load_spec
from guestnet.spec.show import applied
from tests.worlds import drawn

FILE = """
networks:
  lab: {mode: nat, ipv4: 10.9.1.1/24, ipv6: "fd00:9::1/64"}
  old: {mode: nat, ipv4: 10.9.2.1/24, ipv6: none}
guests:
  web:
    network: lab
    ipv4: 10.9.1.10
    ipv6: ::10
    forwards:
      - 4023:22
      - 4080/tcp+udp
      - 203.0.113.7:4080:80
      - "[2001:db8::7]:4080:80/udp"
      - up0:4081:81
      - up0.5:4081:82/udp
      - 203.0.113.9/all
      - {listen: [203.0.113.8, "2001:db8::8"], protocol: all}
      - {ports: 5000-5002, to: 6000-6002, listen: [203.0.113.7, up0], protocol: tcp+udp}
      - {ports: 20000-29999, description: many}
      - {ports: 30000-30999, from: [198.51.100.0/24, 198.51.102.1, "2001:db8:5::/48"], listen: 203.0.113.7}
      - {ports: 40000-40300, to: 50000-50300, family: ipv6}
      - {ports: 7000, from: 198.51.100.0/24, protocol: tcp+udp}
      - {ports: 7001, from: 0.0.0.0/0}
      - {ports: 7002, from: [0.0.0.0/0, "2001:db8:5::1"], listen: up0}
      - {ports: 8080, to: 80, protocol: tcp+udp, loopback: true}
      - {ports: 9999, enabled: false}
  both:
    nics:
      - {network: old, ipv4: 10.9.2.10}
      - {network: lab, ipv4: 10.9.1.11, ipv6: ::11}
    forwards:
      - 6000
      - {ports: 6001, network: lab}
"""


def world() -> tuple[list[Row], dict[str, set[tuple[bytes, bytes]]]]:
    """The rows of what was applied, and the elements that nft is given, as the kernel has them."""
    spec = load_spec(FILE, "f.yaml")
    made = drawn(spec)
    merged = ruleset.merge(ruleset.elements(guest.forwards) for guest in made.guests)
    wired = {name: {_wired(name, item) for item in items} for name, items in merged.items() if name[:4] != "sour"}
    return rows(json.loads(applied(spec, made))), wired


def _wired(name: str, item: str) -> tuple[bytes, bytes]:
    key, _, data = item.partition(" : ")
    ends = ("", "")
    if "_from" in name or "_range" in name:
        ends = ("low", "high")
        return b"".join(_bytes(key.split(" . "), end) for end in ends), _bytes(data.split(" . "), "low")
    return _bytes(key.split(" . "), "low"), _bytes(data.split(" . "), "low")


def _bytes(words: Iterable[str], end: str) -> bytes:
    found = b""
    for word in words:
        if word in wire.PROTOCOLS:
            found += wire.PROTOCOLS[word]
        elif word.startswith('"'):
            found += wire.link(word.strip('"'))
        elif word[0].isdigit() and "." not in word and ":" not in word:
            first, _, last = word.partition("-")
            found += wire.port(int(first if end == "low" else last or first))
        else:
            network = ip_network(word)
            found += (network.network_address if end == "low" else network.broadcast_address).packed
    return found


def test_rows_are_the_elements_that_nft_is_given() -> None:
    its, wired = world()
    found: dict[str, set[tuple[bytes, bytes]]] = {}
    for row in its:
        for name, key, data in elements(row):
            found.setdefault(name, set()).add((key, data))
    assert found == wired
    assert len(its) == 16 + 2, "the one that is off is not applied"


def row(port: int = 80, **more: object) -> Row:
    plain = Row("web", (), port, port, port, "tcp", (), False, ((4, "10.9.1.10"),))
    return plain._replace(**more)  # type: ignore[arg-type]


def held(*its: Row, packets: int = 0) -> dict[str, dict[bytes, Element]]:
    found: dict[str, dict[bytes, Element]] = {}
    for one in its:
        for name, key, data in elements(one):
            found.setdefault(name, {})[key] = Element(data, packets, 0)
    return found


def flow(address: str, port: int, passed: int, protocol: str = "tcp") -> tuple[bytes, Element]:
    return wire.address(address) + wire.PROTOCOLS[protocol] + wire.port(port), Element(b"", 1, passed)


def states(found: list[Listed]) -> list[tuple[str, str]]:
    return [(one.state, one.why) for one in found]


def test_active_off_and_drift() -> None:
    on, off = row(80), row(81, guest="db", targets=((4, "10.9.1.11"),))
    assert states(listed([on, off], {"web"}, held(on), {})) == [("active", ""), ("guest off", "")]
    assert states(listed([on], {"web"}, {}, {})) == [("drift", "missing")]
    assert states(listed([off], {"web"}, held(off), {})) == [("drift", "left over")]
    two = row(80, last=81)
    assert states(listed([two], {"web"}, held(row(80)), {})) == [("drift", "partly missing")]


def test_where_it_leads() -> None:
    one, db = row(80), row(81, guest="db", targets=((4, "10.9.1.11"),))
    name, key, _ = next(elements(one))
    for target, port, expected in (
        ("10.9.1.77", 80, ("active", "")),  # its old address, until its next lease
        ("10.9.1.11", 80, ("drift", "leads to 10.9.1.11 port 80")),  # another guest's
        ("10.9.1.10", 22, ("drift", "leads to 10.9.1.10 port 22")),
    ):
        there = {name: {key: Element(wire.address(target) + wire.port(port), 0, 0)}}
        assert states(listed([one, db], {"web"}, there, {}))[0] == expected


@pytest.mark.parametrize("number", range(18))
def test_what_belongs_to_nobody_is_listed(number: int) -> None:
    """Of each kind: the row that is made from the elements is told by them, and by the address."""
    its, _ = world()
    gone = its.pop(number)
    found = [one for one in listed(its, {"web", "both"}, held(*its, gone), {}) if one.state != "active"]
    assert {(one.state, one.why) for one in found} == {("drift", "left over")}
    its_own = {gone.guest, *(address for _, address in gone.targets)}  # the address, where no other row has it
    assert {one.row.guest for one in found} <= its_own
    if gone.protocol != "all":
        assert {one.row.first for one in found} | {one.row.last for one in found} >= {gone.first, gone.last}
        assert {protocol for one in found for protocol in (one.row.protocol,)} == set(gone.protocol.split("+"))
    assert {one.row.listen for one in found} - {("127.0.0.1",)} == {(one,) for one in gone.listen} or not gone.listen


def test_connections_are_those_of_all_its_elements() -> None:
    one = row(80, last=81, protocol="tcp+udp", targets=((4, "10.9.1.10"), (6, "fd00:9::10")))
    assert listed([one], {"web"}, held(one, packets=2), {})[0].connections == 2 * 2 * 2 * 2


def counted(its: list[Row], there: dict[str, dict[bytes, Element]], *flows: tuple[bytes, Element]) -> list[int]:
    return [one.bytes for one in listed(its, {"web"}, there, {4: flows})]


def test_bytes_go_to_the_most_particular() -> None:
    on, nic, anywhere, whole = row(80, listen=("192.0.2.1",)), row(80, listen=("up0",)), row(80), row(protocol="all")
    whole = whole._replace(listen=("192.0.2.9",))
    large = row(20000, last=20999)
    its = [anywhere, on, whole, large]
    flows = (
        flow("192.0.2.1", 80, 1), flow("192.0.2.2", 80, 10), flow("192.0.2.3", 80, 100), flow("192.0.2.9", 22, 1000),
        flow("192.0.2.2", 20500, 10_000), flow("192.0.2.2", 81, 7), flow("192.0.2.2", 80, 7, "udp"),
    )  # fmt: skip
    assert counted(its, held(*its), *flows) == [110, 1, 1000, 10_000]
    # Through a NIC or to any: whichever had connections.
    assert counted([anywhere, nic], held(anywhere, nic), flow("192.0.2.1", 80, 5)) == [0, 5]
    there = held(nic) | held(anywhere, packets=1)
    assert counted([anywhere, nic], there, flow("192.0.2.1", 80, 5)) == [5, 0]
    some = row(80, sources=("198.51.100.0/24",))
    assert counted([anywhere, some], held(anywhere) | held(some, packets=1), flow("192.0.2.1", 80, 5)) == [0, 5]


def test_bytes_by_loopback_and_of_nobody() -> None:
    one = row(80, loopback=True, listen=("192.0.2.1",))
    assert counted([one], held(one), flow("127.0.0.1", 80, 3), flow("192.0.2.1", 80, 4), flow("192.0.2.2", 80, 9)) == [
        7
    ]
