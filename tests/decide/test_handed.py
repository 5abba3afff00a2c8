"""Which networks change hands by a journal's steps, and by which definitions they are known again."""

from __future__ import annotations

from guestnet.compile.netxml import canonical
from guestnet.decide.adopted import LEAVING, Hands, handed, leaving
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


def test_which_are_given_back() -> None:
    """Those that were taken over and that the file has no more; of guestnet's own, those that are to be released."""
    made = canonical("<network><name>old</name><metadata><g:network xmlns:g='urn:guestnet:1'/></metadata></network>")
    its = {"old": Network(MARKED, MARKED, autostart=True), "own": Network(made, made, autostart=True)}

    def names(wanted: set[str], hands: Hands) -> list[str]:
        return [one.name for one in leaving(its, wanted, hands)]

    assert names({"own"}, Hands()) == ["old"]
    assert names({"old", "own"}, Hands()) == []
    assert names({"old"}, Hands(release=frozenset({"own"}))) == ["own"]
    assert names(set(), LEAVING) == ["old"], "guestnet's own end"


def test_one_that_is_given_back_is_as_it_runs() -> None:
    nat = MARKED.replace(
        "</network>", "<forward mode='nat'/><ip address='10.9.0.1' netmask='255.255.255.0'/></network>"
    )
    runs, off = (leaving({"old": Network(nat, now, autostart=True)}, (), LEAVING)[0] for now in (nat, None))
    assert (runs.forwards, off.forwards) == (True, False)
    assert [str(subnet) for subnet in runs.subnets] == ["10.9.0.0/24"]
