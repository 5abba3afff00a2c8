"""At which address a guest is asked for, from the internet's side."""

from __future__ import annotations

import random
from typing import cast

import pytest

from guestnet.act.asks import Ask, Question, Wanted, ask_for
from guestnet.act.ends import Stage
from guestnet.act.measure import Host
from guestnet.decide import outside, places
from guestnet.decide.upstream import Far
from guestnet.host.probe import End as Probe
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve
from tests.decide.test_outside import ONE

FILE = """
networks:
  routed: {mode: nat, ipv4: 10.9.1.1/24, ipv6: {prefix: "2001:db8:7::/64"}}
  hidden: {mode: nat, ipv4: 10.9.3.1/24, ipv6: {prefix: translate, address: "fd00:9:0:3::1/64"}}
  ula: {mode: nat, ipv4: 10.9.4.1/24, ipv6: "fd00:9:0:4::1/64"}
guests:
  www: {network: routed, ipv6: "::10", forwards: ["8443:80", "25:2525", "9000-9009:7000-7009"]}
  mail: {network: hidden, ipv6: "::1:10", forwards: ["8444:80"]}
  plain: {network: ula, ipv6: "::10", forwards: ["8445:80"]}
"""
WWW, MAIL, HOST = "2001:db8:7::10", "2001:db8:1::1:10", "2001:db8:1::2"


class Fake:
    """Of an end only its addresses are asked for here; a real one is a process in a namespace."""

    addresses = {4: "198.51.100.2", 6: "2001:db8:ffff::2"}  # noqa: RUF012  nobody writes it
    near: dict[int, str] = {}  # noqa: RUF012  nobody writes it
    port = 7


def asked(guest: str, port: int, protocol: str = "tcp", family: int = 6) -> tuple[str, bool]:
    """The address that the question goes to, and whether a forward is to lead from there."""
    taken = Taken(prefixes=outside.prefixes(ONE), uplinks=tuple(outside.uplinks(ONE)))
    world, _ = resolve(load_spec(FILE.encode(), "x"), Memory(), random=random.Random(7), taken=taken, macs={})  # noqa: S311  not a secret
    host = Host(world, ONE, frozenset({"routed", "hidden", "ula"}), Far())
    far, target = (places.find(world, ONE, host.running, name) for name in ("internet", guest))
    stage = Stage(cast("Probe", Fake()), cast("Probe", Fake()))
    found = ask_for(Wanted(host, stage, Question("internet", guest, protocol, port), far, target, family))
    assert isinstance(found, Ask), found
    return found.asked, found.through is not None


@pytest.mark.parametrize(
    ("guest", "port", "wanted"),
    [
        ("www", 80, (WWW, False)),
        ("mail", 80, (MAIL, False)),
        ("www", 7004, (WWW, False)),
        ("www", 2525, (WWW, False)),
        ("www", 8443, (HOST, True)),
        ("mail", 8444, (HOST, True)),
        ("www", 9004, (HOST, True)),
        ("www", 22, (HOST, True)),
        ("plain", 80, (HOST, True)),
        ("plain", 8445, (HOST, True)),
    ],
)
def test_at_its_own_address_where_a_forward_opens_that(guest: str, port: int, wanted: tuple[str, bool]) -> None:
    assert asked(guest, port) == wanted
    if wanted[0] != HOST:
        assert asked(guest, port, "udp") == (HOST, True), "a forward opens its own protocol"
