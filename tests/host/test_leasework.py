"""The DHCP client's reading and writing; with a real server it is tried in tests/live/test_reach_lan.py."""

from __future__ import annotations

import ast
import random
import sys
from pathlib import Path

from guestnet.host import leasework
from guestnet.host.leasework import (
    ACK,
    COOKIE,
    DISCOVER,
    END,
    HEADER,
    KIND,
    MASK,
    NOBODY,
    ROUTER,
    SERVER,
    message,
    read,
)

MAC = bytes.fromhex("027072000001")
XID = b"\1\2\3\4"


def reply(options: bytes, *, op: int = 2, xid: bytes = XID) -> bytes:
    head = HEADER.pack(op, 1, 6, 0, xid, 0, 0, NOBODY, bytes((10, 9, 0, 7)), NOBODY, NOBODY, MAC, COOKIE)
    return head + options


def test_a_question_has_the_shape_of_rfc_2131() -> None:
    packet = message(DISCOVER, XID, MAC, NOBODY, {})
    assert len(packet) >= 300, "BOOTP's shortest"
    assert packet[:8] == b"\x01\x01\x06\x00" + XID
    assert packet[10:12] == b"\x80\x00", "answer to all: the address is not ours yet"
    assert packet[28:44] == MAC.ljust(16, b"\0")
    assert packet[236:243] == COOKIE + bytes((KIND, 1, DISCOVER))
    assert packet[243:252] == bytes((61, 7, 1)) + MAC
    assert packet[252] == END


def test_answers() -> None:
    options = bytes(
        (
            KIND,
            1,
            ACK,
            0,
            0,
            MASK,
            4,
            255,
            255,
            255,
            0,
            ROUTER,
            8,
            10,
            9,
            0,
            1,
            10,
            9,
            0,
            2,
            SERVER,
            4,
            10,
            9,
            0,
            1,
            END,
        )
    )
    found = read(reply(options), XID)
    assert found is not None
    assert found[0] == bytes((10, 9, 0, 7))
    assert found[1][ROUTER] == bytes((10, 9, 0, 1, 10, 9, 0, 2))


def test_what_is_no_answer_to_us() -> None:
    good = bytes((KIND, 1, ACK, END))
    assert read(reply(good), XID) is not None
    assert read(reply(good, op=1), XID) is None
    assert read(reply(good, xid=b"abcd"), XID) is None
    assert read(reply(bytes((END,))), XID) is None, "no kind: BOOTP"
    assert read(reply(b""), XID) is None
    assert read(reply(bytes((KIND,))), XID) is None, "cut off"
    assert read(b"short", XID) is None


def test_noise_is_survived() -> None:
    chance = random.Random(7)  # noqa: S311  not a secret
    for _ in range(2000):
        read(reply(chance.randbytes(chance.randrange(60))), XID)


def test_it_stands_alone() -> None:
    """It is run by a Python without site-packages."""

    tree = ast.parse(Path(leasework.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= sys.stdlib_module_names
