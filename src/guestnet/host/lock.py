"""Two locks: one apply at a time, and one change of the firewall's rules at a time (the hooks take that one too).

They are two because libvirt calls a hook, and waits for it, while apply starts a network.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from guestnet.words.problems import GuestnetError
from guestnet.words.remedy import remedy
from guestnet.words.shown import shown

FOLDER = Path("/run/guestnet")
NAMES = ("apply.lock", "rules.lock", "probe.lock", "countdown.lock")
_AGAIN = 0.05  # seconds
LAST = "confirmed"  # how the last apply that waited for a confirmation ended


@contextlib.contextmanager
def rules_lock() -> Iterator[None]:
    """Held while rules change; waits for hooks, which hold it for milliseconds."""
    with _file(NAMES[1]) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


class Alone:
    """A lock that one process has at a time; `take` and `give` may come again."""

    def __init__(self, name: str, doing: str) -> None:
        self._name, self._doing = name, doing
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def take(self, wait: float = 0.0) -> None:
        """Raises GuestnetError when another process has it, also after `wait` seconds."""
        end = time.monotonic() + wait
        while not self._took(last=time.monotonic() >= end):
            time.sleep(_AGAIN)

    def _took(self, *, last: bool) -> bool:
        descriptor = _open(self._name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it before may have removed the file: the next would make a new one, and have that.
            if _is(descriptor, FOLDER / self._name):
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                self._descriptor, descriptor = descriptor, -1
        except BlockingIOError as error:
            if last:
                what = f"another guestnet ({_holder(descriptor)}) {self._doing}"
                raise GuestnetError(what, "wait until it is done, then try again") from error
        finally:
            if descriptor != -1:
                os.close(descriptor)
        return self.held

    def give(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # what was done is done
                os.truncate(self._descriptor, 0)  # who reads it before the next has written must not name us
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def apply_lock(*, wait: float = 0.0) -> Iterator[Alone]:
    """Raises GuestnetError when another guestnet is changing this host, also after `wait` seconds."""
    with _alone(NAMES[0], "is changing this host", wait=wait) as lock:
        yield lock


def changing() -> str:
    """Who changes this host now, in words; "" when nobody does. It takes no lock, which would turn an apply away that
    begins at this moment."""
    try:
        held = Path("/proc/locks").read_text()
        with (FOLDER / NAMES[0]).open("rb") as file:
            there = os.fstat(file.fileno())
            place = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
            return _holder(file.fileno()) if place in held.split() else ""
    except OSError:
        return ""


@contextlib.contextmanager
def countdown_lock() -> Iterator[None]:
    """Held by the one process that counts down to the undoing of an apply. Raises GuestnetError when it lives."""
    with _alone(NAMES[3], "counts down already"):
        yield


def counting_down() -> bool:
    """Whether such a process lives."""
    try:
        with countdown_lock():
            return False
    except GuestnetError:
        return True


@contextlib.contextmanager
def probe_lock() -> Iterator[None]:
    """Raises GuestnetError when another guestnet measures this host."""
    with _alone(NAMES[2], "is measuring this host"):
        yield


@contextlib.contextmanager
def _alone(name: str, doing: str, *, wait: float = 0.0) -> Iterator[Alone]:
    lock = Alone(name, doing)
    lock.take(wait)
    try:
        yield lock
    finally:
        lock.give()


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    """`process 812, guestnet apply --yes, since 12:03:11`."""
    pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    since = time.strftime("%H:%M:%S", time.localtime(os.fstat(descriptor).st_mtime))
    try:
        words = Path(f"/proc/{int(pid)}/cmdline").read_text(errors="replace").split("\0")[:-1]
    except (OSError, ValueError):
        return f"process {pid or '?'}"
    # The program is Python; what was said to it begins with ours.
    start = next((i for i, word in enumerate(words) if Path(word).name.startswith("guestnet")), 0)
    said = " ".join([Path(words[start]).name, *words[start + 1 :]]) if words else "?"
    return f"process {pid}, {shown(said)}, since {since}"


@contextlib.contextmanager
def _file(name: str) -> Iterator[int]:
    descriptor = _open(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(name: str) -> int:
    try:
        FOLDER.mkdir(mode=0o755, exist_ok=True)
        return os.open(FOLDER / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise GuestnetError(f"{FOLDER / name}: {error.strerror}", remedy(error)) from error
