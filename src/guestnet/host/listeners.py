"""Reads which ports the host's own processes serve to the outside, from /proc/net. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from guestnet.words.ports import Protocol

_LISTEN, _UNCONNECTED = "0A", "07"  # states in the kernel's tables: net/tcp_states.h
_TABLES: tuple[tuple[Protocol, str, str], ...] = (
    ("tcp", "tcp", _LISTEN),
    ("tcp", "tcp6", _LISTEN),
    ("udp", "udp", _UNCONNECTED),
    ("udp", "udp6", _UNCONNECTED),
)
_V4_ANY = "00000000"
_V6_ANY = "0" * 32


def listening() -> frozenset[tuple[Protocol, int]]:
    """(protocol, port) of sockets that listen on all of the host's addresses: those a forward on `any` takes over."""
    return frozenset(found for protocol, table, state in _TABLES for found in _read(protocol, table, state))


def _read(protocol: Protocol, table: str, state: str) -> Iterator[tuple[Protocol, int]]:
    path = Path("/proc/net") / table
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    for line in lines:
        _, local, remote, status, *_ = line.split()
        address, _, port = local.partition(":")
        if status == state and address in (_V4_ANY, _V6_ANY) and remote.endswith(":0000"):
            yield protocol, int(port, 16)
