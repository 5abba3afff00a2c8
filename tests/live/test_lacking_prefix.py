"""A file that asks for addresses of an uplink's prefix, on a host that cannot have them: plan, apply and doctor say why
in our words, whether the file names the uplink or not. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.live.conftest import FILE

pytestmark = pytest.mark.lab

NETWORK = "  {name}: {{mode: nat, stp: false, ipv4: none, ipv6: {{prefix: translate}}{more}}}\n"
NAMED = ", uplink: up0"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def check(lab: Lab, wanted: str, *networks: str) -> None:
    """That plan, apply and doctor all say it, and no program for them."""
    lab.host.write(FILE, "networks:\n" + "".join(networks))
    before = lab.host.shell("nft list ruleset; virsh -q net-list --all").stdout
    for verb in (("plan",), ("apply", "--yes"), ("doctor",)):
        done = lab.host.guestnet(*verb, check=False)
        assert done.returncode == 1, done
        text = " ".join((done.stdout + done.stderr).split())
        assert "unshare" not in text
        assert "Error:" not in text
        assert wanted in text
    assert lab.host.shell("nft list ruleset; virsh -q net-list --all").stdout == before


@pytest.mark.parametrize("more", ["", NAMED])
def test_what_the_uplink_lacks(lab: Lab, more: str) -> None:
    one = NETWORK.format(name="hidden", more=more)
    lab.host.shell("ip -6 addr change 2001:db8:1::2/64 dev up0 preferred_lft 0")
    check(lab, "shares its uplink's prefix: up0 has 2001:db8:1::2/64 only, which nothing new is to use", one)
    lab.host.shell("ip -6 addr add 2001:db8:1::5/128 dev up0 nodad; ip -6 addr del 2001:db8:1::2/64 dev up0")
    lab.host.shell("ip -6 route replace default via fe80::1 dev up0")
    wanted = "network hidden shares its uplink's prefix: up0 has 2001:db8:1::5/128 only, no prefix that guests could"
    check(lab, wanted, one)
    lab.host.shell("ip -6 addr del 2001:db8:1::5/128 dev up0; ip -6 addr add 2001:db8:1::5/56 dev up0 nodad")
    check(lab, "up0 has 2001:db8:1::5/56, and guests can have a part of a /64", one)
    lab.host.shell("ip -6 route del default; ip -6 addr flush dev up0 scope global")
    wanted = "up0 has no global IPv6 address" if more else "the host has no IPv6 default route"
    check(lab, f"network hidden shares its uplink's prefix: {wanted}", one)


def test_one_uplink_for_two_networks(lab: Lab) -> None:
    """Of which only one says what it is called."""
    two = [NETWORK.format(name="a", more=NAMED), NETWORK.format(name="b", more="")]
    check(lab, "networks a and b would both translate to 2001:db8:1::/64 of up0", *two)
