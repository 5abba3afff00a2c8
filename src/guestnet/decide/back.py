"""The way back from an apply: what each thing was before it, on the host as it is by now. Pure.

What changes by itself is not put back to what it was then: forwards are in force for guests that run now, also where
the apply itself had nothing to do with them, and what a hook wrote for a guest stays as long as its guest is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from guestnet.compile import hookdata
from guestnet.decide.desired import follows, in_force
from guestnet.decide.facts import Facts
from guestnet.decide.routers import needed
from guestnet.decide.state import Change, File, Key, Network, State, Table, Thing
from guestnet.spec.world import World

# What people edit, and would lose. Rules, maps, hooks and their data are only ours; apply itself mends them meanwhile.
_EDITED = ("network", "bridge", "setting", "sysctl.d", "proxy")


def net(begun: Iterable[Change]) -> dict[Key, Change]:
    """By key what it was before all of it, and what it is after."""
    found: dict[Key, Change] = {}
    for change in begun:
        first = found.get(change.key, change)
        found[change.key] = Change(change.key, first.before, change.after)
    return found


def before(live: State, begun: Iterable[Change], facts: Facts, world: World | None) -> State:
    """What the host is to be. `world`: what the file before said; None when nobody knows."""
    changed = net(begun)
    target = dict(live)
    for key, change in changed.items():
        thing = _settled(change, live.get(key))
        if key.kind == "setting" and (thing is None or needed(key.name, facts)):
            continue
        if thing is None:
            target.pop(key, None)
        else:
            target[key] = thing
    if world is not None:
        table = target.get(Key("table", "guestnet"))
        now = in_force(world, facts, table.listing if isinstance(table, Table) else None)
        target = {key: thing for key, thing in target.items() if not follows(key)} | now
    return {key: thing for key, thing in target.items() if key in changed or not _stray(key, target)}


def conflicts(live: State, begun: Iterable[Change], target: State) -> tuple[Key, ...]:
    """What somebody else has changed since, and going back would overwrite."""
    return tuple(
        key
        for key, change in net(begun).items()
        if key.kind in _EDITED
        and key in live
        and _core(live[key]) not in (_core(change.after), _core(target.get(key)), _core(change.before))
    )


def _settled(change: Change, there: Thing | None) -> Thing | None:
    """What it was before. Whether a network starts at boot has nothing to do with its definition: where somebody has
    changed that since, it stays as they want it, and the rest goes back all the same."""
    thing, after = change.before, change.after
    if not isinstance(thing, Network):
        return thing
    if isinstance(after, Network) and isinstance(there, Network) and there.autostart != after.autostart:
        known = thing.xml and there.xml  # without a stored definition there is none: that is nobody's wish
        thing = replace(thing, autostart=there.autostart) if known else thing
    return replace(thing, unplugged=(), unrecorded=(), wrong=())


def _stray(key: Key, target: State) -> bool:
    """A reservation that a hook wrote, in a network or for a guest that is no more."""
    if key.kind != "reservation":
        return False
    folder, _, guest = key.name.rpartition("/")
    return Key("folder", folder) not in target or Key("hookdata", f"{hookdata.GUESTS}/{guest}") not in target


def _core(thing: Thing | None) -> object:
    """Without what changes by itself (whether it runs, what is plugged in) and what going back leaves as it is."""
    match thing:
        case Network():
            return thing.xml
        case File():
            return thing.text
        case _:
            return thing
