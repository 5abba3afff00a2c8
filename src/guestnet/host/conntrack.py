"""The door to connection tracking: what is tracked, and single entries taken out. Messages as in
linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator

from guestnet.compile.chains import MARK
from guestnet.decide.stale import Flow
from guestnet.host.nfnetlink import HEADERS, attribute, attributes, door, dump, request
from guestnet.words.problems import GuestnetError
from guestnet.words.remedy import remedy

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_*
_ORIGINAL, _REPLY, _STATUS, _MARK, _ID, _ZONE, _MASK = 1, 2, 3, 8, 12, 18, 21  # CTA_*
_IP, _PROTOCOL = 1, 2  # CTA_TUPLE_*
_NUMBER, _SOURCE_PORT, _PORT = 1, 2, 3  # CTA_PROTO_*
_DNAT = 0x20  # IPS_DST_NAT
_FAMILIES = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}


def flows(family: int, *, ours: bool) -> Iterator[Flow]:
    """The tracked connections of a family that have our mark, or those that have not: the kernel picks them out."""
    bit = MARK.to_bytes(4, "big")
    body = attribute(_MARK, bit if ours else bytes(4)) + attribute(_MASK, bit)
    try:
        with door() as link:
            for _, message in dump(link, _GET, _FAMILIES[family], body):
                yield _flow(message, family, ours)
    except OSError as error:
        raise GuestnetError(f"tracked connections can't be read: {error.strerror}", remedy(error)) from error


def forget(those: Iterable[Flow]) -> None:
    """Takes these entries out; what ended meanwhile is no trouble."""
    try:
        with door() as link:
            for flow in those:
                with contextlib.suppress(FileNotFoundError):
                    request(link, _DELETE, _FAMILIES[flow.family], flow.handle)
    except OSError as error:
        raise GuestnetError(f"a tracked connection can't be ended: {error.strerror}", remedy(error)) from error


def _flow(message: bytes, family: int, ours: bool) -> Flow:
    parts = {kind: (start, end) for kind, start, end in attributes(message, HEADERS, len(message))}
    source, address, protocol, _, port = _tuple(message, *parts[_ORIGINAL])
    target, _, _, target_port, _ = _tuple(message, *parts[_REPLY])
    status = int.from_bytes(message[slice(*parts[_STATUS])], "big")
    # Its id too: an entry made anew with the same addresses and ports is another one.
    handle = b"".join(
        attribute(kind, message[slice(*parts[kind])]) for kind in (_ORIGINAL, _ID, _ZONE) if kind in parts
    )
    return Flow(family, protocol, source, address, port, target, target_port, ours, bool(status & _DNAT), handle)


def _tuple(message: bytes, start: int, end: int) -> tuple[bytes, bytes, int, int, int]:
    """Source and destination, protocol, source and destination port; a protocol without ports has none."""
    addresses: list[bytes] = []
    numbers: dict[int, int] = {}
    for kind, first, last in attributes(message, start, end):
        if kind == _IP:  # the source comes first in both families
            addresses = [message[inner:behind] for _, inner, behind in attributes(message, first, last)]
        elif kind == _PROTOCOL:
            numbers = {
                which: int.from_bytes(message[inner:behind], "big")
                for which, inner, behind in attributes(message, first, last)
            }
    return addresses[0], addresses[1], numbers.get(_NUMBER, 0), numbers.get(_SOURCE_PORT, 0), numbers.get(_PORT, 0)
