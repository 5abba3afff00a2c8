"""Runs guestnet, and writes down what it does to the disk, in its order. The product knows nothing of this.

    python tests/power/record.py '{}' apply --yes

Recorded are the calls that change files or folders below ROOTS, or sync them; and marks of what is promised: that a
file is about to be written, and is; that a step of the journal is about to be done, and is; that a journal has begun
and has ended. At the end all of it is in LIST, with what was there before: see tests/power/disk.py.

fail: the step of that number is refused; kill: guestnet is killed after it.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import guestnet.act.apply as act
from guestnet.act import journal
from guestnet.host import files
from guestnet.words.problems import GuestnetError

LIST = Path("/run/lab/power")
ROOTS = (
    "/etc/guestnet",
    "/etc/libvirt/hooks",
    "/etc/sysctl.d",
    "/etc/systemd/system",
    "/var/lib/guestnet",
    "/var/lib/libvirt/dnsmasq",
    "/usr/local/bin",
    "/usr/local/share/bash-completion",
    "/usr/local/share/zsh",
    "/etc/fish",
)
_LARGE = 1 << 20  # bytes: nothing of ours
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

sys.dont_write_bytecode = True


class Recorder:
    def __init__(self, fail: int = 0, kill: int = 0) -> None:
        self._fail, self._kill, self._steps = fail, kill, 0
        self._busy = False
        paths = [path for root in map(Path, ROOTS) for path in (*root.parents[:-1], root, *root.rglob("*"))]
        self.before = {str(path): shown(path) for path in paths}
        self.events: list[list[Any]] = []

    def note(self, *event: Any) -> None:
        if not self._busy:
            self.events.append(list(event))

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What is opened without os.open: by Path.write_text and the like."""
        if event == "open" and not self._busy:
            path, _, flags = arguments
            if isinstance(path, str) and ours(path) and isinstance(flags, int) and flags & _WRITES:
                self.note("open", path, flags)

    def install(self) -> None:
        sys.addaudithook(self.audit)
        for name in ("rename", "replace", "remove", "unlink", "mkdir", "rmdir", "symlink"):
            setattr(os, name, self.called(name, getattr(os, name)))
        os.open, os.fsync, os.write = self.opened(os.open), self.synced(os.fsync), self.written(os.write)
        files.write = self.promised(files.write, lambda path, file, **_: (path, f"file:{file.text}"))
        files.remove = self.promised(files.remove, lambda path: (path, None))
        files.link = self.promised(files.link, lambda path, target: (path, f"link:{target}"))
        files.make_folder = self.promised(files.make_folder, lambda path: (path, "folder"))
        files.remove_folder = self.promised(files.remove_folder, lambda path: (path, None))
        vars(act)["put"] = self.step(vars(act)["put"])
        watch: dict[str, Callable[[Any], Any]] = {
            "__init__": self.begun,
            "keep": partial(self.ended, "kept"),
            "close": partial(self.ended, "closed"),
        }
        for name, wrap in watch.items():
            setattr(journal.Journal, name, wrap(getattr(journal.Journal, name)))
        journal.forget = self.forgotten(journal.forget)

    def tell(self) -> None:
        self._busy = True
        there = {path: value for path, value in self.before.items() if value is not None}
        LIST.write_text(json.dumps({"before": there, "events": self.events}))

    def opened(self, really: Callable[..., int]) -> Callable[..., int]:
        def wrapped(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            before, self._busy = self._busy, True
            try:
                number = really(path, flags, *rest, **more)
            finally:
                self._busy = before
            if ours(str(path)):
                if flags & _WRITES:
                    self.note("open", str(path), flags)
                self.note("fd", number, str(path))
            else:
                self.note("fd", number, "")
            return number

        return wrapped

    def synced(self, really: Callable[..., None]) -> Callable[..., None]:
        def wrapped(number: int) -> None:
            really(number)
            folder = stat.S_ISDIR(os.fstat(number).st_mode)
            self.note("fsync", number, None if folder else Path(f"/proc/self/fd/{number}").read_text())

        return wrapped

    def written(self, really: Callable[..., int]) -> Callable[..., int]:
        def wrapped(number: int, text: bytes) -> int:
            self.note("write", number)
            return really(number, text)

        return wrapped

    def called(self, name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            done = really(*arguments, **more)
            paths = [str(one) for one in arguments if not isinstance(one, int)]
            if any(ours(path) for path in paths):
                self.note({"unlink": "remove", "replace": "rename"}.get(name, name), *paths)
            return done

        return wrapped

    # what is promised

    def promised(self, really: Callable[..., None], what: Callable[..., tuple[str, Any]]) -> Callable[..., None]:
        def wrapped(*arguments: Any, **more: Any) -> None:
            path, value = what(*arguments, **more)
            if ours(path):
                self.note("will", path, value)
            really(*arguments, **more)
            if ours(path):
                self.note("is", path, value)

        return wrapped

    def step(self, really: Callable[..., None]) -> Callable[..., None]:
        def wrapped(libvirt: Any, change: Any) -> None:
            self._steps += 1
            if self._steps == self._fail:
                raise GuestnetError("refused on purpose")
            self.note("step", *change.key)
            really(libvirt, change)
            if self._steps == self._kill:
                os.kill(os.getpid(), signal.SIGKILL)

        return wrapped

    def begun(self, really: Callable[..., None]) -> Callable[..., None]:
        @wraps(really)
        def wrapped(it: Any, head: Any, *more: Any) -> None:
            self.note("beginning")
            really(it, head, *more)
            self.note("begun", head.id)

        return wrapped

    def ended(self, how: str, really: Callable[..., None]) -> Callable[..., None]:
        @wraps(really)
        def wrapped(*arguments: Any) -> None:
            self.note("ending")
            really(*arguments)
            self.note("ended", how)

        return wrapped

    def forgotten(self, really: Callable[..., None]) -> Callable[..., None]:
        def wrapped(path: Path = journal.PATH) -> None:
            its = path == journal.PATH
            if its:
                self.note("ending")
            really(path)
            self.note(*(("ended", "forgotten") if its else ("no way back",)))

        return wrapped


def ours(path: str) -> bool:
    return (
        path.startswith(tuple(f"{root}/" for root in ROOTS))
        or path in ROOTS
        or any(root.startswith(f"{path}/") for root in ROOTS)
    )


def shown(path: Path) -> str | None:
    if path.is_symlink():
        return f"link:{path.readlink()}"
    if path.is_dir():
        return "folder"
    if not path.is_file():
        return None
    return f"file:{path.read_text(errors='replace') if path.stat().st_size < _LARGE else ''}"


def main() -> None:
    order, *argv = sys.argv[1:]
    recorder = Recorder(**json.loads(order))
    recorder.install()
    sys.argv = [str(Path(sys.executable).with_name("guestnet")), *argv]
    from guestnet.faces.cli import main as guestnet  # noqa: PLC0415  after what it imports was wrapped

    try:
        guestnet()
    finally:
        recorder.tell()


if __name__ == "__main__":
    main()
