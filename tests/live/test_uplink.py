"""A host whose IPv6 comes from router advertisements keeps it through an apply."""

from __future__ import annotations

import pytest

from lab import Lab
from lab.host import Host
from tests.live.conftest import SEED, apply

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
