"""Which tracked connections go when forwards go or come: those that would keep the old decision, and only those."""

from __future__ import annotations

from typing import Any

import pytest

from guestnet.compile import wire
from guestnet.decide.stale import Flow, changed, stale, wanted

HOST, OTHER, CLIENT, GUEST, DB = "203.0.113.2", "203.0.113.7", "198.51.100.9", "10.9.1.10", "10.9.1.11"
NICS = {wire.address(HOST): "up0", wire.address(OTHER): "up1", wire.address("2001:db8::2"): "up0"}
NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1}


def flow(  # noqa: PLR0913, PLR0917  the words of a table, in its order
    protocol: str, port: int, target: str = "", to: int = 0, address: str = HOST, client: str = CLIENT, **more: Any
) -> Flow:
    """With a target: translated by us."""
    family = 6 if ":" in address else 4
    where = target or address
    made = Flow(
        family, NUMBERS[protocol], wire.address(client), wire.address(address), port, wire.address(where), to or port,
        bool(target), bool(target),
    )  # fmt: skip
    return made._replace(**more)


SSH = {"any4": ("tcp . 4023 : 10.9.1.10 . 22",)}


@pytest.mark.parametrize(
    ("gone", "one", "goes"),
    [
        (SSH, flow("tcp", 4023, GUEST, 22), True),
        (SSH, flow("tcp", 4024, GUEST, 22), False),
        (SSH, flow("udp", 4023, GUEST, 22), False),
        (SSH, flow("tcp", 4023, DB, 22), False),
        (SSH, flow("tcp", 4023, GUEST, 23), False),
        (SSH, flow("tcp", 4023, GUEST, 22, ours=False), False),  # docker's, or who knows whose
        (SSH, flow("tcp", 4023, GUEST, 22, translated=False), False),
        (SSH, flow("tcp", 4023), False),  # the host's own service there
        ({"on4": (f"{HOST} . tcp . 80 : {GUEST} . 80",)}, flow("tcp", 80, GUEST), True),
        ({"on4": (f"{OTHER} . tcp . 80 : {GUEST} . 80",)}, flow("tcp", 80, GUEST), False),
        ({"nic4": (f'"up0" . tcp . 80 : {GUEST} . 80',)}, flow("tcp", 80, GUEST), True),
        ({"nic4": (f'"up1" . tcp . 80 : {GUEST} . 80',)}, flow("tcp", 80, GUEST), False),
        ({"any_range4": (f"tcp . 9000-9999 : {GUEST}",)}, flow("tcp", 9500, GUEST), True),
        ({"any_range4": (f"tcp . 9000-9999 : {GUEST}",)}, flow("tcp", 8999, GUEST), False),
        ({"any_from4": (f"198.51.100.0/24 . tcp . 80 : {GUEST} . 80",)}, flow("tcp", 80, GUEST), True),
        ({"any_from4": (f"198.51.101.0/24 . tcp . 80 : {GUEST} . 80",)}, flow("tcp", 80, GUEST), False),
        ({"whole4": (f"{HOST} : {GUEST}",)}, flow("icmp", 0, GUEST), True),
        ({"whole4": (f"{OTHER} : {GUEST}",)}, flow("tcp", 80, GUEST), False),
        ({"loop4": (f"tcp . 80 : {GUEST} . 81",)}, flow("tcp", 80, GUEST, 81, address="127.0.0.1"), True),
        ({"any6": ("tcp . 80 : fd00::1 . 80",)}, flow("tcp", 80, "fd00::1", address="2001:db8::2", client="::5"), True),
        ({"open4": (f"{GUEST} . tcp . 80 : accept",)}, flow("tcp", 80, GUEST), False),
        ({"open4": (f"{GUEST} . tcp . 80 : accept",)}, flow("tcp", 80, address=GUEST), True),
        ({"open4": (f"{GUEST} . udp . 80-90 : accept",)}, flow("udp", 85, address=GUEST), True),
        ({"open4": (f"{GUEST} . tcp . 80 : accept",)}, flow("tcp", 81, address=GUEST), False),
        ({"open4": (f"{GUEST} . tcp . 80 : accept",)}, flow("udp", 80, address=GUEST), False),
        ({"open4": (f"{GUEST} . tcp . 80 : accept",)}, flow("tcp", 80, address=DB), False),
        ({"open4": (f"{GUEST} . tcp . 80 : accept",)}, flow("tcp", 80, address=GUEST, client=HOST), False),
        ({"open4": (f"{GUEST} . tcp . 80 : accept",)}, flow("tcp", 80, DB, address=GUEST, ours=False), False),
        (
            {"open6": ("2001:db8:9::1 . tcp . 80 : accept",)},
            flow("tcp", 80, address="2001:db8:9::1", client="::5"),
            True,
        ),
        ({"open_from4": (f"198.51.100.0/24 . {GUEST} . tcp . 80 : accept",)}, flow("tcp", 80, address=GUEST), True),
        ({"open_from4": (f"198.51.101.0/24 . {GUEST} . tcp . 80 : accept",)}, flow("tcp", 80, address=GUEST), False),
        ({"source4": (f"{GUEST} : {HOST}",)}, flow("tcp", 80, GUEST), False),
    ],
)
def test_when_forwards_go(gone: dict[str, tuple[str, ...]], one: Flow, goes: bool) -> None:
    assert list(stale([one], gone, {}, {}, NICS)) == ([one] if goes else [])


def test_what_another_forward_leads_there_stays() -> None:
    one = flow("tcp", 4023, GUEST, 22)
    still = {"on4": (f"{HOST} . tcp . 4023 : {GUEST} . 22",)}
    assert list(stale([one], SSH, {}, still, NICS)) == []
    elsewhere = {"on4": (f"{HOST} . tcp . 4023 : {DB} . 22",)}
    assert list(stale([one], SSH, {}, elsewhere, NICS)) == [one]
    narrower = {"any_from4": (f"198.51.100.8/29 . tcp . 4023 : {GUEST} . 22",)}
    assert list(stale([one], SSH, narrower, narrower, NICS)) == [], "the client is still in from"
    assert list(stale([one._replace(source=b"\1\1\1\1")], SSH, narrower, narrower, NICS)) != []


def test_a_door_that_is_only_narrowed() -> None:
    one = flow("tcp", 80, address=GUEST)
    gone = {"open4": (f"{GUEST} . tcp . 80 : accept",)}
    for source, goes in (("198.51.100.8/29", False), ("192.0.2.0/24", True)):
        after = {"open_from4": (f"{source} . {GUEST} . tcp . 80 : accept",)}
        assert list(stale([one], gone, after, after, NICS)) == ([one] if goes else [])
    after = {"open4": (f"{GUEST} . tcp . 80-81 : accept",)}
    assert list(stale([one], gone, after, after, NICS)) == [], "another forward opens it"


@pytest.mark.parametrize(
    ("new", "one", "goes"),
    [
        ({"any4": (f"udp . 53 : {GUEST} . 53",)}, flow("udp", 53), True),
        ({"any4": (f"udp . 53 : {GUEST} . 53",)}, flow("udp", 54), False),
        ({"any4": (f"tcp . 53 : {GUEST} . 53",)}, flow("tcp", 53), False),  # the host's own; a client tries anew
        ({"any4": (f"udp . 53 : {GUEST} . 53",)}, flow("udp", 53, address="192.0.2.1"), False),  # passes through
        ({"any4": (f"udp . 53 : {GUEST} . 53",)}, flow("udp", 53, DB, ours=False), False),  # somebody's translation
        ({"on4": (f"{OTHER} . udp . 53 : {GUEST} . 53",)}, flow("udp", 53), False),
        ({"nic4": (f'"up0" . udp . 53 : {GUEST} . 53',)}, flow("udp", 53), True),
        ({"any_from4": (f"198.51.100.9 . udp . 53 : {GUEST} . 53",)}, flow("udp", 53), True),
        ({"any_from4": (f"198.51.100.8 . udp . 53 : {GUEST} . 53",)}, flow("udp", 53), False),
        ({"any_range4": (f"udp . 1000-2000 : {GUEST}",)}, flow("udp", 1000), True),
        ({"whole4": (f"{HOST} : {GUEST}",)}, flow("udp", 7), True),
        ({"any6": ("udp . 53 : fd00::1 . 53",)}, flow("udp", 53), False),
    ],
)
def test_when_forwards_come(new: dict[str, tuple[str, ...]], one: Flow, goes: bool) -> None:
    assert list(stale([one], {}, new, new, NICS)) == ([one] if goes else [])


def test_what_is_looked_at() -> None:
    """Nothing is read that can't be stale: most changes are of tcp, and come."""
    udp = {"any4": (f"udp . 53 : {GUEST} . 53",), "any6": ("tcp . 53 : fd00::1 . 53",)}
    assert changed(SSH, udp) == (SSH, udp)
    assert changed(udp, udp) == ({}, {})
    assert wanted({}, SSH) == (frozenset(), frozenset())
    assert wanted(SSH, udp) == (frozenset({4}), frozenset({4}))
    assert wanted({"source4": ("a : b",), "open6": ("c : accept",)}, {"whole6": ("d : e",)}) == (
        frozenset(),
        frozenset({6}),
    )
    assert wanted({"open4": ("c : accept",)}, {}) == (frozenset(), frozenset({4}))
