"""The hooks of others that forward ports for the same guests, or the same ports: never both at once. Pure.

Theirs and ours would both translate a guest's connections, and each removes only what it made itself.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping

from guestnet.decide.facts import Facts, OldForward, OldHook
from guestnet.spec.forwards import Listen
from guestnet.spec.world import Forward, World
from guestnet.words.ports import WHOLE
from guestnet.words.problems import Problem

_FOLDER = "/etc/libvirt/hooks"
_SHOWN = 5  # ports in a message


def problems(world: World, facts: Facts) -> Iterator[Problem]:
    for hook in facts.others.hooks:
        names = _both(hook, world)
        fights = _fights(hook, world, facts)
        theirs = tuple(dict.fromkeys([*names, *(other.guest for _, other, _ in fights if other.guest)]))
        if names:
            many = f"guest{'s' if len(names) > 1 else ''} {', '.join(names)}"
            yield Problem(f"{hook.path} forwards ports for {many} too, beside this file", todo(hook, theirs))
        elif fights:
            ports = [f"{port}/{other.protocol} is {guest}'s" for port, other, guest in fights[:_SHOWN]]
            more = len(fights) - len(ports)
            which = f"{', '.join(ports)}{f' and so on, {more} more' if more else ''}"
            what = f"{hook.path} forwards ports for others that are this file's: {which} here"
            yield Problem(what, todo(hook, theirs))


def notes(world: World, facts: Facts) -> Iterator[str]:
    for hook in facts.others.hooks:
        if not _both(hook, world) and not _fights(hook, world, facts):
            yield f"{unknown(hook)}; if it has nothing to do with them, leave it; else {todo(hook, ())}"
    left = facts.others.leftovers
    if left and not facts.others.hooks:
        yield "\n".join(
            ["iptables still has rules of libvirt-hook-qemu, which nobody keeps in step; remove them:", *left]
        )


def unknown(hook: OldHook) -> str:
    """What is known of a hook that is in nobody's way, as far as can be told: a text computes more than it says."""
    where = f"it and {hook.config}" if hook.config else "it"
    return (
        f"{hook.path} forwards ports too; as far as can be told from the text of {where}, none of this file's guests "
        "and ports"
    )


def todo(hook: OldHook, running: tuple[str, ...]) -> str:
    """How to retire it. `running`: guests whose rules it must take back first."""
    first = (
        f"guestnet init --hooks-json {shlex.quote(hook.config)} has its forwards as a file; then "
        if hook.config
        else ""
    )
    stops = [f"{shlex.quote(hook.path)} {shlex.quote(name)} stopped end -" for name in running]
    # In qemu.d each executable file is run, whatever its name.
    name = hook.path.rsplit("/", 1)[-1]
    move = f"mv {shlex.quote(hook.path)} {shlex.quote(f'{_FOLDER}/{name}.retired')}"
    return f"{first}retire it: {'; '.join([*stops, move])}"


def _both(hook: OldHook, world: World) -> tuple[str, ...]:
    """Guests of the file with forwards whom that hook knows by name: as a key of its hooks.json, or anywhere in it."""
    return tuple(
        guest.name
        for guest in world.guests
        if guest.forwards and re.search(rf"(?<![\w-]){re.escape(guest.name)}(?![\w-])", hook.text)
    )


def _fights(hook: OldHook, world: World, facts: Facts) -> list[tuple[int, OldForward, str]]:
    """Ports of the host that both would translate, whoever the guests: (port, theirs, the guest of ours)."""
    theirs: dict[tuple[int, str, int], list[OldForward]] = defaultdict(list)
    for other in hook.forwards:
        for port in range(other.ports.first, other.ports.last + 1):
            theirs[other.version, other.protocol, port].append(other)
    found: dict[tuple[int, str], tuple[int, OldForward, str]] = {}
    for guest in world.guests if theirs else ():
        for forward in guest.forwards:
            for port, others in _asked(forward, theirs):
                one = next((other for other in others if _meet(forward, other, facts)), None)
                if one:
                    found.setdefault((port, one.protocol), (port, one, guest.name))
    return [found[key] for key in sorted(found)]


def _asked(
    forward: Forward, theirs: Mapping[tuple[int, str, int], list[OldForward]]
) -> Iterator[tuple[int, list[OldForward]]]:
    """Theirs of the same family, protocol and port."""
    version, ports = forward.target.version, forward.ports
    if forward.protocol == WHOLE or len(ports) > len(theirs):
        for (family, protocol, port), others in theirs.items():
            if family == version and forward.protocol in (WHOLE, protocol) and port in ports:
                yield port, others
        return
    for port in range(ports.first, ports.last + 1):
        yield port, theirs.get((version, forward.protocol, port), [])


def _meet(forward: Forward, other: OldForward, facts: Facts) -> bool:
    """Whether there are connections that both want."""
    source, apart = forward.source, False
    if source is not None and other.sources:
        apart = not any(net.version == source.version and net.overlaps(source) for net in other.sources)
    if forward.protocol == WHOLE and other.listen is None:
        return False  # without an address theirs listens on the one of the default route, and this is mostly another
    return not apart and _same_place(forward.listen, other.listen, facts)


def _same_place(one: Listen | None, other: Listen | None, facts: Facts) -> bool:
    """Any address is every place; a NIC is the addresses that it has."""
    on = {(link, own.ip) for link, own in facts.addresses}
    return None in (one, other) or one == other or (one, other) in on or (other, one) in on
