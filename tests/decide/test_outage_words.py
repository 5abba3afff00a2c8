"""Whom a change of a network disturbs, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guestnet.compile.bridgedrift import GONE
from guestnet.compile.netxml import canonical
from guestnet.decide.facts import Domain, DomainNic
from guestnet.decide.plan import cut_off, outage
from guestnet.decide.state import Change, Key, Network
from tests.decide.test_conflicts import FACTS

XML = canonical(
    "<network><name>lab</name><bridge name='v'/><ip address='10.0.0.1' netmask='255.255.255.0'>"
    "<dhcp><range start='10.0.0.2' end='10.0.0.9'/></dhcp></ip></network>"
)
ON = Network(XML, XML, True)
HERE = replace(FACTS, domains=(Domain("web1", True, (DomainNic("lab", "52:54:00:00:00:01"),)),))


def edited(old: str, new: str) -> Network:
    text = XML.replace(old, new)
    return Network(text, text, True)


@pytest.mark.parametrize(
    ("before", "after", "hit", "long"),
    [
        (ON, edited("10.0.0.9", "10.0.0.8"), (), "none"),
        (ON, edited('name="v"', 'name="w"'), ("web1",), "up to 1 s"),
        (replace(ON, wrong=(GONE,)), ON, ("web1",), "up to 1 s"),
        (replace(ON, wrong=("v is down",), unrecorded=("vnet0",)), ON, (), "none"),
        (replace(ON, running=None), ON, (), "none"),
        (ON, None, ("web1",), "for good"),
    ],
)
def test_who_is_cut_off(before: Network, after: Network | None, hit: tuple[str, ...], long: str) -> None:
    change = Change(Key("network", "lab"), before, after)
    assert cut_off(change, HERE) == hit
    assert outage(change, HERE) == long
