"""Who is asked for a cell, and why nobody is; and what `why` does on the LAN without being asked: nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest

from guestnet.act.ends import Known, Stage
from guestnet.act.questions import questions, unasked
from guestnet.act.why import _not_on_the_lan
from guestnet.decide.places import Place
from guestnet.decide.reach import INTERNET, Cell, End, Verdict
from guestnet.decide.upstream import Far
from guestnet.host.probe import End as Probe
from guestnet.spec.world import Lan
from guestnet.words.problems import GuestnetError

WAN = End("network", "wan")


class Fake:
    addresses = {4: "198.51.100.2"}  # noqa: RUF012  nobody writes it
    near: dict[int, str] = {}  # noqa: RUF012  nobody writes it
    port = 7


def stage(far: Far, **known: Any) -> Stage:
    ends = [cast("Probe", Fake()) for _ in range(4)]
    found = Stage(ends[0], ends[1], guests={"wan": (ends[2], ends[3])}, gates={4: "198.19.255.1"}, **known)
    found.known["wan"] = Known({4: "198.51.100.1"}, far)
    found.ports["wan"] = 61000
    return found


@pytest.mark.parametrize(
    ("verdict", "elsewhere", "asked"), [("yes", "", 0), ("yes", "vps", 3), ("forwards", "", 5), ("no", "", 3)]
)
def test_a_network_that_takes_only_what_comes_through_its_uplink(verdict: Verdict, elsewhere: str, asked: int) -> None:
    """A link of our own is not where that comes from. What is closed is so for all, and forwards are for all."""
    cell = Cell(INTERNET, WAN, 4, verdict, "")
    set_ = stage(Far(), uplinks={"wan": "up0"}, elsewhere=elsewhere)
    assert len(list(questions(cell, set_, 1))) == asked
    if not asked:
        assert unasked(cell, set_) == "it takes only what comes through up0; --from ssh:HOST asks there"
    assert len(list(questions(cell, stage(Far()), 1))) >= 3, "without an uplink of its own"


@pytest.mark.parametrize("verdict", ["no", "yes", "forwards"])
def test_a_link_of_our_own_is_no_uplink_where_the_host_has_none(verdict: Verdict) -> None:
    cell = Cell(INTERNET, WAN, 4, verdict, "")
    without = stage(Far(), unreached=frozenset({4}))
    assert not list(questions(cell, without, 1))
    assert unasked(cell, without) == "the host has no IPv4 uplink, and a link of our own would be one"
    assert list(questions(cell, stage(Far(), unreached=frozenset({4}), elsewhere="vps"), 1)), "that is another machine"
    assert list(questions(cell, stage(Far(), unreached=frozenset({6})), 1))


def test_nobody_to_ask_for_the_internet() -> None:
    cell = Cell(WAN, INTERNET, 4, "yes", "")
    assert len(list(questions(cell, stage(Far({4: "203.0.113.1"})), 1))) == 3
    denied = stage(Far({}, {4: "egress denies the gateway"}))
    assert list(questions(cell, denied, 1)) == []
    assert unasked(cell, denied) == "egress denies the gateway"
    assert unasked(cell, stage(Far())) == "the host has no IPv4 gateway to ask; name one with --target"


def place(mode: Any) -> Place:
    lan = Lan("spare", mode, None, "eth1", "bridge", None, guest_isolation=False, autostart=True, stp=False, mtu=None)
    return Place("spare", "network", lan)


@pytest.mark.parametrize("mode", ["bridge", "macvtap"])
def test_why_puts_nothing_on_the_lan_unasked(mode: str) -> None:
    host = Place("host", "host")
    for places in ((place(mode), host), (host, place(mode))):
        with pytest.raises(GuestnetError) as raised:
            _not_on_the_lan(*places)
        assert raised.value.what == "spare is on the LAN: its ends get MACs there and a lease"
        assert raised.value.todo == "say --lan"
    _not_on_the_lan(host, place("passthrough"))
