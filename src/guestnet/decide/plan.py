"""The plan: what would change, as data. It can be printed in several ways, and has a digest to name it by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from guestnet.compile import netlive, netxml
from guestnet.compile.bridgedrift import RESTARTS
from guestnet.decide import admit, adopted
from guestnet.decide.conflicts import conflicts
from guestnet.decide.facts import Facts
from guestnet.decide.flips import Flip, flips
from guestnet.decide.notices import notices
from guestnet.decide.state import APPLIED, SOURCE, Change, Network, State, compare, to_data
from guestnet.spec.world import World
from guestnet.words.problems import Problem

FOR_GOOD = "for good"  # an outage that does not end by itself


@dataclass(frozen=True)
class Plan:
    """`changes` in the order to do them; with `problems` it can't be applied; `notices` are for the reader only."""

    world: World
    facts: Facts
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]
    flips: tuple[Flip, ...] | None = ()  # the cells of the matrix that the file changes; None when nobody knows
    mends: bool = False  # the file is as it was applied: what differs is not its doing

    @property
    def digest(self) -> str:
        """Names the changes: the same changes on the same state have the same digest. Six hex digits."""
        data = json.dumps([to_data(change) for change in self.changes], sort_keys=True)
        return hashlib.sha256(data.encode()).hexdigest()[:6]


def make_plan(  # noqa: PLR0913  the last by keyword
    world: World,
    facts: Facts,
    live: State,
    desired: State,
    before: World | None = None,
    *,
    exact: bool = False,
    mends: bool = False,
) -> Plan:
    """`before`: what the file said when it was applied last; None when nobody knows. `exact`: also what is only spelled
    otherwise; so it is when the plan only `mends`."""
    changes = compare(live, desired)
    said = (*notices(world, facts), *admit.notes(world, facts, desired))
    flipped = None if before is None else flips(before, world, facts, adopted.handed(changes))
    if not exact and not mends and _only_spelled_otherwise(changes, same=flipped == ()):
        changes = ()
    return Plan(world, facts, changes, conflicts(world, facts, live, changes), said, flipped, mends)


def _only_spelled_otherwise(changes: tuple[Change, ...], *, same: bool) -> bool:
    """The file says the same in other words or another order, or with other comments. What was applied keeps the old
    ones until there is something to apply. `same`: nothing that it means has changed."""
    changed = {change.key.name: change for change in changes}
    source = changed.pop(SOURCE, None)
    if source is not None and source.after is None:
        return False
    return not changed or (
        same and [*changed] == [APPLIED] and None not in (changed[APPLIED].before, changed[APPLIED].after)
    )


def cut_off(change: Change, facts: Facts) -> tuple[str, ...]:
    """The running guests that lose their network for a moment (restart) or for good (removal) by this change."""
    if change.key.kind != "network" or not isinstance(change.before, Network) or change.before.running is None:
        return ()
    restarts = RESTARTS & set(change.before.wrong)
    if isinstance(change.after, Network) and not restarts and netlive.live(change.before.running, change.after.running):
        return ()  # also when only taps are put back: that disturbs nobody who is not disturbed already
    name, bridge = change.key.name, netxml.own_bridge(change.before.running)
    if not bridge:
        # libvirt leaves guests on the LAN plugged in; only the end of a bridge of ours takes it from them.
        over = facts.nic(netxml.bridge(change.before.running))
        if change.after is not None or over is None or not over.ours:
            return ()
    return tuple(
        domain.name
        for domain in facts.domains
        if domain.running and any(nic.network == name or bridge == nic.bridge != "" for nic in domain.nics)
    )


def outage(change: Change, facts: Facts) -> str:
    """How long those of `cut_off` are without network: "none" where nobody is, "up to 1 s", or "for good"."""
    if not cut_off(change, facts):
        return "none"
    stays = isinstance(change.after, Network) and change.after.running is not None
    return "up to 1 s" if stays else FOR_GOOD
