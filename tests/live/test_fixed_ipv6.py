"""An IPv6 address that is fixed by a guest's MAC: by DHCPv6, whatever DUID its client has; and by SLAAC, where the
guest makes it of the MAC, or another one by itself."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

import pytest

from lab import Lab
from lab.fake import FakeGuest, Static
from lab.guest import RealGuest
from lab.process import wait_for
from tests.live.conftest import apply, elements

pytestmark = pytest.mark.lab

MACS = {name: f"52:54:00:00:06:0{number}" for number, name in enumerate("abcdefgh")}
# dhcpcd takes no LLT where the machine has a UUID, as QEMU's has, but in full
LLT = f"00:01:00:01:2f:00:00:01:{MACS['b']}"
REAL = {"a": "ll", "b": LLT, "c": "uuid"}
FAKE = {"d": "ll", "e": "lt", "f": "00:02:00:00:ab:11:01:02:03:04"}
KINDS = {"a": "00:03", "b": "00:01", "c": "00:04", "d": "00:03", "e": "00:01", "f": "00:02"}  # RFC 8415, RFC 6355

DHCP = """
networks:
  lab: {mode: nat, bridge: virbr1, stp: false, ipv4: 10.66.1.1/24, ipv6: "fd00:66:1::1/64"}
guests:
""" + "".join(f'  {name}: {{network: lab, mac: "{mac}"}}\n' for name, mac in MACS.items())


def test_by_dhcpv6_with_each_kind_of_duid() -> None:
    with Lab() as lab:
        host = lab.host
        apply(host, DHCP)
        guests: list[RealGuest | FakeGuest] = []
        for name, duid in REAL.items():
            real = host.define_guest(name, "lab", MACS[name], duid=duid)
            real.start()
            guests.append(real)
        guests += [host.fake_guest(name, "virbr1", mac=MACS[name], duid=duid) for name, duid in FAKE.items()]
        shown = [line.split() for line in host.guestnet("status").stdout.splitlines()]
        for guest in guests:
            _, address = guest.wait_addresses()
            assert any(guest.name in words and str(address) in words for words in shown), f"{guest.name}: {address}"
        leased = host.virsh("net-dhcp-leases", "lab").stdout.splitlines()
        for name, kind in KINDS.items():
            (duid,) = [line.split()[-1] for line in leased if MACS[name] in line and " ipv6 " in line]
            assert duid.startswith(f"{kind}:"), f"{name}: {duid}"


SLAAC = f"""
networks:
  lab:
    mode: nat
    bridge: virbr1
    stp: false
    ipv4: 10.66.1.1/24
    ipv6: {{address: "fd00:66:1::1/64", dhcp: false}}
guests:
  a: {{network: lab, mac: "{MACS["a"]}", forwards: ["8080:80"]}}
  b: {{network: lab, mac: "{MACS["b"]}", forwards: ["8081:80"]}}
"""
PREDICTED = {name: f"fd00:66:1:0:5054:ff:fe00:60{number}" for number, name in enumerate("ab")}


@pytest.fixture(scope="module")
def slaac() -> Iterator[Lab]:
    with Lab() as lab:
        said = apply(lab.host, SLAAC)
        assert f"forwards go to what a MAC makes (EUI-64): a {PREDICTED['a']}, b {PREDICTED['b']}" in " ".join(
            said.split()
        )
        lab.host.libvirtd.restart()
        yield lab


def reached(lab: Lab, port: int) -> str:
    return lab.inet.probe("tcp", "2001:db8:1::2", port, source="2001:db8:1::9", timeout=1).text


def test_a_real_guest_has_what_its_mac_makes(slaac: Lab) -> None:
    host = slaac.host
    assert f"{PREDICTED['a']} (SLAAC, predicted)" in host.guestnet("status").stdout
    guest = host.define_guest("a", "lab", MACS["a"])
    guest.start()
    _, address = guest.wait_addresses()
    assert str(address) == PREDICTED["a"]
    assert reached(slaac, 8080) == "a tcp 80 from 2001:db8:1::9", "the forward was right before the guest was there"
    assert guest.probe("tcp", "2001:db8:1::1", 7).text == "inet tcp 7 from 2001:db8:1::2"
    assert f"{PREDICTED['a']} (SLAAC)" in host.guestnet("status").stdout
    assert f"a {PREDICTED['a']}" not in host.guestnet("plan").stdout, "seen: no warning"


def test_a_guest_with_stable_private_addresses_is_followed(slaac: Lab) -> None:
    """RFC 7217 by the kernel itself (addr_gen_mode 3: ip-sysctl). Its domain does not boot; its address is a fake's."""
    host = slaac.host
    host.define_guest("b", "lab", "52:54:00:99:99:99", memory=16)
    host.virsh("start", "b", "--paused")
    wait_for("the forward", lambda: "8081" in elements(host))
    guest = host.fake_guest(
        "b", "virbr1", mac=MACS["b"], plug=Static("10.66.1.77/24", router4="10.66.1.1"), ports=(80,)
    )
    guest.shell(
        "ip link set eth0 down; echo 3 > /proc/sys/net/ipv6/conf/eth0/addr_gen_mode; ip link set eth0 up; "
        "ip route replace default via 10.66.1.1"
    )
    _, address = guest.wait_addresses(v4=False)
    assert isinstance(address, IPv6Address)
    assert str(address) != PREDICTED["b"]
    assert not reached(slaac, 8081).startswith("b "), "the forward goes where nobody is"
    assert guest.probe("tcp", "2001:db8:1::1", 7).answered, "the host has met it"
    said = " ".join(apply(host).split())
    assert f"guest b has set its address itself, {address}, and does not ask for {PREDICTED['b']}" in said
    assert reached(slaac, 8081) == "b tcp 80 from 2001:db8:1::9"
    assert f"{PREDICTED['b']} (SLAAC, it has {address})" in host.guestnet("status").stdout
    assert "Nothing to do" in host.guestnet("plan").stdout
    why = host.guestnet("why", "host", "b", "80", check=False).stdout
    assert f" {address} " in why
