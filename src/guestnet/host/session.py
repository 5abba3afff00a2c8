"""Where the SSH session ends that guestnet is run from: reads, and changes nothing."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

from guestnet.decide.facts import Session

_MOST = 64  # processes from us up to the first


def session() -> Session | None:
    """The session; None when we are not run from one.

    sudo and su take SSH_CONNECTION (sshd(8)) out of the environment, so the processes above us are asked too.
    """
    pid = os.getpid()
    for _ in range(_MOST):
        found = _end(_connection(pid))
        if found is not None or pid <= 1:
            return found
        pid = _parent(pid)
    return None


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
