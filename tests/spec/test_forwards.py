"""The short form of a forward."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestnet.spec.forwards import PROTOCOLS, Short, parse
from guestnet.words.ports import PortRange
from guestnet.words.problems import WrongError

V6 = IPv6Address("2001:db8::5")
V4 = IPv4Address("192.0.2.1")


def ports(first: int, last: int = 0) -> PortRange:
    return PortRange(first, last or first)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", Short(None, ports(8080), ports(8080), "tcp")),
        ("4023:22", Short(None, ports(4023), ports(22), "tcp")),
        ("53/udp", Short(None, ports(53), ports(53), "udp")),
        ("53/udp+tcp", Short(None, ports(53), ports(53), "tcp+udp")),
        ("[2001:db8::5]:8443:443/tcp", Short(V6, ports(8443), ports(443), "tcp")),
        ("[2001:db8::5]:8443", Short(V6, ports(8443), ports(8443), "tcp")),
        ("192.0.2.1:80", Short(V4, ports(80), ports(80), "tcp")),
        ("7000-7002:8078-8080/tcp+udp", Short(None, ports(7000, 7002), ports(8078, 8080), "tcp+udp")),
        ("1-65535", Short(None, ports(1, 65535), ports(1, 65535), "tcp")),
    ],
)
def test_parse(text: str, expected: Short) -> None:
    assert parse(text) == expected


@given(st.text())
def test_any_text_gives_a_forward_or_its_own_error(text: str) -> None:
    with contextlib.suppress(WrongError):
        parse(text)


@given(st.text(alphabet="0123456789:-/[].tcpud+", max_size=30))
def test_text_that_looks_like_a_forward(text: str) -> None:
    try:
        short = parse(text)
    except WrongError:
        return
    assert parse(str(short)) == short


LISTENERS = st.one_of(
    st.none(),
    st.ip_addresses(v=4, network="192.0.2.0/24"),
    st.ip_addresses(v=6, network="2001:db8::/32"),
)


@st.composite
def shorts(draw: st.DrawFn) -> Short:
    protocol = draw(st.sampled_from(PROTOCOLS))
    if protocol == "all":
        return Short(draw(LISTENERS.filter(bool)), PortRange(1, 65535), PortRange(1, 65535), protocol)
    length = draw(st.integers(1, 65535))
    host, guest = (draw(st.integers(1, 65536 - length)) for _ in "ab")
    return Short(
        draw(LISTENERS),
        PortRange(host, host + length - 1),
        PortRange(guest, guest + length - 1),
        protocol,
    )


@given(shorts())
def test_what_is_written_parses_to_the_same(short: Short) -> None:
    assert parse(str(short)) == short
