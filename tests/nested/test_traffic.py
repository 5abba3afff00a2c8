"""Packets of a guest through its virtual function, untagged and in a VLAN. Minutes each: see the marker."""

from __future__ import annotations

import pytest

from lab.nested import ADDRESS, PEER, Nested

pytestmark = [pytest.mark.lab, pytest.mark.passthrough]


def test_a_guest_reaches_a_neighbour_and_its_host(machine: Nested, network: str) -> None:
    whom = (PEER, ADDRESS)
    guest = machine.define_guest("g1", network, "52:54:00:00:0c:01", addresses=("198.51.100.11/24",), pings=whom)
    guest.start()
    assert guest.pinged() == {PEER: True, ADDRESS: True}
    guest.destroy()
    guest.undefine()


def test_a_guest_in_a_vlan_reaches_a_neighbour_there_and_nobody_else(machine: Nested, network: str) -> None:
    mac, neighbour = "52:54:00:00:0c:02", "192.0.2.1"
    peer = machine.vlan_peer(42, neighbour)
    addresses = ("192.0.2.12/24", "198.51.100.12/24")
    guest = machine.define_guest("g2", network, mac, vlan=42, addresses=addresses, pings=(neighbour, PEER))
    guest.start()
    assert guest.pinged() == {neighbour: True, PEER: False}
    guest.destroy()
    guest.undefine()
    peer.kill()
    said, errors = peer.communicate()
    assert f"{mac} 42" in said.splitlines(), errors
    assert f"{mac} -" not in said.splitlines()
