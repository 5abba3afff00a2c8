"""A guest that is a folder.

Its agent is made up, for a real one is in a machine (tests/live/test_prefer_agents.py), but the scripts are really run,
and the files are real. New files get qemu-ga's mode. Its getent is made up, too: this machine's own would go by this
machine's gai.conf.
"""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guestnet.host.agent import Agent
from guestnet.host.guestgai import Found
from guestnet.words.problems import AsideError

OLD = b"# of its own\n"
OWNER = f"{os.getuid()}:{os.getgid()}"
Before = Callable[[str, dict[str, Any]], None]  # (command, arguments): looks, changes something, or refuses


class Guest:
    """`before` each command; `modes` the new file had when something was written into it; `answers` of its getent."""

    def __init__(self, folder: Path, before: Before = lambda _command, _arguments: None) -> None:
        etc, self._programs = folder / "etc", folder / "bin"
        etc.mkdir()
        self._programs.mkdir()
        self.answers: list[str] = []
        self.etc, self.before, self.modes = etc, before, list[int]()
        self.file, self.new = etc / "gai.conf", etc / ".gai.conf.guestnet-new"
        self._ran = subprocess.CompletedProcess[bytes]([], 0)
        self._path = etc
        self.file.write_bytes(OLD)
        self.found = Found("glibc", content=OLD, owner=OWNER)

    def agent(self) -> Agent:
        return Agent(self.ask, "web1")

    def left(self) -> list[str]:
        return sorted(one.name for one in self.etc.iterdir())

    def ask(self, _guest: str, message: str, _seconds: int) -> str:
        order = json.loads(message.replace("/etc/", f"{self.etc}/"))
        command, arguments = order["execute"], order.get("arguments", {})
        self.before(command, arguments)
        return json.dumps({"return": getattr(self, command.replace("-", "_"))(**arguments)})

    def guest_exec(self, path: str, arg: list[str], env: list[str], **_rest: object) -> object:
        words = dict(one.split("=", 1) for one in env)
        words["PATH"] = f"{self._programs}:{words['PATH']}"
        getent = self._programs / "getent"
        lines = "\n".join(self.answers)
        getent.write_text(f"#!/bin/sh\n[ $1 = ahosts ] && echo '{lines}' || echo 'getent (GNU libc) 2.36'\n")
        getent.chmod(0o755)
        self._ran = subprocess.run([path, *arg], env=words, capture_output=True, check=False)
        return {"pid": 7}

    def guest_exec_status(self, pid: int) -> object:
        assert pid == 7
        out, err = (b64encode(one).decode() for one in (self._ran.stdout, self._ran.stderr))
        return {"exited": True, "exitcode": self._ran.returncode, "out-data": out, "err-data": err}

    def guest_get_osinfo(self) -> object:
        raise AsideError("not known")

    def guest_file_read(self, handle: int, count: int) -> object:
        content = self._path.read_bytes()
        assert (handle, len(content) < count) == (3, True)
        return {"count": len(content), "buf-b64": b64encode(content).decode(), "eof": True}

    def guest_file_open(self, path: str, mode: str) -> int:
        self._path = Path(path)
        if mode == "r":
            return 3
        assert mode == "w"
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
