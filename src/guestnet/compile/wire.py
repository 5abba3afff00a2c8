"""Keys and data of map elements as the kernel holds them: each part of a concatenation padded to four bytes.

`ruleset.elements` has them as text for nft; these are for reading them back, 20,000 of them within a moment.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from guestnet.words.families import IPV6

PROTOCOLS = {"tcp": b"\x06\0\0\0", "udp": b"\x11\0\0\0"}
_NAMES = {value: name for name, value in PROTOCOLS.items()}
LINK = 16  # bytes of a NIC's name (IFNAMSIZ)
ADDRESS = {4: 4, 6: 16}  # bytes
_PART = 4


class Key(NamedTuple):
    """What an element's key says. `listen` is empty for any address; `source` the first address of a network."""

    listen: str
    protocol: str
    port: int
    source: str


def port(number: int) -> bytes:
    return number.to_bytes(2, "big") + b"\0\0"


def address(text: str) -> bytes:
    """Raises OSError when it is none."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def link(name: str) -> bytes:
    return name.encode().ljust(LINK, b"\0")


def address_text(data: bytes, family: int) -> str:
    return socket.inet_ntop(socket.AF_INET6 if family == IPV6 else socket.AF_INET, data[: ADDRESS[family]])


def data_port(data: bytes, family: int) -> int:
    """The guest's port in an element's data; 0 where the data is an address alone."""
    return int.from_bytes(data[ADDRESS[family] :][:2], "big")


def key(name: str, data: bytes) -> Key:
    """The way back, of a map of forwards."""
    family = int(name[-1])
    source = listen = ""
    if "_from" in name:
        source, data = address_text(data, family), data[ADDRESS[family] :]
    if name.startswith(("on", "whole")):
        listen, data = address_text(data, family), data[ADDRESS[family] :]
    elif name.startswith("nic"):
        listen, data = data[:LINK].rstrip(b"\0").decode(errors="replace"), data[LINK:]
    protocol, number = data[:_PART], int.from_bytes(data[_PART : _PART + 2], "big")
    return Key("127.0.0.1" if name == "loop4" else listen, _NAMES.get(protocol, "all"), number, source)
