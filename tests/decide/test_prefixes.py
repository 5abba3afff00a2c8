"""What `doctor` says of the host's own IPv6 and of what guests can have of it, over hosts that are made up: each a text
in tests/golden/320-ipv6-for-guests, as a person reads it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from guestnet.decide.desired import desired_state
from guestnet.decide.doctor import Check, checks
from guestnet.decide.facts import Facts, HostNic, Own6, Route, Router6, Uplink
from guestnet.decide.outside import lack, prefixes
from guestnet.decide.plan import make_plan
from guestnet.decide.prefixes import age, kinds
from guestnet.decide.uplink6 import Uplink6
from guestnet.spec.memory import Memory
from guestnet.spec.world import Lan, World
from tests.compile.test_golden import GOLDEN, made

FOLDER = GOLDEN / "320-ipv6-for-guests"
WORLD, _ = made(GOLDEN / "030-seed-nat66", Memory())
DAY, HOUR = 86400, 3600
BY_HAND = Router6("eth0", "fe80::1")
ADVERTISED = Router6("eth0", "fe80::1", advertised=True, lifetime=1700)


def own(text: str, lifetime: int | None = None, nic: str = "eth0", *, temporary: bool = False) -> Own6:
    return Own6(nic, ip_interface(text), lifetime, temporary)  # type: ignore[arg-type]


def host(*mine: Own6, routers: tuple[Router6, ...] = (ADVERTISED,), **more: object) -> Facts:
    nics = (HostNic("eth0"),)
    made = Facts("kvm1", "9.0.0", uplinks=(Uplink("eth0", (4, 6), kernel_ra=True),), hooks_loaded=True, nics=nics)
    return replace(made, own6=mine, routers6=routers, **more)  # type: ignore[arg-type]


SLASH64 = host(own("2001:db8:1::2/64", 23 * HOUR), own("2001:db8:1::9f3a:7/64", 23 * HOUR, temporary=True))
HOSTS = {
    "010-no-ipv6": Facts("kvm1", "9.0.0", uplinks=(Uplink("eth0", (4,), kernel_ra=False),), hooks_loaded=True),
    "020-ula-only": host(own("fd00:1::2/64")),
    "030-by-router-advertisement": SLASH64,
    "040-static-on-link": host(own("2001:db8:1::2/64"), routers=(Router6("eth0", "2001:db8:1::1"),)),
    "050-static-perhaps-routed": host(own("2001:db8:1::2/64"), routers=(BY_HAND,)),
    "060-one-address": host(own("2001:db8:1::2/128"), routers=(BY_HAND,)),
    "070-one-address-of-a-shared-prefix": host(
        own("2001:db8:1::2/128", 2 * HOUR), routes=(Route(ip_network("2001:db8:1::/64"), link="eth0"),)
    ),
    "080-delegated": host(
        own("2001:db8:1::2/64", 3 * DAY), routes=(Route(ip_network("2001:db8:7::/56"), kind="unreachable"),)
    ),
    "090-on-another-link": host(own("2001:db8:1::2/64"), own("2001:db8:7::1/64", nic="br0"), routers=(BY_HAND,)),
    "100-shorter-than-a-64": host(own("2001:db8:7::2/56"), routers=(Router6("eth0", "2001:db8:7::1"),)),
    "110-tunnel": host(
        own("2001:db8:7::2/64", nic="wg0"),
        routers=(Router6("wg0", ""),),
        nics=(HostNic("eth0"), HostNic("wg0", "wireguard")),
    ),
    "120-deprecated": replace(SLASH64, fading=frozenset(one.address.ip for one in SLASH64.own6)),
}


def of(facts: Facts, world: World = WORLD, asked: Uplink6 | None = None) -> list[Check]:
    state, _ = desired_state(world, facts, Memory(), "")
    found = checks(make_plan(world, facts, state, state), asked)
    return [check for check in found if "IPv6" in check.name or "MACs" in check.name]


@pytest.mark.parametrize("name", HOSTS)
def test_golden(name: str, golden_update: bool) -> None:
    text = "".join(
        f"{check.verdict}  {check.name}: {check.evidence}\n" + (f"      do: {check.todo}\n" if check.todo else "")
        for check in of(HOSTS[name])
    )
    path = FOLDER / f"{name}.txt"
    if golden_update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} (make golden writes it anew)"


def can(facts: Facts) -> dict[str, bool | None]:
    return {kind.name: kind.can for kind in kinds(facts)}


YES_BUT = {"prefix translation": True, "NAT66": True}


def test_what_each_host_can_have() -> None:
    """Typed in, so that the texts and the decision cannot be wrong together."""
    assert can(HOSTS["010-no-ipv6"]) == can(HOSTS["020-ula-only"]) == {}
    assert can(SLASH64) == {"a routed prefix": None, "NDP proxy": True} | YES_BUT
    none = {"prefix translation": False, "NAT66": True}
    assert can(HOSTS["060-one-address"]) == {"a routed prefix": None, "NDP proxy": False} | none
    unknown = {"prefix translation": None, "NAT66": True}
    assert can(HOSTS["070-one-address-of-a-shared-prefix"]) == {"a routed prefix": None, "NDP proxy": None} | unknown
    assert can(HOSTS["080-delegated"]) == {"a routed prefix": True, "NDP proxy": True} | YES_BUT
    assert can(HOSTS["090-on-another-link"]) == {"a routed prefix": True, "NDP proxy": None} | unknown
    for name in ("040-static-on-link", "050-static-perhaps-routed"):
        assert can(HOSTS[name]) == {"a routed prefix": None, "NDP proxy": None} | unknown, "nobody gave it out here"
    assert can(HOSTS["120-deprecated"]) == {"a routed prefix": None, "NDP proxy": False} | none
    assert can(HOSTS["110-tunnel"]) == {"a routed prefix": True, "NDP proxy": False} | YES_BUT


def test_doctor_and_plan_agree_on_an_address_that_fades() -> None:
    two = replace(SLASH64, own6=(*SLASH64.own6, own("2001:db8:2::2/64", HOUR)))
    both = replace(two, addresses=tuple((one.nic, one.address) for one in two.own6))
    later = replace(both, fading=frozenset({ip_address("2001:db8:1::2"), ip_address("2001:db8:1::9f3a:7")}))  # type: ignore[arg-type]
    assert prefixes(later) == (("eth0", ip_network("2001:db8:2::/64")),)
    assert next(kind for kind in kinds(later) if kind.name == "NDP proxy").seen.startswith("2001:db8:2::2/64 on eth0")
    gone = replace(later, fading=frozenset(one.address.ip for one in two.own6))
    assert prefixes(gone) == ()
    assert lack(gone, "eth0") == lack(gone, None) != lack(replace(gone, addresses=()), "eth0")
    what, _ = lack(gone, "eth0") or ("", "")
    assert what.startswith("eth0 has 2001:db8:1::2/64, 2001:db8:1::9f3a:7/64, 2001:db8:2::2/64 only, which nothing new")


def test_an_address_of_a_network_of_ours_tells_nothing() -> None:
    """`own6` has none of them, and a private one anywhere is no prefix."""
    assert can(replace(SLASH64, own6=(*SLASH64.own6, own("fd00:9::1/64", nic="docker0"))))["a routed prefix"] is None
    wide = Route(ip_network("::/1"), kind="unreachable")
    assert can(replace(SLASH64, routes=(wide, Route(ip_network("fc00::/7"), kind="unreachable")))) == can(SLASH64)


def test_a_dead_uplink_is_wrong_where_guests_need_it() -> None:
    dead = Uplink6(False, "the router fe80::1 on eth0 does not answer", "see")
    (first, *_) = of(SLASH64, asked=dead)
    assert (first.name, first.verdict, first.todo) == ("IPv6 uplink", "wrong", "see")
    assert first.evidence.endswith("; the router fe80::1 on eth0 does not answer")
    (first, *_) = of(SLASH64, World((), ()), asked=dead)
    assert first.verdict == "look", "nobody needs it"
    (first, *_) = of(SLASH64, asked=Uplink6(True, "the router fe80::1 on eth0 answers"))
    assert first.verdict == "fine"


def test_own_macs_on_a_public_uplink() -> None:
    lan = Lan(
        "lan", "macvtap", None, "eth0", "bridge", None, guest_isolation=False, autostart=True, stp=False, mtu=None
    )
    world = replace(WORLD, lans=(lan,))
    public = replace(SLASH64, addresses=(("eth0", ip_interface("203.0.113.2/24")),))
    (check,) = [check for check in of(public, world) if "MACs" in check.name]
    assert check.verdict == "look"
    home = replace(SLASH64, addresses=(("eth0", ip_interface("192.168.1.2/24")),))
    assert not [check for check in of(home, world) if "MACs" in check.name]
    bridged = replace(lan, mode="bridge", bridge="br0", interface=None)
    inside = replace(public, nics=(HostNic("eth0", master="br0"), HostNic("br0", "bridge")))
    assert [check for check in of(inside, replace(WORLD, lans=(bridged,))) if "MACs" in check.name]
    other = replace(public, nics=(HostNic("eth0"), HostNic("eth1", master="br0"), HostNic("br0", "bridge")))
    assert not [check for check in of(other, replace(WORLD, lans=(bridged,))) if "MACs" in check.name]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(40, "40 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (90000, "25 h"), (172800, "2 days")],
)
def test_age(seconds: int, said: str) -> None:
    assert age(seconds) == said
