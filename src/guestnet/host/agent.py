"""The guest agent's protocol, for one guest: its files, and programs in it. Each call ends in time, and so do all.

What comes back is a guest's word, and may be anything: it is checked here, and shown without control characters.
https://www.qemu.org/docs/master/interop/qemu-ga-ref.html
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from guestnet.words.problems import AsideError, SilentError
from guestnet.words.shown import shown

CALL, ALL = 10, 60  # seconds that a call may take, and all of them
PIECE = 64 << 10  # bytes of a file in a call; with 256 kB an agent of QEMU 7.2 ceased to answer
_PATH = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]
_PAUSE, _LONG_PAUSE = 0.05, 0.4  # seconds between questions whether a program has ended

Ask = Callable[[str, str, int], str]  # (guest, message, seconds) -> answer


@dataclass(frozen=True)
class Ran:
    """code: as a shell has it, a signal's number from 128 on."""

    code: int
    out: bytes
    err: bytes


class Agent:
    """Every method raises AsideError: no answer in time, none that makes sense, or a refusal."""

    def __init__(self, ask: Ask, guest: str, seconds: float = ALL) -> None:
        self._ask, self.guest = ask, guest
        self._end = time.monotonic() + seconds
        self._silent: SilentError | None = None

    def call(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Its `return`."""
        if self._silent:
            raise self._silent
        left = self._end - time.monotonic()
        if left <= 0:
            raise AsideError(
                f"the agent of guest {self.guest} is too slow: {command} was not asked any more", "try again"
            )
        message = json.dumps({"execute": command} | ({"arguments": arguments} if arguments else {}))
        try:
            said = self._ask(self.guest, message, math.ceil(min(CALL, left)))
        except SilentError as error:
            self._silent = error
            raise
        try:
            return json.loads(said)["return"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._nonsense(command, said) from None

    def run(self, *argv: str) -> Ran:
        """A program, by its whole path, to its end."""
        order = {"path": argv[0], "arg": list(argv[1:]), "env": _PATH, "capture-output": True}
        pid = self._number("guest-exec", self.call("guest-exec", order), "pid")
        pause = _PAUSE
        while True:
            found = self.call("guest-exec-status", {"pid": pid})
            if not isinstance(found, dict) or not isinstance(found.get("exited"), bool):
                raise self._nonsense("guest-exec-status", found)
            if found["exited"]:
                break
            time.sleep(pause)
            pause = min(2 * pause, _LONG_PAUSE)
        key = "exitcode" if "exitcode" in found else "signal"
        code = self._number("guest-exec-status", found, key) + (128 if key == "signal" else 0)
        return Ran(code, *(self._bytes("guest-exec-status", found, name) for name in ("out-data", "err-data")))

    def read(self, path: str, most: int) -> bytes:
        """A file; one of more than `most` bytes is refused."""
        content = bytearray()
        with self._opened(path, "r") as handle:
            while True:
                found = self.call("guest-file-read", {"handle": handle, "count": PIECE})
                content += self._bytes("guest-file-read", found, "buf-b64")
                if len(content) > most:
                    raise AsideError(f"{path} of guest {self.guest} is larger than {most >> 20} MB", "look at it there")
                if found.get("eof"):
                    return bytes(content)

    def write(self, path: str, content: bytes) -> None:
        """A file, new or in place of one."""
        with self._opened(path, "w") as handle:
            while content:
                order = {"handle": handle, "buf-b64": b64encode(content[:PIECE]).decode()}
                found = self.call("guest-file-write", order)
                count = self._number("guest-file-write", found, "count")
                if not 0 < count <= PIECE:
                    raise self._nonsense("guest-file-write", found)
                content = content[count:]
            self.call("guest-file-flush", {"handle": handle})

    @contextlib.contextmanager
    def _opened(self, path: str, mode: str) -> Any:
        handle = self.call("guest-file-open", {"path": path, "mode": mode})
        if not isinstance(handle, int):
            raise self._nonsense("guest-file-open", handle)
        try:
            yield handle
        except AsideError:
            with contextlib.suppress(AsideError):
                self.call("guest-file-close", {"handle": handle})
            raise
        self.call("guest-file-close", {"handle": handle})

    def _number(self, command: str, found: Any, key: str) -> int:
        if isinstance(found, dict) and isinstance(found.get(key), int):
            return int(found[key])
        raise self._nonsense(command, found)

    def _bytes(self, command: str, found: Any, key: str) -> bytes:
        try:
            return b64decode(found.get(key, ""), validate=True)
        except (ValueError, TypeError, AttributeError):
            raise self._nonsense(command, found) from None

    def _nonsense(self, command: str, said: object) -> AsideError:
        what = f"the agent of guest {self.guest} answers {command} with what is no answer: {shown(str(said))}"
        return AsideError(what, "look at qemu-ga in the guest")
