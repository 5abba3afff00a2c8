"""A damaged memory, told anew: by libvirt's networks, reservations and hook data, on top of what is left."""

from __future__ import annotations

import random
from dataclasses import replace

from guestnet.compile import dhcp, hookdata, netxml
from guestnet.compile.sysctl import conf
from guestnet.decide.remembered import in_hook_data, in_reservation, rebuilt, set_by_us
from guestnet.decide.state import Network
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve

FILE = """
networks:
  lab: {mode: nat}
  cell: {mode: isolated, ipv6: none}
  own: {mode: nat, ipv4: 10.9.0.1/16, ipv6: "fd00:84:0:1::1/64"}
guests:
  web 1,x: {network: lab, mac: 52:54:00:12:34:56}
  late: {network: lab}
  both: {nics: [{network: cell, mac: 52:54:00:12:34:58}, {network: lab}]}
"""
SPEC = load_spec(FILE, "x.yaml")
WORLD, MEMORY = resolve(SPEC, Memory(), random=random.Random(5), taken=Taken(), macs={})  # noqa: S311  not a secret
NETWORKS = {
    network.name: Network(xml, xml, True)
    for network in WORLD.networks
    if (xml := netxml.canonical(netxml.network_xml(network)))
}
AUTO = {"lab"}


def test_by_networks_and_hook_data() -> None:
    told = [
        one for guest in WORLD.guests for one in in_hook_data(dhcp.file_name(guest.name), hookdata.guest_file(guest))
    ]
    assert rebuilt(Memory(), NETWORKS, told, AUTO) == replace(MEMORY, sysctls={})


def test_by_reservations() -> None:
    told = [
        one
        for guest in WORLD.guests
        for nic in guest.nics
        if nic.mac
        for one in in_reservation(nic.network, dhcp.file_name(guest.name), dhcp.line(nic.mac, nic.ipv4, nic.ipv6, "x"))
    ]
    found = rebuilt(Memory(), NETWORKS, told, AUTO)
    assert found.guests == {key: MEMORY.guests[key] for key in (("lab", "web 1,x"), ("cell", "both"))}
    assert found.ula == MEMORY.ula


def test_what_is_left_of_it_stays() -> None:
    assert rebuilt(MEMORY, {}, [], ()) == MEMORY
    assert rebuilt(MEMORY, NETWORKS, [], AUTO) == MEMORY


def test_a_written_ula_is_not_the_hosts() -> None:
    only = {"own": NETWORKS["own"]}
    assert rebuilt(Memory(), only, [], ()).ula is None


def test_nonsense_tells_nothing() -> None:
    for text in ("", "guestnet 1\nnic\nnic lab\nnic lab - x y\n\x00", "nic a b c d e f"):
        assert in_hook_data("web1", text) == []
        assert in_reservation("lab", "web1", text) == []


def test_sysctls_as_a_kernel_starts_with_them() -> None:
    keys = {"net/ipv6/conf/up0/accept_ra": "2", "net/ipv4/ip_forward": "1"}
    assert set_by_us(conf(keys)) == {"net/ipv6/conf/up0/accept_ra": "1", "net/ipv4/ip_forward": "0"}
    assert set_by_us(None) == {}
