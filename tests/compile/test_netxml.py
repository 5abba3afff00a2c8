"""Network XML: what libvirt gives back means the same as what we gave it, and what is ours is told from what is not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest

from guestnet.compile import netxml
from guestnet.spec.world import Network, Side4, Side6
from guestnet.words.ports import PortRange

LAB = Network(
    name="lab",
    mode="nat",
    bridge="virbr84",
    mac="52:54:00:4e:3c:17",
    v4=Side4(IPv4Interface("192.168.84.1/24"), (IPv4Address("192.168.84.2"), IPv4Address("192.168.84.254"))),
    v6=Side6(IPv6Interface("fd00:1:2:1::1/64"), (IPv6Address("fd00:1:2:1::10"), IPv6Address("fd00:1:2:1::ff"))),
    nat6=True,
    nat_ports=PortRange(50000, 65535),
    host_access="full",
    domain="lab.internal",
    autostart=True,
    stp=True,
)
VARIANTS = {
    "whole": LAB,
    "bare": replace(LAB, v6=None, nat_ports=None, domain=None),
    "no-nat66": replace(LAB, nat6=False, nat_ports=None),
    "no-dhcp": replace(LAB, v4=replace(LAB.v4, pool=None) if LAB.v4 else None),
    "isolated": replace(LAB, mode="isolated", nat6=False, nat_ports=None, host_access="none"),
    "lease": replace(LAB, v4=replace(LAB.v4, lease=1800) if LAB.v4 else None, stp=False),
    "markup in the name": replace(LAB, name='a<b> & "c"'),
}


@pytest.mark.parametrize("network", VARIANTS.values(), ids=VARIANTS.keys())
def test_libvirt_gives_back_what_means_the_same(network: Network) -> None:
    """The parser and printer of the real libvirt; its test driver needs no daemon. It drops the dnsmasq options, which
    belong to the real network driver (tests/live has that one), so they are left out of both sides."""
    xml = netxml.network_xml(network)
    command = ["virsh", "-q", "-c", "test:///default", f"net-define /dev/stdin; net-dumpxml '{network.name}'"]
    done = subprocess.run(command, input=xml, capture_output=True, text=True, check=True)
    given = done.stdout[done.stdout.index("<network") :]
    assert "<uuid>" in given
    assert netxml.canonical(given) == _without_options(netxml.canonical(xml))


def test_names_are_escaped() -> None:
    xml = netxml.network_xml(VARIANTS["markup in the name"])
    assert "a&lt;b&gt; &amp;" in xml


def test_libvirts_default_nat_ports_are_no_difference() -> None:
    xml = netxml.canonical(netxml.network_xml(VARIANTS["bare"]))
    default = xml.replace(
        '<forward mode="nat" />', '<forward mode="nat"><nat><port start="1024" end="65535"/></nat></forward>'
    )
    assert default != xml
    assert netxml.canonical(default) == xml
    other = default.replace("1024", "1025")
    assert netxml.canonical(other) != xml


def test_ours_is_what_carries_our_mark() -> None:
    xml = netxml.network_xml(LAB)
    assert netxml.is_ours(xml)
    assert not netxml.is_ours(xml.replace("urn:guestnet:1", "urn:other:1"))


def test_a_redefinition_keeps_the_uuid() -> None:
    xml = netxml.with_uuid(netxml.network_xml(LAB), "69396942-4f63-449c-ab69-e94cae4dcd6b")
    assert "<uuid>69396942-4f63-449c-ab69-e94cae4dcd6b</uuid>" in xml
    assert netxml.canonical(xml) == netxml.canonical(netxml.network_xml(LAB))


def _without_options(xml: str) -> str:
    start = xml.index("  <dnsmasq:options>")
    end = xml.index("</dnsmasq:options>\n") + len("</dnsmasq:options>\n")
    return netxml.canonical(xml[:start] + xml[end:])
