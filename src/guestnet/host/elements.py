"""The door to what the table's maps and sets hold, counters included: netlink, without nft.

`nft -j list maps inet` takes 250 ms and 60 MB for 20,000 elements (nft 1.0.6), and Python as much again for its JSON;
this takes 60 ms. Messages as in linux/netfilter/nf_tables.h; keys and data are bytes as `compile.wire` makes them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from guestnet.decide.forwardlist import Element
from guestnet.host.nfnetlink import DUMP_INTERRUPTED, HEAD, HEADERS, attribute, attributes, door, dump, padded
from guestnet.words.problems import GuestnetError
from guestnet.words.remedy import remedy

_TABLE = b"guestnet\0"
_GET_ELEMENTS = 10 << 8 | 13  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM
_INET = 1
_IN_TABLE, _IN_SET, _ELEMENTS = 1, 2, 3  # NFTA_SET_ELEM_LIST_*
_KEY, _DATA, _EXPRESSION, _KEY_END = 1, 2, 7, 10  # NFTA_SET_ELEM_*
_VALUE = 1  # NFTA_DATA_VALUE
_EXPRESSION_DATA, _BYTES, _PACKETS = 2, 1, 2  # NFTA_EXPR_DATA, NFTA_COUNTER_*
_ROUNDS = 5

_COUNTER = struct.Struct(">Q")


class _ChangedError(Exception):
    """The map was changed while the kernel told what it holds."""


class _Layout(NamedTuple):
    """Where things stand in an element: the kernel writes all of a map alike. `sign` is how it begins."""

    sign: bytes
    key: slice
    key_end: slice
    data: slice
    packets: int
    bytes: int


def read(names: Iterable[str]) -> dict[str, dict[bytes, Element]]:
    """Map -> key -> element; the key of an interval is its first and last key, one behind the other. Maps that are not
    there are left out. Raises GuestnetError."""
    found: dict[str, dict[bytes, Element]] = {}
    for name in names:
        for _ in range(_ROUNDS):
            try:
                found[name] = dict(stream(name))
            except _ChangedError:
                continue
            break
    return {name: held for name, held in found.items() if held}


def stream(name: str, *, exact: bool = True) -> Iterator[tuple[bytes, Element]]:
    """The elements of one map or set, nothing when it is not there. `exact`: not while it is being changed."""
    body = attribute(_IN_TABLE, _TABLE) + attribute(_IN_SET, name.encode() + b"\0")
    try:
        with door() as link:
            for flags, message in dump(link, _GET_ELEMENTS, _INET, body):
                if exact and flags & DUMP_INTERRUPTED:
                    raise _ChangedError
                for kind, start, end in attributes(message, HEADERS, len(message)):
                    if kind == _ELEMENTS:
                        yield from _elements(message[start:end])
    except FileNotFoundError:
        return
    except OSError as error:
        raise GuestnetError(f"the firewall table can't be read: {error.strerror}", remedy(error)) from error


def _elements(block: bytes) -> Iterator[tuple[bytes, Element]]:
    position, layout = 0, None
    while position < len(block):
        size = HEAD.unpack_from(block, position)[0]
        element = block[position : position + size]
        if layout is None or not element.startswith(layout.sign):
            layout = _layout(element)
        packets = _COUNTER.unpack_from(element, layout.packets)[0] if layout.packets else 0
        passed = _COUNTER.unpack_from(element, layout.bytes)[0] if layout.bytes else 0
        yield element[layout.key] + element[layout.key_end], Element(element[layout.data], packets, passed)
        position += padded(size)


def _layout(element: bytes) -> _Layout:
    parts = {kind: (start, end) for kind, start, end in attributes(element, 4, len(element))}
    none = (0, 0)
    key, key_end, data = (_value(element, *parts.get(kind, none)) for kind in (_KEY, _KEY_END, _DATA))
    counters = {}
    for kind, start, end in attributes(element, *parts.get(_EXPRESSION, none)):
        if kind == _EXPRESSION_DATA:
            counters = {inner: begin for inner, begin, _ in attributes(element, start, end)}
    return _Layout(element[:12], key, key_end, data, counters.get(_PACKETS, 0), counters.get(_BYTES, 0))


def _value(element: bytes, start: int, end: int) -> slice:
    return next((slice(*where) for kind, *where in attributes(element, start, end) if kind == _VALUE), slice(0))
