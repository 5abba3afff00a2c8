"""The hooks of others that forward ports for the same guests: never both at once. Pure.

Theirs and ours would both translate a guest's connections, and each removes only what it made itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from guestnet.decide.facts import Facts, OldHook
from guestnet.spec.world import World
from guestnet.words.problems import Problem

_FOLDER = "/etc/libvirt/hooks"


def problems(world: World, facts: Facts) -> Iterator[Problem]:
    for hook in facts.others.hooks:
        names = _both(hook, world)
        if names:
            many = f"guest{'s' if len(names) > 1 else ''} {', '.join(names)}"
            yield Problem(f"{hook.path} forwards ports for {many} too, beside this file", todo(hook, names))


def notes(world: World, facts: Facts) -> Iterator[str]:
    for hook in facts.others.hooks:
        if not _both(hook, world):
            yield f"{hook.path} forwards ports too, for no guest of this file; so does guestnet: {todo(hook, ())}"
    left = facts.others.leftovers
    if left and not facts.others.hooks:
        yield "\n".join(
            ["iptables still has rules of libvirt-hook-qemu, which nobody keeps in step; remove them:", *left]
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
