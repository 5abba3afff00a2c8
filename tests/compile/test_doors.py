"""What is open at a guest's own address: as much as was asked for, and no interval in another's way."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from guestnet.compile.doors import Door, apart
from guestnet.words.ports import PortRange

NETWORKS = [
    None,
    *map(
        ip_network, ("2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:1::/64", "2001:db8:1:1::9/128", "2001:db8:2::/48")
    ),
]
RANGES = st.tuples(st.integers(1, 30), st.integers(0, 12)).map(lambda its: PortRange(its[0], its[0] + its[1]))
DOORS = st.lists(st.tuples(st.sampled_from(NETWORKS), RANGES), max_size=8)


def test_one_forward_is_one_interval() -> None:
    door = ip_network("2001:db8::/32"), PortRange(80, 90)
    assert list(apart([door])) == [door]
    assert list(apart([(None, PortRange(80, 90)), (None, PortRange(91, 92)), (None, PortRange(85, 85))])) == [
        (None, PortRange(80, 90)),
        (None, PortRange(91, 92)),
    ]


def passes(doors: list[Door], client: str, port: int) -> bool:
    """Whether a client gets in, everybody's doors left aside."""
    return any(one is not None and ip_address(client) in one and port in ports for one, ports in doors)


@given(DOORS)
def test_they_open_what_was_asked_and_do_not_overlap(doors: list[Door]) -> None:
    found = list(apart(doors))
    for (source, ports), (other, others) in combinations(found, 2):
        if (source is None) == (other is None):
            nobody_both = source is not None and other is not None and not source.overlaps(other)
            assert nobody_both or not ports.overlaps(others)
    for port in range(1, 45):
        everybody = [any(one is None and port in ports for one, ports in those) for those in (doors, found)]
        assert everybody[0] == everybody[1]
        for client in ("2001:db8:9::1", "2001:db8:1:2::1", "2001:db8:1:1::8", "2001:db8:1:1::9", "2001:db8:2::1"):
            assert passes(doors, client, port) == passes(found, client, port)
