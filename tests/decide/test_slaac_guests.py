"""What plan, status and forwards make of guests that make their IPv6 addresses themselves."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

from guestnet.compile import hookdata
from guestnet.decide.desired import desired_state, running_elements
from guestnet.decide.facts import Domain, DomainNic, Facts, Neighbour
from guestnet.decide.notices import notices
from guestnet.decide.plan import make_plan
from guestnet.decide.select.guest import host_of
from guestnet.decide.status import make_status
from guestnet.faces.texts import dhcp_text
from guestnet.spec.memory import Memory
from tests.worlds import drawn

MAC = "52:54:00:12:34:56"
FILE = f"""
networks: {{lab: {{mode: nat, bridge: virbr1, ipv4: 10.0.0.1/24, ipv6: {{address: 'fd00:1::1/64', dhcp: false}}}}}}
guests: {{web1: {{network: lab, mac: '{MAC}', ipv4: 10.0.0.10, forwards: ['80']}}}}
"""
WORLD = drawn(FILE)
PREDICTED, OTHER = IPv6Address("fd00:1::5054:ff:fe12:3456"), IPv6Address("fd00:1::abcd")
FACTS = Facts("kvm1", "9.0.0", domains=(Domain("web1", True, (DomainNic("lab", MAC),)),), hooks_loaded=True)


def seen(*addresses: IPv6Address) -> Facts:
    return replace(FACTS, neighbours=tuple(Neighbour("virbr1", MAC, address) for address in addresses))


def status(facts: Facts) -> str:
    state, _ = desired_state(WORLD, facts, Memory(), "")
    (row,) = make_status(make_plan(WORLD, facts, state, state), state).guests
    return row[-2]


def test_status_says_what_is_known_of_it() -> None:
    assert status(FACTS) == f"{PREDICTED} (SLAAC, predicted)"
    assert status(seen(PREDICTED)) == f"{PREDICTED} (SLAAC)"
    assert status(seen(OTHER)) == f"{PREDICTED} (SLAAC, it has {OTHER})"
    assert status(seen(OTHER, PREDICTED)) == f"{PREDICTED} (SLAAC)", "a temporary one beside it"


def test_the_warning_goes_when_the_guest_was_seen() -> None:
    (note,) = notices(WORLD, FACTS)
    assert f"what a MAC makes (EUI-64): web1 {PREDICTED}." in note
    assert "RFC 7217" in note
    assert notices(WORLD, seen(PREDICTED)) == ()
    (moved,) = notices(WORLD, seen(OTHER))
    assert moved.startswith(f"guest web1 has set its address itself, {OTHER}, and does not ask for {PREDICTED}")


def test_forwards_follow() -> None:
    def target(facts: Facts) -> str:
        return dict(running_elements(WORLD.guests, facts))["any6"][0].split(" : ")[1].split(" . ")[0]

    assert target(FACTS) == str(PREDICTED)
    assert target(seen(OTHER)) == str(OTHER)


def test_nobody_reserves_it() -> None:
    """The address of the other family is."""
    assert dhcp_text(WORLD).splitlines()[-1] == f"{MAC},10.0.0.10,web1"
    assert f"nic lab {MAC} 10.0.0.10 -" in hookdata.guest_file(WORLD.guests[0]).splitlines()


def test_select_takes_it_with_its_prefix() -> None:
    (link,) = host_of(WORLD, WORLD.guests[0]).links
    assert (PREDICTED, 64) in {(own.address, own.bits) for own in link.addresses}
