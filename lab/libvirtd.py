"""libvirtd and virtlogd in a lab's host: start, stop, kill. It must not define networks or guests."""

from __future__ import annotations

import platform
import shutil
import signal
from pathlib import Path

from lab.cache import digest, directory, made
from lab.namespace import Namespace
from lab.process import wait_for

LIBVIRTD = Path("/usr/sbin/libvirtd")
VIRTLOGD = Path("/usr/sbin/virtlogd")
QEMU = Path("/usr/bin/qemu-system-x86_64")
CAPABILITIES = Path("/var/cache/libvirt/qemu/capabilities")


class Libvirtd:
    """The daemon of one host. Networks' dnsmasq and guests' QEMU outlive it, as on a real host."""

    def __init__(self, host: Namespace) -> None:
        self._host = host

    @property
    def pid(self) -> int | None:
        """The daemon's process id inside the host, None when it does not run."""
        return self._pid("libvirtd")

    @property
    def running(self) -> bool:
        return self.pid is not None

    def start(self, *, timeout: float = 60) -> None:
        """Start what does not run, and wait until it answers. The very first start probes QEMU (1 to 8 s)."""
        if self._pid("virtlogd") is None:
            self._host.run([VIRTLOGD, "-d"])
        if self.running:
            return
        self._warm_up()
        self._host.run([LIBVIRTD, "-d"], timeout=timeout)
        wait_for("an answer of libvirtd", self.answers, timeout=timeout)
        self._keep_warm()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def answers(self) -> bool:
        return self._host.run(["virsh", "-c", "qemu:///system", "uri"], check=False).returncode == 0

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            self._host.kill(pid, number)

    def _pid(self, daemon: str) -> int | None:
        try:
            pid = int(self._host.read(f"/run/{daemon}.pid"))
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._host.alive(pid) else None

    # Nearly all of a first start is libvirt asking QEMU what it can do. It checks itself whether a kept answer fits.

    def _warm_up(self) -> None:
        kept = kept_capabilities()
        target = self._host.path(CAPABILITIES)
        if kept.is_dir() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(kept, target)

    def _keep_warm(self) -> None:
        found = self._host.path(CAPABILITIES)
        if not found.is_dir() or not any(found.iterdir()):
            return
        made("libvirt", _key(), lambda into: _copy(found, into))


def _copy(source: Path, into: Path) -> None:
    shutil.copytree(source, into, dirs_exist_ok=True)


def kept_capabilities() -> Path:
    return directory() / f"libvirt-{_key()}"


def _key() -> str:
    parts = [platform.release()]
    for program in (LIBVIRTD, QEMU):
        found = program.stat()
        parts.append(f"{program} {found.st_mtime_ns} {found.st_size}")
    return digest(parts)
