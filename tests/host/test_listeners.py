"""Reading sockets out of /proc: the kernel's spelling of addresses, and whose a socket is."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from guestnet.host import listeners


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000", "0.0.0.0"),  # noqa: S104  only text
        ("027100CB", "203.0.113.2"),
        ("0" * 32, "::"),
        ("B80D0120000001000000000002000000", "2001:db8:1::2"),
        ("0000000000000000FFFF0000027100CB", "203.0.113.2"),  # an IPv6 socket that serves IPv4
    ],
)
def test_the_kernels_spelling(text: str, address: str) -> None:
    assert listeners._address(text) == ip_address(address)


@pytest.mark.parametrize("only", [0, 1])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_whether_it_serves_ipv4_too(only: int, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET6, kind) as one:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        one.bind(("::", 0))
        if kind == socket.SOCK_STREAM:
            one.listen()
        (found,) = (listener for listener in listeners.listening() if listener.inode == os.fstat(one.fileno()).st_ino)
        assert found.only6 == bool(only)


def test_whose_a_socket_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        inodes = {os.fstat(one.fileno()).st_ino for one in (ours, theirs)}
        name = Path("/proc/self/comm").read_text().strip()
        assert listeners.programs(inodes) == dict.fromkeys(inodes, f"{name} (pid {os.getpid()})")
        assert listeners.programs({*inodes, 1}).keys() == inodes, "1 is nobody's"
    assert listeners.programs(set()) == {}
