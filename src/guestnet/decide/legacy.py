"""The old iptables beside that of nftables: a table of its own, which each packet passes too, and no trace shows. Pure.

Rules of ours are never put there: that is told, with the commands.
"""

from __future__ import annotations

from collections.abc import Iterator

from guestnet.compile import admit, ruleset
from guestnet.decide.facts import Facts, Legacy
from guestnet.spec.world import World
from guestnet.words.families import IPV4

_ENDS = (" -j DROP", " -j REJECT")


def closed(one: Legacy, world: World) -> bool:
    """Whether its FORWARD drops by policy, and nothing there is seen to let guests through."""
    return "-P FORWARD DROP" in one.rules and any(f"-A FORWARD {rule}" not in one.rules for rule in _ways(one, world))


def stops(one: Legacy, world: World) -> str:
    """What of it may stop guests' packets; empty when nothing does."""
    if not world.networks:
        return ""
    if not one.rules:
        return f"the filter table of {one.program} is there, and the program is not: what it drops is not known"
    if closed(one, world):
        return f"FORWARD of {one.program} drops by its policy: forwards and what guests send end there"
    ending = [rule for rule in one.rules if any(end in rule for end in _ENDS)]
    if ending:
        more = f", and {len(ending) - 1} more" if len(ending) > 1 else ""
        return f"rules of {one.program} end packets, of guests too, perhaps: {ending[0]}{more}"
    return ""


def todo(one: Legacy, world: World) -> str:
    if not one.rules:
        return f"install the program, and look: {one.program} -S"
    if not closed(one, world):
        return f"look whether they stop guests: {one.program} -S"
    ways = [f"{one.program} -I FORWARD {place} {rule}" for place, rule in enumerate(_ways(one, world), 1)]
    first = f"if nobody needs it, set it back: {one.program} -P FORWARD ACCEPT; else let guests through there, too:"
    return "\n".join([first, *ways])


def notes(world: World, facts: Facts) -> Iterator[str]:
    for one in facts.others.legacy:
        seen = stops(one, world)
        if seen:
            yield f"{seen}; no rule of ours is there, and guestnet why does not see it: {todo(one, world)}"


def unseen(facts: Facts, world: World, family: int) -> str:
    """What may have stopped a followed packet of a family (4 or 6), as a hop says it; empty when nothing did."""
    program = "iptables-legacy" if family == IPV4 else "ip6tables-legacy"
    return next((seen for one in facts.others.legacy if one.program == program and (seen := stops(one, world))), "")


def _ways(one: Legacy, world: World) -> tuple[str, ...]:
    return (" ".join(ruleset.admit_rule()), *admit.ways_out(one.program.removesuffix("-legacy"), world))
