"""The note's own XML is what `render --only xml` gives, up to name, uuid, MAC, bridge name, metadata, dnsmasq."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from guestnet.compile import netxml
from guestnet.compile.netxml import DNSMASQ
from tests.compile.test_golden import GOLDEN

IPV4 = """
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>"""
IPV6 = """
  <ip family='ipv6' address='fd12:8848:a2a2:1::1' prefix='64'>
    <dhcp><range start='fd12:8848:a2a2:1::10' end='fd12:8848:a2a2:1::ff'/></dhcp>
  </ip>"""
BRIDGE = "<bridge name='virbr0' stp='on' delay='0'/>"
NAT66 = "<forward mode='nat'><nat ipv6='yes'><port start='50000' end='65535'/></nat></forward>"
SEED = {
    "010-seed-ipv4": f"<network><forward mode='nat'/>{BRIDGE}{IPV4}</network>",
    "020-seed-ipv6": f"<network><forward mode='nat'/>{BRIDGE}{IPV4}{IPV6}</network>",
    "030-seed-nat66": f"<network>{NAT66}{BRIDGE}{IPV4}{IPV6}</network>",
}


@pytest.mark.parametrize("case", SEED)
def test_the_notes_xml(case: str) -> None:
    ours = ET.fromstring((GOLDEN / case / "networks.xml").read_text())  # noqa: S314  our own golden
    for path in ("name", "uuid", "mac", "metadata", f"{{{DNSMASQ}}}options"):
        for element in ours.findall(path):
            ours.remove(element)
    assert netxml.canonical(ET.tostring(ours, encoding="unicode")) == netxml.canonical(SEED[case])
