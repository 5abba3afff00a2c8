"""`prefer-ipv6` in a guest that gets IPv4 first all the same. Its agent is that of tests/host/guestfolder.py.

That IPv6 gets out is asked of ::1, which answers everywhere; that it helps is in tests/live/test_prefer.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from guestnet.act.prefer import prefer
from guestnet.act.survey import Seen
from guestnet.decide.facts import Domain, Facts, Uplink
from guestnet.decide.plan import Plan
from guestnet.decide.prefer import record
from guestnet.host import preferences
from guestnet.host.libvirt import Libvirt
from guestnet.spec.memory import Memory
from guestnet.words.problems import GuestnetError
from tests.host.guestfolder import OLD, Guest
from tests.worlds import drawn

TEXT = b"""
networks:
  lab: {mode: nat, ipv6: "fd12:8848:a2a2:1::1/64", nat: {ipv6: true}}
guests:
  web1: {network: lab}
"""
WORLD = drawn(TEXT, 7)
FACTS = Facts(
    "kvm1",
    "9.0.0",
    domains=(Domain("web1", True, (), uuid="u1", agent=True),),
    uplinks=(Uplink("up0", (4, 6), kernel_ra=False),),
)
SIX, FOUR = "::1             STREAM www", "127.0.0.1       STREAM www"


class Asked:
    """Of libvirt only the way to the agent is needed."""

    def __init__(self, guest: Guest) -> None:
        self.ask_agent = guest.ask


@pytest.mark.parametrize("there", [OLD, None])
def test_what_did_not_help_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bytes | None) -> None:
    monkeypatch.setattr(record, "FOLDER", str(tmp_path / "records"))
    written = []

    def before(command: str, arguments: dict[str, Any]) -> None:
        if command == "guest-exec" and "ahosts" in str(arguments["arg"]):
            written.append(guest.file.read_bytes() if guest.file.exists() else None)

    guest = Guest(tmp_path, before)
    if there is None:
        guest.file.unlink()
    guest.answers = [FOUR, SIX]
    seen = Seen(Plan(WORLD, FACTS, (), (), ()), {}, Memory())
    libvirt = cast("Libvirt", Asked(guest))
    with pytest.raises(GuestnetError) as said:
        prefer(libvirt, seen, WORLD.guests[0], "www.example.org", lambda _text: None)
    assert str(said.value) == (
        "guest web1 gets 127.0.0.1, ::1 for www.example.org all the same, so its /etc/gai.conf was put back "
        "(guestnet select web1 www.example.org says by which rule)"
    )
    assert written[0] == there
    assert b"label fd12:8848:a2a2::/48 1" in (written[1] or b"")
    assert (guest.file.read_bytes() if guest.file.exists() else None) == there
    assert preferences.of("web1") is None
    guest.answers = [SIX, FOUR]
    prefer(libvirt, seen, WORLD.guests[0], "www.example.org", lambda _text: None)
    assert b"label fd12:8848:a2a2::/48 1" in guest.file.read_bytes()
