"""Netfilter's netlink, as far as its two users need it: dumps and acknowledged requests, attributes by position.

Not pyroute2: it makes objects of each attribute, 100 times slower, and both users read tens of thousands of entries.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

DUMP_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: it changed meanwhile
HEADERS = 20  # nlmsghdr and nfgenmsg
_NETLINK_NETFILTER = 12
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300  # NLM_F_*
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_TYPE = 0x3FFF  # without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER

HEAD = struct.Struct("=HH")
_MESSAGE = struct.Struct("=IHHII")


def door() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)


def dump(link: socket.socket, kind: int, family: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """(flags, message) for each that the kernel answers with. Raises OSError, with the kernel's number."""
    _send(link, kind, _REQUEST | _DUMP, family, body)
    while True:
        packet = link.recv(1 << 17)
        position = 0
        while position < len(packet):
            size, said, flags = struct.unpack_from("=IHH", packet, position)
            if said == _DONE:
                return
            if said == _ERROR:
                raise _error(packet, position)
            yield flags, packet[position : position + size]
            position += padded(size)


def request(link: socket.socket, kind: int, family: int, body: bytes) -> None:
    """Raises OSError, with the kernel's number."""
    _send(link, kind, _REQUEST | _ACK, family, body)
    packet = link.recv(1 << 16)
    if struct.unpack_from("=i", packet, 16)[0]:
        raise _error(packet, 0)


def attributes(block: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(kind, where its value starts, where it ends)."""
    while position < end:
        size, kind = HEAD.unpack_from(block, position)
        yield kind & _TYPE, position + 4, position + size
        position += padded(size)


def attribute(kind: int, value: bytes) -> bytes:
    return HEAD.pack(4 + len(value), kind) + value.ljust(padded(len(value)), b"\0")


def padded(size: int) -> int:
    return size + 3 & ~3


def _send(link: socket.socket, kind: int, flags: int, family: int, body: bytes) -> None:
    link.send(_MESSAGE.pack(HEADERS + len(body), kind, flags, 1, 0) + struct.pack(">BBH", family, 0, 0) + body)


def _error(packet: bytes, position: int) -> OSError:
    code = -struct.unpack_from("=i", packet, position + 16)[0]
    return OSError(code, os.strerror(code))
