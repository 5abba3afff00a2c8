"""Commands in a machine through its QEMU guest agent, over the socket that its emulator offers.

The agent answers one message at a time, each with a line of JSON; a command that runs longer is asked about again.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.errors import CommandError, LabError
from lab.process import Word, wait_for

KILLED = (-9, 137)  # how a command ends that coreutils' timeout has killed


class Agent:
    """One connection, which may be shared by threads. After an answer that did not come, it is closed for good."""

    def __init__(self, path: Path, where: str) -> None:
        self._where = where
        self._lock = threading.Lock()
        self._received = b""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise LabError(f"no connection to the agent of {where}: {error}") from error

    def close(self) -> None:
        self._socket.close()

    def call(self, command: str, arguments: Mapping[str, Any] | None = None, *, timeout: float = 30) -> Any:
        """One command of the agent's protocol; returns its `return`."""
        message = json.dumps({"execute": command} | ({"arguments": arguments} if arguments else {}))
        with self._lock:
            try:
                self._socket.settimeout(timeout)
                self._socket.sendall(message.encode() + b"\n")
                answer = json.loads(self._line(time.monotonic() + timeout))
            except OSError as error:
                self._socket.close()
                raise LabError(f"{command} in {self._where}: no answer: {error}") from error
        if "error" in answer:
            raise LabError(f"{command} in {self._where}: {answer['error']}")
        return answer["return"]

    def run(
        self,
        argv: Sequence[Word],
        *,
        env: Mapping[str, str],
        check: bool = True,
        input: str | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; see process.run. It and its children are killed after `timeout` seconds."""
        words = [str(word) for word in argv]
        arguments: dict[str, Any] = {
            "path": "/usr/bin/timeout",
            "arg": ["--signal=KILL", str(timeout), *words],
            "env": [f"{name}={value}" for name, value in env.items()],
            "capture-output": True,
        }
        if input is not None:
            arguments["input-data"] = base64.b64encode(input.encode()).decode()
        began = time.monotonic()
        pid = self.call("guest-exec", arguments)["pid"]

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.call("guest-exec-status", {"pid": pid})
            return found if found["exited"] else None

        what = f"the end of {' '.join(words)} in {self._where}"
        status = wait_for(what, ended, timeout=timeout + 30, interval=0.03)
        code = int(status["exitcode"]) if "exitcode" in status else -int(status["signal"])
        done = subprocess.CompletedProcess(words, code, _decoded(status, "out-data"), _decoded(status, "err-data"))
        if code in KILLED and time.monotonic() - began >= timeout:
            raise LabError(f"{what}: not within {timeout:g} s\nstdout: {done.stdout}\nstderr: {done.stderr}")
        if check and code != 0:
            raise CommandError(done, self._where)
        return done

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._received:
            if time.monotonic() > deadline:
                raise TimeoutError("not in time")
            more = self._socket.recv(1 << 20)
            if not more:
                raise ConnectionError("the connection ended")
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        return line


def _decoded(status: dict[str, Any], key: str) -> str:
    return base64.b64decode(status.get(key, "")).decode(errors="replace")
