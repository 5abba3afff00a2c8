"""What root reads, root alone may write: else whoever may write it acts as root, by our file, our state or our hook.

As sshd has it for authorized_keys and sudo for sudoers: the file itself and each folder above it count.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from guestnet.compile import hookdata, hookfront, loopback, ndp, sysctl, unit
from guestnet.decide.desired import ADMIT_FILE, HOOKS, MEMORY
from guestnet.words.problems import Problem, ProblemsError

# Ours on the host, and what the hooks take from there; the folders above them are looked at, too.
OURS = (
    str(Path(MEMORY).parent),
    hookdata.GUESTS,
    hookdata.NOW,
    hookdata.TABLE_FILE,
    ADMIT_FILE,
    hookdata.LET_IN,
    hookdata.BRIDGES,
    f"{hookdata.FOLDER}/{loopback.LOCALNETS}",
    ndp.FILE,
    hookfront.PROGRAM,
    *HOOKS,
    sysctl.FILE,
    unit.FILE,
)
_GROUP, _OTHERS = stat.S_IWGRP, stat.S_IWOTH


def need_trusted(file: str) -> None:
    """`file` is the one that says what shall be. Raises ProblemsError with everything that others can write.

    Who called sudo may own it: they are root already. Only of the file: what guestnet keeps is root's. A pipe is what
    our caller made it.
    """
    owners = {0}
    if os.environ.get("SUDO_UID", "").isdecimal():
        owners.add(int(os.environ["SUDO_UID"]))
    kept = [*OURS, *(str(inside) for folder in OURS if Path(folder).is_dir() for inside in Path(folder).iterdir())]
    problems = [*_problems([file], owners), *_problems(kept, {0})]
    if problems:
        raise ProblemsError(list(dict.fromkeys(problems)))


def _problems(paths: Iterable[str], owners: set[int]) -> Iterator[Problem]:
    for path in paths:
        for part in _parts(path):
            wrong = _wrong(part, owners)
            if wrong:
                yield Problem(f"{part} {wrong[0]}: that is as much as being root, who reads {path}", wrong[1])
                break


def _parts(path: str) -> list[Path]:
    """The file or folder and all above it, from / on: as it is named, and where links lead. Nothing of what is not
    there, or no file."""
    named = Path(os.path.abspath(path))  # noqa: PTH100  it must not follow links
    real = Path(os.path.realpath(path))
    parts = dict.fromkeys(part for one in (named, real) for part in (*reversed(one.parents), one))
    if real.exists() and not (real.is_file() or real.is_dir()):
        return []
    return [part for part in parts if part.exists()]


def _wrong(part: Path, owners: set[int]) -> tuple[str, str] | None:
    """What is wrong with it, and what to do."""
    found = part.stat()
    if found.st_uid not in owners:
        return f"belongs to {_user(found.st_uid)}", f"chown root {part}, or keep it elsewhere"
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return None  # as /tmp: others can add to it, and not replace what is not theirs
    if found.st_mode & _OTHERS:
        return "can be written by everybody", f"chmod go-w {part}"
    if found.st_mode & _GROUP and found.st_gid != 0:
        return f"can be written by group {found.st_gid}", f"chmod g-w {part}"
    return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
