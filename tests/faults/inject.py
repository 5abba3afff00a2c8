"""Runs guestnet, and kills it, or makes one of its effects fail. The product knows nothing of this.

    python -m tests.faults.inject '{"at": 7, "do": "kill"}' apply --yes

An effect is a program that is started, a file that is opened to be written, written, synced, renamed, made or removed,
a sysctl that is set, a call that changes something in libvirt, a request by netlink, of ours or pyroute2's. They are
counted from the first on that writes where a change of the host is written down. Python itself tells of most of them
(sys.addaudithook); the rest is wrapped. At the end a Report is written into REPORT.

do: kill (before that effect, so after the one before it); an error by its name (EIO, ENOSPC, EPERM); refused (the
program ends with exit code 1 and did nothing, libvirt says no), time-out (the program does not end, and did nothing),
late (it did what it was to do, and its answer never comes); disconnect (libvirt's socket is shut), daemon killed
(libvirtd is). lasting: each effect of that kind from then on fails, too.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu
import pyroute2
from pyroute2.netlink.exceptions import NetlinkError

from guestnet.host import nfnetlink

REPORT = Path("/run/lab/effects.json")
LIBVIRTD = Path("/run/libvirtd.pid")
GUESTNET = Path(sys.executable).parent / "guestnet"
_BEGINS = ("/etc/", "/usr/local/", "/var/lib/guestnet")  # who writes here has begun
_AUDITED = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.utime",
    "os.truncate",
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# All that host/libvirt calls which is no question; the last is a connection's.
NETWORK_CALLS = ("create", "destroy", "undefine", "setAutostart", "update", "portCreateXML", "networkDefineXML")
_PYROUTE2 = ("get_links", "get_addr", "get_routes", "get_default_routes", "get_neighbours", "get_rules", "neigh")
_LOOKING = {
    "nft": {"list", "-c"},
    "iptables": {"-S", "-C"},
    "ip6tables": {"-S", "-C"},
    "ip": {"show"},
    "systemctl": {"show"},
    "unshare": {"unshare"},
    "ss": {"ss"},
}

sys.dont_write_bytecode = True


@dataclass(frozen=True)
class Effect:
    """kind: program, file, sysctl, libvirt, netlink. looks: it changes nothing, so that to be killed before it is to be
    killed before the next."""

    kind: str
    what: str
    looks: bool = False

    @property
    def name(self) -> str:
        """What it is done with: a program by its name."""
        return self.what.split()[0] if self.kind == "program" else self.kind


@dataclass
class Report:
    """came: the fault that was to come has been felt. kinds: of decide.state, of what was put."""

    effects: list[Effect] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    came: bool = False

    def text(self) -> str:
        return json.dumps({**asdict(self), "kinds": sorted(self.kinds)})

    @classmethod
    def read(cls, text: str) -> Report:
        data = json.loads(text)
        return cls([Effect(**one) for one in data["effects"]], set(data["kinds"]), data["came"])


class Injector:
    def __init__(self, at: int, do: str, *, lasting: bool) -> None:
        self._at, self._do, self._lasting = at, do, lasting
        self._begun = self._busy = False
        self._hit = ""
        self.report = Report()

    def effect(self, kind: str, what: str, *, looks: bool = False) -> str:
        """What is to become of it: "" for nothing, or a fault that is no error's name. Raises OSError; or kills."""
        if self._busy or not self._begun:
            return ""
        self.report.effects.append(Effect(kind, what, looks))
        now = len(self.report.effects) == self._at
        if not now and not (self._lasting and self._hit == kind):
            return ""
        self._hit = kind
        if self._do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._do.startswith("E"):
            self.report.came = True
            number = getattr(errno, self._do)
            if kind == "netlink" and what in _PYROUTE2:
                raise NetlinkError(number, os.strerror(number))
            raise OSError(number, os.strerror(number))  # a PermissionError for EPERM
        return self._do

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str) and isinstance(flags, int) and flags & _WRITES and not path.startswith("/dev/"):
                self._touched(path)
                self.effect("sysctl" if path.startswith("/proc/sys/") else "file", f"open {path}")
        elif event in _AUDITED:
            self._touched(str(arguments[0]))
            self.effect("file", f"{event} {arguments[0]}")

    def _touched(self, path: str) -> None:
        self._begun = self._begun or path.startswith(_BEGINS)

    def run(self, really: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(argv: Any, **options: Any) -> Any:
            looks = bool(_LOOKING.get(argv[0], set()) & set(argv))
            fate = self.effect("program", " ".join(argv[:5]), looks=looks)
            self.report.came = self.report.came or bool(fate)
            if fate == "refused" and options.get("check"):
                raise subprocess.CalledProcessError(1, argv)
            if fate == "refused":
                return subprocess.CompletedProcess(argv, 1, "", "refused on purpose")
            if fate == "time-out":
                raise subprocess.TimeoutExpired(argv, 30)
            before, self._busy = self._busy, True
            try:
                done = really(argv, **options)
            finally:
                self._busy = before
            if fate == "late":
                raise subprocess.TimeoutExpired(argv, 30)
            return done

        return wrapped

    def call(self, name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            fate = self.effect("libvirt", name)
            if not fate:
                return really(*arguments)
            if fate == "refused":
                self.report.came = True
                raise _said("refused on purpose")
            if fate == "late":
                really(*arguments)
            if fate == "daemon killed":
                os.kill(int(LIBVIRTD.read_text()), signal.SIGKILL)
            else:
                _disconnect()
            try:
                really(*arguments)
            except libvirt.libvirtError:
                self.report.came = True
                raise
            raise AssertionError(f"libvirt answers after: {fate}")

        return wrapped

    def plain(self, kind: str, name: str, really: Callable[..., Any], *, looks: bool = False) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.effect(kind, name, looks=looks)
            return really(*arguments, **options)

        return wrapped

    def attribute(self, really: Callable[..., Any]) -> Callable[..., Any]:
        """pyroute2's requests are found when they are asked for."""

        def wrapped(link: Any, name: str) -> Any:
            found = really(link, name)
            return self.plain("netlink", name, found, looks=name != "neigh") if name in _PYROUTE2 else found

        return wrapped

    def putting(self, really: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self.report.kinds.add(arguments[-1].key.kind)
            return really(*arguments)

        return wrapped

    def install(self) -> None:
        """Before anything of guestnet is imported that has these by another name."""
        sys.addaudithook(self.audit)
        subprocess.run = self.run(subprocess.run)
        os.write = self.plain("file", "write", os.write)
        os.fdopen = self.plain("file", "fdopen", os.fdopen)
        os.fsync = self.plain("file", "fsync", os.fsync)
        nfnetlink.request = self.plain("netlink", "nfnetlink request", nfnetlink.request)
        nfnetlink.dump = self.plain("netlink", "nfnetlink dump", nfnetlink.dump, looks=True)
        pyroute2.IPRoute.__init__ = self.plain("netlink", "open", pyroute2.IPRoute.__init__, looks=True)
        pyroute2.IPRoute.__getattr__ = self.attribute(pyroute2.IPRoute.__getattr__)
        for name in NETWORK_CALLS:
            owner = libvirt.virNetwork if hasattr(libvirt.virNetwork, name) else libvirt.virConnect
            setattr(owner, name, self.call(name, getattr(owner, name)))
        libvirt_qemu.qemuAgentCommand = self.call("agent", libvirt_qemu.qemuAgentCommand)
        from guestnet.host import put  # noqa: PLC0415  it imports what was wrapped just now

        put.put, put.put_locally = self.putting(put.put), self.putting(put.put_locally)

    def end(self) -> None:
        self._busy = True
        REPORT.write_text(self.report.text())


def _said(what: str) -> libvirt.libvirtError:
    error = libvirt.libvirtError(what)
    error.err = (libvirt.VIR_ERR_OPERATION_FAILED, 0, what, libvirt.VIR_ERR_ERROR, "", "", "", -1, -1)
    return error


def _disconnect() -> None:
    """Shuts our end of every connection to libvirt, as a daemon that is stopped shuts its own."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as link:
                if link.family == socket.AF_UNIX and "libvirt" in str(link.getpeername()):
                    link.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def main() -> None:
    order, *argv = sys.argv[1:]
    injector = Injector(**{"at": 0, "do": "", "lasting": False, **json.loads(order)})
    injector.install()
    sys.argv = [str(GUESTNET), *argv]
    from guestnet.faces.cli import main as guestnet  # noqa: PLC0415  after what it imports was wrapped

    try:
        guestnet()
    finally:
        injector.end()


if __name__ == "__main__":
    main()
