"""What the forwards' maps hold, asked of the kernel: `nft list map` takes 300 ms for 10,000 elements, this 70.

Netlink messages as in linux/netfilter/nf_tables.h. Elements are told by the bytes of key and data, each part padded to
four bytes, as the kernel has them.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

TABLE = "guestnet"
PROTOCOLS = {"tcp": 6, "udp": 17}

NETLINK_NETFILTER = 12
GET_ELEMENTS = 10 << 8 | 13  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM
REQUEST_DUMP = 0x301  # NLM_F_REQUEST, NLM_F_DUMP
FAILED, DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
INET = 1
IN_TABLE, IN_SET, ELEMENTS = 1, 2, 3  # NFTA_SET_ELEM_LIST_*
KEY, DATA = 1, 2  # NFTA_SET_ELEM_*
TYPE = 0x3FFF  # without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER
HEADERS = 20  # nlmsghdr and nfgenmsg

Element = tuple[bytes, bytes]
Contents = dict[str, frozenset[Element]]


def encoded(elements: Mapping[str, Iterable[str]]) -> Contents:
    """Elements as nft writes them (`tcp . 4023 : 192.168.84.10 . 22`), by map; of maps without intervals."""
    return {name: frozenset(_encoded(item) for item in items) for name, items in elements.items()}


def contents(names: Iterable[str]) -> Contents:
    """What each map holds now. Raises OSError when there is no such map."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as door:
        return {name: frozenset(_elements(door, name)) for name in names}


def _encoded(item: str) -> Element:
    key, _, data = item.partition(" : ")
    return _bytes(key), _bytes(data)


def _bytes(text: str) -> bytes:
    found = b""
    for word in text.split(" . "):
        if word in PROTOCOLS:
            found += bytes([PROTOCOLS[word], 0, 0, 0])
        else:
            found += struct.pack(">Hxx", int(word)) if word.isdigit() else ip_address(word).packed
    return found


def _elements(door: socket.socket, name: str) -> Iterator[Element]:
    body = struct.pack(">BBH", INET, 0, 0) + _attribute(IN_TABLE, TABLE) + _attribute(IN_SET, name)
    door.send(struct.pack("=IHHII", 16 + len(body), GET_ELEMENTS, REQUEST_DUMP, 1, 0) + body)
    while True:
        packet = memoryview(door.recv(1 << 16))
        while packet:
            size, kind = struct.unpack_from("=IH", packet)
            if kind == DONE:
                return
            if kind == FAILED:
                code = -struct.unpack_from("=i", packet, 16)[0]
                raise OSError(code, f"the kernel does not tell what map {name} holds")
            for _, elements in _attributes(packet[HEADERS:size], ELEMENTS):
                for _, element in _attributes(elements):
                    yield _element(element)
            packet = packet[_padded(size) :]


def _element(element: memoryview) -> Element:
    parts = {kind: bytes(value[4:]) for kind, value in _attributes(element)}  # [4:]: NFTA_DATA_VALUE's own header
    return parts[KEY], parts[DATA]


def _attributes(packet: memoryview, only: int | None = None) -> Iterator[tuple[int, memoryview]]:
    while packet:
        size, kind = struct.unpack_from("=HH", packet)
        if only in (None, kind & TYPE):
            yield kind & TYPE, packet[4:size]
        packet = packet[_padded(size) :]


def _attribute(kind: int, text: str) -> bytes:
    value = text.encode() + b"\0"
    return struct.pack("=HH", 4 + len(value), kind) + value.ljust(_padded(len(value)), b"\0")


def _padded(size: int) -> int:
    return size + 3 & ~3
