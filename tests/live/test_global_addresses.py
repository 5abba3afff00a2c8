"""Guests with global addresses of their own, a real one of each kind: reached from the internet there, and seen
out there with it. A prefix that is routed to the host; a part of the uplink's own, by NDP proxy; the uplink's own by
prefix NAT."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from lab import Lab
from lab.guest import RealGuest
from lab.host import GUESTNET
from lab.process import wait_for
from tests.live.conftest import FILE as PATH
from tests.live.conftest import apply

pytestmark = pytest.mark.lab

FILE = """
networks:
  routed:
    mode: nat
    bridge: vrouted
    stp: false
    ipv4: 10.9.1.1/24
    ipv6: {prefix: "2001:db8:7::/64"}
  shared:
    mode: nat
    bridge: vshared
    stp: false
    ipv4: 10.9.2.1/24
    ipv6: {prefix: uplink, ndp_proxy: true}
    inbound: {ipv6: open}
  hidden:
    mode: nat
    bridge: vhidden
    stp: false
    ipv4: 10.9.3.1/24
    ipv6: {prefix: translate, address: "fd00:9:0:3::1/64"}
guests:
  www: {network: routed, mac: "52:54:00:00:1d:01", ipv6: "::10", forwards: ["8443:80/tcp+udp"]}
  shop: {network: shared, mac: "52:54:00:00:1d:02", ipv6: "::10"}
  mail: {network: hidden, mac: "52:54:00:00:1d:03", ipv6: "::1:10", forwards: ["8444:80/tcp+udp"]}
"""
WWW, SHOP, MAIL = "2001:db8:7::10", "2001:db8:1::f:10", "2001:db8:1::1:10"
OWN = {"www": WWW, "shop": SHOP, "mail": "fd00:9:0:3::1:10"}
CLIENT, ROUTER = "2001:db8:1::9", "2001:db8:1::1"
NETWORKS = {"www": "routed", "shop": "shared", "mail": "hidden"}


class World(NamedTuple):
    lab: Lab
    guests: dict[str, RealGuest]
    bridge_nf: int

    def reached(self, address: str, port: int, protocol: str = "tcp") -> str:
        got = self.lab.inet.probe(protocol, address, port, source=CLIENT)
        return got.text if got.answered else got.kind

    def proxied(self) -> set[str]:
        lines = self.lab.host.run(["ip", "-6", "neigh", "show", "proxy"]).stdout.splitlines()
        return {line.split()[0] for line in lines if " dev up0 " in line}

    def parts(self) -> str:
        return self.lab.host.run(["nft", "list", "set", "inet", "guestnet", "parts6"]).stdout


@pytest.fixture(scope="module", params=[0, 1], ids=["plain", "br_netfilter"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with Lab(bridge_nf=request.param) as lab:
        said = " ".join(apply(lab.host, FILE).split())
        route = "ip -6 route add 2001:db8:7::/64 via 2001:db8:1::2"
        assert f"the router upstream needs a route to it: {route}" in said
        assert said.count("the router upstream needs a route") == 1
        assert "their resolvers still prefer IPv4" in said
        lab.inet.shell(route)
        lab.host.libvirtd.restart()
        guests = {
            name: lab.host.define_guest(name, NETWORKS[name], f"52:54:00:00:1d:0{i + 1}") for i, name in enumerate(OWN)
        }
        for guest in guests.values():
            guest.start()
        for name, guest in guests.items():
            assert str(guest.wait_addresses()[1]) == OWN[name]
        yield World(lab, guests, request.param)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_reached_at_their_own_addresses(world: World, protocol: str) -> None:
    assert world.reached(WWW, 80, protocol) == f"www {protocol} 80 from {CLIENT}", "a forward opens it"
    assert world.reached(SHOP, 22, protocol) == f"shop {protocol} 22 from {CLIENT}", "inbound: open"
    assert world.reached(MAIL, 80, protocol) == f"mail {protocol} 80 from {CLIENT}", "a forward opens it"


@pytest.mark.parametrize("address", [WWW, MAIL])
def test_and_closed_where_no_forward_opens_it(world: World, address: str) -> None:
    assert world.reached(address, 22) == "refused"
    assert world.lab.inet.run(["busybox", "ping6", "-c", "1", "-W", "1", address], check=False).returncode != 0


@pytest.mark.parametrize(("name", "address"), [("www", WWW), ("shop", SHOP), ("mail", MAIL)])
def test_seen_outside_with_them(world: World, name: str, address: str) -> None:
    for protocol in ("tcp", "udp"):
        got = world.guests[name].probe(protocol, ROUTER, 7).text
        assert got == f"inet {protocol} 7 from {address}", "no NAT66"


def test_forwards_of_the_hosts_own_address_work_too(world: World) -> None:
    assert world.reached("2001:db8:1::2", 8443) == f"www tcp 80 from {CLIENT}"
    assert world.reached("2001:db8:1::2", 8444) == f"mail tcp 80 from {CLIENT}"


def test_from_the_host_and_from_guests(world: World) -> None:
    """By the address outside as well as by its own."""
    for address in (MAIL, OWN["mail"]):
        assert world.lab.host.probe("tcp", address, 22).text.startswith("mail tcp 22 from ")
    assert world.guests["shop"].probe("tcp", MAIL, 80).text == f"mail tcp 80 from {SHOP}"
    assert world.guests["shop"].probe("tcp", MAIL, 22).kind == "refused"
    assert world.guests["mail"].probe("tcp", SHOP, 22).text.startswith("shop tcp 22 from ")
    itself = world.guests["mail"].probe("tcp", MAIL, 22)
    # A bridge sends nothing back to where it came from, and with br_netfilter that is what is routed back, too.
    assert itself.text == ("" if world.bridge_nf else f"mail tcp 22 from {MAIL}")


def test_a_guest_that_is_not_in_the_file_has_nat66(world: World) -> None:
    fake = world.lab.host.fake_guest("other", "vhidden")
    fake.wait_addresses()
    assert fake.probe("tcp", ROUTER, 7).text == "inet tcp 7 from 2001:db8:1::2"
    got = fake.probe("tcp", MAIL, 22).text
    assert got == "mail tcp 22 from fd00:9:0:3::1", "a guest beside it, by its address outside"
    fake.stop()


def test_reach_says_so_and_packets_agree(world: World) -> None:
    done = world.lab.host.guestnet("reach", "--probe", timeout=180)
    assert "as predicted" in done.stdout


@pytest.mark.parametrize(("name", "address", "forwarded"), [("www", WWW, 8443), ("mail", MAIL, 8444)])
def test_why_follows_a_packet_to_each(world: World, name: str, address: str, forwarded: int) -> None:
    """Named by its name or by its address outside; by a port of its own, or one of the host's that leads to it."""

    def why(*words: str) -> dict[str, Any]:
        done = world.lab.host.guestnet("--format", "json", "why", "internet", *words, check=False)
        assert done.stdout, done.stderr
        (found,) = (one for one in json.loads(done.stdout) if one["family"] == "ipv6")
        return dict(found)

    for words in ((name, "80"), (address, "80"), (name, "80/udp"), (name, str(forwarded))):
        found = why(*words)
        assert found["reached"], found
        assert found["to"] == ("2001:db8:1::2" if words[1] == str(forwarded) else address)
    found = why(address, "22")
    assert not found["reached"]
    assert "closed6" in found["cause"], found


def test_a_measurement_that_is_killed_leaves_nothing(world: World) -> None:
    host = world.lab.host
    started = host.popen([str(GUESTNET), "reach", "--probe"])
    wait_for("its ends' addresses outside", lambda: len(world.proxied()) == 4)
    host.send_signal(started, signal.SIGKILL)
    started.wait(timeout=10)
    wait_for("them to go", lambda: world.proxied() == {SHOP, MAIL})
    wait_for("the ends to go", lambda: "gnprobe" not in host.shell("ip -br link").stdout)
    assert "Nothing to do" in apply(host)


def test_open_to_everybody(world: World) -> None:
    apply(
        world.lab.host,
        FILE.replace('address: "fd00:9:0:3::1/64"}', 'address: "fd00:9:0:3::1/64"}\n    inbound: {ipv6: open}'),
    )
    assert world.reached(MAIL, 22) == f"mail tcp 22 from {CLIENT}"
    done = world.lab.host.guestnet("reach", "--probe", timeout=180)
    assert "as predicted" in done.stdout
    apply(world.lab.host, FILE)
    assert world.reached(MAIL, 22) == "refused"


def test_status_shows_both_addresses_and_no_drift(world: World) -> None:
    done = world.lab.host.guestnet("status").stdout
    assert f"{OWN['mail']} ({MAIL} outside)" in done
    assert "Nothing to do" in apply(world.lab.host)


def test_an_entry_that_somebody_deletes_is_drift(world: World) -> None:
    world.lab.host.shell(
        f"ip -6 neigh del proxy {SHOP} dev up0; nft delete element inet guestnet parts6 '{{ ::1:10 }}'"
    )
    done = world.lab.host.guestnet("plan", "--detailed-exitcode", check=False)
    assert done.returncode == 2
    assert f"NDP proxy {SHOP} on up0" in done.stdout
    assert "prefix NAT: fd00:9:0:3::/64 as 2001:db8:1::/64 for nobody -> " in done.stdout
    apply(world.lab.host)
    assert world.proxied() == {SHOP, MAIL}
    assert "Nothing to do" in apply(world.lab.host)


def test_the_hook_puts_them_back_and_takes_what_is_too_much(world: World) -> None:
    host = world.lab.host
    host.shell(
        f"ip -6 neigh del proxy {SHOP} dev up0; nft delete table inet guestnet\n"
        "ip -6 neigh add proxy 2001:db8:1::bad dev up0 protocol 71; ip -6 neigh add proxy 2001:db8:1::5 dev up0"
    )
    host.run(["/etc/libvirt/hooks/qemu.d/50-guestnet", "-", "rules"])
    assert world.proxied() == {SHOP, MAIL, "2001:db8:1::5"}, "one of somebody else stays"
    host.shell("echo junk > /var/lib/guestnet/compiled/outside; nft delete table inet guestnet")
    host.run(["/etc/libvirt/hooks/qemu.d/50-guestnet", "-", "rules"], check=False)
    assert world.reached("2001:db8:1::2", 8443) == f"www tcp 80 from {CLIENT}", "the rest does not depend on it"
    apply(host)
    host.shell("ip -6 neigh del proxy 2001:db8:1::5 dev up0")
    assert world.reached(MAIL, 80).startswith("mail")
    assert "Nothing to do" in apply(host)


def test_they_follow_guests_that_stop_and_start(world: World) -> None:
    for name, address in (("shop", SHOP), ("mail", MAIL)):
        world.guests[name].destroy()
        wait_for("the hook", lambda: len(world.proxied()) == 1)
        assert address not in world.proxied()
        assert world.reached(address, 80) in ("refused", "timeout")
        assert "Nothing to do" in apply(world.lab.host)
        world.guests[name].start()
        wait_for("the hook", lambda: world.proxied() == {SHOP, MAIL})
        world.guests[name].wait_addresses()
        assert world.reached(address, 80).startswith(name)
        assert "Nothing to do" in apply(world.lab.host)
    assert "1:10" in world.parts() or "0.1.0.16" in world.parts()


def test_an_address_that_somebody_answers_for_is_refused(world: World) -> None:
    host = world.lab.host
    host.write(PATH, FILE.replace("::1:10", "::9"))
    done = host.guestnet("plan", check=False)
    said = " ".join((done.stdout + done.stderr).split())
    assert (
        "guest mail would have 2001:db8:1::9 on up0, which somebody answers for there already (02:00:00:00:00:01)"
        in said
    )
    host.write(PATH, FILE.replace("::1:10", "::2"))
    done = host.guestnet("plan", check=False)
    assert "which is the host's own" in " ".join((done.stdout + done.stderr).split())
    host.write(PATH, FILE)
    assert "Nothing to do" in apply(host)


def test_a_prefix_that_changes(world: World) -> None:
    """The unit's reload, or a guest's start, is enough for what is translated; the rest needs apply."""
    lab, host = world.lab, world.lab.host
    later = "2001:db8:99::1:10"
    lab.inet.shell("ip addr add 2001:db8:99::9/64 dev lan0 nodad")
    host.shell(
        "ip -6 addr change 2001:db8:1::2/64 dev up0 preferred_lft 0; ip -6 addr add 2001:db8:99::2/64 dev up0 nodad\n"
        "ip -6 route replace default via 2001:db8:99::9 dev up0"
    )
    lab.inet.shell("ip addr add 2001:db8:99::1/64 dev lan0 nodad")
    try:
        said = host.guestnet("status", check=False).stdout
        assert f"NDP proxy {later} on up0" in said
        host.run(["/etc/libvirt/hooks/qemu.d/50-guestnet", "-", "rules"])
        assert later in world.proxied()
        assert lab.inet.probe("tcp", later, 80, source="2001:db8:99::9").text == "mail tcp 80 from 2001:db8:99::9"
        assert world.guests["mail"].probe("tcp", "2001:db8:99::1", 7).text == f"inet tcp 7 from {later}"
        said = host.guestnet("plan", check=False).stdout
        assert "shop" in said
        apply(host)
        assert "Nothing to do" in apply(host)
        assert world.proxied() == {later, "2001:db8:99::f:10"}
    finally:
        host.shell(
            "ip -6 addr change 2001:db8:1::2/64 dev up0 preferred_lft forever\n"
            "ip -6 addr del 2001:db8:99::2/64 dev up0\n"
            f"ip -6 route replace default via {ROUTER} dev up0"
        )
        apply(host)
    assert world.proxied() == {SHOP, MAIL}


def test_a_failing_apply_brings_back_what_was(world: World) -> None:
    """From shared and translated to neither, and at the last step no."""
    host = world.lab.host
    other = FILE.replace("{prefix: uplink, ndp_proxy: true}\n    inbound: {ipv6: open}", "auto").replace(
        'prefix: translate, address: "fd00:9:0:3::1/64"', 'address: "fd00:9:0:3::1/64"'
    )
    host.write(PATH, other.replace("networks:", "networks:\n  next: {mode: nat, bridge: vnext}"))
    host.shell("printf '#!/bin/sh\\nexit 1\\n' > /run/dnsmasq; chmod 755 /run/dnsmasq")
    host.shell("mount --bind /run/dnsmasq /usr/sbin/dnsmasq")
    done = host.guestnet("apply", "--yes", check=False)
    host.run(["umount", "/usr/sbin/dnsmasq"])
    assert done.returncode == 1, done
    host.write(PATH, FILE)
    assert world.proxied() == {SHOP, MAIL}
    assert world.reached(MAIL, 80).startswith("mail")
    assert "Nothing to do" in apply(host)


def test_after_a_reboot(world: World) -> None:
    host, shop = world.lab.host, world.guests["shop"]
    for name in ("shop", "mail"):
        world.guests[name].autostart()
    host.reboot()
    wait_for("the hook", lambda: world.proxied() == {SHOP, MAIL}, timeout=30)
    assert "1:10" in world.parts() or "0.1.0.16" in world.parts()
    assert str(shop.wait_addresses()[1]) == SHOP
    assert world.reached(SHOP, 22) == f"shop tcp 22 from {CLIENT}"
    assert "Nothing to do" in apply(host)


def test_all_of_it_goes_again(world: World) -> None:
    host = world.lab.host
    assert host.sysctl("ipv6/conf/up0/proxy_ndp") == host.sysctl("ipv6/conf/all/proxy_ndp") == "1"
    assert "net/ipv6/conf/all/proxy_ndp = 1" in host.read("/etc/sysctl.d/90-guestnet.conf")
    host.guestnet("destroy", "--yes")
    assert world.proxied() == set()
    assert host.sysctl("ipv6/conf/up0/proxy_ndp") == host.sysctl("ipv6/conf/all/proxy_ndp") == "0"
    assert "guestnet" not in host.run(["nft", "list", "tables"]).stdout
    assert not host.exists("/var/lib/guestnet/compiled/outside")
