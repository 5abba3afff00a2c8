"""What packets said of a cell, as a verdict. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from guestnet.decide.reach import Cell, Measured, Verdict
from guestnet.words.addresses import is_private

Asked = Literal["direct", "forward", "far", "gate"]
# direct: an end of ours; forward: the host, where a forward is; far: a machine that owes us no answer; gate: the host
# itself, to see whether it can be asked at all


@dataclass(frozen=True)
class Heard:
    """What probework says of one question; `to` is the address that was asked."""

    way: Asked
    protocol: str
    to: str
    outcome: str
    by: str = ""
    text: str = ""

    def __str__(self) -> str:
        what = f"{'by forward ' if self.way == 'forward' else ''}{self.protocol} {self.outcome}"
        return f"{what} by {self.by}" if self.outcome == "rejected" and self.by else what


def judge(cell: Cell, heard: list[Heard], otherwise: str, promise: Verdict | None = None) -> Measured:
    """otherwise: why there are no answers. promise: see Measured."""
    # unable: this side was not let ask, which says nothing of the way.
    answers = [one for one in heard if one.way != "gate" and one.outcome != "unable"]
    if not answers:
        return Measured(cell, None, otherwise, promise)
    return Measured(cell, _verdict(answers), ", ".join(map(str, answers)), promise)


def _verdict(answers: list[Heard]) -> Verdict | Literal["partly"]:
    if any(one.way == "far" for one in answers):
        # Who is asked out there owes us no answer on each protocol, and a refusal has come all the way.
        return "yes" if any(one.outcome in ("answered", "refused") for one in answers) else "no"
    # Our own ends do answer. A refusal through a forward may be of a rule on the way: NAT gives it the address asked.
    asked = {one.protocol for one in answers if one.way == "direct"}
    direct = {one.protocol for one in answers if one.way == "direct" and _answered(one)}
    forward = [_answered(one) for one in answers if one.way == "forward"]
    if direct and direct == asked:
        return "yes"
    if direct:
        return "services" if direct == {"icmp"} else "partly"
    if forward and not all(forward):
        return "partly" if any(forward) else "no"
    return "forwards" if forward else "no"


def elsewhere(cell: Cell, heard: list[Heard], who: str) -> tuple[list[Heard], str]:
    """Of what another machine heard, what tells of this host; and else, why nothing does.

    It is not known which routes that machine has: silence tells nothing when it never had a way here.
    """
    told = [one for one in heard if one.outcome not in ("nowhere", "unable")]
    if not told:
        said = next((one.text for one in heard if one.text), "")
        return [], f"{who} has no way to send it{f': {said}' if said else ''}"
    if any(map(_answered, told)):
        return told, ""
    # A private address may be another machine's there, or nobody's.
    asked = "forward" if cell.verdict == "forwards" else "direct" if cell.verdict in ("yes", "lan") else None
    hidden = next((one.to for one in told if one.way == asked and is_private(ip_address(one.to))), None)
    if hidden is None:
        return told, ""
    return [], f"nothing was heard, and {hidden} is private: {who} may have no route to it"


def _answered(one: Heard) -> bool:
    return one.outcome == "answered"
