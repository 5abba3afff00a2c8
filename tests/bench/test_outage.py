"""The short form of the table `outage`: real guests notice no live apply, and a restart for less than a second."""

from __future__ import annotations

import random

import pytest

from bench.changes import CHANGES, File
from bench.tables import outage

# Seconds, however busy the machine is. STP would be 4, the detection of duplicate addresses 2; and
# waiting for libvirt's rules as long as the restart.
MOST = 1.0


@pytest.mark.lab
def test_guests_live_through_random_applies() -> None:
    with outage.ready() as (lab, web1):
        found = outage.run(lab, 6)
        ways = outage.ways_out(lab, web1, "DHCP range, live")
    assert found.broken == ()
    others, named = ([(did.change, did.restarts, gap) for did, gap in some] for some in (found.others(), found.named()))
    assert all(gap == 0 for *_, gap in others), others
    assert all(gap < MOST for *_, gap in named), named
    assert any(gap > 0 for *_, gap in named), "another seed is needed: a restart must come"
    assert any(did.live for did in found.did), "another seed is needed: a live change must come"
    assert [way.leaked for way in ways.values()] == [0, 0], ways


def test_what_is_lost_is_told_by_apply() -> None:
    """Numbers in hundredths: of an apply from 1 s to 2 s."""
    did = outage.Did("x", frozenset(), 1.0, 2.0)
    assert outage._gap({"began": 0.0, "udp lost": [50, 150, 151, 152, 300]}, did) == 0.03
    assert outage._gap({"began": 0.0, "udp lost": [50, 51, 300]}, did) == 0
    assert outage._gap({"began": 0.0, "udp lost": list(range(190, 280))}, did) == 0.9


def test_whom_the_plan_names_and_whom_it_does_not_are_told_apart() -> None:
    did = (
        outage.Did("MTU", frozenset({"web1"}), 0, 1, 0.9),
        outage.Did("MTU", frozenset({"web1"}), 1, 2, 0.8),
        outage.Did("DNS names", frozenset(), 2, 3),
    )
    gaps: tuple[dict[str, float], ...] = ({"web1": 0.1, "web2": 0.0}, {"web1": 0.2, "web2": 0.05}, {"web1": 0.3})
    found = outage.Outcome(did, gaps, ())
    assert found.named() == [(did[0], 0.1), (did[1], 0.2)]
    assert found.others() == [(did[0], 0.0), (did[1], 0.05), (did[2], 0.3)]
    dns, mtu = outage._rows(found)
    assert (mtu["plan"], mtu["longest s"], mtu["others s"], mtu["restart s"]) == ("restart: web1", 0.2, 0.05, 0.9)
    assert (dns["plan"], dns["longest s"], dns["others s"]) == ("live", "", 0.3)


def test_every_change_changes_the_file() -> None:
    """Twice, too: a kind that comes again must not leave it as it is."""
    file = File(random.Random(3))  # noqa: S311  not a secret
    for name, change in [*CHANGES.items(), *CHANGES.items()]:
        before = file.text()
        change(file)
        assert file.text() != before, name
