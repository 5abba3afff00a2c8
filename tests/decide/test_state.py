"""The one comparison: order of the steps, inverses, and the journal's form of them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from guestnet.decide.state import (
    KINDS,
    Admit,
    Bridge,
    File,
    Folder,
    Key,
    Link,
    Ndp,
    Network,
    Prefer,
    Proxy,
    Setting,
    State,
    Table,
    Thing,
    Unit,
    compare,
    from_data,
    to_data,
)

text = st.text(max_size=20)
elements = st.lists(st.tuples(text, st.lists(text).map(tuple))).map(tuple)
things: dict[type[Thing], st.SearchStrategy[Thing]] = {
    Folder: st.builds(Folder, st.sampled_from([0o700, 0o755])),
    File: st.builds(File, text, st.sampled_from([0o644, 0o755])),
    Setting: st.builds(Setting, text),
    Table: st.builds(Table, text, elements, elements),
    Ndp: st.builds(Ndp),
    Network: st.builds(Network, text, st.none() | text, st.booleans(), *[st.lists(text).map(tuple)] * 3),
    Admit: st.builds(Admit),
    Unit: st.builds(Unit, text, st.booleans(), st.booleans()),
    Link: st.builds(Link, text),
    Proxy: st.builds(Proxy, text, text, st.booleans()),
    Prefer: st.builds(Prefer, st.lists(text).map(tuple), text, st.booleans(), st.booleans()),
    Bridge: st.builds(Bridge, text, text, st.booleans(), st.none() | st.integers()),
}
keys = st.builds(Key, st.sampled_from(list(KINDS)), text)


@st.composite
def states(draw: st.DrawFn) -> State:
    return {key: draw(things[KINDS[key.kind]]) for key in draw(st.lists(keys, max_size=8))}


@given(states(), states())
def test_doing_the_changes_makes_live_into_desired(live: State, desired: State) -> None:
    host = dict(live)
    for change in compare(live, desired):
        assert host.get(change.key) == change.before
        if change.after is None:
            del host[change.key]
        else:
            host[change.key] = change.after
    assert host == desired
    assert compare(host, desired) == ()


@given(states(), states())
def test_undoing_them_in_reverse_makes_it_live_again(live: State, desired: State) -> None:
    host = dict(desired)
    for change in reversed(compare(live, desired)):
        if change.before is None:
            del host[change.key]
        else:
            host[change.key] = change.before
    assert host == live


@given(states(), states())
def test_a_change_survives_the_journal(live: State, desired: State) -> None:
    for change in compare(live, desired):
        assert from_data(json.loads(json.dumps(to_data(change)))) == change


def test_what_goes_goes_first_and_in_reverse() -> None:
    live: State = {Key("table", "t"): Table("a"), Key("network", "n"): Network("x", "x", True)}
    desired: State = {Key("network", "m"): Network("y", "y", True), Key("folder", "f"): Folder()}
    assert [change.key for change in compare(live, desired)] == [
        Key("network", "n"),
        Key("table", "t"),
        Key("folder", "f"),
        Key("network", "m"),
    ]


def test_settings_keep_the_order_they_were_given_in() -> None:
    """accept_ra must come before forwarding, whatever their names."""
    names = ["net/ipv6/conf/z/accept_ra", "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]
    desired: State = {Key("setting", name): Setting("1") for name in names}
    assert [change.key.name for change in compare({}, desired)] == names
