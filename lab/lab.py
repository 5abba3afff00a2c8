"""The whole world: the fake internet and a host on it, made and ended together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from lab import state
from lab.disk import Disk
from lab.errors import LabError
from lab.host import Host, Uplink
from lab.inet import Inet
from lab.namespace import Namespace
from lab.router import Router

Part = TypeVar("Part")


class Lab:
    """`with Lab(...) as lab:` gives lab.host and lab.inet; nothing of it is left afterwards, however the block ends.

    uplink: `static`, `ra`, `ipv6` or `nat44`, see Host; with the last, lab.router stands between the two.
    bridge_nf: what net.bridge.bridge-nf-call-*tables is in the host, 0 or 1.
    libvirtd: whether it runs. Needs root. Make it in the main thread, or in one that lives longer than the lab.
    """

    def __init__(
        self, *, uplink: Uplink = "static", bridge_nf: int = 0, libvirtd: bool = True, name: str = "lab"
    ) -> None:
        self.name = name
        self._options = (uplink, bridge_nf, libvirtd)
        self._directory: Path | None = None
        self._inet: Inet | None = None
        self._router: Router | None = None
        self._host: Host | None = None

    @property
    def inet(self) -> Inet:
        return _there(self._inet)

    @property
    def router(self) -> Router:
        return _there(self._router)

    @property
    def host(self) -> Host:
        return _there(self._host)

    @property
    def directory(self) -> Path:
        """The lab's directory on this machine's disk."""
        return _there(self._directory)

    def start(self) -> None:
        if self._directory is not None:
            raise LabError(f"{self.name} is already there")
        uplink, bridge_nf, libvirtd = self._options
        try:
            self._directory = state.make(self.name)
            self._inet = Inet("inet")
            self._router = Router("router", self._inet) if uplink == "nat44" else None
            disk, lan = Disk(self._directory / "host"), self._router or self._inet
            self._host = Host("host", lan, disk, uplink=uplink, bridge_nf=bridge_nf, libvirtd=libvirtd)
            for namespace in self._namespaces():
                namespace.on_start = self._record
                namespace.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End and remove everything. Does nothing the second time."""
        with uninterrupted(), ExitStack() as todo:
            # From the last pushed to the first, each also when an earlier one failed.
            if self._directory is not None:
                todo.callback(state.remove, self._directory)
            for namespace in self._namespaces():
                todo.callback(namespace.stop)
            self._host = self._router = self._inet = self._directory = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _namespaces(self) -> tuple[Namespace, ...]:
        """In the order in which they start."""
        return tuple(one for one in (self._inet, self._router, self._host) if one is not None)

    def _record(self) -> None:
        trees = [namespace.init for namespace in self._namespaces() if namespace.running]
        state.write(self.directory, tuple(trees))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM until the block is done: it is short, and must not be left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _there(found: Part | None) -> Part:
    if found is None:
        raise LabError("the lab is not running: use it inside `with Lab() as lab`")
    return found
