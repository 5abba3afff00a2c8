"""Where the SSH session ends that guestnet is run from, and the others that there are: reads, and changes nothing."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from guestnet.decide.facts import Session
from guestnet.host import listeners

_MOST = 64  # processes from us up to the first
# OpenSSH's titles of who is logged in: `sshd: alice@pts/0`, `sshd-session: root@notty` (from 9.8 on); who is not yet is
# `sshd: alice [net]`, `sshd: [accepted]`.
_LOGGED_IN = re.compile(rb"sshd(-session)?: [^\0]+@")
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def session() -> Session | None:
    """The session; None when we are not run from one.

    sudo and su take SSH_CONNECTION (sshd(8)) out of the environment, so the processes above us are asked too.
    """
    return next((found for pid in _above() if (found := _end(_connection(pid))) is not None), None)


def multiplexed() -> bool:
    """Whether we are run in tmux or screen: what they were started from may be gone, and who looks at them now be in
    another session, or at the console."""
    return any(_comm(pid).lower().startswith(("tmux", "screen")) for pid in _above())


def sessions() -> tuple[Session, ...]:
    """Of everybody who is logged in by OpenSSH, from elsewhere; one for each client and address."""
    inodes = {inode for pid in _logged_in() for inode in _sockets(pid)}
    found = (Session(*ends) for ends in (listeners.established(inodes) if inodes else ()))
    return tuple(dict.fromkeys(one for one in found if not one.client.is_loopback))


def _above() -> Iterator[int]:
    """We, and the processes above us."""
    pid = os.getpid()
    for _ in range(_MOST):
        if pid <= 0:
            return
        yield pid
        pid = _parent(pid)


def _connection(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next((word.partition(b"=")[2].decode("ascii", "replace") for word in words if _named(word)), "")


def _named(word: bytes) -> bool:
    return word.startswith(b"SSH_CONNECTION=")


def _end(connection: str) -> Session | None:
    """Of `198.51.100.7 51234 203.0.113.2 22`."""
    try:
        client, _, address, port = connection.split()
        return Session(ip_address(client.partition("%")[0]), ip_address(address.partition("%")[0]), int(port))
    except ValueError:
        return None


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def _logged_in() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                if _LOGGED_IN.match(Path(entry.path, "cmdline").read_bytes()):
                    yield int(entry.name)


def _sockets(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found = _SOCKET.fullmatch(str(Path(entry.path).readlink()))
                if found:
                    yield int(found[1])
