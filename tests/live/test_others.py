"""What else is on a host: routes, libvirt networks of others, addresses that come and go, guests renamed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Network

import pytest

from guestnet.spec.memory import Memory, to_text
from lab import Lab
from lab.guest import Nic
from lab.process import wait_for
from tests.live.conftest import FILE, MAC, apply

pytestmark = pytest.mark.lab

VIA = "via 203.0.113.1"
NET = "networks: {lab: {mode: nat, bridge: virbr84, ipv4: %s, ipv6: none}}\n"
WEB1 = NET % "192.168.84.1/24" + "guests: {web1: {network: lab, ipv4: 192.168.84.10, forwards: [%s]}}\n"
LISTEN = "import socket, time; s = socket.create_server(('203.0.113.2', 4081)); time.sleep(600)"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def plan(lab: Lab, text: str) -> str:
    """What plan says, problems too, in one line."""
    lab.host.write(FILE, text)
    return " ".join(lab.host.guestnet("plan", check=False).stdout.split())


@contextmanager
def given(lab: Lab, *commands: str) -> Iterator[None]:
    """Routes and rules (`route add ...`), gone afterwards."""
    for command in commands:
        lab.host.run(["ip", *command.split()])
    yield
    for command in commands:
        lab.host.run(["ip", *command.replace(" add ", " del ").split()])


def foreign(name: str, subnet: str) -> str:
    ip = f"<ip address='{subnet}.1' netmask='255.255.255.0'/>"
    return f"<network><name>{name}</name><bridge name='br-{name}'/>{ip}</network>"


def test_auto_keeps_clear_of_what_routes_and_networks_have(lab: Lab) -> None:
    ula = IPv6Network("fd5c:6a1b:20e7::/48")
    lab.host.write("/var/lib/guestnet/memory.json", to_text(Memory(ula=ula)))
    lab.host.define_network(foreign("off", "192.168.103"), start=False)
    text = "networks: {a: {mode: nat}, b: {mode: nat}}\n"
    routes = [
        f"route add 192.168.100.0/24 {VIA}",
        "route add blackhole 192.168.101.0/24",
        f"route add 192.168.102.128/25 {VIA} table 52",
        f"route add 0.0.0.0/1 {VIA}",
        f"route add 128.0.0.0/1 {VIA}",
        "route add throw 192.168.104.0/24 table 52",  # says: not here
        "-6 route add unreachable fc00::/7",
        "-6 route add fd5c:6a1b:20e7:1::/64 via 2001:db8:1::1",
    ]
    with given(lab, *routes):
        said = plan(lab, text)
        assert "problem" not in said
        assert "192.168.104.1/24" in said
        assert "192.168.105.1/24" in said
        assert "fd5c:6a1b:20e7:2::1/64" in said
        assert "fd5c:6a1b:20e7:3::1/64" in said
        apply(lab.host, text)
        assert "Nothing to do" in plan(lab, text), "its own routes are no obstacle, nor those of others that came first"
    # A route over a bridge of ours to what a guest is the gateway of.
    with given(lab, "route add 192.168.104.128/25 via 192.168.104.2", f"route add 192.168.104.0/23 {VIA}"):
        assert "Nothing to do" in plan(lab, text)
    assert "Nothing to do" in plan(lab, text)
    apply(lab.host, "networks: {}\n")
    # Remembered, and taken by somebody else since: only auto can give way.
    with given(lab, f"route add 192.168.104.0/24 {VIA}"):
        said = plan(lab, text)
        assert "problem" not in said
        assert "192.168.100.1/24" in said
        assert "192.168.105.1/24" in said
    lab.host.virsh("net-undefine", "off")
    lab.host.guestnet("destroy", "--yes")


def test_a_route_that_takes_our_packets_is_a_problem(lab: Lab) -> None:
    text = NET % "192.168.84.1/24"
    for route in ("192.168.84.0/24", "192.168.84.0/25", "192.168.84.10"):
        with given(lab, f"route add {route} {VIA}"):
            said = plan(lab, text)
            assert f"192.168.84.0/24 of network lab overlaps the route {route}" in said
            assert "via 203.0.113.1 on up0 (choose another subnet in the file, or remove that route)" in said
            assert lab.host.guestnet("apply", "--yes", check=False).returncode == 1
    assert "lab" not in lab.host.virsh("net-list", "--all").stdout


def test_a_shorter_route_is_told_and_harmless_unless_a_rule_asks_it_first(lab: Lab) -> None:
    text = NET % "192.168.84.1/24"
    with given(lab, f"route add 192.168.0.0/16 {VIA}", f"route add 192.168.0.0/16 {VIA} table 52"):
        said = plan(lab, text)
        assert (
            "192.168.84.0/24 of network lab lies in the route 192.168.0.0/16 via 203.0.113.1 on up0: that works" in said
        )
        assert "problem" not in said
        apply(lab.host, text)
        assert "dev virbr84" in lab.host.run(["ip", "route", "get", "192.168.84.10"]).stdout
        assert "note: 192.168" not in plan(lab, text), "told once"
        with given(lab, "rule add fwmark 1 lookup 52 pref 5260"):
            assert "Nothing to do" in plan(lab, text)
        with given(lab, "rule add lookup 52 pref 5270"):
            assert "dev up0" in lab.host.run(["ip", "route", "get", "192.168.84.10"]).stdout
            said = plan(lab, text)
            assert "lies in the route 192.168.0.0/16 via 203.0.113.1 on up0 in table 52, which is asked before" in said
            assert "problem" in said
    assert "Nothing to do" in plan(lab, text)
    lab.host.guestnet("destroy", "--yes")


def test_a_network_of_others_that_does_not_run(lab: Lab) -> None:
    lab.host.define_network(foreign("off", "192.168.84"), start=False)
    said = plan(lab, NET % "192.168.84.1/24")
    assert "192.168.84.0/24 of network lab is also in libvirt's network off, which does not run" in said
    assert "problem" not in said
    lab.host.virsh("net-autostart", "off")
    said = plan(lab, NET % "192.168.84.1/24")
    assert "problem: 192.168.84.0/24 of network lab is also in libvirt's network off, which starts at boot" in said
    lab.host.virsh("net-undefine", "off")
    assert "network off" not in plan(lab, NET % "192.168.84.1/24")


def test_a_forward_waits_for_its_address(lab: Lab) -> None:
    text = WEB1 % "'203.0.113.77:8443:443'"
    note = "the host does not have 203.0.113.77, where guest web1 has forwards (8443/tcp)"
    assert note in plan(lab, text)
    with given(lab, "addr add 203.0.113.77/32 dev up0"):
        assert note not in plan(lab, text)
    with given(lab, "route add local 203.0.113.64/27 dev lo"):
        assert note not in plan(lab, text)


def test_a_service_on_one_address_is_named_with_its_process(lab: Lab) -> None:
    service = lab.host.popen(["/usr/bin/python3", "-c", LISTEN])
    try:
        wait_for("it to listen", lambda: lab.inet.probe("tcp", "203.0.113.2", 4081).kind != "refused")
        for forward, told in (("'203.0.113.2:4081:80'", True), ("4081:80", True), ("'203.0.113.2:4082:80'", False)):
            said = plan(lab, WEB1 % forward)
            assert ("port 4081/tcp at 203.0.113.2 is served by a process of the host, python3 (pid " in said) == told
    finally:
        service.kill()
        service.wait()


def test_a_guest_renamed_by_hand(lab: Lab) -> None:
    """The file has no MAC for it: the one of its reservation is the clue, and stays one after an apply."""
    text = WEB1 % "4080:80"
    guest = lab.host.define_guest("web1", "lab", MAC)
    apply(lab.host, text)
    reservation = lab.host.read("/var/lib/libvirt/dnsmasq/guestnet-lab/web1")
    assert MAC in reservation
    lab.host.virsh("domrename", "web1", "web-new")
    note = f"guest web1 is not defined in libvirt, but domain web-new has its MAC {MAC}"
    for _ in range(2):
        assert note in plan(lab, text)
        assert note in lab.host.guestnet("status").stdout
        assert note in json.loads(lab.host.guestnet("status", "--format", "json").stdout)["notices"][0]
        assert "Nothing to do" in apply(lab.host)
        assert lab.host.read("/var/lib/libvirt/dnsmasq/guestnet-lab/web1") == reservation
    renamed = plan(lab, text.replace("web1", "web-new"))
    assert f"- reservation {MAC}" in renamed
    assert f"+ reservation {MAC}" in renamed
    assert "note: guest" not in renamed

    lab.host.virsh("domrename", "web-new", "web1")
    assert "note: guest" not in plan(lab, text)
    copy = lab.host.define_guest("copy", "lab", MAC)
    said = plan(lab, text)
    assert f"domain copy has the MAC {MAC} of guest web1, in network lab too: both would get 192.168.84.10" in said
    copy.undefine()
    guest.undefine()
    assert "guest web1 is not defined in libvirt yet" in plan(lab, text)
    lab.host.guestnet("destroy", "--yes")


def test_a_guest_in_the_bridge_itself(lab: Lab) -> None:
    """libvirt does not know that it is on the network: apply does, and puts it back where it restarts that."""
    text = WEB1 % "4080:80"
    apply(lab.host, text)
    guest = lab.host.define_guest("web1", nics=(Nic(bridge="virbr84", mac=MAC),))
    guest.start()
    assert "guest web1 is plugged into bridge virbr84 itself, not into network lab" in plan(lab, text)
    changed = text.replace("mode: nat,", "mode: nat, domain: x.y,")
    assert "disturbs web1" in plan(lab, changed)
    apply(lab.host)
    in_bridge = ["ip", "-o", "link", "show", "master", "virbr84"]
    assert "vnet" in lab.host.run(in_bridge).stdout
    lab.host.virsh("net-destroy", "lab")
    lab.host.virsh("net-start", "lab")
    assert "vnet" not in lab.host.run(in_bridge).stdout
    assert "back into virbr84" in plan(lab, changed)
    apply(lab.host)
    assert "vnet" in lab.host.run(in_bridge).stdout
    guest.destroy()
    guest.undefine()
