"""What is told of a hook of somebody else by its text."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from guestnet.decide import hookscript
from guestnet.decide.facts import OldForward
from guestnet.decide.hookscript import UNKNOWN
from guestnet.words.ports import PortRange

IPT = "IPT=/usr/sbin/iptables\n"


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("# saschpe/libvirt-hook-qemu", True),
        ("CONFIG = 'hooks.json'", True),
        ("iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to 10.0.0.2", True),
        (IPT + "$IPT -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to 10.0.0.2", True),
        ("$IPT -t nat -A PREROUTING -j DNAT --to 10.0.0.2", True),  # from a file that it reads
        ("${IP6TABLES} -t nat -A PREROUTING -j DNAT --to 10.0.0.2", True),
        ('rule = ["iptables", "-j",\n "DNAT"]', True),
        ("nft add rule nat pre tcp dport 80 dnat to 10.0.0.2", True),
        ("nft add rule inet nat pre tcp dport 80 dnat ip to 10.0.0.2:80", True),
        ("$NFT add rule inet nat pre dnat ip addr . port to tcp dport map @x", True),
        ('["nft", "add", "rule", "nat", "pre", "dnat", "to", to]', True),
        ('{"dnat": {"addr": "10.0.0.2"}}', True),
        ("", False),
        ("echo passthrough > /sys/bus/pci/drivers_probe", False),
        ("iptables -I FORWARD -o virbr0 -j ACCEPT", False),
        (IPT + "$IPT -I FORWARD -m conntrack --ctstate RELATED,DNAT -j ACCEPT", False),
        ("# we had DNAT in iptables once\nexit 0", False),
        ("# dnat to the guest is done by guestnet", False),
        ("echo DNAT", False),
        ("nft list ruleset | grep dnat", False),
    ],
)
def test_whether_it_forwards(text: str, does: bool) -> None:
    assert hookscript.translates(text) == does


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("iptables -t nat -A P -p tcp --dport 80 -j DNAT --to 10.0.0.2:8080", [(4, "tcp", None, "80")]),
        ("iptables -t nat -A P -d 192.0.2.1/32 -p udp --dport 53 -j DNAT", [(4, "udp", ip_address("192.0.2.1"), "53")]),
        ("iptables -A P -d $IP -p tcp --dport 80 -j DNAT", [(4, "tcp", UNKNOWN, "80")]),
        (
            "$IPT -A P -p tcp -m multiport --dports 80,8000:8100 -j DNAT",
            [(4, "tcp", None, "80"), (4, "tcp", None, "8000-8100")],
        ),
        ("ip6tables -A P -p tcp --dport 80 -j DNAT --to [fd00::2]:80", [(6, "tcp", None, "80")]),
        ('run(["iptables", "-d", "192.0.2.1", "-p", "tcp", "--dport", "80", "-j", "DNAT"])',
         [(4, "tcp", ip_address("192.0.2.1"), "80")]),
        ("nft add rule nat pre tcp dport { 80, 443 } dnat to 10.0.0.2",
         [(4, "tcp", None, "80"), (4, "tcp", None, "443")]),
        ("nft add rule nat pre ip6 daddr 2001:db8::1 udp dport 9-10 dnat to fd00::2",
         [(6, "udp", ip_address("2001:db8::1"), "9-10")]),
        ("iptables -A P -p tcp --dport $PORT -j DNAT", []),
        ("iptables -A P -p tcp --dport 99999 -j DNAT", []),
        ("iptables -A FWD -p tcp --dport 80 -j ACCEPT", []),
        ("# iptables -A P -p tcp --dport 80 -j DNAT", []),
        ("iptables -A P -d 192.0.2.1 -j DNAT --to 10.0.0.2", []),
    ],
)  # fmt: skip
def test_which_ports(line: str, found: list[tuple[int, str, object, str]]) -> None:
    told = [(one.version, one.protocol, one.listen, str(one.ports)) for one in hookscript.forwards(line, "")]
    assert told == found


def test_its_configuration() -> None:
    config = """{"web": {"private_ip": "10.0.0.2", "port_map": {"tcp": [[8080, 80], "odd"], "icmp": [1]},
      "port_range": [{"init_port": 9000, "ports_num": 10, "protocol": "udp"}]}, // a remark
    }"""
    assert set(hookscript.forwards("", config)) == {
        OldForward(4, "tcp", None, PortRange(8080, 8080), "web"),
        OldForward(4, "udp", None, PortRange(9000, 9009), "web"),
    }


@pytest.mark.parametrize("config", ["", "{", "[]", "\0", "[" * 10_000, '{"a": {"port_map": 3}}'])
def test_a_configuration_that_is_none(config: str) -> None:
    assert hookscript.forwards("", config) == ()
