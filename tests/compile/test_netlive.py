"""What of a network changes while it runs, by net-update; what was changed about its bridge by hand."""

from __future__ import annotations

import pytest

from guestnet.compile.bridgedrift import DNSMASQ, DNSMASQ_ALONE, Link, differences, without_dnsmasq
from guestnet.compile.netlive import updates
from guestnet.compile.netxml import canonical

RANGE = "<range start='10.0.0.2' end='10.0.0.9'/>"
XML = (
    "<network><name>n</name><bridge name='v' stp='on' delay='0'/><mac address='52:54:00:00:00:01'/><mtu size='1400'/>"
    f"<ip address='10.0.0.1' netmask='255.255.255.0'><dhcp>{RANGE}</dhcp></ip>"
    "<ip family='ipv6' address='fd00::1' prefix='64'><dhcp><range start='fd00::10' end='fd00::ff'/></dhcp></ip>"
    "</network>"
)
HOST = "<host ip='10.9.9.9'><hostname>x</hostname></host>"


def changed(old: str, new: str, xml: str = XML) -> list[tuple[str, str, int]] | None:
    assert old in xml
    found = updates(canonical(xml), canonical(xml.replace(old, new)))
    return None if found is None else [(one.command, one.section, one.parent) for one in found]


def test_records_come_and_go() -> None:
    dns = XML.replace("<ip address", f"<dns>{HOST}</dns><ip address")
    assert changed("<ip address", f"<dns>{HOST}</dns><ip address") == [("ADD_LAST", "DNS_HOST", -1)]
    assert changed(f"<dns>{HOST}</dns>", "", dns) == [("DELETE", "DNS_HOST", -1)]
    assert changed("10.9.9.9", "10.9.9.8", dns) == [("DELETE", "DNS_HOST", -1), ("ADD_LAST", "DNS_HOST", -1)]
    text = "<txt name='a' value='b'/><srv service='s' protocol='tcp' domain='d' target='t' port='1'/>"
    assert changed("</dns>", f"{text}</dns>", dns) == [("ADD_LAST", "DNS_TXT", -1), ("ADD_LAST", "DNS_SRV", -1)]


def test_a_range_comes_before_the_old_one_goes() -> None:
    assert changed("10.0.0.9'", "10.0.0.8'") == [("ADD_LAST", "IP_DHCP_RANGE", 0), ("DELETE", "IP_DHCP_RANGE", 0)]
    assert changed("fd00::ff", "fd00::fe") == [("ADD_LAST", "IP_DHCP_RANGE", 1), ("DELETE", "IP_DHCP_RANGE", 1)]
    assert changed(f"<dhcp>{RANGE}</dhcp>", "") == [("DELETE", "IP_DHCP_RANGE", 0)]


def test_of_one_range_with_another_lease_there_are_never_two() -> None:
    lease = RANGE.replace("/>", "><lease expiry='2' unit='hours'/></range>")
    assert changed(RANGE, lease) == [("DELETE", "IP_DHCP_RANGE", 0), ("ADD_LAST", "IP_DHCP_RANGE", 0)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'v'", "'w'"),
        ("1400", "1500"),
        ("stp='on'", "stp='off'"),
        ("10.0.0.1'", "10.0.0.3'"),
        ("<mtu", "<domain name='d'/><mtu"),
        ("<mtu", "<dns enable='no'/><mtu"),
        ("<mtu", "<dns><forwarder addr='9.9.9.9'/></dns><mtu"),
        ("<mtu", "<port isolated='yes'/><mtu"),
    ],
)
def test_the_rest_needs_a_restart(old: str, new: str) -> None:
    assert changed(old, new) is None


def test_the_order_of_records_says_nothing() -> None:
    other = HOST.replace("9.9.9.9", "1.1.1.1")
    assert canonical(f"<network><dns>{HOST}{other}</dns></network>") == canonical(
        f"<network><dns>{other}{HOST}</dns></network>"
    )


LINK = Link("52:54:00:00:00:01", 1400, True, True, ("10.0.0.1/24", "fd00::1/64"))


def test_a_bridge_as_libvirt_made_it() -> None:
    assert differences(XML, LINK) == ()


@pytest.mark.parametrize(
    ("link", "what", "line"),
    [
        ({"mac": "52:54:00:00:00:02"}, "v has MAC 52:54:00:00:00:02", "link set v address 52:54:00:00:00:01"),
        ({"mtu": 1500}, "v has MTU 1500, not 1400", "link set v mtu 1400"),
        ({"stp": False}, "v does not speak STP", "link set v type bridge stp_state 1"),
        ({"up": False}, "v is down", "link set v up"),
        ({"addresses": ("10.0.0.1/24",)}, "v has lost fd00::1/64", "address add fd00::1/64 nodad dev v"),
        ({"addresses": ("fd00::1/64",)}, "v has lost 10.0.0.1/24", "address add 10.0.0.1/24 broadcast + dev v"),
        (
            {"addresses": ("10.0.0.1/24", "10.7.0.1/24", "fd00::1/64")},
            "v has 10.7.0.1/24, which is not of the network",
            "address delete 10.7.0.1/24 dev v",
        ),
        ({"loose": ("vnet3",)}, "vnet3 is not kept", "link set vnet3 type bridge_slave isolated on"),
    ],
)
def test_what_was_changed_by_hand(link: dict[str, object], what: str, line: str) -> None:
    (found,) = differences(XML, Link(**(LINK.__dict__ | link)))
    assert what in found.what
    assert found.line == line


def test_who_has_a_dnsmasq() -> None:
    assert without_dnsmasq(XML) == DNSMASQ
    assert without_dnsmasq("<network><ip address='10.0.0.1'/></network>") == DNSMASQ
    assert without_dnsmasq(XML.replace("<mtu", "<dns enable='no'/><mtu")) == DNSMASQ_ALONE
    assert not without_dnsmasq("<network><dns enable='no'/><ip address='10.0.0.1'/></network>")
    assert not without_dnsmasq("<network><bridge name='v'/></network>")
