"""The door to our log files. On some systems a group may write /var/log: no link there is followed, and no folder used
that others can write. What is done never depends on what is said of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def adding(path: str) -> int:
    """A descriptor to add to the file, which is made if need be; nothing's (/dev/null) where it can't be had."""
    log = Path(path)
    try:
        return _opened(log.parent, log.name, _FLAGS | os.O_APPEND)
    except OSError:
        return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)


def new(path: Path) -> int:
    """A descriptor of a file that was not there. Raises OSError."""
    return _opened(path.parent, path.name, _FLAGS | os.O_EXCL)


def _opened(folder: Path, name: str, flags: int) -> int:
    folder.mkdir(mode=0o750, exist_ok=True)
    there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(there)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"others can write {folder}")
        return os.open(name, flags, 0o600, dir_fd=there)
    finally:
        os.close(there)
