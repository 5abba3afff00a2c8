"""A host whose IPv6 comes from router advertisements keeps it through an apply."""

from __future__ import annotations

import json

import pytest

from lab import Lab
from lab.host import Host
from tests.live.conftest import FILE, SEED, apply

pytestmark = pytest.mark.lab


def default_route(host: Host) -> str:
    return host.run(["ip", "-6", "route", "show", "default"]).stdout


def test_the_host_keeps_its_route_and_its_connectivity() -> None:
    with Lab(uplink="ra") as lab:
        lab.inet.run(["true"])
        assert "proto ra" in default_route(lab.host)
        assert lab.host.sysctl("ipv6/conf/all/forwarding") == "0"
        out = apply(lab.host, SEED)
        assert "accept_ra" in out
        assert lab.host.sysctl("ipv6/conf/all/forwarding") == "1"
        assert lab.host.sysctl("ipv6/conf/up0/accept_ra") == "2"
        assert "proto ra" in default_route(lab.host)
        assert lab.host.probe("tcp", "2001:db8:1::1", 7).kind == "answered"
        assert "Nothing to do" in apply(lab.host)
        shown = lab.host.guestnet("reach", "--probe").stdout
        assert "the host's IPv6 gateway fe80::" in shown, "by its global address the guests could ask it"
        assert "has no address that guests could ask; name one with --target" in shown

        lab.host.reboot()
        assert "proto ra" in default_route(lab.host)
        assert lab.host.probe("tcp", "2001:db8:1::1", 7).kind == "answered"
        assert lab.host.sysctl("ipv6/conf/all/forwarding") == "1"

        lab.host.guestnet("destroy", "--yes")
        assert lab.host.sysctl("ipv6/conf/up0/accept_ra") == "1"
        assert lab.host.sysctl("ipv6/conf/all/forwarding") == "0"


def test_without_accept_ra_the_route_is_lost() -> None:
    """Shows that the test above can fail: what a hand-written sysctl.conf does to such a host."""
    with Lab(uplink="ra", libvirtd=False) as lab:
        assert "proto ra" in default_route(lab.host)
        lab.host.sysctl("ipv6/conf/all/forwarding", 1)
        assert default_route(lab.host) == ""


BY_HAND = """<network><name>byhand</name><bridge name='virbr9' stp='off'/>
<forward mode='nat'><nat ipv6='yes'/></forward>
<ip family='ipv6' address='fd00:122::1' prefix='64'/></network>"""
REFUSED = "interface up0 has kernel autoconfigured IPv6 routes"


def test_what_libvirt_refuses_is_foreseen_and_mended() -> None:
    with Lab(uplink="ra") as lab:
        host = lab.host
        host.define_network(BY_HAND, start=False)
        assert REFUSED in host.virsh("net-start", "byhand", check=False).stderr
        host.sysctl("ipv6/conf/up0/accept_ra", 0)  # as a program does that takes the NIC over
        assert REFUSED in host.virsh("net-start", "byhand", check=False).stderr
        host.write(FILE, SEED)
        planned = " ".join(host.guestnet("plan", check=False).stdout.split())
        assert (
            "up0 has IPv6 routes that the kernel made of router advertisements before its accept_ra became 0" in planned
        )
        assert host.guestnet("apply", "--yes", check=False).returncode == 1
        assert "proto ra" in default_route(host)
        host.sysctl("ipv6/conf/up0/accept_ra", 2)
        apply(host)
        assert "proto ra" in default_route(host)
        host.virsh("net-start", "byhand")


def test_routes_of_a_program_that_handles_advertisements_itself() -> None:
    """systemd-networkd and NetworkManager: accept_ra 0, routes of protocol ra. Neither libvirt nor the kernel minds."""
    with Lab(uplink="ra") as lab:
        host = lab.host
        host.sysctl("ipv6/conf/up0/accept_ra", 0)
        host.shell(MANAGED)
        apply(host, SEED)
        assert host.sysctl("ipv6/conf/up0/accept_ra") == "0"
        assert "proto ra" in default_route(host)
        assert host.probe("tcp", "2001:db8:1::1", 7).answered
        said = host.guestnet("doctor", check=False).stdout
        assert "(router advertisement, for " in said


MANAGED = """
ip -6 addr flush dev up0 scope global
ip -6 route flush dev up0 proto ra; ip -6 route flush dev up0 proto kernel
ip -6 route add fe80::/64 dev up0
ip -6 addr add 2001:db8:1::55/64 dev up0 nodad noprefixroute valid_lft 3000 preferred_lft 3000
ip -6 route add 2001:db8:1::/64 dev up0 proto ra expires 3000
ip -6 route add default via fe80::ff:fe00:1 dev up0 proto ra expires 1700
"""


def test_where_it_cannot_be_mended_the_host_keeps_its_route() -> None:
    with Lab(uplink="ra") as lab:
        host = lab.host
        host.write(FILE, SEED)
        host.shell("mount -o remount,bind,ro /proc/sys/net")
        refused = host.guestnet("apply", "--yes", check=False)
        assert refused.returncode == 1
        assert "accept_ra can't be set to 2: /proc/sys is mounted read-only here, and without that" in refused.stderr
        assert "3 problems, nothing was touched" in refused.stderr
        host.shell("mount -o remount,bind,rw /proc/sys/net")

        fighter = host.popen(["sh", "-c", "while :; do echo 1 > /proc/sys/net/ipv6/conf/up0/accept_ra; done"])
        try:
            refused = host.guestnet("apply", "--yes", check=False)
        finally:
            fighter.kill()
            fighter.communicate()
        assert refused.returncode == 1
        said = (
            "forwarding of IPv6 is not turned on: accept_ra of up0 is 1, and the host would lose its own IPv6 (somebody"
        )
        assert said in refused.stderr
        assert "The host is as it was before." in refused.stdout + refused.stderr
        assert "proto ra" in default_route(host), "that could not have been undone"
        assert host.sysctl("ipv6/conf/all/forwarding") == "0"
        apply(host)
        assert "proto ra" in default_route(host)


def kinds(host: Host) -> dict[str, tuple[str, str]]:
    """What doctor says of IPv6: verdict and evidence."""
    found = json.loads(host.guestnet("--format", "json", "doctor", check=False).stdout)
    return {
        check["name"].removeprefix("IPv6 for guests: "): (check["verdict"], check["evidence"])
        for check in found
        if check["name"].startswith("IPv6")
    }


def test_what_guests_can_have_of_a_static_uplink() -> None:
    with Lab(uplink="static") as lab:
        host = lab.host
        apply(host, SEED)
        found = kinds(host)
        assert found["IPv6 uplink"][0] == "fine"
        assert "2001:db8:1::2/64 on up0; router 2001:db8:1::1 on up0 (static); the router" in found["IPv6 uplink"][1]
        verdict, evidence = found["NDP proxy"]
        assert verdict == "look"
        assert "2001:db8:1::2/64 on up0: guests can have addresses of 2001:db8:1::/64, by the host's own" in evidence
        assert "it was set by hand, so only the provider knows" in evidence
        host.shell(
            "ip -6 route add unreachable 2001:db8:7::/48; ip -6 addr del 2001:db8:1::2/64 dev up0\n"
            "ip -6 addr add 2001:db8:1::2/128 dev up0 nodad; ip -6 route add 2001:db8:1::1 dev up0\n"
            "ip -6 route replace default via 2001:db8:1::1 dev up0"
        )
        found = kinds(host)
        assert found["IPv6 uplink"][0] == "fine"
        assert found["NDP proxy"] == ("look", "2001:db8:1::2/128 on up0, a single address: there is no /64 on-link")
        assert found["a routed prefix"][0] == "fine"
        assert "unreachable route 2001:db8:7::/48, as DHCPv6-PD" in found["a routed prefix"][1]
        host.shell("ip -6 route del default; ip -6 addr flush dev up0 scope global")
        assert kinds(host) == {"IPv6 uplink": ("look", "the host has no IPv6 default route")}
