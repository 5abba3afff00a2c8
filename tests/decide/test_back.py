"""The way back from an apply, where what follows the guests was none of the apply's own changes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from guestnet.compile import hookdata, ndp
from guestnet.decide import back
from guestnet.decide.desired import desired_state
from guestnet.decide.facts import Domain, Facts, Lease
from guestnet.decide.state import Change, File, Key, Ndp, State, Table, compare
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
