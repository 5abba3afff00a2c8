"""A guest's gai.conf, written: whole or not at all, and by nobody else meanwhile.

The guest is a folder here: its agent is made up, for a real one is in a machine (tests/live/test_prefer_agents.py), but
the scripts are really run, and the files are real. New files get qemu-ga's mode.
"""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guestnet.host import guestgai
from guestnet.host.agent import Agent
from guestnet.host.guestgai import Found
from guestnet.words.problems import AsideError

OLD, WANTED = b"# of its own\n", b"# ours\n# of its own\n"
OWNER = f"{os.getuid()}:{os.getgid()}"
Before = Callable[[str, dict[str, Any]], None]  # (command, arguments): looks, changes something, or refuses


class Guest:
    """`before` each command; `modes` the new file had when something was written into it."""

    def __init__(self, etc: Path, before: Before = lambda _command, _arguments: None) -> None:
        self.etc, self.before, self.modes = etc, before, list[int]()
        self.file, self.new = etc / "gai.conf", etc / ".gai.conf.guestnet-new"
        self._ran = subprocess.CompletedProcess[bytes]([], 0)
        self._path = etc
        self.file.write_bytes(OLD)
        self.found = Found("glibc", content=OLD, owner=OWNER)

    def agent(self) -> Agent:
        return Agent(self._ask, "web1")

    def left(self) -> list[str]:
        return sorted(one.name for one in self.etc.iterdir())

    def _ask(self, _guest: str, message: str, _seconds: int) -> str:
        order = json.loads(message.replace("/etc/", f"{self.etc}/"))
        command, arguments = order["execute"], order.get("arguments", {})
        self.before(command, arguments)
        return json.dumps({"return": getattr(self, command.replace("-", "_"))(**arguments)})

    def guest_exec(self, path: str, arg: list[str], env: list[str], **_rest: object) -> object:
        words = dict(one.split("=", 1) for one in env)
        self._ran = subprocess.run([path, *arg], env=words, capture_output=True, check=False)
        return {"pid": 7}

    def guest_exec_status(self, pid: int) -> object:
        assert pid == 7
        out, err = (b64encode(one).decode() for one in (self._ran.stdout, self._ran.stderr))
        return {"exited": True, "exitcode": self._ran.returncode, "out-data": out, "err-data": err}

    def guest_file_open(self, path: str, mode: str) -> int:
        assert mode == "w"
        self._path = Path(path)
        new = not self._path.exists()
        self._path.write_bytes(b"")
        if new:
            self._path.chmod(0o666)
        return 3

    def guest_file_write(self, handle: int, **data: str) -> object:
        assert handle == 3
        self.modes.append(self._path.stat().st_mode & 0o777)
        content = b64decode(data["buf-b64"])
        self._path.write_bytes(self._path.read_bytes() + content)
        return {"count": len(content)}

    def guest_file_flush(self, handle: int) -> object:
        return {} if handle == 3 else None

    guest_file_close = guest_file_flush


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
