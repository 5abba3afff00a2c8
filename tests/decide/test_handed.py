"""Which networks change hands by a journal's steps, and by which definitions they are known again."""

from __future__ import annotations

from guestnet.compile.netxml import canonical
from guestnet.decide.adopted import handed
from guestnet.decide.state import Change, Key, Network

PLAIN = canonical("<network><name>old</name></network>")
MARKED = canonical(
    "<network><name>old</name><metadata><g:network xmlns:g='urn:guestnet:1' adopted='yes'/></metadata></network>"
)
OTHER = PLAIN.replace("</network>", "<mtu size='1400'/></network>")
OLD = Key("network", "old")


def stored(xml: str) -> Network:
    return Network(xml, None, autostart=False)


def test_taken_over_or_given_back() -> None:
    for before, after in ((PLAIN, MARKED), (MARKED, PLAIN)):
        assert handed([Change(OLD, stored(before), stored(after))]) == {"old": {PLAIN, MARKED}}


def test_every_definition_on_the_way_counts() -> None:
    steps = [Change(OLD, stored(PLAIN), stored(MARKED)), Change(OLD, stored(PLAIN), stored(OTHER))]
    assert handed(steps) == {"old": {PLAIN, MARKED, OTHER}}


def test_without_a_stored_definition_the_running_one_tells() -> None:
    assert handed([Change(OLD, Network("", PLAIN, autostart=False), stored(MARKED))]) == {"old": {PLAIN, MARKED}}


def test_not_one_that_comes_goes_or_stays_ours() -> None:
    """What guestnet made is known by its mark alone: another of that name is never taken for it."""
    assert handed([Change(OLD, None, stored(MARKED)), Change(OLD, stored(MARKED), None)]) == {}
    assert handed([Change(OLD, stored(MARKED), stored(MARKED))]) == {}
    assert handed([Change(OLD, None, stored(PLAIN)), Change(OLD, stored(MARKED), None)]) == {}
