"""Our lines in a gai.conf: in and out again, whatever else is there. That glibc then puts IPv6 first: tests/glibc, and
tests/live/test_prefer.py."""

from __future__ import annotations

import random
from ipaddress import IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestnet.decide.prefer.block import BEGIN, END, block, merged, without
from guestnet.decide.select.gaiconf import fix, parse
from guestnet.words.problems import WrongError

OURS = IPv6Network("fd12:8848:a2a2::/48")
OTHER = IPv6Network("fd99::/48")
LINES = st.lists(
    st.sampled_from(
        [b"# a comment", b"reload yes", b"scopev4 ::ffff:0:0/96 14", b"\xe4\xff", b"", b"label", b"\r", b"\0x"]
    )
)


@given(LINES, st.booleans())
def test_in_and_out_is_nothing(lines: list[bytes], ended: bool) -> None:
    content = b"\n".join(lines) + (b"\n" if ended else b"")
    whole = merged(content, [OURS])
    assert whole.count(BEGIN) == 1
    assert whole.endswith(content)
    assert without(whole) == content
    assert merged(whole, [OTHER, OURS]).count(BEGIN) == 1
    assert without(merged(whole, [OTHER, OURS])) == content


def test_it_is_the_fix() -> None:
    assert parse(merged(b"", [OURS])).policy == parse(fix(OURS).encode()).policy


def test_the_others_rows_are_the_table() -> None:
    content = b"label ::1/128 0\nlabel ::/0 7\nlabel fc00::/7 6\nlabel ::ffff:0:0/96 4\n"
    whole = merged(content, [OURS])
    assert whole.count(b"label ") == 5
    labels = parse(whole).policy.labels
    assert [labels.of(ip_address(one)) for one in ("fd12:8848:a2a2:1::1", "fd13::1", "2600::1")] == [7, 6, 7]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"label fd12:8848:a2a2::/48 6\n", "label fd12:8848:a2a2::/48 6` says otherwise"),
        (b"label fd12:8848:a2a2:1::/64 9\n", "label fd12:8848:a2a2:1::/64 9` says otherwise"),
        (b"precedence ::ffff:0:0/96 100\n", "IPv4 100 and IPv6 40, which keeps IPv4 first"),
        (b"precedence fd00::/8 90\n", "IPv4 40 and IPv6 40, which keeps IPv4 first"),
        (BEGIN + b"\nlabel ::/0 1\n", "line 1, a mark of guestnet's, stands alone"),
        (b"\n" + END + b"\n", "line 2, a mark of guestnet's, stands alone"),
        (BEGIN + b"\n" + BEGIN + b"\n" + END, "line 1, a mark"),
    ],
)
def test_what_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(WrongError) as error:
        merged(content, [OURS])
    assert says in error.value.what


def test_a_large_file_is_quick() -> None:
    """The marks are looked for in time that grows with the file only."""
    content = (BEGIN + b"\n") * 20_000 + random.Random(1).randbytes(1 << 20)  # noqa: S311  not a secret
    with pytest.raises(WrongError):
        without(content)


def test_the_block_alone() -> None:
    assert block([OURS]).startswith(BEGIN + b": ")
    assert block([OURS]).endswith(END + b"\n")
