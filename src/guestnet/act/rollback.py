"""The plan that leads back to before the last apply, by what its journal says. Changes nothing.

It goes through the same steps as any apply: shown, asked for, journalled, undone when one fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from guestnet.act import journal
from guestnet.act.journal import Begun, Edit
from guestnet.act.remember import remember
from guestnet.compile import netxml
from guestnet.decide import adopted, back, routers, served, whereabouts
from guestnet.decide.desired import MEMORY
from guestnet.decide.facts import Facts
from guestnet.decide.plan import Plan, make_plan
from guestnet.decide.prefer import wanted as prefer
from guestnet.decide.state import APPLIED, SOURCE, Change, File, Key, Network, State, compare
from guestnet.host import files, listeners, preferences, whohas
from guestnet.host.chance import chance
from guestnet.host.facts import read_facts
from guestnet.host.libvirt import Libvirt
from guestnet.host.observe import observe
from guestnet.spec.load import spec_of
from guestnet.spec.memory import Memory, from_text
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.world import World
from guestnet.words.problems import GuestnetError

_NOTHING = World((), ())


@dataclass(frozen=True)
class Way:
    """The way back: the plan, what somebody else has changed since, and the file's text as it is in force then."""

    plan: Plan
    conflicts: tuple[Key, ...]
    source: str | None


def last() -> Begun:
    """The apply to go back from. Raises GuestnetError when there is none."""
    try:
        found = journal.point()
    except journal.DamagedError as error:
        todo = "write the file as it shall be and apply it; what was applied last is in " + SOURCE
        raise GuestnetError(f"{error.what}: there is no way back", todo) from error
    if found is None and files.read(MEMORY) is not None:  # the first versions left none
        todo = "guestnet plan shows what differs from the file"
        raise GuestnetError("there is no apply of this version to go back from", todo)
    if found is None:
        raise GuestnetError("there is nothing to go back from: nothing was applied", "see guestnet plan")
    if found.head.verb == journal.ROLLBACK:
        what = f"there is nothing more to go back from: the last change, at {found.head.when}, was itself a rollback"
        raise GuestnetError(what, "to go forward again: guestnet apply")
    return found


def way(begun: Begun, libvirt: Libvirt, *, spare: bool = False) -> Way:
    """`spare`: what somebody else has changed since is left as it is, instead of told."""
    # A network that was given back, then or on this way back, is looked at also without its mark.
    libvirt.adopting = frozenset(adopted.handed(begun.changes))
    memory, _ = remember(libvirt, None)
    facts = read_facts(libvirt, memory)
    changed = back.net(begun.changes)
    live = observe(libvirt, {key: change.after for key, change in changed.items() if change.after is not None})
    live |= prefer.there(facts, preferences.records(), leaving=False)
    world, now = _world(_before(live, begun)), _world(live)
    facts = _asked(facts, world)
    facts = replace(facts, programs=listeners.programs(served.sockets(world or _NOTHING, facts)))
    target = back.before(live, begun.changes, facts, world)
    theirs = back.conflicts(live, begun.changes, target)
    if spare:
        kept = {key: live[key] for key in theirs}
        target = {**target, **kept}
    plan = make_plan(world or _NOTHING, facts, live, target, now, exact=True)
    staying = [
        key.name
        for key, change in changed.items()
        if key.kind == "setting"
        and None not in (change.before, live.get(key))
        and change.before != live[key] == target[key]
    ]
    gone = not any(key.kind == "memory" for key in target)
    plan = replace(plan, notices=(*plan.notices, *routers.notes(staying, facts, last=gone)))
    source = target.get(Key("memory", SOURCE))
    return Way(plan, theirs, source.text if isinstance(source, File) else None)


def outdated(libvirt: Libvirt) -> tuple[Change, ...]:
    """On a host that was made what it was earlier: how what follows the guests differs from what those that run now are
    to have by what was applied then. As changes that are to be taken back."""
    memory, _ = remember(libvirt, None)
    facts = read_facts(libvirt, memory)
    live = observe(libvirt, {})
    world = _world(live)
    facts = _asked(facts, world)
    return compare(back.before(live, (), facts, world), live)


def left(way: Way) -> tuple[Change, ...]:
    """Of a way that was gone: the guests' files that could not be put back."""
    there = prefer.there(way.plan.facts, preferences.records(), leaving=False)
    return tuple(one for one in way.plan.changes if one.key.kind == "prefer" and there.get(one.key) != one.after)


def _before(live: State, begun: Begun) -> State:
    """What was remembered and applied before it, and the networks of then."""
    found = dict(live)
    for key, change in back.net(begun.changes).items():
        if key.kind in ("memory", "network"):
            found.pop(key, None)
            if change.before is not None:
                found[key] = change.before
    return found


def named(theirs: Iterable[Key]) -> str:
    """What somebody else has changed since, in words."""
    return "somebody else has changed since: " + ", ".join(f"{kind} {name}" for kind, name in theirs)


def edit(begun: Begun) -> Edit | None:
    """Of an apply that had edited the file itself: that, when the file still holds what was written then."""
    done, file = begun.head.edit, files.read(begun.head.file) if begun.head.file else None
    return done if done is not None and file is not None and file.text == done.after else None


def _world(state: State) -> World | None:
    """What the file said that is applied in `state`; None when nobody knows, as where networks of ours have outlived
    the record of that."""
    applied, memory = state.get(Key("memory", APPLIED)), state.get(Key("memory", MEMORY))
    if applied is None:
        its = [thing.xml or thing.running or "" for thing in state.values() if isinstance(thing, Network)]
        return None if any(netxml.is_ours(xml) for xml in its) else _NOTHING
    spec = spec_of(applied.text) if isinstance(applied, File) else None
    if spec is None:
        return None
    # Everything in it is written: nothing is drawn.
    remembered = _memory(memory.text) if isinstance(memory, File) else Memory()
    return resolve(spec, remembered, random=chance(), taken=Taken(), macs={})[0]


def _asked(facts: Facts, world: World | None) -> Facts:
    """With the addresses that guests turn out to have."""
    return replace(facts, neighbours=whohas.asked(facts.neighbours, whereabouts.to_ask(world or _NOTHING, facts)))


def _memory(text: str) -> Memory:
    try:
        return from_text(text)
    except GuestnetError:
        return Memory()
