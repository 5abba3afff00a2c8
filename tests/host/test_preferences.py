"""What a guest's file would be without us, whatever happened to it since. In real guests: tests/live/test_prefer.py."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest

from guestnet.decide.prefer.block import merged
from guestnet.decide.prefer.record import Record
from guestnet.host.preferences import original
from guestnet.words.problems import WrongError

OURS = [IPv6Network("fd12:8848:a2a2::/48")]


def record(before: bytes | None) -> Record:
    return Record("web1", "u1", ("fd12:8848:a2a2::/48",), before=before, wrote=merged(before or b"", OURS))


@pytest.mark.parametrize("before", [None, b"", b"# x", b"\xff\0\r\n"])
def test_untouched_since(before: bytes | None) -> None:
    """Also when it was only begun, and when the file was not reached."""
    its = record(before)
    assert original(its.wrote, its) == before
    assert original(before, its) == before


@pytest.mark.parametrize("before", [None, b"# x\n"])
def test_changed_since(before: bytes | None) -> None:
    its = record(before)
    assert its.wrote is not None
    assert original(its.wrote + b"# more\n", its) == (before or b"") + b"# more\n"
    assert original(b"# all new\n", its) == b"# all new\n"
    assert original(None, its) is None


def test_without_a_record() -> None:
    """It was lost, with the host's disk: the marks tell."""
    assert original(merged(b"# x\n", OURS), None) == b"# x\n"
    assert original(b"# x\n", None) == b"# x\n"
    assert original(merged(b"", OURS), None) is None
    assert original(b"", None) == b""


def test_a_broken_mark_is_not_guessed_at() -> None:
    its = record(None)
    with pytest.raises(WrongError):
        original((its.wrote or b"").replace(b"# guestnet end", b"# gone"), its)
    with pytest.raises(WrongError):
        original((its.wrote or b"").replace(b"# guestnet end", b"# gone") + merged(b"", OURS), its)
