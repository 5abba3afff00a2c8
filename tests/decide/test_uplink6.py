"""Whether the host's IPv6 uplink works, over hosts that are made up."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Interface

from guestnet.decide.facts import Facts, Own6, Router6
from guestnet.decide.uplink6 import Answer, judge, lacking

ROUTER = Router6("up0", "fe80::1", advertised=True, lifetime=1800)
OTHER = Router6("up0", "fe80::2")
FACTS = Facts("kvm1", "9.0.0", routers6=(ROUTER,), own6=(Own6("up0", IPv6Interface("2001:db8:1::2/64")),))
ULA = (Own6("up0", IPv6Interface("fd00::2/64")),)


def test_what_is_missing_needs_no_question() -> None:
    assert lacking(FACTS) is None
    none = judge(replace(FACTS, routers6=()), {})
    assert (none.works, none.seen) == (False, "the host has no IPv6 default route")
    private = judge(replace(FACTS, own6=ULA), {ROUTER: True})
    assert not private.works
    assert private.seen == "the host has no global IPv6 address on up0, only fd00::2"
    elsewhere = judge(replace(FACTS, own6=(Own6("br9", IPv6Interface("2001:db8:1::2/64")),)), {ROUTER: True})
    assert elsewhere.seen == "the host has no global IPv6 address on up0"


def test_one_router_that_answers_is_enough() -> None:
    assert judge(FACTS, {ROUTER: False, OTHER: True}).works
    assert judge(FACTS, {ROUTER: False}).seen == "the router fe80::1 on up0 does not answer"
    two = judge(FACTS, {ROUTER: False, OTHER: False})
    assert two.seen == "the routers fe80::1 on up0, fe80::2 on up0 do not answer"
    assert two.todo


def test_who_is_beyond_decides() -> None:
    """A router that answers nobody may forward all the same, and one that answers may forward nothing."""
    far = Answer("2001:db8:9::1", True, "connected")
    assert judge(FACTS, {ROUTER: False}, far).works
    assert judge(replace(FACTS, own6=ULA), {}, far).works, "somebody upstream translates"
    silent = judge(FACTS, {ROUTER: True}, replace(far, answered=False, text="no answer"))
    assert silent.seen == "2001:db8:9::1 does not answer over IPv6 (no answer)"
    both = judge(FACTS, {ROUTER: False}, replace(far, answered=False, text=""))
    assert both.seen == "2001:db8:9::1 does not answer over IPv6; nor does the router fe80::1 on up0"
    assert "no IPv6 default route" in judge(replace(FACTS, routers6=()), {}, replace(far, answered=False)).seen
