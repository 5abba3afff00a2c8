"""What answers make of a cell: each verdict, from the answers that it takes."""

from __future__ import annotations

import pytest

from guestnet.decide.judge import Asked, Heard, judge
from guestnet.decide.reach import Cell, End, Verdict

END = End("network", "lab")


def said(way: Asked, **outcomes: str) -> list[Heard]:
    """An answer for each protocol."""
    return [Heard(way, protocol, "10.0.0.2", outcome) for protocol, outcome in outcomes.items()]


ALL, NONE = ({protocol: outcome for protocol in ("tcp", "udp", "icmp")} for outcome in ("answered", "silence"))
FORWARD, LOST = {"tcp": "answered", "udp": "answered"}, {"tcp": "silence", "udp": "silence"}


@pytest.mark.parametrize(
    ("heard", "verdict"),
    [
        (said("direct", **ALL), "yes"),
        (said("direct", **NONE), "no"),
        (said("direct", tcp="silence", udp="silence", icmp="answered"), "services"),
        (said("direct", tcp="answered", udp="silence", icmp="answered"), "partly"),
        (said("direct", tcp="answered", udp="answered", icmp="silence"), "partly"),
        # Somebody in between said no, and it may have been the far end's address that he said it with
        (said("direct", tcp="refused", udp="refused", icmp="rejected"), "no"),
        (said("direct", tcp="nowhere", udp="nowhere", icmp="nowhere"), "no"),
        (said("direct", **NONE) + said("forward", **FORWARD), "forwards"),
        (said("direct", **NONE) + said("forward", **LOST), "no"),
        (said("direct", **NONE) + said("forward", tcp="refused", udp="refused"), "no"),
        (said("direct", **NONE) + said("forward", tcp="answered", udp="silence"), "partly"),
        (said("direct", **ALL) + said("forward", **FORWARD), "yes"),
        (said("direct", tcp="silence", udp="silence", icmp="answered") + said("forward", **FORWARD), "services"),
        (said("far", **ALL), "yes"),
        (said("far", tcp="refused", udp="silence", icmp="silence"), "yes"),
        (said("far", **NONE), "no"),
        (said("far", tcp="rejected", udp="rejected", icmp="silence"), "no"),
        (said("direct", **ALL) + said("gate", icmp="silence"), "yes"),
    ],
)
def test_a_verdict(heard: list[Heard], verdict: str) -> None:
    assert judge(Cell(END, END, 4, "yes", ""), heard, "").verdict == verdict


@pytest.mark.parametrize(
    ("verdict", "promise", "right"),
    [("yes", None, True), ("no", None, False), ("lan", None, None), ("lan", "yes", True)],
)
def test_whether_it_is_right(verdict: Verdict, promise: Verdict | None, right: bool | None) -> None:
    assert judge(Cell(END, END, 4, verdict, ""), said("direct", **ALL), "", promise).right is right


def test_what_was_heard_is_told() -> None:
    heard = [
        Heard("direct", "tcp", "10.0.0.2", "rejected", "10.0.0.1", "no route to host"),
        Heard("forward", "udp", "10.0.0.1", "silence"),
    ]
    found = judge(Cell(END, END, 4, "no", ""), heard, "")
    assert found.text == "tcp rejected by 10.0.0.1, by forward udp silence"
