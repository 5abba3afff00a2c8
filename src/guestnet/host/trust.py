"""What root reads, root alone may write: else whoever may write it acts as root, by our file, our state or our hook.

As sshd has it for authorized_keys and sudo for sudoers: the file itself, each folder above it and each link on the way
count. Who may change none of them cannot change, between this look and the reading, what is read. The hook asks the
same of what it uses (faces/hook): owner root, and no bit of 022, whoever the group.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import guestnet
from guestnet.compile import sysctl, unit
from guestnet.decide.desired import HOOKS
from guestnet.words.problems import Problem, ProblemsError

# Ours on the host, with all that is in them: what is compiled, the memory, the journal and the ways back.
OURS = ("/var/lib/guestnet", "/run/guestnet", *HOOKS, sysctl.FILE, unit.FILE)
CODE = os.path.dirname(guestnet.__file__)  # noqa: PTH120  as text, as all here
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_LINKS = 40  # on the way to a file, as the kernel has it (path_resolution(7))

Part = tuple[str, os.stat_result]


@dataclass(frozen=True)
class _Way:
    """From / to a file or folder, and what it leads to last; `whole`: that is there, and is what was looked for."""

    parts: list[Part]
    whole: bool


def need_trusted(file: str) -> None:
    """`file` is the one that says what shall be. Raises ProblemsError with everything that others can write.

    Who called sudo may own it: they are root already. Only of the file: what guestnet keeps is root's. A pipe without a
    name is what our caller made it.
    """
    _refuse([*_problems(file, _way(file).parts, _callers(), ours=False), *_kept()])


def need_kept() -> None:
    """As `need_trusted`, for what needs no file: what guestnet keeps."""
    _refuse(_kept())


def _refuse(found: Iterable[Problem]) -> None:
    problems = list(dict.fromkeys(found))
    if problems:
        raise ProblemsError(problems)


def _callers() -> set[int]:
    """root, and who called sudo."""
    caller = os.environ.get("SUDO_UID", "")
    return {0, int(caller)} if caller.isdecimal() else {0}


def code() -> Iterator[Problem]:
    """Of what runs: the interpreter, the program, where modules are looked for, and guestnet's own package; of that the
    first file alone, because what is wrong with one is mostly wrong with all. apply has units run it later, as root.

    For doctor to tell, and nothing to refuse: who may write there has acted as root already when this is asked."""
    owners, package = _callers(), CODE
    for path in dict.fromkeys((sys.executable, sys.argv[0], *sys.path, package)):
        if os.path.exists(path):  # noqa: PTH110  not all on sys.path are files
            yield from _problems(path, _way(path).parts, owners)
    for path, parts in _inside(_way(package)):
        found = list(_problems(path, parts, owners))
        if found:
            todo = f"chmod -R go-w {package}, or install guestnet again, as root"
            yield Problem(found[0].what, todo)
            return


def _kept() -> Iterator[Problem]:
    for path in OURS:
        way = _way(path)
        yield from _problems(path, way.parts, {0})
        for inside, parts in _inside(way):
            yield from _problems(inside, parts, {0})


def _problems(path: str, parts: list[Part], owners: set[int], *, ours: bool = True) -> Iterator[Problem]:
    """What is wrong first on the way to `path`."""
    last, itself = parts[-1]
    # What is added to a folder of ours is used, too.
    near = {last} if stat.S_ISDIR(itself.st_mode) else {last, os.path.dirname(last)}  # noqa: PTH120  as text
    for part, found in parts:
        wrong = _wrong(part, found, owners, strict=ours and part in near)
        if wrong:
            yield Problem(f"{part} {wrong[0]}: that is as much as being root, who reads {path}", wrong[1])
            return


def _way(path: str) -> _Way:
    """All that is passed from / to the file or folder, each link and what it leads over, and itself, as far as it is
    there."""
    at, rest, links = "/", [*_words(os.path.join(os.getcwd(), path))], 0  # noqa: PTH109, PTH118  a Path would lose `..`
    parts = [(at, os.lstat(at))]
    while rest and links < _LINKS:
        word = rest.pop(0)
        if word == "..":
            at = os.path.dirname(at)  # noqa: PTH120  it has no links in it any more, and was passed
            parts.append((at, os.lstat(at)))  # again: the way may end here
            continue
        here = f"{at.rstrip('/')}/{word}"
        try:
            found = os.lstat(here)
        except (FileNotFoundError, NotADirectoryError):
            return _Way(parts, whole=False)
        parts.append((here, found))
        if not stat.S_ISLNK(found.st_mode):
            at = here
            continue
        links += 1
        target = os.readlink(here)  # noqa: PTH115  as it stands there
        if here.startswith("/proc/") and not os.path.lexists(os.path.join(at, target)):  # noqa: PTH118  as above
            return _Way(parts, whole=True)  # an open file without a name, as a pipe
        at = "/" if target.startswith("/") else at
        rest = [*_words(target), *rest]
    return _Way(parts, whole=not rest)


def _words(path: str) -> list[str]:
    return [word for word in path.split("/") if word not in ("", ".")]


def _inside(way: _Way, seen: set[str] | None = None) -> Iterator[tuple[str, list[Part]]]:
    """(path, what is on the way there) of all that is in the folder that the way leads to, and in those in it, also
    where links lead elsewhere; what is gone meanwhile is not there. `seen`: folders not to look into again."""
    folder, itself = way.parts[-1]
    seen = set() if seen is None else seen
    if not way.whole or not stat.S_ISDIR(itself.st_mode) or folder in seen:
        return
    seen.add(folder)
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  a guest has three files here, and there can be thousands
    except FileNotFoundError:
        return
    for name in names:
        path = f"{folder}/{name}"
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            continue
        further = _way(path) if stat.S_ISLNK(found.st_mode) else _Way([(path, found)], whole=True)
        yield path, further.parts
        yield from _inside(further, seen)


def _wrong(part: str, found: os.stat_result, owners: set[int], *, strict: bool) -> tuple[str, str] | None:
    """What is wrong with it, and what to do. Not `strict`: root's own group may write, and others add to a folder in
    which one thing is looked for that they can't replace, as in /tmp."""
    if found.st_uid not in owners:
        return f"belongs to {_user(found.st_uid)}", f"chown -h root {part}, or keep it elsewhere"
    if stat.S_ISLNK(found.st_mode) or stat.S_ISCHR(found.st_mode) or not found.st_mode & _OTHERS:
        return None  # a link has no mode, and root alone makes devices, as a terminal is one
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return ("is for everybody to add to", f"chmod go-w,-t {part}") if strict else None
    if found.st_mode & stat.S_IWOTH:
        return "can be written by everybody", f"chmod go-w {part}"
    if found.st_gid or strict:
        return f"can be written by group {found.st_gid}", f"chmod g-w {part}"
    return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
