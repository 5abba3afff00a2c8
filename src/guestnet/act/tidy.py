"""The empty folders and the leavings of our own runs, once nothing of ours is on the host."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from guestnet.act import journal
from guestnet.compile import hookfront
from guestnet.host import files, lock

_LIB = Path("/var/lib/guestnet")


def tidy() -> None:
    """When nothing of ours is on the host, after destroy or a first apply that failed, no empty folder stays either."""
    with contextlib.suppress(OSError):
        journal.tidy()
        files.temporary_of(lock.FOLDER / lock.LAST).unlink(missing_ok=True)
        # From the innermost on; folders in it are left when one could not be removed.
        left = sorted(_LIB.rglob("*"), reverse=True)
        if all(path.is_dir() or path.name.endswith(journal.DAMAGED) for path in left):
            for path in left:  # what is damaged was kept to be looked at, of a guestnet that is gone
                path.rmdir() if path.is_dir() else path.unlink()
        _LIB.rmdir()  # refused while anything is in it
    if _LIB.exists():
        return
    shutil.rmtree(hookfront.COMPILED, ignore_errors=True)
    logs = ("hook.log", "hook.log.1", "countdown.log")
    for folder, names in ((Path("/var/log/guestnet"), logs), (lock.FOLDER, (*lock.NAMES, lock.LAST))):
        for name in (*names, *(path.name for kind in ("busy.*", "restored.*") for path in folder.glob(kind))):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()
