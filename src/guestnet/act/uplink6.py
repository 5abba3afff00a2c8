"""What a dead IPv6 uplink of the host means for what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from guestnet.act.measure import Host
from guestnet.decide.case import Followed
from guestnet.decide.reach import INTERNET, Key, Measured
from guestnet.host.uplink6 import uplink6
from guestnet.words.families import IPV6


def unanswered(host: Host, measured: Sequence[Measured]) -> tuple[tuple[Measured, ...], Mapping[Key, Followed]]:
    """Of what was measured, the ways to the internet over IPv6 that should be there and that nobody answered, or could
    be asked for: they are closed where the host's own uplink does not work, and that is why."""
    mine = [
        one.cell.key
        for one in measured
        if (one.cell.target, one.cell.family, one.cell.verdict) == (INTERNET, IPV6, "yes") and one.right is not True
    ]
    state = uplink6(host.facts) if mine else None
    if state is None or state.works:
        return tuple(measured), {}
    why = f"the host's own IPv6 uplink does not work: {state.seen}"
    found = tuple(replace(one, verdict="no", text=why) if one.cell.key in mine else one for one in measured)
    return found, dict.fromkeys(mine, Followed(why, "", state.todo))
