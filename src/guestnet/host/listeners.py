"""Reads on which ports the host's own processes serve, and which those are, from /proc. Changes nothing."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from guestnet.decide.facts import Listener
from guestnet.host.run import run
from guestnet.words.ports import Protocol
from guestnet.words.problems import GuestnetError

Address = IPv4Address | IPv6Address

_ESTABLISHED, _LISTEN, _UNCONNECTED = "01", "0A", "07"  # states in the kernel's tables: net/tcp_states.h
_TABLES: tuple[tuple[Protocol, str, str], ...] = (
    ("tcp", "tcp", _LISTEN),
    ("tcp", "tcp6", _LISTEN),
    ("udp", "udp", _UNCONNECTED),
    ("udp", "udp6", _UNCONNECTED),
)
_INO = re.compile(r"\bino:(\d+)")
_WORD = 8  # hex digits of 32 bits
_INODE = 9  # its column


def listening() -> tuple[Listener, ...]:
    """The sockets that wait for clients, but those on link-local addresses."""
    alone = _only6()
    found = [one for protocol, table, state in _TABLES for one in _read(protocol, table, state)]
    return tuple(replace(one, only6=True) if one.inode in alone else one for one in found)


def established(inodes: Collection[int]) -> Iterator[tuple[Address, Address, int]]:
    """Of these sockets the connections that came in, to a port that is listened on: (client, address here, port)."""
    lines = [*_lines("tcp"), *_lines("tcp6")]
    served = {columns[1].partition(":")[2] for columns in lines if columns[3] == _LISTEN}
    for columns in lines:
        (here, _, port), (there, _, _) = columns[1].partition(":"), columns[2].partition(":")
        if columns[3] == _ESTABLISHED and int(columns[_INODE]) in inodes and port in served:
            yield _address(there), _address(here), int(port, 16)


def _only6() -> frozenset[int]:
    """Inodes of sockets with IPV6_V6ONLY, which /proc does not show and ss does (iproute2 4.17; kernel 4.6). None where
    it cannot tell."""
    try:
        lines = run("ss", "-6Hlntue").splitlines()
    except GuestnetError:
        return frozenset()
    return frozenset(int(found[1]) for line in lines if "v6only:1" in line and (found := _INO.search(line)))


def programs(inodes: Collection[int]) -> dict[int, str]:
    """Socket -> the process that has it, `sshd (pid 812)`: the eldest of several, systemd's last. A walk through all of
    /proc, so only for sockets that are to be named; the kernel's own (NFS) are in no process."""
    found: dict[int, str] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    everyone = (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
    pids = sorted(everyone, key=lambda pid: (pid == 1, pid))
    for pid in pids if wanted else ():
        # A process may end while we look at it.
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                inode = wanted.get(_target(entry.path))
                if inode is not None and inode not in found:
                    found[inode] = f"{Path(f'/proc/{pid}/comm').read_text().strip()} (pid {pid})"
        if len(found) == len(wanted):
            break
    return found


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115  many of them: pathlib takes four times as long
    except OSError:
        return ""


def _read(protocol: Protocol, table: str, state: str) -> Iterator[Listener]:
    for columns in _lines(table):
        local, _, port = columns[1].partition(":")
        address = _address(local)
        if columns[3] == state and columns[2].endswith(":0000") and not address.is_link_local:
            yield Listener(protocol, address, int(port, 16), int(columns[_INODE]))


def _lines(table: str) -> list[list[str]]:
    path = Path("/proc/net") / table
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


def _address(text: str) -> Address:
    """From the kernel's spelling: hex words in the machine's byte order."""
    words = (int(text[i : i + _WORD], 16) for i in range(0, len(text), _WORD))
    address = ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words))
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
