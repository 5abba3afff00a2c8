"""What `guestnet setup` puts on the host before, and apart from, any file: hooks, unit, shell completion, a link.

Needs no libvirt, and starts from what is there each time, so a setup that failed or was killed is simply run again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from guestnet.act import journal
from guestnet.act.survey import hook_text
from guestnet.compile import dhcp, hookdata, hookfront, unit
from guestnet.decide.desired import HOOKS, standing
from guestnet.decide.state import Change, File, Key, Link, State, Thing, compare
from guestnet.host import files, systemd
from guestnet.host.observe import observe_standing
from guestnet.words.problems import GuestnetError

LINK = "/usr/local/bin/guestnet"
MARK = "# Written by guestnet setup; removed by guestnet setup --remove."
_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")  # where sudo and every shell look


@dataclass(frozen=True)
class Setup:
    """The changes to do, and a line for each file of somebody else that stands where one of ours would be."""

    changes: tuple[Change, ...]
    left_alone: tuple[str, ...]


def look(completions: Mapping[str, str], program: Path, *, remove: bool) -> Setup:
    """`completions`: path -> text, with MARK in it. `program`: the guestnet that runs, as an absolute path.

    With `remove`, raises GuestnetError while networks of guestnet are on the host: their forwards need the hooks.
    """
    if remove and _in_use():
        raise GuestnetError("networks of guestnet are on this host", "take them away first: guestnet destroy")
    foreign = {path for path in (*completions, LINK) if os.path.lexists(path) and not _ours(path, program)}
    live = {**observe_standing(), **_observe(completions, foreign)}
    desired = {} if remove else _desired(completions, program, foreign)
    return Setup(compare(live, desired), tuple(f"left alone: {path} is not guestnet's" for path in sorted(foreign)))


def tidy_up(completions: Iterable[str]) -> None:
    """What a setup leaves that was killed, or failed: a file half written, a folder that was made for one."""
    for path in (*HOOKS, hookfront.PROGRAM, unit.FILE, *completions):
        if not os.path.lexists(path):
            files.remove(path)


def _in_use() -> bool:
    """By what apply has written, because libvirt may be absent; or begun, because the next apply takes that up."""
    return Path(hookdata.TABLE_FILE).exists() or bool(files.folders(dhcp.FOLDERS)) or _begun()


def _begun() -> bool:
    try:
        return journal.left() is not None
    except journal.DamagedError:
        return True


def _desired(completions: Mapping[str, str], program: Path, foreign: set[str]) -> State:
    state: dict[Key, Thing] = standing(hook_text(), systemd=systemd.booted())
    state |= {Key("completion", path): File(text) for path, text in completions.items() if path not in foreign}
    others = [Path(folder, program.name) for folder in _PATH if Path(folder, program.name) != Path(LINK)]
    if LINK not in foreign and not any(other.exists() for other in others):
        state[Key("link", LINK)] = Link(str(program))
    return state


def _observe(completions: Mapping[str, str], foreign: set[str]) -> State:
    found = {Key("completion", path): files.read(path) for path in completions if path not in foreign}
    state: dict[Key, Thing] = {key: file for key, file in found.items() if file is not None}
    if LINK not in foreign and os.path.lexists(LINK):
        state[Key("link", LINK)] = Link(str(Path(LINK).readlink()))
    return state


def _ours(path: str, program: Path) -> bool:
    """A file with our mark; a link to this guestnet, or to one that is gone."""
    if path == LINK:
        return Path(path).is_symlink() and Path(path).resolve() in (program, _gone(path))
    file = files.read(path)
    return file is not None and MARK in file.text


def _gone(path: str) -> Path | None:
    return None if Path(path).exists() else Path(path).resolve()
