"""A first file from what libvirt has: it passes check, and with it a network that is taken over stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from guestnet.compile import netlive, netmerge, netxml
from guestnet.spec.edit import add_network, remove_network
from guestnet.spec.firstfile import Plugged, first_file
from guestnet.spec.fromlibvirt import entry
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve
from guestnet.words.problems import GuestnetError

DNSMASQ = "xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'"
IP4 = "<ip address='192.168.122.1' netmask='255.255.255.0'>{}</ip>"
RANGE = "<dhcp><range start='192.168.122.2' end='192.168.122.254'/>{}</dhcp>"
BRIDGE = "<bridge name='virbr0' stp='on' delay='0'/><mac address='52:54:00:0a:cd:21'/>"
HOST = "<host mac='52:54:00:00:00:01' name='a' ip='192.168.122.10'/>"

# All that libvirt's network XML can say, in networks of every kind: the file says what it can, the rest stays.
NETWORKS = {
    "default": "<forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>"
    + BRIDGE
    + IP4.format(RANGE.format("")),
    "nat66": f"<forward mode='nat' dev='eth0'><nat ipv6='yes'><address start='203.0.113.5' end='203.0.113.6'/>"
    f"<port start='500' end='1000'/></nat><interface dev='eth0'/></forward>{BRIDGE}{IP4.format(RANGE.format(HOST))}"
    "<ip family='ipv6' address='fd00::1' prefix='64'><dhcp><range start='fd00::10' end='fd00::ff'/></dhcp></ip>",
    "open6": f"<forward mode='nat'/>{BRIDGE}{IP4.format('')}<ip family='ipv6' address='2001:db8::1' prefix='64'/>",
    "kept": "<title>t</title><description>d</description><forward mode='nat'/><bridge name='v' stp='off' delay='2' "
    "macTableManager='libvirt'/><mac address='52:54:00:0a:cd:22'/><mtu size='1400'/><domain name='x.y'/>"
    "<dns forwardPlainNames='no'><forwarder domain='corp' addr='10.0.0.9'/><forwarder addr='10.0.0.8'/>"
    "<txt name='t' value='v'/><srv service='s' protocol='tcp' domain='d' target='x.' port='5' priority='1' weight='2'/>"
    "<host ip='10.0.0.1'><hostname>a</hostname><hostname>b</hostname></host></dns>"
    "<bandwidth><inbound average='1000' peak='5000' burst='1024'/><outbound average='128'/></bandwidth>"
    "<ip address='10.1.0.1' prefix='24' localPtr='yes'><tftp root='/t'/><dhcp><range start='10.1.0.5' end='10.1.0.9'>"
    "<lease expiry='2' unit='hours'/></range><range start='10.1.0.20' end='10.1.0.29'/>"
    "<host mac='52:54:00:00:00:02' ip='10.1.0.6'/><bootp file='f'/></dhcp></ip>"
    "<ip address='10.2.0.1' netmask='255.255.0.0'/>"
    "<route address='10.3.0.0' prefix='24' gateway='10.1.0.77' metric='3'/>"
    "<portgroup name='g' default='yes'><bandwidth><inbound average='10'/></bandwidth></portgroup>"
    "<dnsmasq:options><dnsmasq:option value='no-hosts'/></dnsmasq:options>",
    "alone": f"<port isolated='yes'/>{BRIDGE}{IP4.format(RANGE.format(''))}",
    "routed": f"<forward mode='route'/>{BRIDGE}{IP4.format('')}<ip family='ipv6' address='2001:db8::1' prefix='64'/>",
    "lan": "<forward mode='bridge'/><bridge name='br0'/><vlan trunk='yes'><tag id='4'/></vlan>",
    "tap": "<forward dev='eth1' mode='private'><interface dev='eth1'/></forward>",
    "whole": "<forward dev='eth1' mode='passthrough'><interface dev='eth1'/><interface dev='eth2'/></forward>",
    "vf": "<forward mode='hostdev' managed='yes'><pf dev='eth3'/></forward><vlan><tag id='42'/></vlan>",
}


def document(name: str) -> str:
    return f"<network {DNSMASQ}><name>{name}</name>{NETWORKS[name]}</network>"


def of(networks: Mapping[str, tuple[str, bool]]) -> str:
    return first_file(networks, {}, [], "f.yaml")


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_taken_over_stays_as_it_is(name: str) -> None:
    """But our mark, and where the reservations are, which waits for the next restart."""
    found = netxml.canonical(document(name))
    spec = load_spec(of({name: (document(name), True)}), "f")
    world, _ = resolve(spec, Memory(), random=lambda: 0.5, taken=Taken(), macs={})  # type: ignore[arg-type]
    ours = netxml.canonical(netxml.network_xml(world.networks[0]) if world.networks else netxml.lan_xml(world.lans[0]))
    xml = netmerge.merged(found, ours, ())
    assert netmerge.adopted(xml)
    assert netmerge.released(xml) == found
    assert netlive.reachable(found, xml) == found, "nothing changes in what runs"
    assert netmerge.merged(xml, ours, ()) == xml, "the next apply finds nothing to do"


def test_what_the_file_changes_is_changed() -> None:
    found = netxml.canonical(document("kept"))
    text = of({"kept": (document("kept"), True)}).replace("x.y", "z").replace("lease: 7200", "lease: 600")
    world, _ = resolve(load_spec(text, "f"), Memory(), random=lambda: 0.5, taken=Taken(), macs={})  # type: ignore[arg-type]
    xml = netmerge.merged(found, netxml.canonical(netxml.network_xml(world.networks[0])), {"52:54:00:00:00:02"})
    for kept in ("<title>t<", "'libvirt'", 'domain="corp"', "10.1.0.20", 'file="f"', "10.2.0.1", "portgroup", "metric"):
        assert kept.replace("'", '"') in xml
    for gone in ("x.y", 'expiry="7200"', "52:54:00:00:00:02"):
        assert gone not in xml, "the address of a guest in the file is reserved there"
    near = netlive.reachable(found, xml)
    assert 'expiry="600"' in near, "a range changes as it runs"
    assert "x.y" in near
    assert "52:54:00:00:00:02" in near, "until the restart, the reservation holds"


def test_guests_and_their_addresses_are_guesses() -> None:
    guests = {
        "a": [Plugged("default", "52:54:00:00:00:01"), Plugged("other", "52:54:00:00:00:09")],
        "b": [Plugged("default", "52:54:00:00:00:02"), Plugged("default", "52:54:00:00:00:03")],
        "c": [Plugged("default", "52:54:00:00:00:04"), Plugged("alone", "52:54:00:00:00:05")],
        "no network": [],
    }
    leases = [
        ("default", "52:54:00:00:00:02", ip_address("192.168.122.77")),
        ("default", "52:54:00:00:00:04", ip_address("192.168.122.77")),
    ]
    default = document("default").replace("254'/>", f"254'/>{HOST}")
    alone = (
        document("alone").replace("192.168.122.", "192.168.123.").replace("virbr0", "virbr1").replace("cd:21", "cd:23")
    )
    text = first_file({"default": (default, False), "alone": (alone, True)}, guests, leases, "f.yaml")
    assert "adopt alone default" in text
    assert "ipv4: 192.168.122.10  # reserved in libvirt's network" in text
    assert "ipv4: 192.168.122.77  # a guess: what DHCP gave it last" in text
    assert "# ipv4: 192.168.122.77 is another guest's in this file" in text
    assert "# left out: a second NIC in the same network" in text
    spec = load_spec(text, "f")
    assert [len(spec.guests[name].all_nics) for name in ("a", "b", "c")] == [1, 1, 2]
    assert not spec.networks["default"].autostart


def test_what_the_file_has_no_word_for_is_left_out() -> None:
    xml = "<network><name>o</name><forward mode='open'/><ip address='10.0.0.1'/></network>"
    text = of({"o": (xml, True), "bare": ("<network><name>bare</name><bridge name='b'/></network>", True)})
    assert "# o is left out: the file has no word for forward mode open" in text
    assert "# bare is left out: it has no address" in text


FILE = """# mine
networks:
  lab:   # the lab
    mode: nat
    ipv4: 10.9.0.1/24
guests:
  web: {network: lab}  # keep
"""


@pytest.mark.parametrize(
    "text",
    [FILE, FILE.replace("\n", "\r\n"), "networks:\n", "networks: {}\nguests:\n", "guests: {}"],
)
def test_a_network_comes_into_the_file_and_leaves_it(text: str) -> None:
    found = entry(document("nat66").replace("eth0", "eth9"), autostart=True)
    made = add_network(text.encode(), "f", "nat66", found)
    assert "nat66" in made.after.networks
    assert set(made.after.networks) - {"nat66"} == set(made.before.networks)
    for line in text.splitlines():
        assert line in made.text or "{}" in line
    again = remove_network(made.text.encode(), "f", "nat66")
    assert again.after.networks == made.before.networks
    if text == FILE:
        assert again.text == FILE


def test_guests_of_a_released_network_go_with_it() -> None:
    made = remove_network(FILE.encode(), "f", "lab")
    assert made.text == "# mine\nnetworks:\nguests:\n"
    two = FILE.replace("{network: lab}", "{nics: [{network: lab}, {network: b}]}") + "  x: {network: lab}\n"
    two = two.replace("guests:", "  b: {mode: nat}\nguests:")
    with pytest.raises(GuestnetError, match="guest web is in network lab, and in another one too"):
        remove_network(two.encode(), "f", "lab")
