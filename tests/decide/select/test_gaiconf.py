"""gai.conf as glibc reads it. That glibc really does is asked in tests/glibc."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_address

import pytest

from guestnet.decide.select.gaiconf import fix, parse
from guestnet.decide.select.tables import GLIBC

ULA, GLOBAL, V4 = map(ip_address, ("fd12:8848:a2a2:1::74", "2a01:4f8:c0c:bd0a::1", "49.12.234.183"))


def test_nothing_is_the_built_in_table() -> None:
    assert parse(b"").policy == parse(b"# label fd00::/8 1\n\n \t\n").policy == GLIBC
    assert parse(b"").odd == ()


def test_one_label_line_replaces_the_table() -> None:
    policy = parse(b"label fd00::/8 9").policy
    assert [policy.labels.of(one) for one in (ULA, GLOBAL, V4)] == [9, 1, 1]
    assert policy.precedences == GLIBC.precedences


def test_the_fix() -> None:
    labels = parse(fix(IPv6Network("fd12:8848:a2a2::/48")).encode()).policy.labels
    assert [labels.of(ip_address(one)) for one in ("fd12:8848:a2a2:1::74", "fd13::1", "2a01::1", "8.8.8.8")] == [
        1,
        6,
        1,
        4,
    ]
    assert len(labels.rows) == 9


def test_of_equal_prefixes_the_first_line_counts() -> None:
    assert parse(b"label fd00::/8 3\nlabel fd12::/8 4\n").policy.labels.of(ULA) == 3


@pytest.mark.parametrize(
    ("line", "label"),
    [
        (b"label fd00::/8", 0),
        (b"label fd00::/8 +5 rest", 5),
        (b"\t label\vfd00::/8\r5#6", 5),
        (b"label fd00::/8 5\0 6", 5),
        (b"label fd00::/ 5", 5),
        (b"label fd00::/8 -18446744073709551615", 1),
        (b"label fd00::/8 00000000000000000000000000000005", 5),
        (b"label fd00::/8 2147483647", 2**31 - 1),
    ],
)
def test_lines_that_count(line: bytes, label: int) -> None:
    assert parse(line).policy.labels.of(ULA) == label


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"label fd00::/8 2147483648", "value above"),
        (b"label fd00::/8 -1", "value above"),
        (b"label fd00::/8 99999999999999999999", "value above"),
        (b"label fd00::/8 0x1", "value is no number"),
        (b"label fd00::/129 1", "prefix length above"),
        (b"label fd00::/8/8 1", "prefix length is no number"),
        (b"label fd00:: 1", "undefined"),
        (b"scopev4 10.1.1.1 2", "may crash"),
        (b"label 10.0.0.0/8 1", "write ::ffff:a.b.c.d/N"),
        (b"label fd00::%eth0/8 1", "no IPv6 prefix"),
        (b"label", "no IPv6 prefix"),
        (b"Label fd00::/8 1", "no keyword"),
        (b"\xef\xbb\xbflabel fd00::/8 1", "no keyword"),
        (b"scopev4 fd00::/8 2", "no IPv4 prefix"),
        (b"scopev4 ::ffff:10.0.0.0/95 2", "shorter than /96"),
        (b"scopev4 010.0.0.0/8 2", "no IPv4 prefix"),
    ],
)
def test_lines_that_are_dropped(line: bytes, why: str) -> None:
    found = parse(b"\n" + line + b"\n")
    assert found.policy == GLIBC
    assert [(one.line, why in one.why) for one in found.odd] == [(2, True)]


def test_scopes_of_ipv4() -> None:
    policy = parse(b"scopev4 10.0.0.0/8 5\nscopev4 ::ffff:192.168.0.0/112 5\n").policy
    assert [policy.scope(ip_address(one)) for one in ("10.1.1.1", "192.168.1.1", "169.254.1.1", "8.8.8.8")] == [
        5,
        5,
        14,
        14,
    ]


def test_reload() -> None:
    assert parse(b"reload yes\n").reload
    assert not parse(b"reload yes\nreload Yes\n").reload


def test_a_large_file_is_read_whole() -> None:
    found = parse(b"# padding\n" * 110_000 + b"label fd00::/8 9\n")
    assert found.policy.labels.of(ULA) == 9
    assert [str(one) for one in found.odd] == ["1.0 MB: every process that resolves a name reads all of it"]


def test_latin_1_is_read_whole() -> None:
    found = parse("# für uns\nlabel fd00::/8 9\nlabél x\n".encode("latin-1"))
    assert found.policy.labels.of(ULA) == 9
    assert [one.line for one in found.odd] == [0, 3]
    assert "not UTF-8 (first in line 1)" in str(found.odd[0])
    assert r"lab\xe9l" in str(found.odd[1])
