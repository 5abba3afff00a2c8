"""Two locks: one apply at a time, and one change of the firewall's rules at a time (the hooks take that one too).

They are two because libvirt calls a hook, and waits for it, while apply starts a network.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from guestnet.words.problems import GuestnetError

FOLDER = Path("/run/guestnet")
NAMES = ("apply.lock", "rules.lock", "probe.lock")


@contextlib.contextmanager
def rules_lock() -> Iterator[None]:
    """Held while rules change; waits for hooks, which hold it for milliseconds."""
    with _file(NAMES[1]) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def apply_lock() -> Iterator[None]:
    """Raises GuestnetError when another guestnet is changing this host."""
    with _alone(NAMES[0], "is changing this host"):
        yield


@contextlib.contextmanager
def probe_lock() -> Iterator[None]:
    """Raises GuestnetError when another guestnet measures this host."""
    with _alone(NAMES[2], "is measuring this host"):
        yield


@contextlib.contextmanager
def _alone(name: str, doing: str) -> Iterator[None]:
    with _file(name) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "?"
            what = f"another guestnet (process {holder}) {doing}"
            raise GuestnetError(what, "wait until it is done, then try again") from error
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield


@contextlib.contextmanager
def _file(name: str) -> Iterator[int]:
    try:
        FOLDER.mkdir(mode=0o755, exist_ok=True)
        descriptor = os.open(FOLDER / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise GuestnetError(f"{FOLDER / name}: {error.strerror}", "run guestnet as root") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
