"""The way back from an apply, where what follows the guests was none of the apply's own changes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_network

import pytest

from guestnet.compile import hookdata, ndp
from guestnet.decide import back
from guestnet.decide.desired import desired_state
from guestnet.decide.facts import Domain, Facts, ForeignNetwork, Lease
from guestnet.decide.state import (
    Bridge,
    Change,
    File,
    Key,
    Ndp,
    Network,
    Proxy,
    Setting,
    State,
    Table,
    Thing,
    compare,
)
from guestnet.spec.memory import Memory
from guestnet.spec.world import World
from tests.worlds import drawn

MAC = "52:54:00:12:34:56"
FILE = f"""
networks:
  lab: {{mode: nat, bridge: virbr1, ipv4: 10.0.0.1/24, ipv6: none}}
  shared: {{mode: nat, bridge: virbr2, uplink: up0, ipv6: {{prefix: uplink, ndp_proxy: true}}}}
  hidden: {{mode: nat, bridge: virbr3, uplink: up0, ipv6: {{prefix: translate, address: "fd00:1::1/64"}}}}
guests:
  web1: {{network: lab, mac: "{MAC}", ipv4: 10.0.0.20, forwards: ["8080:80"]}}
  mail: {{network: hidden, mac: "52:54:00:12:34:57", ipv6: "::10"}}
"""
MORE = """  late: {network: lab, mac: "52:54:00:12:34:58", ipv4: 10.0.0.40, forwards: ["7070:70"]}
  shop: {network: shared, mac: "52:54:00:12:34:59", ipv6: "::11"}
"""
TABLE, NOW = Key("table", "guestnet"), Key("hookdata", f"{hookdata.NOW}/web1")
OFF = Facts("kvm1", "9.0.0")


def world(text: str) -> World:
    return drawn(text)


def state(its: World, facts: Facts) -> State:
    return desired_state(its, facts, Memory(), "hook")[0]


def running(*names: str) -> Facts:
    return replace(OFF, domains=tuple(Domain(name, True, ()) for name in names))


def gone_back(before: str, after: str, then: Facts, now: Facts) -> tuple[State, tuple[Change, ...]]:
    """What the host is to be when one goes back `now` from an apply made `then`, and what that apply changed."""
    begun = compare(state(world(before), then), state(world(after), then))
    return back.before(state(world(after), now), begun, now, world(before)), begun


def test_what_guests_of_the_apply_opened_by_starting_later_is_closed() -> None:
    now = running("late", "shop", "web1", "mail")
    target, begun = gone_back(FILE, FILE + MORE, OFF, now)
    assert TABLE not in {change.key for change in begun}, "else this shows nothing"
    (proxied,) = [entry for guest in world(FILE + MORE).guests if guest.name == "shop" for entry in ndp.entries(guest)]
    there = state(world(FILE + MORE), now)
    assert Key("ndp", proxied) in there
    assert "7070" in str(there[TABLE])
    assert Key("ndp", proxied) not in target
    assert "7070" not in str(target[TABLE])
    assert "8080" in str(target[TABLE])
    assert target == state(world(FILE), now)


def test_who_runs_by_now_is_translated_and_answered_for() -> None:
    file = FILE + MORE
    now = running("mail", "shop")
    target, begun = gone_back(file, file.replace("lab: {mode: nat", "lab: {mode: nat, host_access: services"), OFF, now)
    assert TABLE in {change.key for change in begun}
    table = target[TABLE]
    assert isinstance(table, Table)
    assert "::10" in dict(table.prefixes)["parts6"]
    assert [key for key, thing in target.items() if isinstance(thing, Ndp)]
    assert target == state(world(file), now)


def test_the_hook_knows_of_a_guest_that_has_its_lease_from_the_apply() -> None:
    now = replace(running("web1"), leases=(Lease("lab", MAC, IPv4Address("10.0.0.30")),))
    target, _ = gone_back(FILE, FILE.replace("10.0.0.20", "10.0.0.30"), OFF, now)
    assert "10.0.0.30 . 80" in str(target[TABLE])
    file = target[NOW]
    assert isinstance(file, File)
    assert "any4 tcp . 8080 : 10.0.0.30 . 80" in file.text
    assert target == state(world(FILE), now)


def test_and_no_more_of_one_that_has_what_it_is_to_have_again() -> None:
    now = replace(running("web1"), leases=(Lease("lab", MAC, IPv4Address("10.0.0.20")),))
    after = FILE.replace("10.0.0.20", "10.0.0.30")
    assert NOW in state(world(after), now), "as the apply wrote it"
    target, _ = gone_back(FILE, after, now, now)
    assert NOW not in target


def test_where_nobody_knows_what_the_file_said_it_stays_as_it_was() -> None:
    now = running("web1")
    there = state(world(FILE), now)
    begun = (Change(Key("hookdata", "x"), None, File("")),)
    assert back.before(there, begun, now, None) == there


def network(xml: str, *, autostart: bool = True) -> Network:
    return Network(xml, xml, autostart)


def bridge(mtu: int) -> Bridge:
    return Bridge("eth1", "52:54:00:00:00:01", stp=False, mtu=mtu)


XML = "<network><name>lab</name></network>"
# Of each kind that people edit: what it was before the apply, what that made of it, and what somebody made of it since.
EDITED: dict[Key, tuple[Thing | None, Thing, Thing]] = {
    Key("network", "lab"): (network(XML), network(f"{XML} new"), network(f"{XML} theirs")),
    Key("bridge", "br0"): (bridge(1400), bridge(1500), bridge(1300)),
    Key("setting", "net/ipv4/ip_forward"): (Setting("0"), Setting("1"), Setting("2")),
    Key("sysctl.d", "/etc/sysctl.d/90-guestnet.conf"): (File("old"), File("new"), File("theirs")),
    Key("proxy", "guestnet-loopback-80"): (None, Proxy("socket", "service"), Proxy("socket", "theirs")),
}


@pytest.mark.parametrize("key", EDITED, ids=lambda key: key.kind)
def test_what_somebody_else_has_changed_since_is_named(key: Key) -> None:
    before, after, theirs = EDITED[key]
    begun = (Change(key, before, after),)
    target = {key: before} if before else {}
    assert back.conflicts({key: theirs}, begun, target) == (key,)
    assert back.conflicts({key: after}, begun, target) == (), "as the apply left it"
    assert back.conflicts({key: before} if before else {}, begun, target) == (), "back already"


def test_what_only_guestnet_writes_is_no_conflict() -> None:
    """Hooks write some of it too."""
    for kind in ("hookdata", "reservation", "hook", "program", "memory"):
        begun = (Change(Key(kind, "x"), File("old"), File("new")),)
        assert back.conflicts({Key(kind, "x"): File("other")}, begun, {Key(kind, "x"): File("old")}) == (), kind


def test_what_is_plugged_in_and_whether_it_runs_changes_by_itself() -> None:
    key = Key("network", "lab")
    begun = (Change(key, network(XML), network(f"{XML} new")),)
    by_now = replace(network(f"{XML} new"), running=None, unplugged=("vnet0",), unrecorded=("vnet1",), wrong=("mtu",))
    assert back.conflicts({key: by_now}, begun, {key: network(XML)}) == ()
    unwell = replace(network(XML), unplugged=("vnet0",), unrecorded=("vnet1",), wrong=("mtu",))
    assert back.before({key: by_now}, (Change(key, unwell, network(f"{XML} new")),), OFF, None) == {key: network(XML)}


@pytest.mark.parametrize(
    ("before", "after", "theirs", "then"),
    [
        (True, True, False, False),
        (False, False, True, True),
        (True, False, False, True),  # the apply's own change goes back
        (False, True, True, False),
        (True, False, True, True),
        (False, True, False, False),
    ],
)
def test_whether_a_network_starts_at_boot_stays_as_somebody_wants_it(
    before: bool, after: bool, theirs: bool, then: bool
) -> None:
    """The rest goes back all the same, and once it has, there is nothing more to do."""
    key = Key("network", "lab")
    new, old = network(f"{XML} new", autostart=after), network(XML, autostart=before)
    begun = (Change(key, old, new),)
    live = {key: replace(new, autostart=theirs)}
    target = back.before(live, begun, OFF, None)
    assert target == {key: network(XML, autostart=then)}
    assert back.conflicts(live, begun, target) == ()
    assert back.before(target, begun, OFF, None) == target


def test_one_without_a_definition_starts_at_no_boot() -> None:
    """libvirt gives it autostart again only with a definition: it is nobody's wish."""
    key = Key("network", "lab")
    undefined = Network("", XML, autostart=False)
    begun = (Change(key, network(XML), network(f"{XML} new")),)
    assert back.before({key: undefined}, begun, OFF, None) == {key: network(XML)}
    begun = (Change(key, undefined, network(XML)),)
    assert back.before({key: network(XML, autostart=False)}, begun, OFF, None) == {key: undefined}


V4, V6, RA = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/up0/accept_ra"


@pytest.mark.parametrize("key", [V4, V6, RA])
def test_what_a_network_of_somebody_else_needs_by_now_stays(key: str) -> None:
    """libvirt turned it on for that one, or found it on and did not."""
    begun = (Change(Key("setting", key), Setting("0"), Setting("2")),)
    live = {Key("setting", key): Setting("2")}
    for forwards in (True, False):
        now = replace(OFF, networks=(ForeignNetwork("theirs", "virbr9", forwards=forwards),))
        assert back.before(live, begun, now, None) == {Key("setting", key): Setting("2" if forwards else "0")}


def test_what_no_network_needs_goes_back_whoever_forwards() -> None:
    key = Key("setting", "net/ipv4/conf/up0/proxy_arp")
    now = replace(OFF, networks=(ForeignNetwork("theirs", "virbr9", forwards=True),))
    begun = (Change(key, Setting("0"), Setting("1")),)
    assert back.before({key: Setting("1")}, begun, now, None) == {key: Setting("0")}


def test_a_sysctl_whose_value_before_nobody_knows_stays() -> None:
    key = Key("setting", V4)
    assert back.before({key: Setting("1")}, (Change(key, None, Setting("1")),), OFF, None) == {key: Setting("1")}


def test_forwarding_stays_on_for_others_in_the_families_that_they_have() -> None:
    keys = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
    steps = [Change(Key("setting", key), Setting("0"), Setting("1")) for key in keys]
    live = {step.key: Setting("1") for step in steps}

    def then(*subnets: str) -> list[str]:
        theirs = ForeignNetwork("default", "virbr0", forwards=True, subnets=tuple(map(ip_network, subnets)))
        target = back.before(live, steps, replace(OFF, networks=(theirs,)), None)
        return [thing.value for thing in target.values() if isinstance(thing, Setting)]

    assert then("192.168.122.0/24") == ["1", "0"]
    assert then("fd00::/64") == ["0", "1"]
    assert then("192.168.122.0/24", "fd00::/64") == ["1", "1"]
