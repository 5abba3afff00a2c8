"""A guest's gai.conf, written: whole or not at all, and by nobody else meanwhile."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from guestnet.host import guestgai
from guestnet.words.problems import AsideError
from tests.host.guestfolder import OLD, Guest

WANTED = b"# ours\n# of its own\n"


def test_nobody_else_can_open_the_new_file(tmp_path: Path) -> None:
    guest = Guest(tmp_path)
    guest.new.write_bytes(b"left by who was killed")
    guest.new.chmod(0o666)
    with guest.new.open("ab") as foreign:
        guestgai.put(guest.agent(), guest.found, WANTED)
        foreign.write(b"foreign")
    assert guest.modes == [0o600]
    assert guest.file.read_bytes() == WANTED
    assert guest.file.stat().st_mode & 0o777 == 0o644
    assert guest.left() == ["gai.conf"]


def test_it_is_taken_away(tmp_path: Path) -> None:
    guest = Guest(tmp_path)
    guestgai.put(guest.agent(), guest.found, None)
    assert guest.left() == []


def refused(guest: Guest) -> str:
    with pytest.raises(AsideError) as said:
        guestgai.put(guest.agent(), guest.found, WANTED)
    assert guest.left() == ["gai.conf"]
    return str(said.value)


@pytest.mark.parametrize(
    ("where", "says", "todo"),
    [
        ("guest-file-write", "No space left on device", "make room on its disk"),
        ("guest-file-flush", "No space left on device", "make room on its disk"),
        ("guest-file-open", "Read-only file system", "make its /etc writable"),
    ],
)
def test_a_disk_that_takes_nothing(tmp_path: Path, where: str, says: str, todo: str) -> None:
    def before(command: str, _arguments: dict[str, Any]) -> None:
        if command == where:
            raise AsideError(f"the agent of guest web1: it failed: {says}")

    guest = Guest(tmp_path, before)
    said = refused(guest)
    assert says in said
    assert f"its file is as it was; {todo}" in said
    assert guest.file.read_bytes() == OLD


def test_somebody_else_changes_it_meanwhile(tmp_path: Path) -> None:
    def before(command: str, _arguments: dict[str, Any]) -> None:
        if command == "guest-file-flush":
            guest.file.write_bytes(b"theirs\n")

    guest = Guest(tmp_path, before)
    assert "gai.conf was changed meanwhile by somebody else" in refused(guest)
    assert guest.file.read_bytes() == b"theirs\n"


def test_what_arrives_is_not_what_was_sent(tmp_path: Path) -> None:
    def before(command: str, arguments: dict[str, Any]) -> None:
        if command == "guest-file-write":
            arguments["buf-b64"] = b64encode(b64decode(arguments["buf-b64"]).upper()).decode()

    guest = Guest(tmp_path, before)
    assert "what arrived is not what was sent" in refused(guest)
    assert guest.file.read_bytes() == OLD
