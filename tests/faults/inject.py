"""Runs guestnet, and kills it, or makes one of its effects fail. The product knows nothing of this.

    python -m tests.faults.inject '{"at": 7, "do": "kill"}' apply --yes

An effect is a program that is started, a file that is opened to be written, written, synced, renamed, made or removed,
a sysctl that is set, a call that changes something in libvirt, a request that changes something in the kernel by
netlink. They are counted from the journal's first on. Python itself tells of most of them (sys.addaudithook); the
rest is wrapped. At the end the effects are written into LIST, one a line.

do: kill (before that effect, so after the one before it); an error by its name (EIO, ENOSPC, EPERM); refused (the
program ends with exit code 1 and did nothing), time-out (it does not end); disconnect (libvirtd is killed). lasting:
each effect of that kind from then on fails, too.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

from guestnet.act.journal import PATH
from guestnet.host import nfnetlink
from guestnet.host.files import temporary_of

LIST = Path("/run/lab/effects")
FIRST = temporary_of(PATH)  # the journal, until it has its first line
LIBVIRTD = Path("/run/libvirtd.pid")
_AUDITED = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.chown",
    "os.symlink",
    "os.utime",
    "os.truncate",
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ACCESS = {"create", "destroy", "undefine", "setAutostart"}

sys.dont_write_bytecode = True


class Injector:
    def __init__(self, at: int, do: str, *, lasting: bool) -> None:
        self._at, self._do, self._lasting = at, do, lasting
        self._begun = self._busy = False
        self._hit = ""
        self.effects: list[str] = []

    def effect(self, kind: str, what: str) -> str:
        """What is to become of it: "" for nothing, or refused, time-out, disconnect. Raises OSError; or kills."""
        if self._busy:
            return ""
        self._begun = self._begun or (kind == "file" and what == f"open {FIRST}")
        if not self._begun:
            return ""
        self.effects.append(f"{kind} {what}")
        now = len(self.effects) == self._at
        if not now and not (self._lasting and self._hit == kind):
            return ""
        self._hit = kind
        if self._do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._do.startswith("E"):
            number = getattr(errno, self._do)
            raise OSError(number, os.strerror(number))  # a PermissionError for EPERM
        return self._do

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str) and isinstance(flags, int) and flags & _WRITES and not path.startswith("/dev/"):
                self.effect("sysctl" if path.startswith("/proc/sys/") else "file", f"open {path}")
        elif event in _AUDITED:
            self.effect("file", f"{event} {arguments[0]}")

    def run(self, really: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(argv: Any, **options: Any) -> Any:
            fate = self.effect("program", " ".join(argv[:5]))
            if fate == "refused":
                return subprocess.CompletedProcess(argv, 1, "", "refused on purpose")
            if fate == "time-out":
                raise subprocess.TimeoutExpired(argv, 30)
            before, self._busy = self._busy, True
            try:
                return really(argv, **options)
            finally:
                self._busy = before

        return wrapped

    def call(self, name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            if self.effect("libvirt", name) == "disconnect":
                os.kill(int(LIBVIRTD.read_text()), signal.SIGKILL)
            return really(*arguments)

        return wrapped

    def plain(self, kind: str, name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self.effect(kind, name)
            return really(*arguments)

        return wrapped

    def install(self) -> None:
        sys.addaudithook(self.audit)
        subprocess.run = self.run(subprocess.run)
        os.write = self.plain("file", "write", os.write)
        os.fsync = self.plain("file", "fsync", os.fsync)
        nfnetlink.request = self.plain("netlink", "request", nfnetlink.request)
        for method in _ACCESS:
            setattr(libvirt.virNetwork, method, self.call(method, getattr(libvirt.virNetwork, method)))
        libvirt.virConnect.networkDefineXML = self.call("define", libvirt.virConnect.networkDefineXML)


def main() -> None:
    order, *argv = sys.argv[1:]
    injector = Injector(**{"at": 0, "do": "", "lasting": False, **json.loads(order)})
    injector.install()
    sys.argv = ["guestnet", *argv]
    from guestnet.faces.cli import main as guestnet  # noqa: PLC0415  after what it imports was wrapped

    try:
        guestnet()
    finally:
        injector._busy = True
        LIST.write_text("".join(f"{line}\n" for line in injector.effects))


if __name__ == "__main__":
    main()
